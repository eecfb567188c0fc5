"""Layers in words: what they are for a reader, and the line of code that makes, replaces or leaves out one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from xconv.comparison.case import Case, spelled
from xconv.comparison.opened import Opened
from xconv.errors import XConvError
from xconv.graph import Node
from xconv.layers.activation import Activation
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.layers.elementwise import Elementwise
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.recurrent import Recurrent, named
from xconv.spec import KerasLayer, Slot, Spec, TorchCall

__all__ = ["constructed", "inserted_line", "is_module", "names_of", "removed_line", "replaced_line", "said"]

UNSAID = frozenset({"axis", "data_format", "dtype", "trainable", "name", "merge", "frozen"})
"""What is no news in a description."""
MOST = 4
"""So many names are listed."""


def said(node: Node | None) -> str:
    """What a node is, in a few words; nothing for no node.

    >>> said(Node("x", Activation("leaky_relu", (("negative_slope", 0.2),))))
    'leaky_relu(negative_slope=0.2)'
    """
    if node is None:
        return ""
    own = next((words for kind, words in WORDS.items() if isinstance(node.spec, kind)), None)
    return own(node.spec) if own is not None else type(node.spec).__name__ + _listed(settings_of(node.spec))


def _activation(spec: Activation) -> str:
    return spec.name + (_listed(dict(spec.parameters)) if spec.parameters else "")


def _pool(spec: Pool) -> str:
    pads = "" if spec.padding is not None and not any(map(any, spec.padding)) else f", pads {spec.padding}"
    return f"{spec.kind} pool {_times(spec.kernel)}, stride {_times(spec.stride)}{pads}"


def _elementwise(spec: Elementwise) -> str:
    numbers = [operand for operand in spec.operands if not isinstance(operand, Slot)]
    return f"{spec.name} {numbers[0]:g}" if numbers else spec.name


def _recurrent(spec: Recurrent) -> str:
    words = [f"{spec.kind} of {spec.units} units"]
    words += [f"both ways ({spec.merge})"] if spec.both else ["backward"] if spec.backward else []
    words += ["all steps" if spec.sequences else "last step"] + (["final states"] if spec.states else [])
    words += [str(named(spec.activation))] if spec.kind == "rnn" or spec.activation != "tanh" else []
    words += [f"gates {named(spec.gate)}"] if spec.gate != "sigmoid" else []
    words += ["reset before the product"] if spec.kind == "gru" and not spec.reset_after else []
    return ", ".join(words)


def _convolution(spec: Conv) -> str:
    words = [f"convolution {_times(spec.kernel)}, {spec.in_channels} to {spec.out_channels} channels"]
    words += [f"stride {_times(spec.stride)}"] if max(spec.stride) > 1 else []
    words += [f"dilation {_times(spec.dilation)}"] if max(spec.dilation) > 1 else []
    words += [f"{spec.groups} groups"] if spec.groups > 1 else []
    return ", ".join(words)


WORDS: Mapping[type[Spec], Callable[[Any], str]] = {
    Activation: _activation,
    Pool: _pool,
    GlobalPool: lambda spec: f"global {spec.kind} pool",
    Elementwise: _elementwise,
    Conv: _convolution,
    Recurrent: _recurrent,
    Dense: lambda spec: f"Dense {spec.in_features} to {spec.out_features}",
}


def settings_of(spec: Spec) -> dict[str, Any]:
    """The fields of a Spec that tell something."""
    return {entry.name: getattr(spec, entry.name) for entry in fields(spec) if entry.name not in UNSAID}


def names_of(nodes: Sequence[Node]) -> str:
    """The kinds of some nodes, each once with its number, the first few of them.

    >>> names_of([Node("x", Activation("relu")), Node("y", Activation("tanh")), Node("z", Activation("relu"))])
    '2 relu, tanh'
    """
    kinds = Counter(
        node.spec.name if isinstance(node.spec, (Activation, Elementwise)) else _kind(node) for node in nodes
    )
    words = [f"{number} {kind}" if number > 1 else kind for kind, number in kinds.items()]
    return ", ".join(words[:MOST]) + (f" and {len(words) - MOST} more" if len(words) > MOST else "")


def _kind(node: Node) -> str:
    return f"global {node.spec.kind} pool" if isinstance(node.spec, GlobalPool) else type(node.spec).__name__


def constructed(opened: Opened, node: Node, inputs: tuple[Any, ...]) -> str:
    """The expression that makes such a layer in the framework of `opened`: `torch.nn.BatchNorm2d(num_features=8)`."""
    try:
        if opened.framework == "torch":
            return _torch_text(node.spec.to_torch(node.weights, inputs))
        return _keras_text(node.spec.to_keras(node.weights, inputs))
    except (XConvError, NotImplementedError):
        return said(node)


def _torch_text(call: TorchCall) -> str:
    if call.is_module:
        return call.target + _listed(call.config, always=True)
    words = [_argument(item) for item in call.args] + [
        f"{key}={_argument(value)}" for key, value in call.kwargs.items()
    ]
    return f"{call.target}({', '.join(words)})"


def _argument(item: Any) -> str:
    if isinstance(item, (tuple, list)):
        return f"({', '.join(map(_argument, item))})"
    if isinstance(item, Slot):
        return "xyzuvw"[item.index] if item.index < len("xyzuvw") else f"x{item.index}"
    return _torch_text(item) if isinstance(item, TorchCall) else repr(item)


def _keras_text(layer: KerasLayer) -> str:
    config = {key: value for key, value in layer.config.items() if value is not None}
    place = "keras." if layer.kind.startswith("ops.") else "keras.layers."
    return place + layer.kind + _listed(config, always=True)


def _listed(config: Mapping[str, Any], *, always: bool = False) -> str:
    items = ", ".join(f"{key}={value!r}" for key, value in config.items() if key not in UNSAID)
    return f"({items})" if items or always else ""


def _times(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))


def _inputs(case: Case, node: Node, side: str) -> tuple[Any, ...]:
    graph = (case.a if side == "a" else case.b).graph
    return tuple(graph.shape(value) for value in node.inputs)


def replaced_line(case: Case, a: Node, b: Node) -> str:
    """The line that puts the layer of `a` in the place of the one of `b`."""
    new = constructed(case.b, a, _inputs(case, a, "a"))
    if case.b.framework == "torch" and is_module(case.b, b):
        return f"{spelled(case.b, b)} = {new}"
    return f"use {new} in place of {b.layer or b.name}"


def inserted_line(case: Case, a: Node) -> str:
    """The line that gives `b` a layer that only `a` has."""
    new = constructed(case.b, a, _inputs(case, a, "a"))
    behind = a
    while behind.inputs and (behind is a or case.alignment.to_b.get(behind.name) is None):
        behind = case.nodes_a[behind.inputs[0].node]
    there = case.nodes_b.get(case.alignment.to_b.get(behind.name, ""))
    return f"put {new} behind {_reach(case, there)}" if there is not None else f"put {new} where a has {a.name}"


def removed_line(case: Case, b: Node) -> str:
    """The line that takes a layer out of `b`."""
    if case.b.framework == "torch" and is_module(case.b, b) and len(b.inputs) == 1:
        return f"{spelled(case.b, b)} = torch.nn.Identity()"
    return f"leave out {b.layer or b.name}"


def _reach(case: Case, node: Node) -> str:
    if not node.inputs:
        return "the input"
    if case.b.framework == "torch" and not is_module(case.b, node):
        return node.name
    return spelled(case.b, node)


def is_module(opened: Opened, node: Node) -> bool:
    """Whether the node's layer is a module of the live model."""
    if not node.layer or not hasattr(opened.model, "get_submodule"):
        return bool(node.layer)
    try:
        module = opened.model.get_submodule(node.layer)
    except AttributeError:
        return False
    return module is not opened.model and next(module.children(), None) is None
