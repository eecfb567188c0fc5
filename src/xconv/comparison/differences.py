"""What two aligned models say differently: every setting, weight, wire and lone node, as records (`differences`).

Nothing here judges: which of these change the result, and why, is for the readers of the records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import isclose
from typing import Any, TypeAlias

from xconv import axes
from xconv.comparison.case import Case
from xconv.graph import Node, Value
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.elementwise import Elementwise
from xconv.layers.geometry import Sizes
from xconv.layers.io import Input
from xconv.layers.multi_head_attention import MultiHeadAttention
from xconv.layers.pool import Pool
from xconv.layers.rescale import Rescaling
from xconv.padding import Pads, effective, out_size, same_pads
from xconv.passes.without_unused import without_unused
from xconv.spec import Shape

__all__ = ["Unlike", "differences", "effective_pads", "reach_of"]

COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum"})
TRAINING = {BatchNorm: {"momentum", "frozen"}, MultiHeadAttention: {"dropout"}}
"""Settings that change nothing in inference."""
UNSAID = {Elementwise: {"merge"}, Input: {"dtype"}}
"""Fields that change nothing at all."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """One thing that the two models say differently.

    `kind` is the name of a setting (`stride`, `padding`, `epsilon`), or:

    - `node`: a node that the other model lacks;
    - `inputs`: a node takes something else, or in another order;
    - `weight`: a weight that only one of two layers has; `role` tells which;
    - `shape`: a weight of another shape;
    - `ports`: another number of inputs or outputs of the model.
    """

    kind: str
    a: str
    """The node of `a`; empty where it has none."""
    b: str
    says_a: Any
    says_b: Any
    role: str = ""
    inference: bool = True
    """Whether it matters in inference; `momentum` does not."""


def differences(case: Case) -> Iterator[Unlike]:
    """Everything that the two models say differently, in the order of `a`; then what `b` alone has.

    Settings are compared by what they do: pads that no window reaches are as good as none, and 'same' is what it comes
    to where the size is known.
    """
    yield from _ports(case)
    lone, used = set(case.alignment.only_a), [without_unused(side.graph).by_name() for side in (case.a, case.b)]
    for name, node in case.nodes_a.items():
        if name in lone:
            if name in used[0]:
                yield Unlike("node", name, "", node.spec, None)
            continue
        other = case.nodes_b[case.alignment.to_b[name]]
        yield from _settings(case, node, other)
        yield from _weights(node, other)
        yield from _wires(case, node, other)
    for node in case.only_b():
        if node.name in used[1]:
            yield Unlike("node", "", node.name, None, node.spec)


Reach: TypeAlias = tuple[tuple[int | None, int | None], ...]


def effective_pads(padding: Pads | None, kernel: Sizes, stride: Sizes, dilation: Sizes, sizes: Shape) -> Reach:
    """The pads of a window along each axis, as far as a window reaches; the last is negative where pixels stay unused.

    Where a size is open they are as they are said; None where they depend on the size.

    >>> effective_pads(((1, 1),), (3,), (2,), (1,), (8,)), effective_pads(None, (3,), (2,), (1,), (8,))
    (((1, 0),), ((0, 1),))
    """
    found: list[tuple[int | None, int | None]] = []
    for place, (k, s, d, size) in enumerate(zip(kernel, stride, dilation, sizes, strict=True)):
        said = _along(padding, place, k, s, d, size)
        count = out_size(size, k, s, d, said) if said else None
        if said is None or size is None or count is None:
            found.append(said or (None, None))
        else:
            found.append((said[0], (count - 1) * s + effective(k, d) - size - said[0]))
    return tuple(found)


def _along(padding: Pads | None, place: int, k: int, s: int, d: int, size: int | None) -> tuple[int, int] | None:
    """The pads along one axis; None where 'same' depends on a size that is open."""
    if padding is not None:
        return padding[place]
    known = same_pads((size,), (k,), (s,), (d,))
    return known[0] if known else None


def _ports(case: Case) -> Iterator[Unlike]:
    a, b = case.a.graph, case.b.graph
    for name in ("input_values", "output_values"):
        ours, theirs = (getattr(graph, name)() for graph in (a, b))
        if len(ours) != len(theirs):
            yield Unlike("ports", "", "", len(ours), len(theirs), name.removesuffix("_values"))
            continue
        for mine, other in zip(ours, theirs, strict=True):
            if name == "output_values" and not _same_end(case, mine, other):
                yield Unlike("inputs", "", "", str(mine), str(other), "output")


def _same_end(case: Case, a: Value, b: Value) -> bool:
    """Whether two outputs are one, up to lone nodes before them, which are told apart."""
    return case.in_b(_before(case.nodes_a, a, case.alignment.to_b)) == _before(case.nodes_b, b, case.alignment.to_a)


def _settings(case: Case, a: Node, b: Node) -> Iterator[Unlike]:
    """The fields in which two Specs of one family differ; two families that are a pair differ in `family`."""
    if type(a.spec) is not type(b.spec):
        yield Unlike("family", a.name, b.name, a.spec, b.spec)
        return
    unsaid = UNSAID.get(type(a.spec), set())
    training = TRAINING.get(type(a.spec), set())
    for entry in fields(a.spec):
        if entry.name in unsaid:
            continue
        ours, theirs = _meant(case.nodes_a, a, entry.name), _meant(case.nodes_b, b, entry.name)
        if not _equal(ours, theirs):
            if entry.name != "axis":
                ours, theirs = getattr(a.spec, entry.name), getattr(b.spec, entry.name)
            yield Unlike(entry.name, a.name, b.name, ours, theirs, inference=entry.name not in training)


def _meant(nodes: Mapping[str, Node], node: Node, name: str) -> Any:
    """What a field means, said in the one way in which it is compared."""
    spec = node.spec
    value = getattr(spec, name)
    shape = nodes[node.inputs[0].node].shapes[node.inputs[0].index] if node.inputs else node.shapes[0]
    if name == "axis" and isinstance(spec, Rescaling) and not spec.has_lists:
        return None
    if name == "axis" and isinstance(value, int):
        return axes.normal(value, len(shape))
    if name == "padding" and isinstance(spec, (Conv, Pool)):
        return reach_of(spec, shape)
    if name == "counts_pads" and isinstance(spec, Pool):
        padded = any((before or 0) > 0 or (after or 0) > 0 for before, after in reach_of(spec, shape))
        return value and padded and spec.kind == "average"
    if name == "operands" and isinstance(spec, Elementwise) and spec.name in COMMUTATIVE:
        return tuple(sorted(value, key=lambda item: isinstance(item, float)))
    return dict(value) if name == "parameters" else value


def reach_of(spec: Conv | Pool, shape: Shape) -> Reach:
    """The effective pads of a layer's windows over a map of this shape."""
    channels = axes.normal(spec.axis, len(shape))
    sizes = tuple(size for place, size in enumerate(shape) if place not in (0, channels))
    dilation = spec.dilation if isinstance(spec, Conv) else (1,) * len(sizes)
    return effective_pads(spec.padding, spec.kernel, spec.stride, dilation, sizes)


