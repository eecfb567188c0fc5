"""SpectralNormalization: a layer whose kernel training divides by its largest singular value, in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.conv import Conv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.dense import Dense
from xconv.layers.einsum_dense import EinsumDense
from xconv.spec import AtenCall, Example, KerasLayer, Moved, Op, Shape, Spec, TorchCall, Weights

__all__ = ["SpectralNorm"]

NO_EFFECT = frozenset({"name", "trainable", "dtype", "lora_rank", "lora_alpha", "quantization_config", "build_config"})
TRAINING_ONLY = "_initializer", "_constraint", "_regularizer"


@dataclass(frozen=True, slots=True)
class SpectralNorm(Spec):
    """The layer `inner`, with a weight `vector_u` by which training finds the largest singular value of its kernel.

    In training, before the layer computes, `iterations` steps of the power iteration change `vector_u`, and the kernel
    is divided by the singular value that they find, for good. In inference it is the layer alone. The kernel counts as
    a matrix of as many `columns` as its last axis has in Keras.
    """

    inner: Spec
    iterations: int
    columns: int

    keras_kinds = ("SpectralNormalization",)
    restrictions: ClassVar[Mapping[str, str]] = {"SpectralNormalization": "embeddings inside"}
    aten_ops = ("spectral_norm",)
    holds = ("weights",)

    @property
    def order(self) -> Any:  # type: ignore[override]
        """That of the layer."""
        return self.inner.order

    @property
    def axis(self) -> int:
        """The layer's axis of channels."""
        found: int = self.inner.axis  # type: ignore[attr-defined]
        return found

    @property
    def keras_axis_last(self) -> bool:  # type: ignore[override]
        """Whether Keras's layer works on the last axis alone."""
        return self.inner.keras_axis_last

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """Weights: vector_u, then those of the layer inside."""
        from xconv.layers import RULES

        held, iterations = layer["layer"], layer["power_iterations"]
        kind = str(held.get("class_name"))
        if not layer.weights:
            raise Mismatch("SpectralNormalization has no weights", remedy="build the model")
        if kind not in RULES:
            raise Unsupported(f"SpectralNormalization of {kind!r}", remedy="wrap a convolution, Dense or EinsumDense")
        if kind in ("Embedding", "ReversibleEmbedding"):
            what = f"SpectralNormalization of {kind}, whose result Keras casts to the dtype of the places"
            raise Unsupported(what, remedy="normalise the table in a layer of your own")
        vector, *rest = layer.weights
        within = KerasLayer(kind, held["config"], tuple(rest), layer.inputs, layer.args)
        found = RULES[kind].from_keras(within)
        left = {key for key in within.unread - NO_EFFECT if within.config.get(key) is not None}
        left = {key for key in left if not key.endswith(TRAINING_ONLY)}
        first, *others = (found,) if isinstance(found, Op) else found
        if left or type(first.spec) not in WRAPPED:
            what = f"SpectralNormalization of {kind!r}" + (f" with {', '.join(sorted(left))}" if left else "")
            raise Unsupported(what, remedy="wrap a convolution, Dense or EinsumDense")
        spec = cls(first.spec, iterations, vector.shape[1])
        return (replace(first, spec=spec, weights={**first.weights, "vector_u": vector}), *others)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """xconv's own module, which torch.export sees as one call."""
        config, weights = json.loads(call["config"]), call["weights"]
        inner = INSIDE[config["layer"].rstrip("123d")](config["options"], len(call.inputs[0]))
        roles = ("kernel", "bias") if len(weights) == 3 else ("kernel",)
        spec = cls(inner, config["iterations"], config["columns"])
        return Op(spec, dict(zip((*roles, "vector_u"), weights, strict=True)), "", tuple(call["inputs"]))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """SpectralNormalization of the layer."""
        said = self.inner.to_keras(_without_vector(weights), inputs)
        if not said.weights or said.weights[0].shape[-1] != self.columns:
            what = "SpectralNormalization of a convolution with a group for every channel"
            raise Unsupported(what, remedy="wrap a DepthwiseConv in Keras")
        layer = {
            "module": "keras.layers",
            "class_name": said.kind,
            "config": dict(said.config),
            "registered_name": None,
        }
        config = {"layer": layer, "power_iterations": self.iterations}
        arrays = (weights["vector_u"], *said.weights)
        return replace(said, kind="SpectralNormalization", config=config, weights=arrays)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's SpectralNorm around the layer's module."""
        return self._wrapped(self.inner.to_torch(_without_vector(weights), inputs), weights)

    def _wrapped(self, call: TorchCall, weights: Weights) -> TorchCall:
        """The call with the module that holds the kernel wrapped."""
        if not call.tensors:
            args = tuple(self._wrapped(item, weights) if isinstance(item, TorchCall) else item for item in call.args)
            return replace(call, args=args)
        config = {
            "layer": call.target.rpartition(".")[2],
            "options": dict(call.config),
            "columns": self.columns,
            "iterations": self.iterations,
        }
        tensors = {f"layer.{name}": weight for name, weight in call.tensors.items()}
        tensors["vector_u"] = weights["vector_u"]
        return replace(call, target="xconv.torch.modules.SpectralNorm", config=config, tensors=tensors)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The layer's."""
        return self.inner.out_shape(*inputs)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The layer, moved."""
        found = self.inner.moved(order, _without_vector(weights))
        rest = {"vector_u": weights["vector_u"]} if "vector_u" in weights else {}
        return Moved(replace(self, inner=found.spec), {**found.weights, **rest}, found.order)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Around every kind of layer that has a kernel."""
        kind = "SpectralNormalization"

        def config(name: str, iterations: int, **options: Any) -> dict[str, Any]:
            held = {"module": "keras.layers", "class_name": name, "config": options, "registered_name": None}
            return {"layer": held, "power_iterations": iterations}

        dense = config("Dense", 2, units=4, activation="tanh", use_bias=True)
        yield Example(kind, ((5, 3),), dense, ((1, 4), (3, 4), (4,)))
        window: dict[str, Any] = {
            "strides": (1, 1),
            "padding": "same",
            "data_format": "channels_last",
            "dilation_rate": (1, 1),
        }
        window |= {"activation": "relu", "use_bias": True, "kernel_size": (3, 2)}
        plain = config("Conv2D", 1, filters=4, groups=1, **window)
        yield Example(kind, ((5, 6, 3),), plain, ((1, 4), (3, 2, 3, 4), (4,)))
        apart = config("DepthwiseConv2D", 1, depth_multiplier=2, **window)
        yield Example(kind, ((5, 6, 3),), apart, ((1, 2), (3, 2, 3, 2), (6,)))
        back = config("Conv2DTranspose", 3, filters=4, output_padding=None, **{**window, "use_bias": False})
        yield Example(kind, ((5, 6, 3),), back, ((1, 3), (3, 2, 4, 3)))
        options = {"equation": "abc,cde->abde", "output_shape": (None, 2, 4), "bias_axes": "e", "activation": "linear"}
        yield Example(kind, ((5, 3),), config("EinsumDense", 1, **options), ((1, 4), (3, 2, 4), (4,)))


