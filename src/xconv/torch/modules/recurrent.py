"""LSTM, GRU and RNN that give what Keras's layers do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xconv.torch.modules.recurrent_form import KerasForm
from xconv.torch.modules.steps import Named, Weights

__all__ = ["GRU", "LSTM", "RNN"]


class LSTM(KerasForm, nn.LSTM):
    """nn.LSTM of one layer, batch first, with Keras's results; `backward` reads the steps from the last to the first.

    `forward(x, *states)`: for each direction h and c. It gives the outputs, or with `sequences=False` the last one of
    each direction, and with `states` then h and c of each direction. `merge` joins the directions: 'concat', 'sum',
    'mul', 'ave', or None for two outputs.

    With `masked` it is `forward(x, mask, *states)`: a step that the mask leaves out keeps the states and repeats the
    output before it; with `zeros` it gives zeros. In training `input_dropout` is the rate at which inputs are dropped
    and `recurrent_dropout` that of states, the same ones in all steps. The activations are names of Keras's, alone
    or with their parameters; where they are not torch's own, the steps are computed one by one. With `stateful`, the
    shape of a state, a call that is given no states begins with those that the one before it left; see `Stateful`.
    """

    kind, plain = "lstm", "tanh"

    def __init__(  # noqa: PLR0913
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        bidirectional: bool = False,
        *,
        activation: Named = "tanh",
        recurrent_activation: Named = "sigmoid",
        backward: bool = False,
        sequences: bool = True,
        states: bool = False,
        merge: str | None = "concat",
        masked: bool = False,
        zeros: bool = False,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        stateful: Sequence[int] | None = None,
    ) -> None:
        nn.LSTM.__init__(self, input_size, hidden_size, 1, bias, batch_first=True, bidirectional=bidirectional)
        self.set_form(
            of_state=activation, of_gates=recurrent_activation, backward=backward, sequences=sequences,
            states=states, merge=merge, masked=masked, zeros=zeros, input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout, stateful=stateful,
        )  # fmt: skip

    def forward(self, x: Tensor, *rest: Tensor) -> Any:  # type: ignore[override]
        if not self.is_plain:
            return self._whole(x, *rest)
        outputs, final = nn.LSTM.forward(self, self._taken(x), self._stacked(rest, 2))  # type: ignore[arg-type]
        return self._give(outputs, final)

    def params(self, way: int) -> list[Tensor]:
        """The weights of the input and of the state, then their biases."""
        return list(self.all_weights[way])

    def _kernel(self, way: int, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        first = [state.unsqueeze(0) for state in states]
        outputs, h, c = torch.lstm(x, first, self.params(way), self.bias, 1, 0.0, self.training, False, True)
        return outputs, (h[0], c[0])


class RNN(KerasForm, nn.RNN):
    """nn.RNN of one layer, batch first, with Keras's results; see `LSTM`. torch's kernel has 'tanh' and 'relu'."""

    kind, plain = "rnn", "relu"

    def __init__(  # noqa: PLR0913
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        bidirectional: bool = False,
        *,
        nonlinearity: Named = "tanh",
        backward: bool = False,
        sequences: bool = True,
        states: bool = False,
        merge: str | None = "concat",
        masked: bool = False,
        zeros: bool = False,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        stateful: Sequence[int] | None = None,
    ) -> None:
        known = "relu" if nonlinearity == "relu" else "tanh"
        nn.RNN.__init__(
            self, input_size, hidden_size, 1, known, bias=bias, batch_first=True, bidirectional=bidirectional
        )
        self.set_form(
            of_state=nonlinearity, of_gates="sigmoid", backward=backward, sequences=sequences,
            states=states, merge=merge, masked=masked, zeros=zeros, input_dropout=input_dropout,
            recurrent_dropout=recurrent_dropout, stateful=stateful,
        )  # fmt: skip

    def forward(self, x: Tensor, *rest: Tensor) -> Any:  # type: ignore[override]
        if not self.is_plain:
            return self._whole(x, *rest)
        given = self._stacked(rest, 1)
        outputs, final = nn.RNN.forward(self, self._taken(x), given[0] if given else None)
        return self._give(outputs, (final,))

    def params(self, way: int) -> list[Tensor]:
        """The weights of the input and of the state, then their biases."""
        return list(self.all_weights[way])

    def _kernel(self, way: int, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        kernel = torch.rnn_relu if self.activation == "relu" else torch.rnn_tanh
        first = states[0].unsqueeze(0)
        outputs, h = kernel(x, first, self.params(way), self.bias, 1, 0.0, self.training, False, True)
        return outputs, (h[0],)


class GRU(KerasForm):
    """torch's GRU of one layer, batch first, with Keras's results (see `LSTM`) and Keras's weights.

    The rows of the gates stand in Keras's order: update, reset, new. Both biases are one vector: that of the input,
    then that of the state. With `reset_after=False` the reset gate acts on the state before its product, which torch's
    own GRU cannot do; there is one bias, and the steps are computed one by one.
    """

    kind, plain = "gru", "tanh"

    def __init__(  # noqa: PLR0913
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        activation: Named = "tanh",
        recurrent_activation: Named = "sigmoid",
        backward: bool = False,
        sequences: bool = True,
        states: bool = False,
        merge: str | None = "concat",
        masked: bool = False,
        zeros: bool = False,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        stateful: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.use_bias = input_size, hidden_size, bias
        self.bidirectional = bidirectional
        self.set_form(
            of_state=activation, of_gates=recurrent_activation, reset_after=reset_after,
            backward=backward, sequences=sequences, states=states, merge=merge, masked=masked, zeros=zeros,
            input_dropout=input_dropout, recurrent_dropout=recurrent_dropout, stateful=stateful,
        )  # fmt: skip
        for suffix in ("", "_reverse")[: 2 if bidirectional else 1]:
            self.register_parameter(f"weight_ih{suffix}", _weight(hidden_size, 3 * hidden_size, input_size))
            self.register_parameter(f"weight_hh{suffix}", _weight(hidden_size, 3 * hidden_size, hidden_size))
            if bias:
                rows = (6 if reset_after else 3) * hidden_size
                self.register_parameter(f"bias{suffix}", _weight(hidden_size, rows))

    def forward(self, x: Tensor, *rest: Tensor) -> Any:
        if not self.is_plain:
            return self._whole(x, *rest)
        x = self._taken(x)
        count = 2 if self.bidirectional else 1
        given = self._stacked(rest, 1)
        first = given[0] if given else x.new_zeros(count, x.shape[0], self.hidden_size)
        weights = [weight for way in range(count) for weight in self._as_torch(way)]
        outputs, final = torch.gru(
            x, first, weights, self.use_bias, 1, 0.0, self.training, self.bidirectional, batch_first=True
        )
        return self._give(outputs, (final,))

    def params(self, way: int) -> list[Tensor]:
        """The weights of the input, of the state, the bias; rows in Keras's order."""
        suffix = "_reverse" if way else ""
        roles = ("weight_ih", "weight_hh", "bias") if self.use_bias else ("weight_ih", "weight_hh")
        return [getattr(self, f"{role}{suffix}") for role in roles]

    def _weights(self, way: int) -> Weights:
        return Weights(*self.params(way))

    def _as_torch(self, way: int) -> list[Tensor]:
        """The weights of one direction with the rows of the gates in torch's order: reset, update, new."""
        kernel, recurrent, *biases = self.params(way)
        weights = [kernel, recurrent, *(part for bias in biases for part in bias.chunk(2))]
        return [torch.cat([rows[1], rows[0], rows[2]]) for rows in (weight.chunk(3) for weight in weights)]

    def _kernel(self, way: int, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        first = states[0].unsqueeze(0)
        outputs, h = torch.gru(x, first, self._as_torch(way), self.use_bias, 1, 0.0, self.training, False, True)
        return outputs, (h[0],)


def _weight(hidden: int, *sizes: int) -> nn.Parameter:
    bound = hidden**-0.5
    return nn.Parameter(torch.empty(sizes).uniform_(-bound, bound))
