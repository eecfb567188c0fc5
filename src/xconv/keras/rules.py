"""Which rule reads a Keras layer, and what is refused before or after it has read."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from xconv.errors import Problem, Unsupported
from xconv.keras.records import Entry, KerasModel
from xconv.layers import RULES
from xconv.layers.refused import REFUSED, Refusal
from xconv.registry import Rule, registered
from xconv.spec import KerasLayer

__all__ = ["check_unread", "notes_on", "rule_for", "unreadable"]

NO_EFFECT = frozenset(
    {"name", "trainable", "dtype", "autocast", "build_config", "shared_object_id", "lora_rank", "lora_alpha"}
)
"""Config entries without effect on what a layer computes; the dtype policy is read by `Casting`."""

PENALTIES = ("kernel_regularizer", "bias_regularizer", "activity_regularizer", "gamma_regularizer", "beta_regularizer")

TRAINING_ONLY = ("_initializer", "_constraint", "_regularizer", "quantization_config", "_lora", "unit_forget_bias")

BUILT_IN = ("keras.", "tf_keras.", "tensorflow.keras.")
"""Where Keras's own classes live; `keras_hub` and the like are not among them."""


def rule_for(entry: Entry) -> Rule | None:
    """The rule that says what an entry means: a registered one, or a family's where the class is Keras's own."""
    if entry.is_op:
        family = RULES.get(f"ops.{entry.kind}")
        return family.from_keras if family else None
    rule = registered(entry.kind, entry.registered_name)
    if rule or not f"{entry.module}.".startswith(BUILT_IN):
        return rule
    family = RULES.get(entry.kind)
    return family.from_keras if family else None


def unreadable(model: KerasModel, prefix: str) -> Iterator[Problem]:
    """Every entry that no rule can read, nested ones included."""
    for entry in model.entries:
        place = f"{prefix}{entry.name}"
        if entry.problem:
            yield Problem(place, entry.problem, _advice(entry))
        elif entry.inner is not None:
            yield from unreadable(entry.inner, f"{place}/")
        elif rule_for(entry) is None and (refusal := _refusal(entry)):
            what = f"{'operation' if entry.is_op else 'layer'} {entry.kind!r}: {refusal.reason}"
            yield Problem(place, what, refusal.remedy)
        elif rule_for(entry) is None:
            what = f"{'operation' if entry.is_op else 'layer'} {entry.kind!r} has no rule"
            yield Problem(place, what, _advice(entry))


def _refusal(entry: Entry) -> Refusal | None:
    """Why a class of Keras's own is not converted."""
    if not entry.is_op and not f"{entry.module}.".startswith(BUILT_IN):
        return None
    return REFUSED.get(f"ops.{entry.kind}" if entry.is_op else entry.kind)


def _advice(entry: Entry) -> str:
    """What to do about an entry that cannot be read."""
    if entry.remedy:
        return entry.remedy
    names = [kind.removeprefix("ops.") for kind in RULES if kind.startswith("ops.") == entry.is_op]
    near = difflib.get_close_matches(entry.kind, names, n=2) if not entry.problem else []
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    if entry.is_op:
        return f"write it with other operations{hint}"
    return f"teach it with xconv.register({entry.kind!r}), or give the live model if it is made of known layers{hint}"


def check_unread(layer: KerasLayer) -> None:
    """Nothing in a config or call is silently ignored."""
    given = {**layer.config, **layer.kwargs}
    left = sorted(key for key in layer.unread if given[key] is not None and not _without_effect(key))
    if left:
        said = ", ".join(f"{key}={given[key]!r}" for key in left)
        raise Unsupported(f"{layer.kind} has {said}, which xconv does not know", remedy="update xconv, or report it")


def _without_effect(key: str) -> bool:
    return key in NO_EFFECT or key.endswith(TRAINING_ONLY)


def notes_on(entry: Entry, kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """What a reader of the report should know about a layer."""
    notes = list(entry.notes)
    penalties = [key for key in PENALTIES if entry.config.get(key)]
    if entry.kind == "ActivityRegularization":
        penalties.append("its activity penalty")
    if penalties:
        notes.append(f"{', '.join(penalties)}: the penalty is not part of a torch module; add it to the loss")
    mode = kwargs.get("training")
    if mode is not None:
        notes.append(
            f"called with training={mode}: Keras keeps that mode in training; here it follows train() and eval()"
        )
    return tuple(notes)
