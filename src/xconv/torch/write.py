"""Graph -> torch.fx.GraphModule: one module per layer, named after it, with its weights filled in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import fx, nn

from xconv import axes
from xconv.errors import Mismatch, XConvError
from xconv.graph import Graph, Node, Value, map_structure
from xconv.layers.io import Input
from xconv.scratch import working_memory
from xconv.spec import Slot, TorchCall
from xconv.torch.casts import COMPUTING, LOW_RANK, in_policy, with_low_rank
from xconv.torch.fill import fill
from xconv.torch.modules.low_rank import low_rank
from xconv.torch.modules.precision import computing
from xconv.torch.names import escape, identifier, module_path
from xconv.torch.network import Network
from xconv.torch.origin import record_of
from xconv.torch.program import Program, Result, Step
from xconv.torch.record import KEY
from xconv.torch.reuse import in_place, is_fresh
from xconv.torch.targets import method_name, resolve_target
from xconv.weights import Arrays, Weight

__all__ = ["PROGRAM", "Reader", "build", "check_floating", "door", "empty_module", "from_arrays", "program_of", "write"]

PROGRAM = "xconv_program"
"""Where a module keeps its `Program` in `meta`."""

Reader: TypeAlias = Callable[[str, Weight], torch.Tensor]


def write(graph: Graph, input_layout: str, read: Reader | None = None) -> fx.GraphModule:
    """The module that computes a graph which was resolved to channels-first.

    `read(name, weight)` gives the numbers of each weight; by default they are read from the graph's arrays.

    Raises:
        XConvError: a weight that has another shape than its layer needs.
    """
    program = program_of(graph)
    names: dict[Weight, list[str]] = {}
    with working_memory():
        module = build(program, read or from_arrays(graph.arrays), names)
    module.meta[KEY] = record_of(graph, input_layout, names)
    module.meta[PROGRAM] = program
    return module


def program_of(graph: Graph) -> Program:
    """The torch calls of a resolved graph.

    Raises:
        XConvError: with the node's name, where a layer cannot be said in torch.
    """
    shapes = {Value(n.name, i): shape for n in graph.nodes for i, shape in enumerate(n.shapes)}
    many = {node.name for node in graph.nodes if len(node.shapes) > 1}
    arguments = {value.node: f"argument {identifier(value.node)}" for value in graph.input_values()}

    def result(value: Value) -> Result:
        return Result(value.node, value.index if value.node in many else None)

    uses = Counter([value for node in graph.nodes for value in node.inputs] + list(graph.output_values()))
    fresh: set[Value] = set()
    steps = []
    for node in graph.nodes:
        if isinstance(node.spec, Input):
            argument = Result(arguments[node.name])
            steps.append(Step(node.name, _path(node), door(node, graph), (argument,), node.trainable))
            continue
        try:
            call = node.spec.to_torch(node.weights, [shapes[value] for value in node.inputs])
        except XConvError as error:
            raise error.at(node.name) from error
        call = in_policy(with_low_rank(call, graph.low_rank), node)
        spare = [v in fresh and uses[v] == 1 and shapes[v] == node.shapes[0] for v in node.inputs]
        call = in_place(call, spare)
        if is_fresh(call):
            fresh.add(Value(node.name))
        steps.append(Step(node.name, _path(node), call, tuple(map(result, node.inputs)), node.trainable))
    return Program(
        identifier(graph.name), tuple(arguments.values()), tuple(steps), map_structure(result, graph.outputs)
    )


def door(node: Node, graph: Graph) -> TorchCall:
    """The check of an input's shape, which knows what the other layout would look like."""
    shape, order = node.shapes[0], graph.held.get(Value(node.name))
    config: dict[str, Any] = {"shape": shape[1:]}
    if order is not None:
        config |= {"other": axes.apply(shape, axes.inverse(order))[1:], "order": order}
    return TorchCall("xconv.torch.modules.Input", config=config)


def _path(node: Node) -> str:
    """Where the node's module lives: at the layer's path, or below it for the parts of a layer."""
    if not node.layer:
        return module_path(node.name)
    separator = "" if not node.part or node.part.startswith("_") else "/"
    return module_path(f"{node.layer}{separator}{node.part}")


