"""Node by node through a converted module, twice: on its own activations, and on the reference's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from xconv import axes
from xconv.keras.walk import Key
from xconv.statistics import Array
from xconv.torch.modules.states import afresh
from xconv.torch.record import Place, Record
from xconv.torch.widened import as_array, like

__all__ = ["Traced", "keys_of", "to_held", "to_written", "trace"]


@dataclass(frozen=True, slots=True)
class Traced:
    """What one node computed, in the source's written layout.

    `chained` is its value on the module's own activations; `local` its value when every placed node before it had
    returned exactly what the reference has: an error in it arises here. `reference` is that tensor of the source.
    """

    key: Key
    node: str
    chained: Array
    local: Array
    reference: Array


def to_held(array: Array, order: axes.Order) -> torch.Tensor:
    """An array in written layout as the tensor that the module holds.

    It is laid out anew: networks that call `view` take no other memory, and torch's float64 convolutions are up to ten
    times slower on channels-last memory.
    """
    tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    return (tensor.permute(order) if order else tensor).contiguous()


def to_written(tensor: torch.Tensor, order: axes.Order) -> Array:
    """A held tensor as an array in written layout."""
    written = tensor.detach().permute(axes.inverse(order)) if order else tensor.detach()
    return as_array(written.contiguous())


def keys_of(record: Record) -> dict[str, Key]:
    """The source tensor of every node that has one, by fx node name."""
    return {name: Key(place.layer, place.call, place.tensor) for name, place in record.places.items()}


def trace(
    module: fx.GraphModule,
    record: Record,
    inputs: Sequence[torch.Tensor],
    reference: Callable[[Key], Array | None],
    enter: Callable[[str], None] = lambda layer: None,
) -> Iterator[Traced]:
    """Runs the module on held tensors and compares as it goes; a value is dropped after its last use.

    `reference` gives the source's tensor, or None where the source has none: such nodes pass on what they compute.
    `enter` is told the layer before each node runs.
    """
    runner = fx.Interpreter(module)
    chained: dict[fx.Node, Any] = {}
    local: dict[fx.Node, Any] = {}
    left = {node: len(node.users) for node in module.graph.nodes}
    feed = iter(inputs)
    for node in module.graph.nodes:
        if node.op == "output":
            return
        place = record.places.get(node.name)
        enter(place.layer if place else node.name)
        if node.op == "placeholder":
            chained[node] = local[node] = next(feed)
        else:
            chained[node] = _run(runner, node, chained)
            same = all(chained[before] is local[before] for before in node.all_input_nodes)
            local[node] = chained[node] if same else _run(runner, node, local)
            if place is not None:
                yield from _compare(node, place, chained, local, reference)
        _drop(node, left, chained, local)


def _run(runner: fx.Interpreter, node: fx.Node, values: Mapping[fx.Node, Any]) -> Any:
    """One call; a layer that keeps states begins with zeros, because it may run twice."""
    args = fx.node.map_arg(node.args, values.__getitem__)
    kwargs = fx.node.map_arg(node.kwargs, values.__getitem__)
    layer = runner.fetch_attr(str(node.target)) if node.op == "call_module" else nn.Module()
    with afresh(layer):
        return getattr(runner, node.op)(node.target, args, kwargs)


def _compare(
    node: fx.Node,
    place: Place,
    chained: Mapping[fx.Node, Any],
    local: dict[fx.Node, Any],
    reference: Callable[[Key], Array | None],
) -> Iterator[Traced]:
    key = Key(place.layer, place.call, place.tensor)
    expected = reference(key)
    if expected is None or not isinstance(chained[node], torch.Tensor):
        return
    pair = to_written(chained[node], place.order), to_written(local[node], place.order)
    yield Traced(key, node.name, *pair, expected)
    if pair[1].shape == expected.shape:
        local[node] = like(to_held(expected, place.order), chained[node])


def _drop(node: fx.Node, left: dict[fx.Node, int], *environments: dict[fx.Node, Any]) -> None:
    for before in node.all_input_nodes:
        left[before] -= 1
    for done in [n for n in (*node.all_input_nodes, node) if left[n] == 0]:
        for values in environments:
            values.pop(done, None)
