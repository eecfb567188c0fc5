"""Graphs run in float64: the same numbers as the network gives, and what was made once is not made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import xconv
from xconv.comparison import evaluation
from xconv.comparison.edits import with_array, with_spec
from xconv.comparison.evaluation import Memory, run_graph
from xconv.comparison.opened import open_model
from xconv.errors import XConvError
from xconv.graph import Graph
from xconv.statistics import Array
from xconv.torch.eager import Layer, layer_of


class Net(nn.Module):
    """Shared layers, groups, a recurrent layer, a free weight, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.again = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.act = nn.ReLU()
        self.steps = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.gain = nn.Parameter(torch.ones(12))
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the last step says, and the map."""
        x = self.act(self.norm(self.first(x)))
        x = self.act(self.again(self.again(x)) + x)
        y, _ = self.steps(x.flatten(2).transpose(1, 2))
        return self.head(y[:, -1] * self.gain), x


@pytest.fixture(scope="module")
def module() -> nn.Module:
    """The network with live weights."""
    torch.manual_seed(3)
    made = Net()
    xconv.randomize(made, 0, inputs=torch.randn(4, 3, 13, 10))
    return made.double().eval()


@pytest.fixture(scope="module")
def graph(module: nn.Module) -> Graph:
    """Its graph."""
    return open_model(module, input_shape=(3, 13, 10)).graph


@pytest.fixture
def feeds() -> tuple[Array, ...]:
    """A batch of images."""
    return (np.random.default_rng(1).standard_normal((2, 3, 13, 10)),)


@pytest.fixture
def carried_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The targets that are called, as they are."""
    targets: list[str] = []

    def counting(call, read) -> Layer:  # type: ignore[no-untyped-def]
        layer = layer_of(call, read)

        def compute(tensors):  # type: ignore[no-untyped-def]
            targets.append(call.target)
            return layer.compute(tensors)

        return replace(layer, compute=compute)

    monkeypatch.setattr(evaluation, "layer_of", counting)
    return targets


@pytest.mark.parametrize("remember", [False, True])
def test_it_gives_what_the_network_gives(module, graph, feeds, remember) -> None:
    memory = Memory()
    for _ in range(2):
        outputs = run_graph(graph, feeds, memory=memory, remember=remember)
        with torch.no_grad():
            expected = [tensor.numpy() for tensor in module(torch.from_numpy(feeds[0]))]
        for found, meant in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(found, meant, rtol=1e-9, atol=1e-12)


def test_what_is_remembered_is_not_made_again(graph, feeds, carried_out) -> None:
    memory = Memory()
    before = run_graph(graph, feeds, memory=memory, remember=True)
    carried_out.clear()
    again = run_graph(graph, feeds, memory=memory)
    assert carried_out == []
    for one, other in zip(before, again, strict=True):
        np.testing.assert_array_equal(one, other)  # the same arrays


def changed_head(graph: Graph) -> Graph:
    """Other weights in the last layer."""
    return with_array(graph, "head", "bias", np.linspace(-1, 1, 5))


def changed_epsilon(graph: Graph) -> Graph:
    """Another epsilon in the first normalisation."""
    spec = graph.by_name()["norm"].spec
    return with_spec(graph, "norm", replace(spec, epsilon=0.25))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("change", "gone", "there"),
    [
        (changed_head, {"torch.nn.Conv2d", "torch.nn.LSTM"}, {"torch.nn.Linear"}),
        (changed_epsilon, set(), {"torch.nn.LSTM"}),
    ],
)
def test_a_changed_graph_runs_from_its_change_on(
    graph: Graph,
    feeds: tuple[Array, ...],
    carried_out: list[str],
    change: Callable[[Graph], Graph],
    gone: set[str],
    there: set[str],
) -> None:
    memory = Memory()
    plain = run_graph(graph, feeds, memory=memory, remember=True)
    carried_out.clear()
    other = change(graph)
    found = run_graph(other, feeds, memory=memory)
    made = {target.replace("xconv.torch.modules", "torch.nn") for target in carried_out}
    assert made & gone == set()
    assert there <= made
    for one, two in zip(found, run_graph(other, feeds), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)
    assert not np.allclose(found[0], plain[0])


def test_other_inputs_are_other_values(graph, feeds) -> None:
    memory = Memory()
    run_graph(graph, feeds, memory=memory, remember=True)
    twice = (2 * feeds[0],)
    found = run_graph(graph, twice, memory=memory)
    np.testing.assert_allclose(found[0], run_graph(graph, twice)[0], rtol=1e-12)


def test_every_node_is_kept_where_that_is_asked_for(graph, feeds) -> None:
    memory = Memory()
    run_graph(graph, feeds, memory=memory, remember=True)
    for known in (None, memory):
        kept: dict[str, Array] = {}
        outputs = run_graph(graph, feeds, kept, known)
        assert {"first", "norm", "again", "head"} <= kept.keys()
        np.testing.assert_array_equal(kept["head"], outputs[0])


def test_nothing_is_kept_beyond_the_limits(graph, feeds) -> None:
    memory = Memory(weights=300, values=4000)
    run_graph(graph, feeds, memory=memory, remember=True)
    assert sum(tensor.nbytes for tensor in memory.tensors.values()) <= 300
    assert 0 < sum(evaluation._bytes_of(result) for result in memory.made.values()) <= 4000


def test_a_graph_that_does_not_hold_together_is_refused(graph, feeds) -> None:
    wrong = with_array(graph, "head", "bias", np.zeros(7))
    with pytest.raises(XConvError):
        run_graph(wrong, feeds)


def test_images_of_another_size_are_refused(graph) -> None:
    with pytest.raises(XConvError, match="takes"):
        run_graph(graph, (np.zeros((2, 3, 14, 10)),))
