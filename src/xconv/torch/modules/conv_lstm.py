"""Keras's ConvLSTM: an LSTM over maps, whose products are convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xconv.torch.modules.states import Stateful
from xconv.torch.modules.steps import Drops, Named, drawn, function_of, masked_step

__all__ = ["ConvLSTM"]

GATES = 4


class ConvLSTM(Stateful):
    """ConvLSTM1D, 2D or 3D by the length of `kernel_size`, on (batch, steps, ..) with the channels at `axis`.

    `forward(x, *states)`, with `masked` `forward(x, mask, *states)`: the states are h and c. What it gives, the mask
    and the dropouts are as in `LSTM`; features are dropped for each gate by itself. `padding` is (before, after) for
    each axis of the maps. The convolution of the states keeps their size. With `stateful`, the shape of a state, its
    channels on axis 1, states are kept from call to call; see `Stateful`.
    """

    def __init__(  # noqa: PLR0913
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[Sequence[int]],
        dilation: Sequence[int],
        *,
        axis: int,
        bias: bool = True,
        activation: Named = "tanh",
        recurrent_activation: Named = "sigmoid",
        backward: bool = False,
        sequences: bool = True,
        states: bool = False,
        masked: bool = False,
        zeros: bool = False,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        stateful: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.axis = in_channels, out_channels, axis
        self.kernel_size, self.stride, self.dilation = tuple(kernel_size), tuple(stride), tuple(dilation)
        self.padding = tuple(tuple(pair) for pair in padding)
        self.activation, self.recurrent_activation = activation, recurrent_activation
        self.functions = function_of(activation), function_of(recurrent_activation)
        self.backward, self.sequences, self.states = backward, sequences, states
        self.masked, self.zeros = masked, zeros
        self.input_dropout, self.recurrent_dropout = input_dropout, recurrent_dropout
        self.weight_ih = _weight(GATES * out_channels, in_channels, *kernel_size)
        self.weight_hh = _weight(GATES * out_channels, out_channels, *kernel_size)
        self.bias = nn.Parameter(torch.zeros(GATES * out_channels)) if bias else None
        self.keep(stateful, 2)

    def settings(self) -> dict[str, Any]:
        """What it is, as its family reads it."""
        return {
            "stride": self.stride, "padding": self.padding, "dilation": self.dilation, "axis": self.axis,
            "backward": self.backward, "sequences": self.sequences, "states": self.states, "zeros": self.zeros,
            "activation": self.activation, "gate": self.recurrent_activation, "dropout": self.input_dropout,
            "recurrent_dropout": self.recurrent_dropout, "stateful": self.stateful and self.stateful[0],
        }  # fmt: skip

    def params(self) -> list[Tensor]:
        """The weights of the input and of the state, the bias."""
        return [self.weight_ih, self.weight_hh, *([] if self.bias is None else [self.bias])]

    def forward(self, x: Tensor, *rest: Tensor) -> Any:
        return self._whole(x, *rest)

    def _whole(self, x: Tensor, *rest: Tensor) -> Any:
        """All of it; replaced as a whole where the module is captured."""
        mask, given = (rest[0].bool(), rest[1:]) if self.masked else (None, rest)
        x = x.movedim(self.axis, 2)
        if self.backward:
            x, mask = x.flip(1), None if mask is None else mask.flip(1)
        inputs = self._inputs(x)
        maps = (x.shape[0], self.out_channels, *inputs.shape[3:])
        first = [state.movedim(self.axis - 1, 1) for state in given]
        states = self.first_states(x, first) or [x.new_zeros(maps)] * 2
        drops = drawn(states[0], self.recurrent_dropout if self.training else 0.0, GATES)
        outputs: list[Tensor] = []
        for place, step in enumerate(inputs.unbind(1)):
            made = self._step(step, states, drops)
            output = made[0]
            if mask is not None:
                before = outputs[-1] if outputs and not self.zeros else torch.zeros_like(output)
                output, made = masked_step(mask[:, place], output, before, made, states)
            outputs.append(output)
            states = made
        self.leave(states)
        result = torch.stack(outputs, 1).movedim(2, self.axis) if self.sequences else self._back(outputs[-1])
        return (result, *map(self._back, states)) if self.states else result

    def _back(self, state: Tensor) -> Tensor:
        return state.movedim(1, self.axis - 1)

    def _inputs(self, x: Tensor) -> Tensor:
        """The inputs' part of all gates, of all steps at once."""
        drops = drawn(x[:, 0], self.input_dropout if self.training else 0.0, GATES)
        flat = [size for pair in reversed(self.padding) for size in pair]

        def convolved(given: Tensor, weight: Tensor) -> Tensor:
            samples = functional.pad(given.flatten(0, 1), flat)
            made = _convolution(samples, weight, self.stride, self.dilation)
            return made.reshape(given.shape[0], given.shape[1], *made.shape[1:])

        if drops:
            parts = zip(self.weight_ih.chunk(GATES), drops, strict=True)
            made = torch.cat([convolved(x * drop.unsqueeze(1), part) for part, drop in parts], 2)
        else:
            made = convolved(x, self.weight_ih)
        return made if self.bias is None else made + self.bias.reshape(-1, *(1,) * len(self.kernel_size))

    def _step(self, step: Tensor, states: Sequence[Tensor], drops: Drops) -> Sequence[Tensor]:
        """The states after one step."""
        h, c = states
        flat = [size for k in reversed(self.kernel_size) for size in ((k - 1) // 2, k // 2)]
        ones = (1,) * len(self.kernel_size)
        if drops:
            parts = zip(self.weight_hh.chunk(GATES), drops, strict=True)
            made = [_convolution(functional.pad(h * drop, flat), part, ones, ones) for part, drop in parts]
            product = step + torch.cat(made, 1)
        else:
            product = step + _convolution(functional.pad(h, flat), self.weight_hh, ones, ones)
        act, gate = self.functions
        enter, forget, new, out = product.chunk(GATES, 1)
        c = gate(forget) * c + gate(enter) * act(new)
        return gate(out) * act(c), c

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        default = {"backward": False, "sequences": True, "states": False, "masked": False, "zeros": False}
        default |= {"stateful": None}  # type: ignore[dict-item]
        default |= {"activation": "tanh", "recurrent_activation": "sigmoid"}  # type: ignore[dict-item]
        return text + "".join(f", {k}={getattr(self, k)!r}" for k, item in default.items() if getattr(self, k) != item)


def _convolution(x: Tensor, weight: Tensor, stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    functions = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
    result: Tensor = functions[len(stride)](x, weight, None, tuple(stride), 0, tuple(dilation))
    return result


def _weight(*sizes: int) -> nn.Parameter:
    bound = math.prod(sizes[1:]) ** -0.5
    return nn.Parameter(torch.empty(sizes).uniform_(-bound, bound))
