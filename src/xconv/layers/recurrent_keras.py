"""A call of Keras's recurrent classes as `Op`s: one Recurrent for every cell, wired as RNN and Bidirectional do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.layers.activation import Activation, activation_op
from xconv.layers.concat import Concat
from xconv.layers.elementwise import Elementwise
from xconv.layers.expand import ExpandDims
from xconv.layers.recurrent import KINDS, STATES, Recurrent
from xconv.layers.steps import Steps, Taken
from xconv.layers.tile import Flip
from xconv.spec import KerasLayer, Op, Slot, Weights
from xconv.weights import Weight

__all__ = ["NO_EFFECT", "activation_of", "flat_states", "ops_of_layer", "rate_of", "samples_kept"]

CELLS = {"LSTMCell": "LSTM", "GRUCell": "GRU", "SimpleRNNCell": "SimpleRNN"}
SEQUENCES = (*KINDS, "RNN")

TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint")
NO_EFFECT = frozenset(
    {"name", "trainable", "dtype", "autocast", "build_config", "shared_object_id"}
    | {"unroll", "seed", "use_cudnn", "unit_forget_bias", "weights"}
)
"""Entries of a config that have no effect on what a layer computes."""

READ = frozenset(
    {"units", "activation", "recurrent_activation", "use_bias", "reset_after", "dropout", "recurrent_dropout", "cell"}
    | {"return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask", "time_major"}
    | {"cells", "implementation"}
)
"""Entries that are read here."""

FIXED_BATCH = "give the model's inputs one batch_size, or pass initial_state and take the states with return_state"


def ops_of_layer(layer: KerasLayer) -> Sequence[Op]:
    """The Ops of one call; the last of them says what the call returns.

    Raises:
        Unsupported: cells of other classes, options that no call of torch and no module of xconv has.
    """
    call = _Call.of(layer)
    if layer.kind == "Bidirectional":
        outputs = call.both()
    elif layer.kind in SEQUENCES:
        outputs = call.sequence(_Wrapped(layer.kind, layer.config), call.mask, call.states)
    else:
        outputs = call.cell(layer.kind)
    if next(call.weights, None) is not None or call.states:
        raise Mismatch(
            f"{layer.kind} has weights or initial states left over", remedy="give those of its configuration"
        )
    *before, last = call.steps.done()
    made = (*outputs.given, *outputs.states)
    if len(before) == 0:
        return (last,)
    return (*before, replace(last, returns=made))


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """A recurrent layer by class and config."""

    kind: str
    config: Mapping[str, Any]

    @property
    def cells(self) -> tuple[_Wrapped, ...]:
        """The cells, those of nested stacks one after the other."""
        if self.kind in KINDS:
            return (self,)
        if self.kind in CELLS:
            return (_Wrapped(CELLS[self.kind], self.config),)
        inner = self.config.get("cells") if self.kind == "StackedRNNCells" else [self.config.get("cell")]
        if self.kind not in ("RNN", "StackedRNNCells") or not isinstance(inner, (list, tuple)):
            raise Unsupported(
                f"RNN around {self.kind!r}", remedy="build it of LSTMCell, GRUCell, SimpleRNNCell and StackedRNNCells"
            )
        parts = [_wrapped(item) for item in inner]
        for part in parts:
            _check_known(part.kind, part.config)
        return tuple(cell for part in parts for cell in part.cells)

    def says(self, key: str) -> bool:
        """Whether an option is on."""
        return bool(self.config.get(key))


def _wrapped(item: Any) -> _Wrapped:
    """A layer inside another's config."""
    if isinstance(item, (list, tuple)):
        return _Wrapped("StackedRNNCells", {"cells": item})
    if not isinstance(item, Mapping) or not isinstance(item.get("config"), Mapping):
        raise Unsupported("a wrapped layer without a configuration", remedy="save the model again")
    return _Wrapped(str(item.get("class_name")), item["config"])


@dataclass(slots=True)
class _Outputs:
    """What a recurrent layer gives: outputs, and the final states where they are asked for."""

    given: list[Taken]
    states: list[Taken] = field(default_factory=list)


