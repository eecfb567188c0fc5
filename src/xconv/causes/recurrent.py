"""Recurrent layers: activations, the reset gate, the direction, all steps or the last one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xconv.causes.settings import Change
from xconv.causes.structure import Found, found
from xconv.causes.wording import names_of, said
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Value
from xconv.layers.recurrent import Recurrent

__all__ = ["recurrent"]

WORDS = {
    "kind": "another cell",
    "activation": "another activation of the states",
    "reset_after": "the reset gate acts before the product in the one, after it in the other",
    "backward": "the steps are read in another direction",
    "both": "the one reads the steps both ways",
    "merge": "both directions are joined in another way",
    "sequences": "the one returns all steps, the other the last one",
    "states": "the one returns its final states too",
}
RESET = "Keras's GRU has reset_after=True as cuDNN and torch do; Keras 1 and the paper reset before the product"


def recurrent(case: Case) -> Iterator[Suspicion]:
    """Recurrent layers with other settings, with what takes their steps; steps taken otherwise."""
    everything = found(case, "recurrent")
    if everything.lone or everything.wires or everything.resized:
        yield _as_one(everything)
        return
    for part in everything.parts():
        first = part.pairs[0]
        yield part.suspicion(f"{'; '.join(_words(first))}: {_said(first)}", _remedy(case, first))


def _as_one(everything: Found) -> Suspicion:
    """What fits together only: a layer whose weights are others, and what takes its steps."""
    sides = ("a", everything.lone.a), ("b", everything.lone.b)
    pairs = [change for change in everything.pairs if isinstance(change.a.spec, Recurrent)]
    words = [word for change in pairs[:1] for word in _words(change)]
    words += [f"{side} takes {names_of(nodes)} of the steps" for side, nodes in sides if nodes]
    words += [f"a takes {_of(wire.takes_a)}, b {_of(wire.takes_b)}" for wire in everything.wires]
    fields = {name for change in pairs for name in change.fields}
    suspicion = everything.suspicion("; ".join(words), hint=RESET if "reset_after" in fields else "")
    return replace(suspicion, places=(*suspicion.places, *_read(everything)))


def _read(everything: Found) -> Iterator[Place]:
    """The recurrent layers whose steps lone nodes take."""
    case = everything.case
    takers = {value.node: node for node in everything.lone.a for value in node.inputs}
    others = {value.node: node for node in everything.lone.b for value in node.inputs}
    told = {change.a.name for change in everything.pairs}
    for a, b in case.pairs():
        if isinstance(a.spec, Recurrent) and a.name not in told and (a.name in takers or b.name in others):
            yield Place(a.name, b.name, f"read by {said(takers.get(a.name))}", f"read by {said(others.get(b.name))}")


def _words(change: Change) -> list[str]:
    return [WORDS.get(name, f"another {name}") for name in change.fields]


def _of(values: tuple[Value, ...]) -> str:
    return " and ".join(map(str, values))


def _said(change: Change) -> str:
    return f"{change.said(change.a)} against {change.said(change.b)}"


def _remedy(case: Case, change: Change) -> str:
    spec, where = change.a.spec, spelled(case.b, change.b)
    if case.b.framework == "torch" and change.fields == ("sequences",):
        return f"take {'all steps' if getattr(spec, 'sequences', False) else 'x[:, -1]'} of what {where} returns"
    return f"{', '.join(f'{name}={getattr(spec, name)!r}' for name in change.fields)} in {where}"