def build(program: Program, read: Reader, names: dict[Weight, list[str]] | None = None) -> Network:
    """The module of a program; `read(name, weight)` gives the numbers of each weight.

    `names`, where given, is filled with the state_dict names of every weight.
    """
    builder = _Builder(read, names if names is not None else {})
    nodes = {name: builder.graph.placeholder(name.removeprefix("argument ")) for name in program.inputs}
    for step in program.steps:
        nodes[step.name] = builder.emit(
            step.call, step, [_take(builder.graph, nodes, r) for r in step.inputs], step.path
        )
    builder.graph.output(map_structure(lambda result: _take(builder.graph, nodes, result), program.outputs))
    module = Network(builder.root, builder.graph, class_name=program.name)
    module.train()
    return module


def _take(graph: fx.Graph, nodes: Mapping[str, fx.Node], result: Result) -> fx.Node:
    """The fx node of a result; one of several tensors is picked by getitem."""
    node = nodes[result.step]
    if result.index is None:
        return node
    return graph.call_function(resolve_target("operator.getitem"), (node, result.index))


@dataclass(slots=True)
class _Builder:
    """The fx graph and module tree that grow step by step."""

    read: Reader
    names: dict[Weight, list[str]]
    graph: fx.Graph = field(default_factory=fx.Graph)
    root: nn.Module = field(default_factory=nn.Module)
    calls: dict[str, TorchCall] = field(default_factory=dict)
    tensors: dict[Weight, torch.Tensor] = field(default_factory=dict)

    def emit(self, call: TorchCall, step: Step, inputs: list[fx.Node], path: str) -> fx.Node:
        """The fx node of a call, after those of the calls in its arguments."""

        def argument(item: Any) -> Any:
            if isinstance(item, Slot):
                return inputs[item.index]
            if isinstance(item, TorchCall):
                return self.emit(item, step, inputs, f"{step.path}_{item.name or item.target.rpartition('.')[2]}")
            if isinstance(item, slice):
                return slice(*(argument(part) for part in (item.start, item.stop, item.step)))
            if isinstance(item, (tuple, list)):
                return type(item)(argument(part) for part in item)
            return item

        args = tuple(argument(item) for item in call.args)
        kwargs = {key: argument(item) for key, item in call.kwargs.items()}
        name = identifier(step.name if path == step.path else path)
        if call.target == "Tensor":
            ((role, weight),) = call.tensors.items()
            tied = self._tied(weight)
            if tied is not None:
                held = self.graph.create_node("get_attr", tied[0], name=f"{name}_held")
                return self.graph.call_function(resolve_target("torch.permute"), (held, tied[1]))
            return self.graph.create_node("get_attr", self._variable(path, role, weight, step), name=name)
        if call.is_module:
            return self.graph.create_node("call_module", self._module(call, path, step), args, kwargs, name=name)
        if call.target.startswith("Tensor."):
            return self.graph.create_node("call_method", method_name(call.target), args, kwargs, name=name)
        return self.graph.create_node("call_function", resolve_target(call.target), args, kwargs, name=name)

    def _module(self, call: TorchCall, path: str, step: Step) -> str:
        """The path of the call's module; calls of a shared layer share it, or its weights where they differ."""
        own = TorchCall(call.target, config=call.config, tensors=call.tensors)
        base, number = path, 0
        while path in self.calls or self._is_attribute(path):
            if self.calls.get(path) == own:
                return path
            number += 1
            path = f"{base}_{number}"
        self.calls[path] = own
        module = empty_module(call)
        for name, weight in call.tensors.items():
            tensor = self._tensor(f"{path}.{name}", weight)
            owner, _, leaf = name.rpartition(".")
            holder = module.get_submodule(owner)
            if leaf in holder._parameters:
                check_floating(f"{path}.{name}", weight, tensor)
                parameter = self._parameter(weight, tensor, step)
                if f"{name}_lora_a" in call.tensors:
                    parameter.requires_grad_(False)
                setattr(holder, leaf, parameter)  # nn.LSTM keeps a list of them too
            else:
                holder._buffers[leaf] = tensor
        self._place(path, module)
        return path

    def _place(self, path: str, module: nn.Module) -> None:
        """Put the module at its path, with the modules below it that came before."""
        parent, _, leaf = path.rpartition(".")
        container = self._container(parent)
        for name, child in getattr(container._modules.get(leaf), "_modules", {}).items():
            module.add_module(name, child)
        container.add_module(leaf, module)

    def _is_attribute(self, path: str) -> bool:
        """Whether the module above has something else of that name: a layer called `conv>weight` below `conv`."""
        parent, _, leaf = path.rpartition(".")
        module = self._container(parent)
        return leaf not in module._modules and hasattr(module, leaf)

    def _variable(self, path: str, role: str, weight: Weight, step: Step) -> str:
        """The path of a free weight, registered on its layer's container."""
        parent, _, leaf = path.rpartition(".")
        name = escape(role) if leaf == escape(role) else leaf
        full = f"{parent}.{name}" if parent else name
        tensor = self._tensor(full, weight)
        self._container(parent).register_parameter(name, self._parameter(weight, tensor, step))
        return full

    def _tied(self, weight: Weight) -> tuple[str, axes.Order] | None:
        """The parameter that holds a free weight in another order of axes, and how to turn it."""
        for other, tensor in self.tensors.items():
            turned = other.key == weight.key and isinstance(tensor, nn.Parameter) and other != weight
            if turned and other.split == other.source and weight.split == weight.source and other.key:
                places = [other.order.index(axis) for axis in weight.order]
                if tensor.shape == axes.apply(other.source, other.order):
                    return self.names[other][0], tuple(places)
        return None

    def _container(self, path: str) -> nn.Module:
        """The module at a path, made where it is not there."""
        module = self.root
        for part in filter(None, path.split(".")):
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        return module

    def _tensor(self, name: str, weight: Weight) -> torch.Tensor:
        """The numbers of a weight, the same tensor wherever it is used."""
        self.names.setdefault(weight, []).append(name)
        if weight.constant is not None:
            return self.read(name, weight)
        if weight not in self.tensors:
            self.tensors[weight] = self.read(name, weight)
        return self.tensors[weight]

    def _parameter(self, weight: Weight, tensor: torch.Tensor, step: Step) -> nn.Parameter:
        """The Parameter of a weight; tied weights are one Parameter."""
        if isinstance(tensor, nn.Parameter):
            return tensor
        trains = step.trainable and weight.constant is None  # what the source does not have stays as it is
        parameter = nn.Parameter(tensor, requires_grad=trains and tensor.is_floating_point())
        if weight.constant is None:
            self.tensors[weight] = parameter
        return parameter