@dataclass(slots=True)
class _Call:
    """One call: the Ops so far, the tensors it is given, the weights that are not taken yet."""

    layer: KerasLayer
    mask: Slot | None
    states: list[Slot]
    weights: Iterator[Weight]
    steps: Steps = field(default_factory=Steps)

    @classmethod
    def of(cls, layer: KerasLayer) -> _Call:
        """What a call is given, checked."""
        layer.unread.difference_update(NO_EFFECT | READ)
        is_cell = layer.kind not in (*SEQUENCES, "Bidirectional")
        mask = None if is_cell else layer.argument(2, "mask")
        if mask is not None and not isinstance(mask, Slot):
            raise Unsupported(f"{layer.kind} with a mask that is no tensor of the network", remedy="make it an input")
        given = layer.argument(1, "states" if is_cell else "initial_state")
        if given is None and layer.args and isinstance(layer.args[0], (list, tuple)):
            given = layer.args[0][1:]  # Keras 2 records the states beside the sequence
        rank = 2 if is_cell else 3
        if layer.inputs[0][-1] is None or len(layer.inputs[0]) != rank:
            raise Mismatch(f"{layer.kind} gets an input of shape {layer.inputs[0]}")
        return cls(layer, mask, list(flat_states(given)), iter(layer.weights))

    # ---------------------------------------------------------------------------------------------------- layers

    def sequence(
        self, wrapped: _Wrapped, mask: Taken | None, states: list[Slot], *, zeros: bool | None = None, name: str = ""
    ) -> _Outputs:
        """A layer of one cell or of several, each over what the one before it gives."""
        _check_options(wrapped)
        cells = wrapped.cells
        current: Taken = Slot(0)
        features = self.layer.inputs[0][-1] or 0
        final: list[Taken] = []
        zeros = wrapped.says("zero_output_for_mask") if zeros is None else zeros
        for place, cell in enumerate(cells):
            last = place == len(cells) - 1
            spec, weights = self._cell(cell, features)
            spec = replace(
                spec,
                backward=wrapped.says("go_backwards") and place == 0,
                sequences=wrapped.says("return_sequences") or not last,
                states=wrapped.says("return_state"),
                masked=mask is not None,
                zeros=zeros and last and mask is not None,
                stateful=samples_kept(wrapped.kind, wrapped.config, self.layer.batch),
            )
            part = name + (f"cell{place}" if len(cells) > 1 else "")
            made = self._add(spec, weights, current, mask, self._initial(spec, states), part)
            current, features = made.given[0], spec.units
            final += made.states
            if spec.backward and mask is not None and not last:
                mask = self.steps.add(Flip((1,)), mask, name=f"{name}mask")
        return _Outputs([current], final)

    def cell(self, kind: str) -> _Outputs:
        """A cell that is called by itself: one step."""
        if not self.states:
            raise Unsupported(f"{kind} without states", remedy="call it with its states")
        current: Taken = Slot(0)
        features = self.layer.inputs[0][-1] or 0
        cells = _Wrapped(kind, self.layer.config).cells
        final: list[Taken] = []
        for place, cell in enumerate(cells):
            part = f"cell{place}" if len(cells) > 1 else ""
            step = self.steps.add(ExpandDims((1,)), current, name=f"{part}.step".lstrip("."))
            spec, weights = self._cell(cell, features)
            spec = replace(spec, sequences=False, states=True)
            made = self._add(spec, weights, step, None, self._initial(spec, self.states), part)
            current, features = made.given[0], spec.units
            final += made.states
        return _Outputs([current], final)

    def both(self) -> _Outputs:
        """Both directions as one layer where they are the same, and otherwise as two."""
        layer = self.layer
        ahead = _wrapped(layer["layer"])
        given = layer.get("backward_layer")
        back = _wrapped(given) if given else _Wrapped(ahead.kind, {**ahead.config, "go_backwards": True})
        merge, sequences = layer["merge_mode"], ahead.says("return_sequences")
        for wrapped in (ahead, back):
            if wrapped.kind not in SEQUENCES:
                raise Unsupported(f"Bidirectional around {wrapped.kind}", remedy="wrap an LSTM, a GRU or a SimpleRNN")
            _check_known(wrapped.kind, wrapped.config)
            _check_options(wrapped)
        if ahead.says("go_backwards") == back.says("go_backwards"):
            raise Mismatch("both layers of a Bidirectional read the steps in one direction")
        if not ahead.says("go_backwards") and len(ahead.cells) == len(back.cells) == 1 and _same(ahead, back):
            return self._as_one(ahead, merge)
        if ahead.says("return_state") and [cell.kind for cell in ahead.cells] != [cell.kind for cell in back.cells]:
            states = [sum(STATES[KINDS[cell.kind]] for cell in wrapped.cells) for wrapped in (ahead, back)]
            if states[0] != states[1]:
                what = "Bidirectional with return_state around layers of unlike numbers of states"
                raise Unsupported(f"{what}, which Keras itself counts wrongly", remedy="call both layers by themselves")
        half = len(self.states) // 2
        first, second = self.states[:half], self.states[half:]
        self.states = []
        one = self.sequence(ahead, self.mask, first, zeros=sequences, name="forward")
        two = self.sequence(back, self.mask, second, zeros=sequences, name="backward")
        if first or second:
            raise Mismatch("initial states that are not those of both directions")
        turned = self.steps.add(Flip((1,)), two.given[0], name="turned") if sequences else two.given[0]
        return _Outputs(self._merged(merge, one.given[0], turned, sequences), [*one.states, *two.states])

    def _as_one(self, wrapped: _Wrapped, merge: str | None) -> _Outputs:
        """Both directions as one Recurrent."""
        features = self.layer.inputs[0][-1] or 0
        spec, weights = self._cell(wrapped.cells[0], features)
        _, reverse = self._cell(wrapped.cells[0], features)
        weights = {**weights, **{f"{role}_reverse": weight for role, weight in reverse.items()}}
        sequences = wrapped.says("return_sequences")
        spec = replace(
            spec,
            both=True,
            sequences=sequences,
            states=wrapped.says("return_state"),
            merge=merge,
            masked=self.mask is not None,
            zeros=self.mask is not None and sequences,
            stateful=samples_kept(wrapped.kind, wrapped.config, self.layer.batch),
        )
        return self._add(spec, weights, Slot(0), self.mask, self._initial(spec, self.states), "")

    def _merged(self, merge: str | None, one: Taken, two: Taken, sequences: bool) -> list[Taken]:
        pair = (Slot(0), Slot(1))
        match merge:
            case None:
                return [one, two]
            case "concat":
                return [self.steps.add(Concat(2 if sequences else 1), one, two, name="merged")]
            case "sum":
                return [self.steps.add(Elementwise("add", pair), one, two, name="merged")]
            case "mul":
                return [self.steps.add(Elementwise("multiply", pair), one, two, name="merged")]
        total = self.steps.add(Elementwise("add", pair), one, two, name="sum")
        return [self.steps.add(Elementwise("divide", (Slot(0), 2.0)), total, name="merged")]

    # ----------------------------------------------------------------------------------------------------- parts

    def _cell(self, cell: _Wrapped, features: int) -> tuple[Recurrent, dict[str, Weight]]:
        """One cell with its weights, rows first."""
        config = cell.config
        roles = ("kernel", "recurrent", "bias") if config.get("use_bias", True) else ("kernel", "recurrent")
        held = dict(zip(roles, self.weights, strict=False))
        if len(held) != len(roles):
            raise Mismatch(f"{cell.kind} needs {len(roles)} weights", remedy="build the model")
        for role, weight in held.items():
            size = weight.shape[0] * (weight.shape[1] if len(weight.shape) == 2 else 1)
            held[role] = weight.reshape((size,)) if role == "bias" else weight.transpose((1, 0))
        recurrent = config.get("recurrent_activation", "sigmoid")
        spec = Recurrent(
            KINDS[cell.kind],
            features,
            config["units"],
            activation=activation_of(config.get("activation", "tanh")),
            reset_after=bool(config.get("reset_after", True)) or cell.kind != "GRU",
            gate="sigmoid" if cell.kind == "SimpleRNN" else activation_of(recurrent),
            dropout=rate_of(config, "dropout"),
            recurrent_dropout=rate_of(config, "recurrent_dropout"),
        )
        if spec.dropout and not spec.recurrent_dropout and config.get("implementation") == 1 and spec.kind != "rnn":
            raise Unsupported("dropout with implementation=1, which drops for each gate", remedy="use implementation=2")
        return spec, held

    def _initial(self, spec: Recurrent, states: list[Slot]) -> list[Slot]:
        """The initial states of a cell, taken off those that are left."""
        if not states:
            return []
        count = STATES[spec.kind] * (1 + spec.both)
        if len(states) < count:
            raise Mismatch(f"{self.layer.kind} gets too few initial states")
        taken = states[:count]
        del states[:count]
        return taken

    def _add(
        self, spec: Recurrent, weights: Weights, x: Taken, mask: Taken | None, states: Sequence[Slot], name: str
    ) -> _Outputs:
        """One Recurrent; what it gives."""
        inputs = (x, *(() if mask is None else (mask,)), *states)
        first = self.steps.add(spec, *inputs, weights=weights, name=name)
        count = 2 if spec.both and spec.merge is None else 1
        states_of = STATES[spec.kind] * (1 + spec.both) if spec.states else 0
        every = [replace(first, index=index) for index in range(count + states_of)]
        return _Outputs(list(every[:count]), list(every[count:]))


