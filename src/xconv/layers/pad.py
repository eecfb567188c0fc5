"""ZeroPadding1D-3D, Cropping1D-3D  <->  torch.nn.ZeroPad1d-3d (negative pads crop)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xconv import axes
from xconv.errors import Mismatch
from xconv.layers.geometry import channel_axis, check_rank, data_format, flat_pads, spatial, windows
from xconv.padding import Pads
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Spec, TorchCall, Weights

__all__ = ["Pad"]


@dataclass(frozen=True, slots=True)
class Pad(Spec):
    """Zeros put around the spatial axes; negative numbers crop.

    >>> Pad(((0, 1), (0, 1)), 3).out_shape((None, 112, 112, 32))
    (None, 113, 113, 32)
    """

    pads: Pads
    axis: int = -1

    order = Order.SPATIAL
    keras_kinds = tuple(f"{kind}{rank}D" for kind in ("ZeroPadding", "Cropping") for rank in (1, 2, 3))

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """A number, a number per axis, or a (before, after) pair per axis."""
        rank, crop = int(layer.kind[-2]), layer.kind.startswith("Cropping")
        check_rank(layer, rank)
        pads = _pairs(layer["cropping" if crop else "padding"], rank)
        if crop:
            pads = tuple((-before, -after) for before, after in pads)
        return Op(cls(pads, channel_axis(layer)))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """ZeroPadding, or Cropping where nothing is added."""
        rank, crop = len(self.pads), all(n <= 0 for pair in self.pads for n in pair) and any(map(any, self.pads))
        axis = axes.normal(self.axis, rank + 2)
        pads = tuple((-before, -after) for before, after in self.pads) if crop else self.pads
        value = pads[0] if rank == 1 else pads
        config: dict[str, Any] = {"cropping" if crop else "padding": value}
        if rank > 1 or not crop:  # Cropping1D takes no data_format
            config["data_format"] = data_format(axis)
        return KerasLayer(f"{'Cropping' if crop else 'ZeroPadding'}{rank}D", config, inputs=tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """nn.ZeroPadNd."""
        return TorchCall(f"torch.nn.ZeroPad{len(self.pads)}d", config={"padding": flat_pads(self.pads)})

    def out_shape(self, *inputs: Shape) -> Shape:
        """Each spatial axis longer by its pads."""
        axis = axes.normal(self.axis, len(inputs[0]))
        before = spatial(inputs[0], axis)
        return windows(
            inputs[0], axis, tuple(None if n is None else n + sum(p) for n, p in zip(before, self.pads, strict=True))
        )

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Uneven pads and crops, every rank."""
        yield Example("ZeroPadding2D", ((5, 4, 3),), {"padding": ((1, 2), (0, 3))})
        yield Example("ZeroPadding1D", ((5, 3),), {"padding": 2})
        yield Example("ZeroPadding3D", ((3, 4, 5, 2),), {"padding": (1, 0, 2)})
        yield Example("Cropping2D", ((6, 7, 3),), {"cropping": ((1, 2), (0, 3))})
        yield Example("Cropping1D", ((6, 3),), {"cropping": (1, 2)})
        yield Example("Cropping3D", ((4, 5, 6, 2),), {"cropping": 1})


def _pairs(value: Any, rank: int) -> Pads:
    """(before, after) per axis from what Keras accepts.

    >>> _pairs(1, 2), _pairs((1, 2), 2), _pairs((1, 2), 1)
    (((1, 1), (1, 1)), ((1, 1), (2, 2)), ((1, 2),))
    """
    if isinstance(value, int):
        value = (value,) * rank
    if rank == 1 and len(value) == 2 and isinstance(value[0], int):
        value = (value,)
    pairs = tuple((size, size) if isinstance(size, int) else tuple(size) for size in value)
    if len(pairs) != rank or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise Mismatch(f"{value!r} must be {rank} (before, after) pairs of sizes")
    return pairs