def empty_module(call: TorchCall) -> nn.Module:
    """The module without initialising its weights; small buffers that no source holds are zero."""
    if call.target == COMPUTING:
        layer = call.config["layer"]
        return computing(empty_module(layer), call.config["inner"], call.config["outer"])
    if call.target == LOW_RANK:
        return low_rank(empty_module(call.config["layer"]), call.config["ways"])
    cls = resolve_target(call.target)
    if not call.tensors:
        plain: nn.Module = cls(**call.config)
        return plain
    module: nn.Module
    if call.target.startswith("torch.nn."):
        module = _without_initial_values(cls)(**call.config, device="meta")
        module.__class__ = cls
    else:
        module = cls(**call.config)
    for name, buffer in module.named_buffers(recurse=False):
        if name not in call.tensors and buffer is not None:
            module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype)
    return module


@cache
def _without_initial_values(cls: type[nn.Module]) -> type[nn.Module]:
    """A class that draws no numbers for its weights: even on the device without memory that takes a while."""
    return type(cls.__name__, (cls,), {"reset_parameters": lambda self: None})


def check_floating(name: str, weight: Weight, tensor: torch.Tensor) -> None:
    """Refuse whole numbers where a layer computes with real ones."""
    if not tensor.is_floating_point():
        what = f"the array {weight.key} holds {weight.dtype}, the layer computes with floating point"
        raise Mismatch(what, place=name, remedy="save the model with floating-point weights")


def from_arrays(arrays: Arrays) -> Reader:
    """Reads weights from the arrays of a source model."""

    def read(name: str, weight: Weight) -> torch.Tensor:
        del name
        dtype = getattr(torch, weight.dtype)
        if weight.constant is not None:
            return torch.full(weight.shape, weight.constant, dtype=dtype)
        target = torch.empty(weight.shape, dtype=dtype)
        fill(target, weight, arrays[weight.key])
        return target

    return read
