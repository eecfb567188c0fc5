"""Features of a Keras or tf_keras model: a model on the same layers that ends at the named ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from xconv import axes
from xconv.errors import InvalidInput, Problem, XConvError
from xconv.extraction.names import DataFormat, split_call, unknown
from xconv.extraction.shaping import Shaping
from xconv.graph import unique
from xconv.keras.walk import family, flat, graph_of

__all__ = ["keras_features", "layer_names"]

POOLS = {"avg": "GlobalAveragePooling", "max": "GlobalMaxPooling"}


def keras_features(model: Any, names: Sequence[str], shaping: Shaping, *, outputs: bool = False) -> Any:
    """A model of the same layers that returns the tensors of the named ones; with `outputs` its own behind them.

    Raises:
        InvalidInput: a subclassed model, which has no graph; all names that are none.
    """
    graph = graph_of(model)
    if graph is None:
        what = "a subclassed model has no graph of layers, or the model is not built"
        remedy = "build it, or convert it (xconv.keras_to_torch) and name a layer of the converted module"
        raise InvalidInput(what, place=str(model.name), remedy=remedy)
    found, problems = list[Any](), list[Problem]()
    for name in names:
        try:
            found.append(_tensor(graph, name, str(model.name)))
        except XConvError as error:
            problems += error.problems
    if problems:
        raise InvalidInput("layers that cannot be extracted", problems=problems)
    layers = sys.modules[family(model)].layers
    taken = {str(operation.name) for operation in _operations(graph).values()}
    shaped = [
        _shaped(tensor, f"{name}_features", layers, shaping, graph, taken)
        for name, tensor in zip(names, found, strict=True)
    ]
    returned = [*shaped, *flat(_own_outputs(graph), model)] if outputs else shaped
    result = returned[0] if len(returned) == 1 else returned
    return sys.modules[family(model)].Model(_own_inputs(graph), result, name=f"{model.name}_features")


def _operations(graph: Any) -> dict[str, Any]:
    """The layers and operations of a graph by name."""
    return {str(one.name): one for one in getattr(graph, "operations", None) or graph.layers}


def layer_names(model: Any) -> Iterator[str]:
    """Every layer's name as `keras_features` takes it; none of a subclassed model."""
    graph = graph_of(model)
    if graph is not None:
        yield from _names(graph)


def _names(graph: Any, path: str = "") -> Iterator[str]:
    for name, operation in _operations(graph).items():
        yield f"{path}{name}"
        inner = graph_of(operation)
        if inner is not None:
            yield from _names(inner, f"{path}{name}/")


def _tensor(graph: Any, name: str, model: str) -> Any:
    """The symbolic tensor that a layer returns, in terms of the graph's own inputs.

    Raises:
        InvalidInput: no such layer, several calls of which none is named, or several tensors.
    """
    path, call = _path(graph, name), None
    if path is None:
        layer, call = split_call(name)
        path = _path(graph, layer) if call is not None else None
    if path is None:
        raise InvalidInput("no such layer", problems=[unknown(name, _names(graph), model)])
    levels = _levels(path, name, call)
    tensors = flat(levels[-1][1].outputs, graph)
    if len(tensors) != 1:
        raise InvalidInput(f"it returns {len(tensors)} tensors", place=name, remedy="name a layer that returns one")
    tensor = tensors[0]
    for (inside, _), (_, node) in zip(levels[:0:-1], levels[-2::-1], strict=True):
        args, kwargs = _arguments(node)
        tensor = sys.modules[family(graph)].Model(_own_inputs(inside), tensor, name=f"{inside.name}_cut")(
            *args, **kwargs
        )
    return tensor


def _path(graph: Any, name: str) -> list[tuple[Any, Any]] | None:
    """The layer of this name, behind the nested models that it is in, each with the graph that it stands in."""
    operations = _operations(graph)
    if name in operations:
        return [(graph, operations[name])]
    for place, letter in enumerate(name):
        nested = graph_of(operations.get(name[:place])) if letter == "/" else None
        inner = _path(nested, name[place + 1 :]) if nested is not None else None
        if inner is not None:
            return [(graph, operations[name[:place]]), *inner]
    return None


