"""Recurrent layers: LSTM, GRU, SimpleRNN, RNN, their cells, Bidirectional  <->  aten.lstm, gru ..., torch.nn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xconv.errors import Unsupported
from xconv.layers.activation import Activation
from xconv.layers.recurrent_stack import direction_roles, op_of_whole, ops_of_cell, ops_of_stack
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights
from xconv.weights import Weight

__all__ = ["GATES", "KINDS", "STATEFUL_TWICE", "STATES", "Recurrent", "in_config", "named"]

KINDS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
STATES = {"lstm": 2, "gru": 1, "rnn": 1}
"""How many states every direction has: h, and c for an LSTM."""

MODULES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
STATEFUL_TWICE = "stateful and called several times"
"""What every recurrent layer refuses."""
REFUSED_OPTIONS = "softmax or glu inside; initial states that are constants"
REFUSED_CELLS = "from a file cells of one's own; of these stateful, dropout and initial states"


@dataclass(frozen=True, slots=True)
class Recurrent(Spec):
    """One recurrent layer over the steps on axis 1, forward, backward or both ways.

    Its inputs are the sequence, the mask where it is `masked`, and the initial states of each direction where they are
    given. It gives the outputs, then with `states` the final states of each direction. The weights of each direction
    are `kernel` (gates * units, features), `recurrent` (gates * units, units) and `bias`, gates in Keras's order; for
    a GRU that resets after the product, `bias` holds that of the input and then that of the state. The second
    direction's end with `_reverse`.

    >>> Recurrent("lstm", 5, 7, both=True, states=True).out_shapes((None, 6, 5))
    ((None, 6, 14), (None, 7), (None, 7), (None, 7), (None, 7))
    """

    kind: str
    """'lstm', 'gru' or 'rnn'."""
    features: int
    units: int
    both: bool = False
    backward: bool = False
    """Reads the steps from the last to the first, and gives its outputs in that order."""
    sequences: bool = True
    """Gives the outputs of all steps; otherwise the last one of each direction."""
    states: bool = False
    merge: str | None = "concat"
    """How both directions become one: 'concat', 'sum', 'mul', 'ave'; None for two outputs."""
    activation: str | Activation = "tanh"
    """By Keras's name, or with parameters."""
    reset_after: bool = True
    gate: str | Activation = "sigmoid"
    """The activation of the gates."""
    masked: bool = False
    """A step that the mask leaves out keeps the states and repeats the output before it, zeros at first."""
    zeros: bool = False
    """Such a step gives zeros."""
    dropout: float = 0.0
    """The rate at which, in training, features of the input are dropped, the same ones in all steps."""
    recurrent_dropout: float = 0.0
    """The same for the state; features are then dropped for each gate by itself."""
    stateful: int | None = None
    """The number of samples of a layer that begins every call with the states that the one before it left."""

    order = Order.WRITTEN
    keras_kinds = (
        "LSTM", "GRU", "SimpleRNN", "Bidirectional", "RNN", "LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells",
    )  # fmt: skip
    aten_ops = (
        "lstm", "gru", "rnn_tanh", "rnn_relu", "recurrent", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell",
    )  # fmt: skip
    holds = "params", "w_ih", "w_hh", "b_ih", "b_hh"
    spares_zeros = ("hx",)
    training = "dropout and recurrent_dropout: the same distribution, another stream of random numbers"
    restrictions: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), f"{STATEFUL_TWICE}; {REFUSED_OPTIONS}"),
        **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell"), REFUSED_OPTIONS),
        "RNN": f"{STATEFUL_TWICE}; {REFUSED_CELLS}",
        "StackedRNNCells": REFUSED_CELLS,
        "Bidirectional": f"{STATEFUL_TWICE}; {REFUSED_OPTIONS}; layers of one's own",
    }

    @property
    def batch(self) -> int | None:
        """As many samples as it keeps states of."""
        return self.stateful

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """Kernel (features, gates * units), recurrent kernel, bias, for every cell and direction."""
        from xconv.layers.recurrent_keras import ops_of_layer

        return ops_of_layer(layer)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """A stack of layers, one Op for each, with what stands between them; a cell; a layer of xconv's own."""
        if call.op == "recurrent":
            return (op_of_whole(call, cls),)
        return ops_of_cell(call, cls) if call.op.endswith("_cell") else ops_of_stack(call, cls)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The layer, or a Bidirectional around it."""
        if self.both and self.states and self.stateful is not None:
            what = "a stateful Bidirectional with return_state, which Keras 3.15 cannot put into a graph"
            raise Unsupported(what, remedy="do not ask for its states")
        kind = next(kind for kind, name in KINDS.items() if name == self.kind)
        config: dict[str, Any] = {
            "units": self.units,
            "activation": in_config(self.activation),
            "use_bias": "bias" in weights,
            "return_sequences": self.sequences,
            "return_state": self.states,
            "go_backwards": self.backward,
        }
        if self.kind != "rnn":
            config["recurrent_activation"] = in_config(self.gate)
        if self.kind == "gru":
            config["reset_after"] = self.reset_after
        config |= {key: rate for key in ("dropout", "recurrent_dropout") if (rate := getattr(self, key))}
        if self.zeros and not self.both:
            config["zero_output_for_mask"] = True
        if self.stateful is not None:
            config["stateful"] = True
        held = tuple(self._as_keras(role, weights[role]) for role in direction_roles(weights, self.both))
        states = [Slot(place) for place in range(1 + self.masked, len(inputs))]
        kwargs: dict[str, Any] = {"initial_state": states} if states else {}
        if self.masked:
            kwargs["mask"] = Slot(1)
        if not self.both:
            return KerasLayer(kind, config, held, tuple(inputs), (Slot(0),), kwargs, batch=self.stateful)
        inner = {"module": "keras.layers", "class_name": kind, "config": {"name": kind.lower(), **config}}
        wrapper = {"merge_mode": self.merge, "layer": {**inner, "registered_name": None}}
        return KerasLayer("Bidirectional", wrapper, held, tuple(inputs), (Slot(0),), kwargs, batch=self.stateful)

    def _as_keras(self, role: str, weight: Weight) -> Weight:
        """A weight as Keras holds it."""
        if not role.startswith("bias"):
            return weight.transpose((1, 0))
        two = self.kind == "gru" and self.reset_after
        return weight.reshape((2, 3 * self.units)) if two else weight

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's LSTM, GRU or RNN, which are torch's with Keras's results."""
        config: dict[str, Any] = {"input_size": self.features, "hidden_size": self.units, "bias": "bias" in weights}
        config |= {"bidirectional": self.both, "backward": self.backward, "sequences": self.sequences}
        config |= {"states": self.states, "merge": self.merge}
        if self.kind == "gru":
            config["reset_after"] = self.reset_after
        if self.kind == "rnn":
            config["nonlinearity"] = named(self.activation)
        more = {} if self.kind == "rnn" else {"activation": named(self.activation)}
        more |= {"recurrent_activation": named(self.gate), "masked": self.masked, "zeros": self.zeros}
        more |= {"input_dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout}
        more |= {"stateful": None if self.stateful is None else (self.stateful, self.units)}
        usual = {"activation": "tanh", "recurrent_activation": "sigmoid"}
        config |= {key: item for key, item in more.items() if item and item != usual.get(key)}
        tensors: dict[str, Weight] = {}
        for role in direction_roles(weights, self.both):
            name, _, way = role.partition("_")
            suffix = f"{'' if self.kind == 'gru' else '_l0'}{'_reverse' if way else ''}"
            if name == "bias" and self.kind != "gru":
                tensors[f"bias_ih{suffix}"] = weights[role]
                tensors[f"bias_hh{suffix}"] = Weight.full(weights[role].shape, 0.0, weights[role].dtype)
            else:
                tensors[{"kernel": "weight_ih", "recurrent": "weight_hh"}.get(name, name) + suffix] = weights[role]
        args = tuple(Slot(place) for place in range(len(inputs)))
        return TorchCall(f"xconv.torch.modules.{MODULES[self.kind]}", args, config=config, tensors=tensors)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The first output."""
        return self.out_shapes(*inputs)[0]

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """The outputs, then the final states."""
        batch, steps, _ = inputs[0]
        joined = self.both and self.merge == "concat"
        last = self.units * (2 if joined else 1)
        output = (batch, steps, last) if self.sequences else (batch, last)
        outputs = (output,) * (2 if self.both and self.merge is None else 1)
        count = (2 if self.both else 1) * STATES[self.kind] if self.states else 0
        return (*outputs, *((batch, self.units),) * count)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every kind in every way that Keras has."""
        from xconv.layers.recurrent_examples import recurrent_examples

        return recurrent_examples()

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every kind: one layer, several, both ways, without a bias; the cells."""
        from xconv.layers.recurrent_examples import recurrent_torch_examples

        return recurrent_torch_examples()


def named(activation: str | Activation) -> Any:
    """An activation as the modules take it."""
    return activation if isinstance(activation, str) else (activation.name, dict(activation.parameters))


def in_config(activation: str | Activation) -> Any:
    """An activation as a layer's config says it."""
    if isinstance(activation, str):
        return activation
    layer = activation.to_keras({}, ())
    if layer.kind.startswith("ops."):
        raise Unsupported(f"{activation.name} with {dict(activation.parameters)} in a recurrent layer")
    return {"module": "keras.layers", "class_name": layer.kind, "config": dict(layer.config), "registered_name": None}
