"""Features of a torch module: a module on the same submodules that ends at the named ones.

What lies around the named layers is traced by torch.fx, and nothing else: a submodule that holds none of them is one
call. So its Python code may be what it likes, and its mode counts when it runs. Where the code around the layers cannot
be traced, or is other code in training, the whole module is run and listened to (`Listening`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import fx, nn

from xconv import axes
from xconv.errors import InvalidInput, Problem
from xconv.extraction.listening import Listening, Place
from xconv.extraction.names import DataFormat, split_call, unknown
from xconv.extraction.shaping import Shaped, Shaping
from xconv.extraction.tracing import Traced, graph_with_calls, traced_around
from xconv.graph import unique, values_in
from xconv.torch.network import Network
from xconv.torch.record import KEY, Port, Record

__all__ = ["torch_features"]


def torch_features(module: Any, names: Sequence[str], shaping: Shaping, *, outputs: bool = False) -> nn.Module:
    """A module on the same parameters that returns the tensors of the named layers; with `outputs` its own behind them.

    Raises:
        InvalidInput: not an nn.Module; all names that are none, or that are called several times.
    """
    if not isinstance(module, nn.Module):
        remedy = "give an nn.Module; that of an ExportedProgram is program.module()"
        raise InvalidInput(f"a {type(module).__name__} has no layers that could be named", remedy=remedy)
    if isinstance(module, fx.GraphModule):
        traced: Traced | None = graph_with_calls(module)
        wanted = [Place(name, *_called(name, traced.calls if traced else {})) for name in names]
    else:
        wanted = _places(module, names)
        traced = traced_around(module, [place.path for place in wanted], whole=outputs)
    if traced is None:
        return Listening(module, wanted, shaping, outputs=outputs)
    nodes = _nodes(traced, wanted, type(module).__name__)
    return _cut(module, traced.graph, nodes, shaping, outputs=outputs)


def _called(name: str, known: Any) -> tuple[str, int | None]:
    return (name, None) if name in known else split_call(name)


def _places(module: nn.Module, names: Sequence[str]) -> list[Place]:
    """The submodules that are asked for, each by its first path.

    Raises:
        InvalidInput: all names that are none.
    """
    modules = dict(module.named_modules(remove_duplicate=False))
    first = {id(found): path for path, found in module.named_modules()}
    places, problems = [], []
    for name in names:
        path, call = _called(name, modules)
        if path in modules and path:
            places.append(Place(name, first[id(modules[path])], call))
        else:
            problems.append(unknown(name, filter(None, modules), type(module).__name__))
    if problems:
        raise InvalidInput("layers that cannot be extracted", problems=problems)
    return places


def _nodes(traced: Traced, wanted: Sequence[Place], model: str) -> list[fx.Node]:
    """The node of every place.

    Raises:
        InvalidInput: all names that are none, are never called, or are called several times.
    """
    nodes, problems = [], []
    for place in wanted:
        calls = traced.calls.get(place.path, [])
        if not calls and not any(node.target == place.path for node in traced.graph.nodes):
            problems.append(unknown(place.name, traced.calls, model))
        elif place.call is None and len(calls) > 1:
            choices = f"{place.path}:0 to {place.path}:{len(calls) - 1}"
            problems.append(Problem(place.name, f"it is called {len(calls)} times", f"say which call: {choices}"))
        elif (place.call or 0) >= len(calls):
            problems.append(Problem(place.name, f"it is called {len(calls)} times, counted from 0"))
        else:
            nodes.append(calls[place.call or 0])
    if problems:
        raise InvalidInput("layers that cannot be extracted", problems=problems)
    return nodes


def _cut(module: nn.Module, graph: fx.Graph, nodes: Sequence[fx.Node], shaping: Shaping, *, outputs: bool) -> Network:
    """A module of the graph up to the last node that is needed.

    A tensor that is returned is copied where anything runs behind it, because that may write over it.
    """
    order = list(graph.nodes)
    last = graph.output_node() if outputs else order[max(map(order.index, nodes)) + 1]
    part, made, kept = fx.Graph(), dict[fx.Node, fx.Node](), dict[fx.Node, fx.Node]()
    for place, node in enumerate(order):
        if node.op != "output" and (node.op == "placeholder" or place < order.index(last)):
            made[node] = part.node_copy(node, made.__getitem__)
            if node in nodes:
                kept[node] = made[node] if node.next is last else part.call_function(torch.clone, (made[node],))
    ends = _Ends(module, shaping)
    returned = [ends.shaped(part, node, kept[node]) for node in nodes]
    if outputs:
        returned += values_in(fx.node.map_arg(graph.output_node().args[0], made.__getitem__))
    part.output(returned[0] if len(returned) == 1 else returned)
    result = Network(_with(module, ends.modules), part, f"{type(module).__name__}Features")
    _set_modes(result, module)
    if ends.record is not None:
        result.meta[KEY] = _part_of(ends.record, result, [*ends.ports, *(_ports(ends.record) if outputs else ())])
    return result


class _Ends:
    """What is put behind the nodes that are returned, and what the record says of it."""

    def __init__(self, module: nn.Module, shaping: Shaping) -> None:
        found = getattr(module, "meta", {}).get(KEY)
        self.record = found if isinstance(found, Record) else None
        self.shaping = _of_channels(module, shaping)
        self.taken = {name for name, _ in module.named_children()}
        self.modules: dict[str, nn.Module] = {}
        self.ports: list[Port] = []

    def shaped(self, graph: fx.Graph, node: fx.Node, value: fx.Node) -> fx.Node:
        """The node pooled or flattened as it is asked for, and in the layout in which the module returns its maps."""
        held = self.record.places.get(node.name) if self.record is not None else None
        turned = held is not None and not axes.is_identity(held.order)
        if not self.shaping.is_nothing:
            name = unique("shaped", {*self.taken, *self.modules})
            known: DataFormat | None = "channels_first" if turned else None
            self.modules[name] = Shaped(replace(self.shaping, data_format=self.shaping.data_format or known))
            value = graph.call_module(name, (value,))
        if self.record is None:
            return value
        order = held.order if held is not None else ()
        if not self.shaping.is_nothing:
            order = axes.identity(2)
        elif held is not None and turned and self.record.input_layout == "channels_last":
            value = graph.call_method("permute", (value, axes.inverse(order)))
            order = axes.identity(len(order))
        layer = held.layer if held is not None else node.name
        self.ports.append(Port(layer, (None,) * len(order), order))
        return value


def _of_channels(module: nn.Module, shaping: Shaping) -> Shaping:
    """With the place of the channels as timm's models tell it (`output_fmt`), where nothing else is said."""
    if shaping.data_format is None and str(getattr(module, "output_fmt", "")).endswith("NHWC"):
        return replace(shaping, data_format="channels_last")
    return shaping


