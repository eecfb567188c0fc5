"""Laws 2 to 4 for torch to Keras, over every example in torch's words and every example in Keras's words."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch

from tests.comparison import assert_same
from tests.layers.torch_reference import (
    BATCH,
    SIZES,
    Case,
    assert_same_answers,
    case_of,
    convert,
    numbers_of,
    of_keras,
    told,
    turned_to_torch,
)
from xconv.api import for_keras
from xconv.graph import Graph, map_structure
from xconv.keras.read import read as read_records
from xconv.keras.records import KerasModel, Ref
from xconv.keras.write import records_of
from xconv.layers import families
from xconv.layers.io import Input
from xconv.layout import resolve
from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
from xconv.spec import TorchCall, TorchExample
from xconv.torch.write import program_of


def _cases() -> tuple[list[Any], list[Any]]:
    """The examples in torch's words and in Keras's, each with its id."""
    ours: list[Any] = []
    theirs: list[Any] = []
    for family in families():
        for number, example in enumerate(family.torch_examples()):
            ours.append(pytest.param(example, id=f"{family.__name__}-{example.target}-{number}"))
        for number, example in enumerate(family.examples()):
            theirs.append(pytest.param(example, id=f"{family.__name__}-{example.kind}-{number}"))
    return ours, theirs


TORCH, KERAS = _cases()


@pytest.fixture(scope="module", params=[*TORCH, *KERAS])
def case(request: Any) -> Case:
    """Every example in turn; its module is captured once for all tests of it."""
    return case_of(request.param)


def specs(graph: Graph) -> list[Any]:
    return [node.spec for node in graph.nodes if not isinstance(node.spec, Input)]


def resolved(graph: Graph, target: Any) -> Graph:
    return run(AFTER_LAYOUT, resolve(run(BEFORE_LAYOUT, graph), target))


# ------------------------------------------------------------------------------------------------------ numbers


def test_numbers(case: Case) -> None:
    """Inference and, where it is deterministic, training; the other input layout where it is another."""
    graph, dtype = case.captured, str(case.dtype).removeprefix("torch.")
    found = convert(graph, dtype)
    assert_same_answers(case, found, training=False)
    if case.trains:
        assert_same_answers(case, found, training=True)
    if any(order != tuple(range(len(order))) for order in found.taken):
        with told("channels_first"):
            assert_same_answers(case, convert(graph, dtype, "channels_first"), training=False)


# ------------------------------------------------------------------------------------------------------ closure


def test_what_we_say_in_torch_we_read_back(case: Case) -> None:
    """The same Specs; where a Spec takes several torch calls, the same calls when it is said again."""
    said = resolved(case.captured, "first") if case.graph is None else case.graph
    again = resolved(turned_to_torch(case, said).captured, "first")
    if specs(again) == specs(said):
        _same_weights(again, said)
    else:
        assert calls(again) == calls(said)


def test_what_we_say_in_keras_we_read_back(case: Case) -> None:
    """The same Specs; where a Spec takes several Keras layers, the same layers when it is said again."""
    said = resolved(case.captured, "last")
    records = records_of(for_keras(said))
    again = resolved(read_records(records), "last")
    if specs(again) == specs(said):
        _same_weights(again, said)
    else:
        assert words(records_of(for_keras(again))) == words(records)


def _same_weights(again: Graph, said: Graph) -> None:
    pairs = zip(numbers_of(again), numbers_of(said), strict=True)
    for (role, got), (wanted_role, want) in pairs:
        assert role == wanted_role
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


# -------------------------------------------------------------------------------------------------------- order


def test_resolving_twice_is_resolving_once(case: Case) -> None:
    graph = run(BEFORE_LAYOUT, case.captured)
    once = resolve(graph, "last")
    assert specs(resolve(once, "last")) == specs(once)


# -------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    "family", [family for family in families() if family.aten_ops], ids=lambda family: family.__name__
)
def test_saved_and_loaded(family: Any, tmp_path: Any) -> None:
    """Keras loads the first example of a family in safe mode, without xconv, and computes the same."""
    example = next(iter([*family.torch_examples(), *family.examples()]))
    case = case_of(example)
    found = convert(case.captured, str(case.dtype).removeprefix("torch."))
    path = tmp_path / "model.keras"
    found.model.save(path)
    arrays = case.arrays(BATCH, SIZES)
    expected = of_keras(found, arrays, training=False).outputs
    found.model = keras.saving.load_model(path, safe_mode=True)
    for got, want in zip(of_keras(found, arrays, training=False).outputs, expected, strict=True):
        assert_same(got, want, relative=0)


def test_a_wrong_weight_is_seen() -> None:
    """The comparison of this file can fail."""
    case = case_of(TorchExample("torch.nn.Linear", ((5,),), {"in_features": 5, "out_features": 4}))
    found = convert(case.captured, "float64")
    assert_same_answers(case, found, training=True)
    kernel = next(variable for _, variable in found.variables())
    kernel.assign(np.array(kernel) + 1e-6 * np.eye(5, 4))
    with pytest.raises(AssertionError, match="relative error"):
        assert_same_answers(case, found, training=False)
    assert isinstance(case, Case)
    assert case.dtype is torch.float64
