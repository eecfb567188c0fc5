"""States that stateful layers of a live Keras model keep from call to call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xconv.keras.walk import all_layers

__all__ = ["afresh", "keeps_states"]


def keeps_states(model: Any) -> bool:
    """Whether a layer of the model begins every call with the states that the one before it left."""
    return next(_states(model), None) is not None


@contextmanager
def afresh(model: Any) -> Iterator[None]:
    """All stateful layers begin with zeros; they have their states back afterwards."""
    variables = list(_states(model))
    before = [variable.numpy() for variable in variables]
    for variable, array in zip(variables, before, strict=True):
        variable.assign(0 * array)
    try:
        yield
    finally:
        for variable, array in zip(variables, before, strict=True):
            variable.assign(array)


def _states(model: Any) -> Iterator[Any]:
    """The variables that hold states, those of cells in a stack and of both directions too."""
    seen: set[int] = set()
    for layer in all_layers(model):
        states = getattr(layer, "states", None) if getattr(layer, "stateful", False) else None
        for variable in _leaves(states):
            if hasattr(variable, "assign") and id(variable) not in seen:
                seen.add(id(variable))
                yield variable


def _leaves(item: Any) -> Iterator[Any]:
    if isinstance(item, (list, tuple)):
        for part in item:
            yield from _leaves(part)
    elif item is not None:
        yield item
