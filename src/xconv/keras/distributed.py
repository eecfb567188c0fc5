"""TimeDistributed around a model, or around statistics of the batch, which Keras takes for every step by itself."""

from __future__ import annotations

from collections.abc import Mapping

from xconv.keras.composites import Part, is_model, owners, part_of
from xconv.keras.records import Call, Entry, KerasModel, Ref

__all__ = ["has_statistics", "inner_of"]

STATISTICS = "BatchNormalization"


def inner_of(entry: Entry) -> KerasModel | None:
    """What is called for every step, as a model; None for a layer that a rule reads by itself."""
    if entry.kind != "TimeDistributed":
        return None
    if entry.inner is not None:
        return entry.inner
    wrapped = entry.config.get("layer")
    if not isinstance(wrapped, Mapping) or wrapped.get("class_name") != STATISTICS:
        return None
    part = part_of(wrapped, "the wrapped layer")
    name = str(part.config.get("name") or "layer")
    live = part.config.get("trainable") is not False
    call = Call((Ref("step"),))
    layer = Entry(name, part.kind, config=part.config, calls=(call,), weights=entry.weights, trainable=live)
    return KerasModel(entry.name, (Entry("step", "InputLayer", calls=(Call(),)), layer), Ref("step"), Ref(name))


def has_statistics(model: KerasModel, trainable: bool) -> bool:
    """Whether a model computes with statistics of the batch in training."""
    for entry in model.entries:
        live = trainable and entry.trainable
        if entry.inner is not None and has_statistics(entry.inner, live):
            return True
        if live and not entry.is_op and entry.kind != "InputLayer" and _holds(entry):
            return True
    return False


def _holds(entry: Entry) -> bool:
    part = Part(entry.kind, entry.config)
    return not is_model(part) and any(owner.part.kind == STATISTICS for owner in owners(part, ()))
