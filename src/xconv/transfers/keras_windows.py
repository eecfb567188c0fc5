"""What Keras says of windows and pads: a word, or a layer of zeros before."""

from __future__ import annotations

from typing import Any

from xconv.errors import Unsupported
from xconv.layers.conv import Conv
from xconv.layers.geometry import keras_padding
from xconv.layers.pad import Pad
from xconv.layers.pool import Pool
from xconv.padding import Pads
from xconv.spec import Shape, Slot
from xconv.transfers.wishes import Window

__all__ = ["pads_argument", "said_pads", "zeros_layer"]


def said_pads(wish: Window, shape: Shape) -> tuple[Pads | None, bool]:
    """The pads that a layer needs, and whether only a layer of zeros before it can say them; None for 'same'.

    Raises:
        Unsupported: a maximum would see the zeros; a mean would count them.
    """
    spec, pads = wish.spec, wish.spec.padding
    pool = isinstance(spec, Pool)
    if any(map(any, wish.zeros)):
        if pads is None or any(map(any, pads)):
            raise Unsupported("zeros around the map and pads of its own")
        return wish.zeros, True
    if pads is None or (isinstance(spec, Pool) and spec.counts_pads and any(map(any, pads))):
        return pads, pads is not None
    dilation = spec.dilation if isinstance(spec, Conv) else (1,) * len(spec.kernel)
    word, source = keras_padding(pads, shape, 1, spec.kernel, spec.stride, dilation)
    explicit = not isinstance(source, Slot) or word == "causal"
    if explicit and pool and not (isinstance(spec, Pool) and spec.kind == "max" and wish.safe):
        what = "a maximum that ignores its pads" if wish.spec.kind == "max" else "a mean that leaves its pads out"  # type: ignore[union-attr]
        raise Unsupported(f"{what}, with pads {pads}, has no words in Keras")
    return pads, explicit


def zeros_layer(pads: Pads, data_format: str | None) -> tuple[str, dict[str, Any]]:
    """The layer that puts zeros around a map, or takes its border away."""
    said = Pad(pads, 1 if data_format == "channels_first" else -1).to_keras({}, ((None,) * (len(pads) + 2),))
    return said.kind, dict(said.config)


def pads_argument(pads: Pads) -> Any:
    """Pads as a layer of zeros takes them."""
    return pads if len(pads) > 1 else pads[0]