def _without_vector(weights: Weights) -> Weights:
    return {role: weight for role, weight in weights.items() if role != "vector_u"}


def _linear(options: dict[str, Any], rank: int) -> Spec:
    return Dense(options["in_features"], options["out_features"], rank - 1)


def _conv(options: dict[str, Any], _: int) -> Spec:
    kernel, stride, padding, dilation = (
        tuple(options[name]) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    pads = tuple((n, n) for n in padding)
    return Conv(options["in_channels"], options["out_channels"], kernel, stride, pads, dilation, options["groups"], 1)


def _transposed(options: dict[str, Any], _: int) -> Spec:
    kernel, stride, padding, extra, dilation = (
        tuple(options[name]) for name in ("kernel_size", "stride", "padding", "output_padding", "dilation")
    )
    rest = options.get("crop", (0,) * len(kernel))
    crop = tuple((p, p - more + less) for p, more, less in zip(padding, extra, rest, strict=True))
    return ConvTranspose(options["in_channels"], options["out_channels"], kernel, stride, crop, dilation, 1)


def _sum(options: dict[str, Any], _: int) -> Spec:
    bias = options["bias"]
    return EinsumDense(options["equation"], tuple(options["kernel"]), None if bias is None else tuple(bias))


INSIDE: dict[str, Callable[[dict[str, Any], int], Spec]] = {
    "Linear": _linear,
    "Conv": _conv,
    "ConvTranspose": _transposed,
    "EinsumDense": _sum,
}
"""The layer inside, by torch's name without its rank."""

WRAPPED = (Conv, ConvTranspose, Dense, EinsumDense)
