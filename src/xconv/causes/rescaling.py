"""Scaling of the input inside the model: in one alone, with other numbers, or twice; channels in reverse."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.structure import Found, found
from xconv.causes.wording import names_of, said
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node

__all__ = ["channel_reversal", "rescaling"]

TWICE = "leave out the preprocessing before the model, or the layer in it: together they scale twice"
MODES = "keras.applications: caffe subtracts means from BGR, tf is x / 127.5 - 1, torch is (x / 255 - mean) / std"


def rescaling(case: Case) -> Iterator[Suspicion]:
    """Layers that scale the input: other numbers, and those that a side lacks."""
    everything = found(case, "rescaling")
    if everything.pairs:
        change = everything.pairs[0]
        text = f"both scale their input, otherwise: {said(change.a)} against {said(change.b)}"
        part = Found(case, "scaling", everything.changes, everything.resized)
        yield part.suspicion(text, hint=MODES)
    lone = everything.lone
    if not lone:
        return
    part = Found(case, "scaling", lone=lone)
    if lone.a and lone.b:
        text = f"a scales its input by {_chain(lone.a)}, b by {_chain(lone.b)}"
    elif lone.a:
        text = f"a scales its input ({_chain(lone.a)}), b does not: b expects numbers that are scaled already"
    else:
        again = "once more" if _scales_too(case) else "inside the model"
        text = f"b scales its input {again} ({_chain(lone.b)}), a does not"
    yield part.suspicion(text, hint=MODES if lone.a and lone.b else TWICE)


def channel_reversal(case: Case) -> Iterator[Suspicion]:
    """Channels that one model reverses itself."""
    everything = found(case, "channel_order")
    if everything:
        who = "a" if everything.lone.a else "b"
        yield everything.suspicion(f"{who} reverses the order of its channels inside the model, the other does not")


def _chain(nodes: tuple[Node, ...]) -> str:
    return ", then ".join(map(said, nodes))


def _scales_too(case: Case) -> bool:
    """Whether both have a layer that scales their input."""
    return any(names_of([a]) in ("Rescaling", "Normalization") for a, _ in case.pairs())
