"""In which order of axes an ONNX model of a Keras model takes and returns its tensors."""

from __future__ import annotations

from collections.abc import Sequence

from xconv import axes
from xconv.errors import XConvError
from xconv.inputs import leaves
from xconv.keras.run import KerasSide
from xconv.layout import Layout
from xconv.torch.record import Port, Record

__all__ = ["IMAGE", "orders", "others", "ports"]

IMAGE = axes.channels_first(4)


def others(names: Sequence[str], orders: Sequence[axes.Order]) -> dict[str, axes.Order]:
    """The tensors that are turned, apart from images, which tf2onnx turns itself."""
    pairs = zip(names, orders, strict=True)
    return {name: order for name, order in pairs if order != IMAGE and not axes.is_identity(order)}


def orders(side: KerasSide, layout: Layout, ranks: Sequence[int]) -> tuple[list[axes.Order], list[axes.Order]]:
    """The order in which every input is taken and every output returned."""
    if layout == "channels_last":
        return [axes.identity(len(feed.shape)) for feed in side.feeds()], [axes.identity(rank) for rank in ranks]
    record = ports(side, layout)
    held = [port.order for port in record.inputs]
    outputs = [port.order for _, port in leaves(record.outputs)]
    return held, outputs if len(outputs) == len(ranks) else [_first(rank) for rank in ranks]


def ports(side: KerasSide, layout: Layout) -> Record:
    """The inputs and outputs that a torch module has which stands for the model: those of a direct conversion.

    Where xconv cannot read the model, images are channels-first and nothing else is turned.
    """
    from xconv.api import read_keras
    from xconv.layout import resolve
    from xconv.torch.origin import record_of

    feeds = side.feeds()
    try:
        found = record_of(resolve(read_keras(side.model), "first", layout), layout, {})
    except XConvError:
        found = None
    if found is None or len(found.inputs) != len(feeds):
        entries = tuple(
            Port(f.name, f.shape, _first(len(f.shape)) if layout == "channels_first" else axes.identity(len(f.shape)))
            for f in feeds
        )
        return Record(side.name, layout, entries, None)
    by_name = {port.name: port for port in found.inputs}
    named = set(by_name) == {feed.name for feed in feeds}
    entries = tuple(by_name[feed.name] for feed in feeds) if named else found.inputs
    return Record(side.name, layout, entries, found.outputs)


def _first(rank: int) -> axes.Order:
    return axes.channels_first(rank) if rank > 3 else axes.identity(rank)