def flat_states(given: Any) -> Iterator[Slot]:
    """The initial states, nested as the cells are, one after the other."""
    if isinstance(given, Slot):
        yield given
    elif isinstance(given, (list, tuple)):
        for item in given:
            yield from flat_states(item)
    elif given is not None:
        raise Unsupported("initial states that are no tensors of the network", remedy="make them inputs of the model")


def _check_known(kind: str, config: Mapping[str, Any]) -> None:
    """Nothing in the config of a wrapped layer is silently ignored."""
    left = [key for key in config if key not in NO_EFFECT | READ and not _trains(key) and config[key] is not None]
    if left:
        raise Unsupported(f"{kind} has {', '.join(sorted(left))}, which xconv does not know")


def _check_options(wrapped: _Wrapped) -> None:
    """Refuse time on the first axis."""
    if wrapped.says("time_major"):
        raise Unsupported(f"{wrapped.kind} with time_major=True", remedy="transpose the input")


def samples_kept(kind: str, config: Mapping[str, Any] | KerasLayer, batch: int | None) -> int | None:
    """How many samples a layer keeps states of from call to call; None where it keeps none.

    Raises:
        Unsupported: it keeps states, and the size of its batch is not that of the model's inputs, or open.
    """
    if not config.get("stateful"):
        return None
    if batch is None:
        raise Unsupported(f"stateful {kind}, where the size of the batch is not fixed", remedy=FIXED_BATCH)
    return batch


