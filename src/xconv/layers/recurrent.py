"""Recurrent layers: LSTM, GRU, SimpleRNN, Bidirectional of them  <->  aten.lstm, gru, rnn_tanh, rnn_relu, torch.nn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.layers.recurrent_stack import direction_roles, ops_of_stack
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, TorchExample, Weights
from xconv.weights import Weight

__all__ = ["Recurrent"]

KINDS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
STATES = {"lstm": 2, "gru": 1, "rnn": 1}
"""How many states every direction has: h, and c for an LSTM."""

MODULES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}

TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
NO_EFFECT = frozenset(
    {"name", "trainable", "dtype", "unroll", "seed", "use_cudnn", "unit_forget_bias", "zero_output_for_mask", "units"}
    | {"time_major", "implementation", "build_config", "weights", "return_sequences", "return_state", "go_backwards"}
    | {"activation", "recurrent_activation", "use_bias", "reset_after", "autocast"}
)
"""Entries of a wrapped layer's config that are read, or have no effect on what it computes."""


@dataclass(frozen=True, slots=True)
class Recurrent(Spec):
    """One recurrent layer over the steps on axis 1, forward, backward or both ways.

    Its inputs are the sequence and, where they are given, the initial states of each direction. It gives the outputs,
    then with `states` the final states of each direction. The weights of each direction are `kernel` (gates * units,
    features), `recurrent` (gates * units, units) and `bias`, gates in Keras's order; for a GRU that resets after the
    product, `bias` holds that of the input and then that of the state. The second direction's end with `_reverse`.

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
    activation: str = "tanh"
    reset_after: bool = True

    order = Order.WRITTEN
    keras_kinds = "LSTM", "GRU", "SimpleRNN", "Bidirectional"
    aten_ops = "lstm", "gru", "rnn_tanh", "rnn_relu", "gru_reset_before"
    holds = ("params",)
    spares_zeros = ("hx",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Kernel (features, gates * units), recurrent kernel, bias; a Bidirectional has those of both layers."""
        if layer.argument(2, "mask") is not None:
            raise Unsupported(f"{layer.kind} with a mask", remedy="leave out the padded steps")
        both = layer.kind == "Bidirectional"
        kind = layer.kind
        config: Mapping[str, Any] = {**layer.config, **layer.kwargs}
        if both:
            kind, config = _wrapped(layer)
        else:
            layer.unread.difference_update(NO_EFFECT)
        _check_options(kind, config)
        layer.unread.difference_update({"stateful", "dropout", "recurrent_dropout"})
        states = _initial(layer.argument(1, "initial_state"))
        features = layer.inputs[0][-1]
        if features is None or len(layer.inputs[0]) != 3:
            raise Mismatch(f"{layer.kind} gets an input of shape {layer.inputs[0]}")
        spec = cls(
            KINDS[kind],
            features,
            config["units"],
            both,
            bool(config.get("go_backwards")) and not both,
            bool(config.get("return_sequences")),
            bool(config.get("return_state")),
            layer["merge_mode"] if both else "concat",
            _name_of(config.get("activation", "tanh")),
            bool(config.get("reset_after", True)) or kind != "GRU",
        )
        if states not in (0, (1 + both) * STATES[spec.kind]):
            raise Mismatch(f"{layer.kind} gets {states} initial states")
        return Op(spec, _weights_of(layer, both, config.get("use_bias", True)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """A stack of layers, one Op for each, with what stands between them."""
        return ops_of_stack(call, cls)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The layer, or a Bidirectional around it."""
        kind = next(kind for kind, name in KINDS.items() if name == self.kind)
        config: dict[str, Any] = {
            "units": self.units,
            "activation": self.activation,
            "use_bias": "bias" in weights,
            "return_sequences": self.sequences,
            "return_state": self.states,
            "go_backwards": self.backward,
        }
        if self.kind != "rnn":
            config["recurrent_activation"] = "sigmoid"
        if self.kind == "gru":
            config["reset_after"] = self.reset_after
        held = tuple(self._as_keras(role, weights[role]) for role in direction_roles(weights, self.both))
        states = [Slot(place) for place in range(1, len(inputs))]
        kwargs = {"initial_state": states} if states else {}
        if not self.both:
            return KerasLayer(kind, config, held, tuple(inputs), (Slot(0),), kwargs)
        inner = {"module": "keras.layers", "class_name": kind, "config": {"name": kind.lower(), **config}}
        wrapper = {"merge_mode": self.merge, "layer": {**inner, "registered_name": None}}
        return KerasLayer("Bidirectional", wrapper, held, tuple(inputs), (Slot(0),), kwargs)

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
            config["nonlinearity"] = self.activation
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
        """Every kind, all steps and the last one, states, backward, without a bias; every merge of a Bidirectional."""
        for kind, name in KINDS.items():
            wide = GATES[name] * 3
            bias = (2, wide) if kind == "GRU" else (wide,)
            shapes = ((5, wide), (3, wide), bias)
            yield Example(kind, ((6, 5),), {"units": 3}, shapes)
            yield Example(kind, ((6, 5),), {"units": 3, "return_sequences": True, "go_backwards": True}, shapes)
            yield Example(kind, ((6, 5),), {"units": 3, "return_state": True, "use_bias": False}, shapes[:2])
            for merge in ("concat", "sum", "mul", "ave"):
                config = _bidirectional(kind, merge, return_sequences=merge in ("concat", "ave"))
                yield Example("Bidirectional", ((6, 5),), config, shapes * 2)
            config = _bidirectional(kind, None, return_sequences=True, return_state=True)
            yield Example("Bidirectional", ((6, 5),), config, shapes * 2)
        before = {"units": 3, "reset_after": False}
        yield Example("GRU", ((6, 5),), before, ((5, 9), (3, 9), (9,)))
        both = _bidirectional("GRU", "concat", return_sequences=True, return_state=True, **before)
        yield Example("Bidirectional", ((6, 5),), both, ((5, 9), (3, 9), (9,)) * 2)
        yield Example("GRU", ((6, 5),), {**before, "use_bias": False, "go_backwards": True}, ((5, 9), (3, 9)))
        yield Example("SimpleRNN", ((6, 5),), {"units": 3, "activation": "relu"}, ((5, 3), (3, 3), (3,)))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Every kind: one layer, several, both ways, time first, without a bias."""
        for target in ("LSTM", "GRU", "RNN"):
            common = {"input_size": 5, "hidden_size": 3, "batch_first": True}
            yield TorchExample(f"torch.nn.{target}", ((6, 5),), common)
            yield TorchExample(f"torch.nn.{target}", ((6, 5),), {**common, "num_layers": 2, "bidirectional": True})
            yield TorchExample(f"torch.nn.{target}", ((6, 5),), {**common, "bias": False, "bidirectional": True})
            random = {**common, "num_layers": 2, "dropout": 0.3}
            yield TorchExample(f"torch.nn.{target}", ((6, 5),), random, trains=False)
        relu = {"input_size": 5, "hidden_size": 3, "batch_first": True, "nonlinearity": "relu"}
        yield TorchExample("torch.nn.RNN", ((6, 5),), relu)


def _bidirectional(kind: str, merge: str | None, **options: Any) -> dict[str, Any]:
    """The config of a Bidirectional around a layer of 3 units."""
    inner = {"module": "keras.layers", "class_name": kind, "registered_name": None}
    return {"merge_mode": merge, "layer": {**inner, "config": {"name": "inner", "units": 3, **options}}}


def _wrapped(layer: KerasLayer) -> tuple[str, Mapping[str, Any]]:
    """The class and config of the layer in a Bidirectional; its second layer must be the same one backwards."""
    inner, other = layer["layer"], layer.get("backward_layer")
    kind, config = inner.get("class_name"), inner.get("config") or {}
    if kind not in KINDS:
        raise Unsupported(f"Bidirectional around {kind}", remedy="wrap an LSTM, a GRU or a SimpleRNN")
    layer.get("weights")
    if config.get("go_backwards"):
        raise Unsupported("Bidirectional around a layer that goes backwards")
    known = NO_EFFECT | {"stateful", "dropout", "recurrent_dropout"}
    left = [key for key in config if key not in known and not _trains(key) and config[key] is not None]
    if left:
        raise Unsupported(f"{kind} has {', '.join(sorted(left))}, which xconv does not know")
    for key, item in ((other or {}).get("config") or {}).items():
        if key in ("name", "go_backwards", "seed", "dtype") or key.endswith(TRAINING_ONLY):
            continue
        if item != config.get(key, item):
            raise Unsupported(f"Bidirectional whose layers differ in {key}: {config.get(key)!r} and {item!r}")
    if other and (other.get("class_name") != kind or not other["config"].get("go_backwards")):
        raise Unsupported("Bidirectional with a backward layer of another kind")
    return kind, config


def _check_options(kind: str, config: Mapping[str, Any]) -> None:
    """Refuse what neither torch's layers nor xconv's can do."""
    if config.get("stateful"):
        raise Unsupported(f"stateful {kind}", remedy="pass initial_state, and take the states with return_state")
    activation, gate = _name_of(config.get("activation", "tanh")), _name_of(config.get("recurrent_activation"))
    if kind != "SimpleRNN" and (activation != "tanh" or gate not in ("sigmoid", "linear")):
        raise Unsupported(f"{kind} with activation {activation!r} and recurrent_activation {gate!r}")
    if kind == "SimpleRNN" and activation not in ("tanh", "relu"):
        raise Unsupported(f"SimpleRNN with activation {activation!r}", remedy="torch has tanh and relu")
    if kind != "SimpleRNN" and config.get("recurrent_activation", "sigmoid") != "sigmoid" and gate != "sigmoid":
        raise Unsupported(f"{kind} with recurrent_activation {gate!r}")


def _trains(key: str) -> bool:
    return key.endswith(TRAINING_ONLY) or "quantization" in key or "lora" in key


def _name_of(activation: Any) -> str:
    """The name of an activation, however the config says it; 'linear' for none."""
    if isinstance(activation, Mapping):
        activation = activation.get("config", activation.get("class_name"))
    return "linear" if activation is None else str(activation)


def _initial(given: Any) -> int:
    """How many initial states there are; they must follow the sequence in their order."""
    if given is None:
        return 0
    states = given if isinstance(given, (list, tuple)) else [given]
    if list(states) != [Slot(place) for place in range(1, len(states) + 1)]:
        raise Unsupported("initial states that are no tensors of the network")
    return len(states)


def _weights_of(layer: KerasLayer, both: bool, use_bias: bool) -> dict[str, Weight]:
    """The weights of each direction under their roles, rows first."""
    roles = ("kernel", "recurrent", "bias") if use_bias else ("kernel", "recurrent")
    every = (*roles, *(f"{role}_reverse" for role in roles)) if both else roles
    weights = layer.named(*every)
    for role, weight in weights.items():
        flat = role.startswith("bias")
        weights[role] = weight.reshape((_size(weight),)) if flat else weight.transpose((1, 0))
    return weights


def _size(weight: Weight) -> int:
    rows = weight.shape
    return rows[0] * rows[1] if len(rows) == 2 else rows[0]
