"""Recurrent layers that give what Keras's do: the last step or all, states, merged directions, reversed time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["GRU", "LSTM", "RNN", "stepwise"]


class _KerasForm:
    """What the modules of torch lack: how their results are given."""

    hidden_size: int
    bidirectional: bool
    backward: bool
    sequences: bool
    states: bool
    merge: str | None

    def _take(self, x: Tensor) -> Tensor:
        return x.flip(1) if self.backward else x

    def _given(self, states: Sequence[Tensor], per: int) -> tuple[Tensor, ...] | None:
        """The initial states as torch takes them, `per` of each direction, along a first axis for the directions."""
        if not states:
            return None
        return tuple(torch.stack(list(states[kind::per])) for kind in range(per))

    def _give(self, outputs: Tensor, final: Sequence[Tensor]) -> Any:
        """The output, then the final states of each direction where they are asked for."""
        count = 2 if self.bidirectional else 1
        if self.sequences:
            parts = list(outputs.chunk(count, -1)) if self.merge != "concat" else [outputs]
        else:
            parts = [final[0][place] for place in range(count)]
        given = self._merged(parts)
        if self.states:
            given += [state[place] for place in range(count) for state in final]
        return given[0] if len(given) == 1 else tuple(given)

    def _merged(self, parts: list[Tensor]) -> list[Tensor]:
        if len(parts) == 1 or self.merge is None:
            return parts
        first, second = parts
        match self.merge:
            case "concat":
                return [torch.cat(parts, -1)]
            case "sum":
                return [first + second]
            case "mul":
                return [first * second]
        return [(first + second) / 2]

    def _shown(self) -> str:
        default = {"backward": False, "sequences": True, "states": False, "merge": "concat"}
        return "".join(f", {key}={getattr(self, key)}" for key, item in default.items() if getattr(self, key) != item)


class LSTM(_KerasForm, nn.LSTM):
    """nn.LSTM of one layer, batch first, with Keras's results; `backward` reads the steps from the last to the first.

    `forward(x, *states)`: for each direction h and c. It gives the outputs, or with `sequences=False` the last one of
    each direction, and with `states` then h and c of each direction. `merge` joins the directions: 'concat', 'sum',
    'mul', 'ave', or None for two outputs.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        bidirectional: bool = False,
        *,
        backward: bool = False,
        sequences: bool = True,
        states: bool = False,
        merge: str | None = "concat",
    ) -> None:
        super().__init__(input_size, hidden_size, 1, bias, batch_first=True, bidirectional=bidirectional)
        self.backward, self.sequences, self.states, self.merge = backward, sequences, states, merge

    def forward(self, x: Tensor, *states: Tensor) -> Any:  # type: ignore[override]
        outputs, final = super().forward(self._take(x), self._given(states, 2))  # type: ignore[arg-type]
        return self._give(outputs, final)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}{self._shown()}"


class RNN(_KerasForm, nn.RNN):
    """nn.RNN of one layer, batch first, with Keras's results; see `LSTM`. `nonlinearity` is 'tanh' or 'relu'."""

    def __init__(  # noqa: PLR0913
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        bidirectional: bool = False,
        *,
        nonlinearity: str = "tanh",
        backward: bool = False,
        sequences: bool = True,
        states: bool = False,
        merge: str | None = "concat",
    ) -> None:
        super().__init__(
            input_size, hidden_size, 1, nonlinearity, bias=bias, batch_first=True, bidirectional=bidirectional
        )
        self.backward, self.sequences, self.states, self.merge = backward, sequences, states, merge

    def forward(self, x: Tensor, *states: Tensor) -> Any:  # type: ignore[override]
        given = self._given(states, 1)
        outputs, final = super().forward(self._take(x), given[0] if given else None)
        return self._give(outputs, (final,))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}{self._shown()}"


