"""Both models run exactly as they are, in their own mode, precision and layout, more than once so that chance shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from xconv import axes
from xconv.comparison.opened import Opened
from xconv.errors import XConvError
from xconv.graph import Value
from xconv.statistics import Array, compare

__all__ = ["AsGiven", "Outcome", "run_as_given"]


@dataclass(frozen=True, slots=True)
class AsGiven:
    """What a model returns as it is, held channels-first, in two runs; None where it cannot be run as it is."""

    first: tuple[Array, ...] | None
    again: tuple[Array, ...] | None
    problem: str = ""

    def against(self, others: Sequence[Array]) -> float | None:
        """The relative difference from other outputs, the larger over all; None where this cannot be told."""
        if self.first is None or len(self.first) != len(others):
            return None
        if any(a.shape != b.shape for a, b in zip(self.first, others, strict=True)):
            return None
        return max((compare(a, b).max_rel for a, b in zip(self.first, others, strict=True)), default=0.0)

    @property
    def unrest(self) -> float:
        """How far the second run is from the first."""
        if self.first is None or self.again is None:
            return 0.0
        if all(np.array_equal(a, b, equal_nan=True) for a, b in zip(self.first, self.again, strict=True)):
            return 0.0
        return max((compare(b, a).max_rel for a, b in zip(self.first, self.again, strict=True)), default=0.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One side of a case: what it returns as it is, and what it means: in inference mode and in float64."""

    opened: Opened
    given: AsGiven
    meant: tuple[Array, ...]

    @property
    def departure(self) -> float:
        """How far what it returns is from what it means; 0 where it cannot be run as it is."""
        return self.given.against(self.meant) or 0.0


def run_as_given(opened: Opened, feeds: Sequence[Array], calls: int = 2) -> AsGiven:
    """A live model called on these inputs, the first time and again; a file or a program has no mode and is not run.

    Of more than two calls, the first that gives something else counts: a picture that is flipped at random may come out
    the same twice.
    """
    run = _of_keras if opened.framework == "keras" else _of_torch
    if isinstance(opened.model, str) or not callable(opened.model):
        return AsGiven(None, None, "only a live model has a mode")
    if opened.framework == "torch" and not hasattr(opened.model, "parameters"):
        return AsGiven(None, None, "an exported program has no mode")
    given = [_written(opened, value, array) for value, array in zip(opened.graph.input_values(), feeds, strict=True)]
    try:
        with _own_chance(opened.model):
            first = _turned(opened, run(opened.model, given))
            for _ in range(calls - 1):
                found = AsGiven(first, _turned(opened, run(opened.model, given)))
                if found.unrest:
                    break
    except (RuntimeError, ValueError, TypeError, XConvError) as error:
        return AsGiven(None, None, str(error).strip().partition("\n")[0])
    return found


@contextmanager
def _own_chance(model: Any) -> Iterator[None]:
    """Random numbers of its own for what runs inside, other ones for each call; all generators are as before then."""
    import torch

    from xconv.keras.walk import as_array

    variables = getattr(model, "variables", ())
    states = [variable for variable in variables if "seed_generator" in getattr(variable, "path", "")]
    kept = [np.copy(as_array(variable, model)) for variable in states]
    with torch.random.fork_rng():
        try:
            yield
        finally:
            for variable, state in zip(states, kept, strict=True):
                variable.assign(state)


def _written(opened: Opened, value: Value, array: Array) -> Array:
    """The array as the model takes it."""
    order = opened.graph.held.get(value)
    return array.transpose(axes.inverse(order)) if order else array


def _turned(opened: Opened, outputs: Sequence[Array]) -> tuple[Array, ...]:
    """The outputs as the graph holds them."""
    held = [opened.graph.held.get(value) for value in opened.graph.output_values()]
    if len(held) != len(outputs):
        return tuple(outputs)
    return tuple(array.transpose(order) if order else array for array, order in zip(outputs, held, strict=True))


def _of_keras(model: Any, arrays: Sequence[Array]) -> list[Array]:
    from xconv.keras.states import afresh
    from xconv.keras.walk import as_array, no_gradients

    tensors = [array.astype("float32") if array.dtype.kind == "f" else array for array in arrays]
    with no_gradients(model), afresh(model):
        result = model(tensors[0] if len(tensors) == 1 else list(tensors))
        return [as_array(value, model).astype(np.float64) for value in _leaves(result)]


def _of_torch(module: Any, arrays: Sequence[Array]) -> list[Array]:
    import torch

    from xconv.torch.modules.states import afresh

    dtype = next((tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()), torch.float32)
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
    tensors = [torch.as_tensor(np.ascontiguousarray(array)).to(device) for array in arrays]
    given = [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in tensors]
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    try:
        with torch.no_grad(), afresh(module):
            result = module(*given)
    finally:
        for name, buffer in module.named_buffers():
            buffer.copy_(kept[name])  # in training mode a call changes the running statistics
    return [value.detach().cpu().double().numpy() for value in _leaves(result) if isinstance(value, torch.Tensor)]


def _leaves(result: Any) -> list[Any]:
    from xconv.inputs import leaves

    return [value for _, value in leaves(result)]
