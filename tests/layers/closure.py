"""Law 2 from torch's side: what is written is read back as the same Specs, with the same weights."""

from __future__ import annotations

from typing import Any

from tests.comparison import assert_same
from tests.layers.torch_reference import Case, numbers_of, turned_to_torch
from xconv.api import for_keras
from xconv.graph import Graph, map_structure
from xconv.keras.read import read as read_records
from xconv.keras.records import KerasModel, Ref
from xconv.keras.write import records_of
from xconv.layers.io import Input
from xconv.layout import resolve
from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
from xconv.spec import TorchCall
from xconv.torch.write import program_of

__all__ = ["assert_read_back_from_keras", "assert_read_back_from_torch", "resolved", "specs"]


def specs(graph: Graph) -> list[Any]:
    """What every node means."""
    return [node.spec for node in graph.nodes if not isinstance(node.spec, Input)]


def resolved(graph: Graph, target: Any) -> Graph:
    """The graph in the order of a target, with every pass."""
    return run(AFTER_LAYOUT, resolve(run(BEFORE_LAYOUT, graph), target))


def assert_read_back_from_torch(case: Case) -> None:
    """The same Specs and weights.

    Where a Spec takes several torch calls, the same calls when it is said again; where torch has no word for it, what
    is read is said in the same calls from then on.
    """
    said = resolved(case.captured, "first") if case.graph is None else case.graph
    first = turned_to_torch(case, said)
    again = resolved(first.captured, "first")
    if specs(again) == specs(said):
        _same_weights(again, said)
    elif calls(again) != calls(said):
        third = resolved(turned_to_torch(first, again).captured, "first")
        assert calls(third) == calls(again)


def assert_read_back_from_keras(case: Case) -> None:
    """The same Specs and weights.

    Where a Spec takes several Keras layers, the layers that are read are said in the same words from then on.
    """
    said = resolved(case.captured, "last")
    records = records_of(for_keras(said))
    again = resolved(read_records(records), "last")
    if specs(again) == specs(said):
        _same_weights(again, said)
        return
    second = records_of(for_keras(again))
    if words(second) != words(records):
        third = records_of(for_keras(resolved(read_records(second), "last")))
        kinds = [sorted(entry.kind for entry in found.entries) for found in (third, records)]
        assert kinds[0] == kinds[1]  # two that do not follow from each other may change places
        assert words(third) == words(second)


def _same_weights(again: Graph, said: Graph) -> None:
    for (role, got), (wanted, want) in zip(numbers_of(again), numbers_of(said), strict=True):
        assert role == wanted
        assert_same(got, want.astype(got.dtype), relative=0)


def words(model: KerasModel) -> list[Any]:
    """Every entry of the records, names replaced by places."""
    places = {entry.name: place for place, entry in enumerate(model.entries)}

    def placed(item: Any) -> Any:
        return (places[item.layer], item.call, item.tensor) if isinstance(item, Ref) else item

    return [
        (
            entry.kind,
            {key: item for key, item in entry.config.items() if key != "name"},
            [map_structure(placed, (call.args, dict(call.kwargs))) for call in entry.calls],
            [weight.shape for weight in entry.weights],
        )
        for entry in model.entries
    ]


def calls(graph: Graph) -> list[Any]:
    """Every call of the torch program of a graph: targets and arguments, without tensors."""
    found: list[Any] = []

    def walk(item: Any) -> Any:
        if isinstance(item, TorchCall):
            args = [walk(part) for part in item.args]
            kwargs = {key: walk(part) for key, part in item.kwargs.items()}
            found.append((item.target, args, kwargs, dict(item.config)))
            return item.target
        return type(item)(map(walk, item)) if isinstance(item, (list, tuple)) else item

    for step in program_of(graph).steps:
        walk(step.call)
    return found