def _with(module: nn.Module, more: dict[str, nn.Module]) -> nn.Module:
    """Something that has the module's own parameters and submodules, and these."""
    root = nn.Module()
    vars(root).update({key: value for key, value in vars(module).items() if not key.startswith("_graph")})
    vars(root)["_modules"] = {**vars(module)["_modules"], **more}
    return root


def _set_modes(result: nn.Module, module: nn.Module) -> None:
    """The modules that only hold others are in the mode of those that they stand for."""
    own = dict(module.named_modules())
    for path, child in result.named_modules():
        if path in own and own[path] is not child:
            child.training = own[path].training


def _ports(record: Record) -> list[Port]:
    return list(values_in(record.outputs))


def _part_of(record: Record, result: Network, ports: Sequence[Port]) -> Record:
    """The record of what is left of a converted module."""
    names, held = {node.name for node in result.graph.nodes}, result.state_dict().keys()
    weights = tuple(weight for weight in record.weights if weight.name in held)
    left = {weight.weight.key for weight in weights}
    gone = tuple(dict.fromkeys(w.weight.key for w in record.weights if w.weight.key not in left))
    return replace(
        record,
        outputs=ports[0] if len(ports) == 1 else list(ports),
        places={name: place for name, place in record.places.items() if name in names},
        sources={name: source for name, source in record.sources.items() if name in names},
        weights=weights,
        unused=(*record.unused, *gone),
    )
