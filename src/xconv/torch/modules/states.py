"""States that a recurrent layer keeps from call to call, as Keras's stateful layers do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from xconv.errors import InvalidInput

__all__ = ["Stateful", "afresh", "keeps_states", "samples_of"]


def keeps_states(module: nn.Module) -> bool:
    """Whether a layer of the module begins every call with the states that the one before it left."""
    return samples_of(module) is not None


def samples_of(module: nn.Module) -> int | None:
    """Of how many samples the module keeps states; None where it keeps none."""
    shapes = (layer.stateful for layer in module.modules() if isinstance(layer, Stateful))
    return next((shape[0] for shape in shapes if shape is not None), None)


class Stateful(nn.Module):
    """Begins every call with the states that the one before it left, where `stateful` says the shape of a state.

    The states are buffers that no state_dict holds, zeros at first: Keras saves none either. They follow the module
    to another device or dtype, and no gradient flows from one call to the one before it.
    """

    stateful: tuple[int, ...] | None = None

    def keep(self, stateful: Sequence[int] | None, count: int) -> None:
        """Hold `count` states of this shape, the batch first; none for None."""
        self.stateful = None if stateful is None else tuple(stateful)
        for place in range(0 if self.stateful is None else count):
            self.register_buffer(f"state_{place}", torch.zeros(self.stateful or ()), persistent=False)

    def reset_state(self) -> None:
        """Begin the next call with zeros."""
        for state in self._kept():
            state.zero_()

    def reset_states(self) -> None:
        """The same by the name that Keras has for it too."""
        self.reset_state()

    def first_states(self, x: Tensor, given: Sequence[Tensor]) -> Sequence[Tensor]:
        """The states to begin with: those given, otherwise those kept, otherwise none.

        Raises:
            InvalidInput: another number of samples than the states are of.
        """
        if self.stateful is None:
            return given
        if x.shape[0] != self.stateful[0]:
            what = f"a stateful layer of {self.stateful[0]} samples is given {x.shape[0]}"
            raise InvalidInput(what, remedy="give it as many samples as it keeps states of")
        return given or [state.to(x.dtype, copy=True) for state in self._kept()]

    def leave(self, states: Sequence[Tensor]) -> None:
        """Keep the states for the next call."""
        for held, state in zip(self._kept(), states, strict=False):
            held.copy_(state.detach())

    def _kept(self) -> list[Tensor]:
        return [buffer for name, buffer in self._buffers.items() if name.startswith("state_") and buffer is not None]


@contextmanager
def afresh(module: nn.Module) -> Iterator[None]:
    """All stateful layers begin with zeros; they have their states back afterwards."""
    layers = [layer for layer in module.modules() if isinstance(layer, Stateful) and layer.stateful is not None]
    before = [[state.clone() for state in layer._kept()] for layer in layers]
    for layer in layers:
        layer.reset_state()
    try:
        yield
    finally:
        for layer, states in zip(layers, before, strict=True):
            layer.leave(states)
