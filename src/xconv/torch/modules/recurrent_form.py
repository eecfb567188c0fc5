"""What torch's recurrent modules lack of Keras's: the last step or all, merged directions, masks, dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from xconv.torch.modules.states import Stateful
from xconv.torch.modules.steps import Cell, Named, Weights, drawn, function_of, masked_kernel, stepwise

__all__ = ["KerasForm"]


class KerasForm(Stateful):
    """What the modules of torch lack. `forward(x, mask, *states)`, the mask where there is one."""

    kind = ""
    input_size: int
    hidden_size: int
    bidirectional: bool
    plain = ""
    """The activation that torch's kernel has."""

    def set_form(  # noqa: PLR0913
        self,
        *,
        of_state: Named,
        of_gates: Named,
        reset_after: bool = True,
        backward: bool,
        sequences: bool,
        states: bool,
        merge: str | None,
        masked: bool,
        zeros: bool,
        input_dropout: float,
        recurrent_dropout: float,
        stateful: Sequence[int] | None,
    ) -> None:
        self.activation, self.recurrent_activation, self.reset_after = of_state, of_gates, reset_after
        self.functions = function_of(of_state), function_of(of_gates)
        self.backward, self.sequences, self.states, self.merge = backward, sequences, states, merge
        self.masked, self.zeros, self.input_dropout, self.recurrent_dropout = (
            masked,
            zeros,
            input_dropout,
            recurrent_dropout,
        )
        self.keep(stateful, (2 if self.bidirectional else 1) * (2 if self.kind == "lstm" else 1))

    @property
    def has_kernel(self) -> bool:
        """Whether torch's kernel computes its steps."""
        standard = self.kind == "rnn" or self.recurrent_activation == "sigmoid"
        return standard and self.activation in (self.plain, "tanh") and self.reset_after

    @property
    def is_plain(self) -> bool:
        """Whether a call of torch's kernel and what is taken of its results are all that it does."""
        return self.has_kernel and not (
            self.masked or self.input_dropout or self.recurrent_dropout or self.stateful is not None
        )

    def settings(self) -> dict[str, Any]:
        """What it is, as its family reads it."""
        return {
            "kind": self.kind, "both": self.bidirectional, "backward": self.backward, "sequences": self.sequences,
            "states": self.states, "merge": self.merge, "activation": self.activation,
            "gate": self.recurrent_activation, "reset_after": self.reset_after, "zeros": self.zeros,
            "dropout": self.input_dropout, "recurrent_dropout": self.recurrent_dropout,
            "stateful": self.stateful and self.stateful[0],
        }  # fmt: skip

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        return text + "".join(f", {key}={getattr(self, key)!r}" for key in self._told())

    def _told(self) -> list[str]:
        default: dict[str, Any] = {
            "bidirectional": False, "reset_after": True, "activation": "tanh", "recurrent_activation": "sigmoid",
            "backward": False, "sequences": True, "states": False, "merge": "concat", "masked": False, "zeros": False,
            "input_dropout": 0.0, "recurrent_dropout": 0.0, "stateful": None,
        }  # fmt: skip
        return [key for key, item in default.items() if getattr(self, key) != item]

    # ------------------------------------------------------------------------------------------------- torch's kernel

    def _taken(self, x: Tensor) -> Tensor:
        return x.flip(1) if self.backward else x

    def _stacked(self, states: Sequence[Tensor], per: int) -> tuple[Tensor, ...] | None:
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

    # ------------------------------------------------------------------------------------------------- everything else

    def _whole(self, x: Tensor, *rest: Tensor) -> Any:
        """The layer where it is not plain, one direction after the other."""
        mask, given = (rest[0].bool(), rest[1:]) if self.masked else (None, rest)
        states = self.first_states(x, given)
        ways = 2 if self.bidirectional else 1
        per = 2 if self.kind == "lstm" else 1
        states = states or (x.new_zeros(x.shape[0], self.hidden_size),) * (ways * per)
        parts: list[Tensor] = []
        final: list[Tensor] = []
        for way in range(ways):
            turned = self.backward or way == 1
            steps = x.flip(1) if turned else x
            valid = mask.flip(1) if turned and mask is not None else mask
            outputs, made = self._direction(way, steps, states[way * per : (way + 1) * per], valid)
            if self.sequences:
                parts.append(outputs.flip(1) if way == 1 else outputs)
            else:
                parts.append(outputs[:, -1])
            final += list(made)
        self.leave(final)
        results = [*self._merged(parts), *(final if self.states else ())]
        return results[0] if len(results) == 1 else tuple(results)

    def _direction(
        self, way: int, x: Tensor, states: Sequence[Tensor], mask: Tensor | None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """One direction, its steps in the order in which they are read, through torch's kernel where it can do it."""
        gates = {"lstm": 4, "gru": 3, "rnn": 1}[self.kind] if self.recurrent_dropout else 1
        inputs = drawn(x[:, 0], self.input_dropout if self.training else 0.0, gates)
        recurrent = drawn(states[0], self.recurrent_dropout if self.training else 0.0, gates)
        all_states = self.states or self.stateful is not None
        whole = mask is None or not (self.kind == "lstm" and all_states)
        if not self.has_kernel or recurrent or len(inputs) > 1 or not whole:
            cell = Cell(self.kind, *self.functions, self.reset_after)
            drops = inputs, recurrent
            return stepwise(cell, self._weights(way), x, states, mask, zeros=self.zeros, drops=drops)
        x = x * inputs[0].unsqueeze(1) if inputs else x
        if mask is None:
            return self._kernel(way, x, states)

        def kernel(steps: Tensor, first: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
            return self._kernel(way, steps, first)

        outputs, h = masked_kernel(kernel, x, states, mask, zeros=self.zeros)
        return outputs, (h,)

    def params(self, way: int) -> list[Tensor]:
        """The parameters of one direction in the order in which torch's kernel takes them."""
        raise NotImplementedError

    def _weights(self, way: int) -> Weights:
        kernel, recurrent, *biases = self.params(way)
        return Weights(kernel, recurrent, biases[0] + biases[1] if biases else None)

    def _kernel(self, way: int, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """One direction in torch's kernel."""
        raise NotImplementedError