def _equal(a: Any, b: Any) -> bool:
    """Whether two settings are the same; numbers up to the last digits of a float."""
    if isinstance(a, float) and isinstance(b, float):
        return a == b or isclose(a, b, rel_tol=1e-12)
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    return bool(a == b)


def _weights(a: Node, b: Node) -> Iterator[Unlike]:
    """Weights that only one side has, and those of another shape."""
    for role in dict.fromkeys((*a.weights, *b.weights)):
        ours, theirs = a.weights.get(role), b.weights.get(role)
        if ours is None or theirs is None:
            yield Unlike("weight", a.name, b.name, ours and ours.shape, theirs and theirs.shape, role)
        elif ours.shape != theirs.shape:
            yield Unlike("shape", a.name, b.name, ours.shape, theirs.shape, role)


def _wires(case: Case, a: Node, b: Node) -> Iterator[Unlike]:
    """Whether two nodes take the same; nodes that one side lacks are stepped over, they are told apart."""
    ours = [case.in_b(_before(case.nodes_a, value, case.alignment.to_b)) for value in a.inputs]
    theirs = [_before(case.nodes_b, value, case.alignment.to_a) for value in b.inputs]
    known_a, known_b = [str(value) for value in ours], [str(value) for value in theirs]
    if isinstance(a.spec, Elementwise) and a.spec.name in COMMUTATIVE:
        known_a.sort()
        known_b.sort()
    if known_a != known_b:
        yield Unlike("inputs", a.name, b.name, tuple(map(str, a.inputs)), tuple(map(str, b.inputs)))


def _before(nodes: Mapping[str, Node], value: Value, paired: Mapping[str, str]) -> Value:
    """The value itself, or what a chain of lone nodes makes it of."""
    while value.node not in paired and nodes[value.node].inputs:
        value = nodes[value.node].inputs[0]
    return value
