"""What Keras says of windows and pads: a word, or a layer of zeros or an operation before."""

from __future__ import annotations

from math import inf
from typing import Any

from xconv.errors import Unsupported
from xconv.layers.conv import Conv
from xconv.layers.geometry import keras_padding
from xconv.layers.pad import Pad
from xconv.layers.pool import Pool
from xconv.padding import Pads
from xconv.spec import Shape, Slot
from xconv.transfers.wishes import Window

__all__ = ["ignored_layer", "ignores_pads", "pads_argument", "said_pads", "zeros_layer"]


def said_pads(wish: Window, shape: Shape) -> tuple[Pads | None, float | None]:
    """The pads that a layer needs, and what stands in them where only something before the layer can say them.

    The pads are None for 'same' of a size that is open; what stands in them is None where Keras has a word for them.

    Raises:
        Unsupported: a mean would count them.
    """
    spec, pads = wish.spec, wish.spec.padding
    if any(map(any, wish.zeros)):
        if pads is None or any(map(any, pads)):
            raise Unsupported("zeros around the map and pads of its own")
        return wish.zeros, 0.0
    if pads is None:
        return None, None
    if isinstance(spec, Pool) and spec.counts_pads and any(map(any, pads)):
        return pads, 0.0
    dilation = spec.dilation if isinstance(spec, Conv) else (1,) * len(spec.kernel)
    word, source = keras_padding(pads, shape, 1, spec.kernel, spec.stride, dilation)
    if isinstance(source, Slot) and word != "causal":
        return pads, None
    if isinstance(spec, Pool) and spec.kind == "average":
        raise Unsupported(f"a mean that leaves its pads out, with pads {pads}, has no words in Keras")
    return pads, -inf if ignores_pads(wish) else 0.0


def ignores_pads(wish: Window) -> bool:
    """Whether it is a maximum in whose pads zeros would be seen."""
    return isinstance(wish.spec, Pool) and wish.spec.kind == "max" and not wish.safe and not any(map(any, wish.zeros))


def ignored_layer(pads: Pads, data_format: str | None) -> tuple[str, dict[str, Any]]:
    """The operation that puts -inf around a map, for a maximum that should not see its pads."""
    first = data_format == "channels_first"
    widths = ((0, 0), (0, 0), *pads) if first else ((0, 0), *pads, (0, 0))
    return "ops.pad", {"pad_width": widths, "constant_values": -inf}


def zeros_layer(pads: Pads, data_format: str | None) -> tuple[str, dict[str, Any]]:
    """The layer that puts zeros around a map, or takes its border away."""
    said = Pad(pads, 1 if data_format == "channels_first" else -1).to_keras({}, ((None,) * (len(pads) + 2),))
    return said.kind, dict(said.config)


def pads_argument(pads: Pads) -> Any:
    """Pads as a layer of zeros takes them."""
    return pads if len(pads) > 1 else pads[0]
