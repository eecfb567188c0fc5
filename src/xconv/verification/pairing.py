"""Which of two sides is the reference, and how the layouts of the other one correspond to it."""

from __future__ import annotations

from typing import Any

from xconv import axes
from xconv.errors import XConvError
from xconv.graph import map_structure
from xconv.inputs import Feed
from xconv.sides import Side
from xconv.torch.record import Port, Record

__all__ = ["paired"]


def paired(a: Side, b: Side) -> tuple[Side, Side]:
    """(reference, other): the Keras side first, else `a`.

    A torch side that has no record of its own, or one of another model, takes the layouts that follow from the other
    side: from its record, or from where a conversion of it would put the channels.
    """
    reference, other = (b, a) if b.framework == "keras" != a.framework else (a, b)
    for side, opposite in ((reference, other), (other, reference)):
        if side.framework in ("torch", "onnx") and not _has_fitting_record(side, opposite):
            record = counterpart(opposite)
            if record is not None:
                side.assume(record)  # type: ignore[attr-defined]
                if side.framework == "torch" and not _remembers(opposite):
                    side.notes.append(_note(side, record))
    return reference, other


def _remembers(side: Any) -> bool:
    """Whether it is a Keras model that xconv made, so that nothing had to be guessed."""
    from xconv.keras.origin import remembered

    return side.framework == "keras" and remembered(side.model) is not None


def counterpart(side: Any) -> Record | None:
    """The ports of a torch module that is the same network as this side; None where nothing tells them."""
    if side.framework == "torch":
        return side.record  # type: ignore[no-any-return]
    if side.framework != "keras":
        return None
    from xconv.keras.origin import remembered

    record = remembered(side.model)
    if record is not None:
        return _reversed(record)
    return _converted(side) or _by_rank(side)


def _has_fitting_record(side: Any, opposite: Any) -> bool:
    """Whether the side has a record of a model whose inputs are those of the opposite side."""
    if side.record is None:
        return False
    feeds = opposite.feeds() if opposite.framework == "keras" else ()
    if not feeds:
        return True
    ports = {port.name: port for port in side.record.inputs}
    named = {feed.name for feed in feeds} == set(ports)
    ordered = [ports[feed.name] for feed in feeds] if named else side.record.inputs
    return len(feeds) == len(ordered) and all(map(_agree, feeds, ordered))


def _agree(feed: Feed, port: Port) -> bool:
    pairs = zip(feed.shape, port.shape, strict=False)
    return len(feed.shape) == len(port.shape) and all(None in pair or pair[0] == pair[1] for pair in pairs)


def _reversed(record: Record) -> Record:
    """The record of a Keras model made of a torch module, seen from Keras."""

    def port(item: Port) -> Port:
        return Port(item.name, axes.apply(item.shape, item.order), axes.inverse(item.order), item.dtype)

    inputs, outputs = tuple(map(port, record.inputs)), map_structure(port, record.outputs)
    return Record(record.source, record.input_layout, inputs, outputs)


def _converted(side: Any) -> Record | None:
    """The ports that the model would have in torch; None where it cannot be read."""
    from xconv.api import read_keras
    from xconv.layout import resolve
    from xconv.torch.origin import record_of

    try:
        graph = resolve(read_keras(side.model), "first", "channels_first")
    except XConvError:
        return None
    record = record_of(graph, "channels_first", {})
    by_name = {port.name: port for port in record.inputs}
    feeds = side.feeds()
    if set(by_name) != {feed.name for feed in feeds}:
        return record if len(feeds) == len(by_name) else None
    ordered = tuple(by_name[feed.name] for feed in feeds)
    return Record(record.source, "channels_first", ordered, record.outputs)


def _by_rank(side: Any) -> Record | None:
    """Images channels-first, everything else as it is; outputs are not known."""
    feeds = side.feeds()
    if not feeds:
        return None
    ports = tuple(Port(f.name, f.shape, _first(len(f.shape)), f.dtype) for f in feeds)
    return Record(side.name, "channels_first", ports, None)


def _first(rank: int) -> axes.Order:
    return axes.channels_first(rank) if rank > 3 else axes.identity(rank)


def _note(side: Side, record: Record) -> str:
    turned = any(not axes.is_identity(port.order) for port in record.inputs)
    how = "images are fed channels-first, its images turned back" if turned else "it is fed as the other side"
    return f"{side.name} has no record: {how}"