class GRU(_KerasForm, nn.Module):
    """torch's GRU of one layer, batch first, with Keras's results (see `LSTM`) and Keras's weights.

    The rows of the gates stand in Keras's order: update, reset, new. Both biases are one vector: that of the input,
    then that of the state. With `reset_after=False` the reset gate acts on the state before its product, which torch's
    own GRU cannot do; there is one bias, and the steps are computed one by one.
    """

    def __init__(  # noqa: PLR0913
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        backward: bool = False,
        sequences: bool = True,
        states: bool = False,
        merge: str | None = "concat",
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.use_bias = input_size, hidden_size, bias
        self.bidirectional, self.reset_after = bidirectional, reset_after
        self.backward, self.sequences, self.states, self.merge = backward, sequences, states, merge
        for suffix in self._suffixes():
            self.register_parameter(f"weight_ih{suffix}", _weight(hidden_size, 3 * hidden_size, input_size))
            self.register_parameter(f"weight_hh{suffix}", _weight(hidden_size, 3 * hidden_size, hidden_size))
            if bias:
                size = (6 if reset_after else 3) * hidden_size
                self.register_parameter(f"bias{suffix}", _weight(hidden_size, size))

    def forward(self, x: Tensor, *states: Tensor) -> Any:
        x = self._take(x)
        given = self._given(states, 1)
        count = 2 if self.bidirectional else 1
        first = given[0] if given else x.new_zeros(count, x.shape[0], self.hidden_size)
        if not self.reset_after:
            outputs, final = self._stepwise(x, first)
            return self._give(outputs, (final,))
        weights = [weight for suffix in self._suffixes() for weight in self._as_torch(suffix)]
        outputs, final = torch.gru(
            x, first, weights, self.use_bias, 1, 0.0, self.training, self.bidirectional, batch_first=True
        )
        return self._give(outputs, (final,))

    def params(self) -> list[Tensor]:
        """The weights of each direction: of the input, of the state, the bias."""
        roles = ("weight_ih", "weight_hh", "bias") if self.use_bias else ("weight_ih", "weight_hh")
        return [getattr(self, f"{role}{suffix}") for suffix in self._suffixes() for role in roles]

    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _as_torch(self, suffix: str) -> list[Tensor]:
        """The weights of one direction with the rows of the gates in torch's order: reset, update, new."""
        weights = [getattr(self, f"weight_ih{suffix}"), getattr(self, f"weight_hh{suffix}")]
        if self.use_bias:
            weights += getattr(self, f"bias{suffix}").chunk(2)
        return [torch.cat([rows[1], rows[0], rows[2]]) for rows in (weight.chunk(3) for weight in weights)]

    def _stepwise(self, x: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        """The steps one by one, with the reset gate on the state itself."""
        return stepwise(x, first, self.params(), self.use_bias)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for key, default in (("use_bias", True), ("bidirectional", False), ("reset_after", True)):
            text += f", {key}={getattr(self, key)}" if getattr(self, key) != default else ""
        return f"{text}{self._shown()}"


def stepwise(x: Tensor, first: Tensor, params: Sequence[Tensor], has_biases: bool) -> tuple[Tensor, Tensor]:
    """The outputs and the final states of a GRU whose reset gate acts on the state before its product.

    `first` holds the state of each direction. `params` are, for each direction, the weights of the input and of the
    state, then the bias; rows as in `GRU`.
    """
    per = 3 if has_biases else 2
    sequences, final = [], []
    for way in range(len(params) // per):
        outputs = _direction(x.flip(1) if way else x, first[way], *params[way * per : (way + 1) * per])
        final.append(outputs[-1])
        sequences.append(torch.stack(outputs[::-1] if way else outputs, 1))
    return torch.cat(sequences, -1), torch.stack(final)


def _direction(x: Tensor, h: Tensor, kernel: Tensor, recurrent: Tensor, bias: Tensor | None = None) -> list[Tensor]:
    inputs = nn.functional.linear(x, kernel, bias)
    size = 2 * recurrent.shape[1]
    update_reset, new = recurrent[:size], recurrent[size:]
    outputs = []
    for step in inputs.unbind(1):
        update, reset = (step[:, :size] + h @ update_reset.T).sigmoid().chunk(2, -1)
        proposed = torch.tanh(step[:, size:] + (reset * h) @ new.T)
        h = update * h + (1 - update) * proposed
        outputs.append(h)
    return outputs


def _weight(hidden: int, *sizes: int) -> nn.Parameter:
    bound = hidden**-0.5
    return nn.Parameter(torch.empty(sizes).uniform_(-bound, bound))
