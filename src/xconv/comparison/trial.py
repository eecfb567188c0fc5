"""Two graphs run side by side in float64 on what each is fed: how far their outputs are apart (`Trial`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import fx

from xconv.comparison.edits import inferred
from xconv.errors import Mismatch
from xconv.graph import Graph
from xconv.statistics import Array, compare
from xconv.torch.precision import full_precision, in_precision
from xconv.torch.reuse import without_reuse
from xconv.torch.write import Reader, from_arrays, write
from xconv.weights import Arrays, ArraySource, Weight

__all__ = ["Memory", "Mend", "Trial", "apart", "run_graph"]


@dataclass(frozen=True, slots=True)
class Trial:
    """Two graphs and what they are fed, channels-first; the outputs of `a` are what those of `b` should be."""

    a: Graph
    b: Graph
    feeds_a: tuple[Array, ...]
    feeds_b: tuple[Array, ...]
    undone: frozenset[str] = frozenset()
    """The mistakes in what `b` is fed that remedies have undone so far, as `input/mistake`."""

    def error(self) -> float:
        """The largest of max|a-b| / max|a| over the outputs; infinite where they have other shapes.

        Raises:
            XConvError: a graph that cannot be run, because its shapes do not fit.
        """
        ours, theirs = run_graph(self.a, self.feeds_a), run_graph(self.b, self.feeds_b)
        return apart(ours, theirs)


Mend: TypeAlias = Callable[[Trial], Trial]
"""A remedy, applied to a copy."""


def apart(ours: Sequence[Array], theirs: Sequence[Array]) -> float:
    """The largest relative difference of corresponding outputs."""
    if len(ours) != len(theirs):
        return np.inf
    pairs = list(zip(theirs, ours, strict=True))
    if any(a.shape != b.shape for a, b in pairs):
        return np.inf
    return max((compare(a, b).max_rel for a, b in pairs), default=0.0)


@dataclass(slots=True)
class Memory:
    """The numbers of weights in float64, read once for many runs of graphs that share their arrays.

    No more than `limit` bytes are kept; what comes later is read each time.
    """

    limit: int = 4 * 2**30
    held: dict[tuple[int, Weight], tuple[ArraySource, torch.Tensor]] = field(default_factory=dict)
    """By the array and the weight; the array stays with the tensor, so that its identity is its own."""
    size: int = 0

    def reader(self, arrays: Arrays) -> Reader:
        """What gives a weight's numbers from these arrays."""
        plain = from_arrays(arrays)

        def read(name: str, weight: Weight) -> torch.Tensor:
            source = arrays.get(weight.key)
            if source is None:
                return plain(name, weight)
            key = id(source), weight
            if key not in self.held:
                tensor = plain(name, weight)
                tensor = tensor.double() if tensor.is_floating_point() else tensor
                if self.size + tensor.nbytes > self.limit:
                    return tensor
                self.size += tensor.nbytes
                self.held[key] = source, tensor
            return self.held[key][1]

        return read


def run_graph(
    graph: Graph, feeds: Sequence[Array], keep: dict[str, Array] | None = None, memory: Memory | None = None
) -> list[Array]:
    """The outputs of a graph that is held channels-first, in inference mode and in float64.

    `keep`, where given, is filled with what every node makes (the first tensor of several), by name; `memory` holds the
    weights for the next run.

    Raises:
        XConvError: shapes that do not fit.
        Mismatch: torch refuses what the graph says.
    """
    read = (memory or Memory(0)).reader(graph.arrays)
    module = in_precision(write(_unturned(inferred(graph)), "channels_first", read), "float64")
    tensors = [torch.as_tensor(_widest(array)) for array in feeds]
    kept = without_reuse(module) if keep is not None and isinstance(module, fx.GraphModule) else module
    try:
        with full_precision(kept, "float64"):
            result = _Keeping(kept, keep).run(*tensors) if keep is not None else kept(*tensors)
    except RuntimeError as error:
        raise Mismatch(str(error).strip().partition("\n")[0], place=graph.name) from error
    return [tensor.numpy() for tensor in _flat(result)]


def _unturned(graph: Graph) -> Graph:
    """The graph without word of how its source returns its outputs, which may be others by now."""
    inputs = set(graph.input_values())
    held = {value: order for value, order in graph.held.items() if value in inputs}
    return replace(graph, held=held, returned=())


class _Keeping(fx.Interpreter):
    """Runs a module and keeps what its nodes make, by the name of the graph's node."""

    def __init__(self, module: Any, keep: dict[str, Array]) -> None:
        super().__init__(module)
        self.keep = keep
        record = module.meta["xconv"]
        self.names = {name: source.name for name, source in record.sources.items()}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self.names and isinstance(value, torch.Tensor):
            self.keep[self.names[n.name]] = value.numpy()
        return value


def _widest(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _flat(result: Any) -> list[torch.Tensor]:
    from xconv.graph import values_in

    return [item.detach() for item in values_in(result) if isinstance(item, torch.Tensor)]
