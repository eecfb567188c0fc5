"""A softmax or sigmoid on one side alone, twice, or another one: probabilities against logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xconv.causes.lone import makes_probabilities
from xconv.causes.remedies import mending
from xconv.causes.settings import Change
from xconv.causes.structure import found
from xconv.causes.wording import removed_line, replaced_line
from xconv.comparison.case import Case
from xconv.diagnosis.records import Place, Suspicion
from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation

__all__ = ["softmax"]


def softmax(case: Case) -> Iterator[Suspicion]:
    """Softmax layers of which one side has more, or that are something else there."""
    everything = found(case, "softmax")
    if everything.changes:
        yield _otherwise(case, everything.changes)
    ours, theirs = everything.lone.a, everything.lone.b
    if not ours and not theirs:
        return
    places = (
        *(Place(node.name, "", f"a {_word(node)}", "") for node in ours),
        *(Place("", node.name, "", f"a {_word(node)}") for node in theirs),
    )
    mend = mending(case, lone=everything.lone)
    yield Suspicion("softmax", _text(case, ours, theirs), places, _remedy(case, ours, theirs), mend)


def _otherwise(case: Case, changes: Sequence[Change]) -> Suspicion:
    """Softmaxes along another axis, or with a logarithm."""
    first = changes[0]
    text = f"{first.b.name} is another softmax: {first.said(first.a)} against {first.said(first.b)}"
    places = tuple(
        Place(change.a.name, change.b.name, change.said(change.a), change.said(change.b)) for change in changes
    )
    return Suspicion("softmax", text, places, replaced_line(case, first.a, first.b), mending(case, changes=changes))


def _text(case: Case, ours: Sequence[Node], theirs: Sequence[Node]) -> str:
    if ours and theirs:
        return f"a returns what a {_word(ours[0])} makes of the logits, b what a {_word(theirs[0])} makes"
    name, graph, nodes = ("a", case.a.graph, ours) if ours else ("b", case.b.graph, theirs)
    other = "b" if ours else "a"
    if any(_is_repeated(node, graph) for node in nodes):
        return f"{name} makes probabilities of probabilities: a {_word(nodes[0])} applied twice, in {other} once"
    if any(Value(node.name) in graph.output_values() for node in nodes):
        return f"{name} returns probabilities, {other} logits"
    return f"{name} has a {_word(nodes[0])} inside that {other} lacks"


def _remedy(case: Case, ours: Sequence[Node], theirs: Sequence[Node]) -> str:
    if ours and theirs:
        return replaced_line(case, ours[0], theirs[0])
    if theirs:
        return removed_line(case, theirs[0])
    word = _word(ours[0]).replace(" ", "_")
    ending = "" if word == "sigmoid" else ", -1" if case.b.framework == "torch" else ", axis=-1"
    home = "torch" if case.b.framework == "torch" else "keras.ops"
    return f"{home}.{word}(b(x){ending})"


def _is_repeated(node: Node, graph: Graph) -> bool:
    """Whether it takes probabilities, or what it makes is made into probabilities again."""
    known = graph.by_name()
    beside = [known[value.node] for value in node.inputs] + graph.consumers().get(Value(node.name), [])
    return any(_word(other) == _word(node) and _is_of_kind(other, graph) for other in beside)


def _is_of_kind(node: Node, graph: Graph) -> bool:
    return makes_probabilities(node, graph) or (isinstance(node.spec, Activation) and node.spec.name == "sigmoid")


def _word(node: Node) -> str:
    if isinstance(node.spec, Activation):
        return node.spec.name
    return "log softmax" if getattr(node.spec, "log", False) else "softmax"