def _same(one: _Wrapped, two: _Wrapped) -> bool:
    """Whether two layers compute the same but for the direction."""
    other = {key for key in READ if key != "go_backwards" and key not in ("cell", "cells")}
    pairs = [(a.config, b.config) for a, b in zip((one, *one.cells), (two, *two.cells), strict=True)]
    kinds = [cell.kind for cell in one.cells] == [cell.kind for cell in two.cells]
    return kinds and one.kind == two.kind and all(a.get(key) == b.get(key) for a, b in pairs for key in other)


def _trains(key: str) -> bool:
    return key.endswith(TRAINING_ONLY) or "quantization" in key or "lora" in key


def activation_of(value: Any) -> str | Activation:
    """An activation of a config: its name where that says it all."""
    spec = activation_op("linear" if value is None else value).spec
    if not isinstance(spec, Activation):
        raise Unsupported(f"activation {value!r} in a recurrent layer, over all units together")
    return spec.name if activation_op(spec.name).spec == spec else spec


def rate_of(config: Mapping[str, Any] | KerasLayer, key: str) -> float:
    """A rate of dropout."""
    rate = float(config.get(key) or 0.0)
    if rate >= 1:
        raise Unsupported(f"{key}={rate:g}, which leaves nothing", remedy="use a rate below 1")
    return max(rate, 0.0)