def _levels(path: Sequence[tuple[Any, Any]], name: str, call: int | None) -> list[tuple[Any, Any]]:
    """For every level the graph and the call in it; calls are counted through all calls of the models around.

    Raises:
        InvalidInput: there are several, and none is named; or not as many.
    """
    calls = [_calls(graph, operation) for graph, operation in path]
    times = prod(map(len, calls))
    if call is None and times > 1:
        choices = f"{name}:0 to {name}:{times - 1}"
        raise InvalidInput(f"it is called {times} times", place=name, remedy=f"say which call: {choices}")
    if (call or 0) >= times:
        raise InvalidInput(f"it is called {times} times, counted from 0", place=name)
    levels, left = list[tuple[Any, Any]](), call or 0
    for (graph, _), nodes in zip(reversed(path), reversed(calls), strict=True):
        left, own = divmod(left, len(nodes))
        levels.insert(0, (graph, nodes[own]))
    return levels


def _calls(graph: Any, operation: Any) -> list[Any]:
    own = {id(node) for nodes in graph._nodes_by_depth.values() for node in nodes}
    return [node for node in operation._inbound_nodes if id(node) in own]


def _arguments(node: Any) -> tuple[Any, Any]:
    if hasattr(node, "arguments"):
        return node.arguments.args, node.arguments.kwargs
    return node.call_args, node.call_kwargs


def _own_inputs(graph: Any) -> Any:
    """The inputs as the maker of the model nested them."""
    for name in ("_inputs_struct", "_nested_inputs"):
        if hasattr(graph, name):
            return getattr(graph, name)
    return graph.inputs


def _own_outputs(graph: Any) -> Any:
    for name in ("_outputs_struct", "_nested_outputs"):
        if hasattr(graph, name):
            return getattr(graph, name)
    return graph.outputs


def _shaped(tensor: Any, name: str, layers: Any, shaping: Shaping, graph: Any, taken: set[str]) -> Any:
    """The tensor pooled or flattened where that is asked for and it is a map.

    Raises:
        InvalidInput: a tensor of more than five axes, which has no pooling.
    """
    rank = len(tensor.shape)
    if rank <= 2 or shaping.is_nothing:
        return tensor
    name = unique(name.replace("/", "_").replace(":", "_"), taken)
    taken.add(name)
    held = shaping.data_format or _data_format(graph)
    if shaping.flat is not None:
        order = axes.channels_last(rank) if held == "channels_first" else axes.channels_first(rank)
        turned = tensor if held == shaping.flat else layers.Permute(order[1:], name=f"{name}_permute")(tensor)
        return layers.Reshape((prod(turned.shape[1:]),), name=name)(turned)
    if rank > 5:
        raise InvalidInput(f"a tensor of {rank} axes cannot be pooled", place=name, remedy="leave out pooling=")
    kind = getattr(layers, f"{POOLS[str(shaping.pooling)]}{rank - 2}D")
    return kind(data_format=held, name=name)(tensor)


def _data_format(graph: Any) -> DataFormat:
    """Where the layers of a model have their channels; Keras's setting for a model whose layers do not say it.

    Raises:
        InvalidInput: some here, some there.
    """
    found = set(_said_formats(graph))
    if len(found) > 1:
        what = "some of its layers have their channels first, some last"
        raise InvalidInput(what, place=str(graph.name), remedy="say where this map has them: data_format=")
    said = found or {sys.modules[family(graph)].backend.image_data_format()}
    return "channels_first" if "channels_first" in said else "channels_last"


def _said_formats(graph: Any) -> Iterator[str]:
    for operation in _operations(graph).values():
        if getattr(operation, "data_format", None):
            yield str(operation.data_format)
        inner = graph_of(operation)
        if inner is not None:
            yield from _said_formats(inner)
