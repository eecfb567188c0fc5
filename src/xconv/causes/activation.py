"""Activations: another function, other parameters, one that a side lacks or applies twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xconv.causes.claims import claims_of
from xconv.causes.lone import Lone
from xconv.causes.remedies import change_places, lone_places, mending
from xconv.causes.settings import Change
from xconv.causes.wording import inserted_line, names_of, removed_line, replaced_line, said
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node
from xconv.layers.activation import Activation

__all__ = ["activation"]

SLOPES = "torch's LeakyReLU has a slope of 0.01, Keras's layer 0.3 and its function 0.2 where none is given"
GELU = "gelu is exact by default in torch and Keras 3's layers; keras.ops.gelu and many older models use tanh"
HARD = "torch and Keras 3 mean relu6(x + 3) / 6 by hard_sigmoid; Keras 2 meant clip(0.2 x + 0.5, 0, 1)"
HINTS = {"leaky_relu": SLOPES, "gelu": GELU, "hard_sigmoid": HARD, "hard_silu": HARD}


def activation(case: Case) -> Iterator[Suspicion]:
    """Activations that are another function on either side, one finding for each two functions; then lone ones."""
    claims = claims_of(case)
    changes, lone = claims.changes("activation"), claims.lone_of("activation")
    spelled_out = any(not isinstance(node.spec, Activation) for node in (*lone.a, *lone.b))
    if spelled_out:
        yield _spelled_out(case, changes, lone)
        return
    for words in dict.fromkeys((said(change.a), said(change.b)) for change in changes):
        yield _changed(case, [change for change in changes if (said(change.a), said(change.b)) == words], words)
    for word in dict.fromkeys(map(said, lone.a)):
        yield _missing(case, [node for node in lone.a if said(node) == word], word)
    for word in dict.fromkeys(map(said, lone.b)):
        yield _superfluous(case, [node for node in lone.b if said(node) == word], word)


def _changed(case: Case, changes: Sequence[Change], words: tuple[str, str]) -> Suspicion:
    first = changes[0]
    text = f"{_count(len(changes), 'activation')} {words[0]} in the one, {words[1]} in the other"
    remedy = replaced_line(case, first.a, first.b)
    return Suspicion(
        "activation", text, (*change_places(changes),), remedy, mending(case, changes=changes), hint=_hint(words)
    )


def _missing(case: Case, nodes: Sequence[Node], word: str) -> Suspicion:
    lone = Lone(a=tuple(nodes))
    text = f"{_count(len(nodes), word)} missing"
    return Suspicion("activation", text, (*lone_places(lone),), inserted_line(case, nodes[0]), mending(case, lone=lone))


def _superfluous(case: Case, nodes: Sequence[Node], word: str) -> Suspicion:
    lone = Lone(b=tuple(nodes))
    twice = any(case.nodes_b[value.node].spec == node.spec for node in nodes for value in node.inputs)
    text = f"{_count(len(nodes), word)} {'applied twice' if twice else 'too many'}"
    return Suspicion("activation", text, (*lone_places(lone),), removed_line(case, nodes[0]), mending(case, lone=lone))


def _spelled_out(case: Case, changes: Sequence[Change], lone: Lone) -> Suspicion:
    """Functions that one side spells out in several operations, so that no pair is the same."""
    ours = [*(change.a for change in changes), *lone.a]
    theirs = [*(change.b for change in changes), *lone.b]
    text = f"activations are computed otherwise: {names_of(ours) or 'nothing'} against {names_of(theirs) or 'nothing'}"
    remedy = f"compute {names_of(ours) or 'nothing'} in place of {names_of(theirs) or 'nothing'}"
    places = (*change_places(changes), *lone_places(lone))
    words = tuple(said(node) for node in (*ours, *theirs))
    return Suspicion("activation", text, places, remedy, mending(case, changes=changes, lone=lone), hint=_hint(words))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s are' if number > 1 else ' is'}"


def _hint(words: Sequence[str]) -> str:
    return next((hint for name, hint in HINTS.items() if any(name in word for word in words)), "")
