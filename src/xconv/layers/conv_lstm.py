"""ConvLSTM1D, ConvLSTM2D, ConvLSTM3D  <->  xconv.torch.modules.ConvLSTM; torch has none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv.errors import Mismatch, Unsupported
from xconv.layers.activation import Activation
from xconv.layers.geometry import data_format, pads_of, sizes
from xconv.layers.recurrent import STATEFUL_TWICE, in_config, named
from xconv.layers.recurrent_keras import NO_EFFECT, activation_of, flat_states, rate_of, samples_kept
from xconv.padding import Pads, out_size, same_pads
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["ConvRecurrent"]


@dataclass(frozen=True, slots=True)
class ConvRecurrent(Spec):
    """An LSTM over maps: (batch, steps, ..) with the channels at `axis`; its products are convolutions.

    Its inputs are the sequence, the mask where it is `masked`, and h and c where they are given; it gives the output,
    then with `states` h and c. Weights `kernel` (4 * filters, channels, ..), `recurrent` (4 * filters, filters, ..) and
    `bias`, gates in Keras's order.
    """

    features: int
    filters: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pads
    dilation: tuple[int, ...]
    axis: int
    backward: bool = False
    sequences: bool = True
    states: bool = False
    activation: str | Activation = "tanh"
    gate: str | Activation = "sigmoid"
    masked: bool = False
    zeros: bool = False
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    stateful: int | None = None

    order = Order.WRITTEN
    keras_kinds = "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"
    aten_ops = ("conv_recurrent",)
    holds = ("params",)
    training = "dropout and recurrent_dropout: the same distribution, another stream of random numbers"
    restrictions = dict.fromkeys(keras_kinds, f"{STATEFUL_TWICE}; a mask that is a constant")

    @property
    def batch(self) -> int | None:
        """As many samples as it keeps states of."""
        return self.stateful

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Kernel (.., channels, 4 * filters), recurrent kernel, bias."""
        layer.unread.difference_update(NO_EFFECT)
        rank = int(layer.kind[-2])
        shape = layer.inputs[0]
        axis = 2 if layer.get("data_format") == "channels_first" else rank + 2
        if len(shape) != rank + 3 or None in shape[2:]:
            raise Mismatch(f"{layer.kind} gets an input of shape {shape}", remedy="give its maps a fixed size")
        kernel, stride, dilation = (sizes(layer[key], rank) for key in ("kernel_size", "strides", "dilation_rate"))
        mask = layer.argument(2, "mask")
        if mask is not None and not isinstance(mask, Slot):
            raise Unsupported(f"{layer.kind} with a mask that is no tensor of the network", remedy="make it an input")
        states = list(flat_states(layer.argument(1, "initial_state")))
        if len(states) not in (0, 2):
            raise Mismatch(f"{layer.kind} gets {len(states)} initial states")
        roles = ("kernel", "recurrent", "bias") if layer.get("use_bias", True) else ("kernel", "recurrent")
        held = layer.named(*roles)
        turn = (rank + 1, rank, *range(rank))
        pads = pads_of(_maps(layer, shape), axis - 1, kernel, stride, dilation)
        zeros = bool(layer.get("zero_output_for_mask")) and mask is not None
        spec = cls(
            int(shape[axis] or 0),
            int(layer["filters"]),
            kernel,
            stride,
            pads or (),
            dilation,
            axis,
            bool(layer.get("go_backwards")),
            bool(layer.get("return_sequences")),
            bool(layer.get("return_state")),
            activation_of(layer.get("activation", "tanh")),
            activation_of(layer.get("recurrent_activation", "sigmoid")),
            mask is not None,
            zeros,
            rate_of(layer, "dropout"),
            rate_of(layer, "recurrent_dropout"),
            samples_kept(layer.kind, layer, layer.batch),
        )
        weights = {role: weight if role == "bias" else weight.transpose(turn) for role, weight in held.items()}
        return Op(spec, weights, "", (Slot(0), *([mask] if mask is not None else []), *states))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """The module of xconv's own."""
        said: dict[str, Any] = json.loads(call["settings"])
        for key in ("activation", "gate"):
            if not isinstance(said[key], str):
                said[key] = Activation(said[key][0], tuple(said[key][1].items()))
        for key in ("stride", "dilation"):
            said[key] = tuple(said[key])
        said["padding"] = tuple(map(tuple, said["padding"]))
        params, mask = call["params"], call["mask"]
        weights = dict(zip(("kernel", "recurrent", "bias"), params, strict=False))
        filters, features, *kernel = params[0].shape
        spec = cls(features, filters // 4, tuple(kernel), masked=mask is not None, **said)
        return Op(spec, weights, "", (call["x"], *([mask] if mask is not None else []), *call["states"]))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The layer; its padding as a word."""
        rank = len(self.kernel)
        maps = _spatial(inputs[0], self.axis)
        same = any(map(any, self.padding))
        if same and self.padding != same_pads(maps, self.kernel, self.stride, self.dilation):
            raise Unsupported(f"a ConvLSTM with pads {self.padding}", remedy="pad the sequence before it")
        config: dict[str, Any] = {
            "filters": self.filters,
            "kernel_size": self.kernel,
            "strides": self.stride,
            "padding": "same" if same else "valid",
            "data_format": data_format(2 if self.axis > 2 else 1),
            "dilation_rate": self.dilation,
            "activation": in_config(self.activation),
            "recurrent_activation": in_config(self.gate),
            "use_bias": "bias" in weights,
            "return_sequences": self.sequences,
            "return_state": self.states,
            "go_backwards": self.backward,
        }
        config |= {key: rate for key in ("dropout", "recurrent_dropout") if (rate := getattr(self, key))}
        if self.zeros:
            config["zero_output_for_mask"] = True
        if self.stateful is not None:
            config["stateful"] = True
        back = (*range(2, rank + 2), 1, 0)
        held = tuple(w if role == "bias" else w.transpose(back) for role, w in weights.items())
        states = [Slot(place) for place in range(1 + self.masked, len(inputs))]
        kwargs: dict[str, Any] = {"initial_state": states} if states else {}
        if self.masked:
            kwargs["mask"] = Slot(1)
        return KerasLayer(f"ConvLSTM{rank}D", config, held, tuple(inputs), (Slot(0),), kwargs, batch=self.stateful)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's ConvLSTM."""
        config: dict[str, Any] = {
            "in_channels": self.features,
            "out_channels": self.filters,
            "kernel_size": self.kernel,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "axis": self.axis,
            "bias": "bias" in weights,
            "sequences": self.sequences,
            "states": self.states,
        }
        more = {"activation": named(self.activation), "recurrent_activation": named(self.gate)}
        more |= {"backward": self.backward, "masked": self.masked, "zeros": self.zeros}
        more |= {"input_dropout": self.dropout, "recurrent_dropout": self.recurrent_dropout}
        if self.stateful is not None:
            more["stateful"] = (self.stateful, self.filters, *self._maps_after(inputs[0]))
        usual = {"activation": "tanh", "recurrent_activation": "sigmoid"}
        config |= {key: item for key, item in more.items() if item and item != usual.get(key)}
        tensors = {{"kernel": "weight_ih", "recurrent": "weight_hh"}.get(role, role): w for role, w in weights.items()}
        args = tuple(Slot(place) for place in range(len(inputs)))
        return TorchCall("xconv.torch.modules.ConvLSTM", args, config=config, tensors=tensors)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The output."""
        return self.out_shapes(*inputs)[0]

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """The output, then h and c."""
        after = self._maps_after(inputs[0])
        after.insert(self.axis - 2, self.filters)
        state = (inputs[0][0], *after)
        output = (inputs[0][0], inputs[0][1], *after) if self.sequences else state
        return (output, *((state, state) if self.states else ()))

    def _maps_after(self, shape: Shape) -> list[int | None]:
        """The sizes of the maps that it makes."""
        geometry = zip(_spatial(shape, self.axis), self.kernel, self.stride, self.dilation, self.padding, strict=True)
        return [out_size(n, k, s, d, pads) for n, k, s, d, pads in geometry]

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every rank, padding, stride, dilation; masks, states, backward, other activations, channels first."""
        flat: dict[str, Any] = {"filters": 2, "kernel_size": (3, 2)}
        shapes = ((3, 2, 3, 8), (3, 2, 2, 8), (8,))
        image = (4, 6, 5, 3)
        yield Example("ConvLSTM2D", (image,), flat, shapes)
        kept = {**flat, "padding": "same", "strides": (1, 2), "stateful": True, "return_sequences": True}
        yield Example("ConvLSTM2D", (image,), kept, shapes)
        same = {**flat, "padding": "same", "strides": (2, 1), "return_sequences": True, "return_state": True}
        yield Example("ConvLSTM2D", (image,), same, shapes)
        other = {"activation": "softsign", "recurrent_activation": "tanh", "go_backwards": True, "use_bias": False}
        yield Example("ConvLSTM2D", (image,), {**flat, **other, "return_sequences": True}, shapes[:2])
        yield Example("ConvLSTM2D", (image,), {**flat, "dilation_rate": (1, 2), "padding": "same"}, shapes)
        first = {**flat, "data_format": "channels_first", "padding": "same", "return_state": True}
        yield Example("ConvLSTM2D", ((4, 3, 6, 5),), first, shapes, float64=False)
        valid: dict[str, Any] = {"args": (Slot(0),), "kwargs": {"mask": Slot(1)}, "values": "normal boolean"}
        yield Example("ConvLSTM2D", (image, (4,)), {**flat, "return_state": True}, shapes, **valid)
        sequences = {**flat, "return_sequences": True, "go_backwards": True}
        yield Example("ConvLSTM2D", (image, (4,)), sequences, shapes, **valid)
        yield Example("ConvLSTM2D", (image, (4,)), {**sequences, "zero_output_for_mask": True}, shapes, **valid)
        given: dict[str, Any] = {"args": (Slot(0),), "kwargs": {"initial_state": [Slot(1), Slot(2)]}}
        yield Example("ConvLSTM2D", (image, (4, 4, 2), (4, 4, 2)), {**flat, "return_state": True}, shapes, **given)
        line = {"filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"}
        yield Example("ConvLSTM1D", ((4, 7, 3),), line, ((3, 3, 8), (3, 2, 8), (8,)))
        cube = {"filters": 2, "kernel_size": 2, "padding": "same", "return_sequences": True}
        yield Example("ConvLSTM3D", ((3, 4, 3, 3, 2),), cube, ((2, 2, 2, 2, 8), (2, 2, 2, 2, 8), (8,)))
        random = {**flat, "dropout": 0.3, "recurrent_dropout": 0.2}
        yield Example("ConvLSTM2D", (image,), random, shapes, trains=False)


def _spatial(shape: Shape, axis: int) -> Shape:
    """The sizes of the maps."""
    return tuple(size for place, size in enumerate(shape) if place > 1 and place != axis)


def _maps(layer: KerasLayer, shape: Shape) -> KerasLayer:
    """The layer as if it were called on one step."""
    words = {key: layer.get(key) for key in ("padding", "data_format")}
    return KerasLayer(layer.kind, words, inputs=((shape[0], *shape[2:]),))
