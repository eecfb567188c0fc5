"""What most causes in the graph are told by: pairs with other settings, lone nodes and other wires, in one finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from xconv.causes.claims import claims_of
from xconv.causes.lone import Lone
from xconv.causes.remedies import change_places, lone_places, mending, wire_places
from xconv.causes.settings import Change
from xconv.causes.wires import Wire
from xconv.causes.wording import inserted_line, removed_line, replaced_line, said
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion
from xconv.graph import Node
from xconv.layers.io import Variable

__all__ = ["Found", "found", "remedy_line"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a cause claims in a case, or a part of it."""

    case: Case
    cause: str
    changes: Sequence[Change] = ()
    resized: Sequence[Change] = ()
    lone: Lone = field(default_factory=Lone)
    wires: Sequence[Wire] = ()

    def __bool__(self) -> bool:
        return bool(self.changes or self.lone or self.resized or self.wires)

    def parts(self) -> Iterator[Found]:
        """What is found apart: pairs that say the same two things, and lone nodes that are the same."""
        pairs = [*self.changes, *self.resized]
        for words in dict.fromkeys((said(change.a), said(change.b)) for change in pairs):
            same = [[c for c in kind if (said(c.a), said(c.b)) == words] for kind in (self.changes, self.resized)]
            yield replace(self, changes=same[0], resized=same[1], lone=Lone(), wires=())
        for word in dict.fromkeys(map(said, self.lone.a)):
            nodes = tuple(node for node in self.lone.a if said(node) == word)
            yield Found(self.case, self.cause, lone=Lone(a=nodes))
        for word in dict.fromkeys(map(said, self.lone.b)):
            nodes = tuple(node for node in self.lone.b if said(node) == word)
            yield Found(self.case, self.cause, lone=Lone(b=nodes))
        if self.wires:
            yield Found(self.case, self.cause, wires=self.wires)

    @property
    def pairs(self) -> Sequence[Change]:
        """The pairs that differ in settings or sizes."""
        return (*self.changes, *self.resized)

    def suspicion(self, text: str, remedy: str = "", hint: str = "", cause: str = "") -> Suspicion:
        """All of it as one suspicion."""
        places = (
            *change_places(self.changes),
            *change_places(self.resized),
            *lone_places(self.lone),
            *wire_places(self.wires),
        )
        mend = mending(self.case, changes=self.changes, lone=self.lone, wires=self.wires, resized=self.resized)
        return Suspicion(cause or self.cause, text, places, remedy or self.remedy(), mend, hint=hint)

    def remedy(self) -> str:
        """The remedy of the first thing that is found, as a line."""
        return remedy_line(self.case, self.pairs, self.lone, self.wires)


def found(case: Case, cause: str) -> Found:
    """All that a cause claims in a case."""
    claims = claims_of(case)
    changes, resized, wires = claims.changes(cause), claims.resized.get(cause, ()), claims.wires.get(cause, ())
    return Found(case, cause, changes, resized, claims.lone_of(cause), wires)


def remedy_line(case: Case, changes: Sequence[Change], lone: Lone, wires: Sequence[Wire] = ()) -> str:
    """The lines of code for the first pair, the first node of `a` alone, of `b` alone, and the first wire."""
    lines = [replaced_line(case, changes[0].a, changes[0].b)] if changes else []
    made = [node for node in lone.a if not _is_constant(case, node)] or lone.a
    lines += [inserted_line(case, made[0])] if made else []
    lines += [removed_line(case, lone.b[0])] if lone.b else []
    lines += [_taken(case, wires[0])] if wires else []
    return "; ".join(lines)


def _taken(case: Case, wire: Wire) -> str:
    pairs = [(case.in_b(value), value) for value in wire.takes_a]
    takes = ", ".join(str(there) if there is not None else f"what a has as {mine}" for there, mine in pairs)
    return f"let {wire.b or 'the model return'} {'take ' if wire.b else ''}{takes}"


def _is_constant(case: Case, node: Node) -> bool:
    """Whether a node of `a` is made of free weights alone."""
    return isinstance(node.spec, Variable) or (
        bool(node.inputs) and all(_is_constant(case, case.nodes_a[value.node]) for value in node.inputs)
    )
