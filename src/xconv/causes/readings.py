"""What the array of a layer may hold instead of its own numbers, by the kind of the layer (`readings`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from xconv.causes.forms import (
    Form,
    bias_forms,
    flatten_forms,
    gate_forms,
    kernel_forms,
    reversed_channels,
)
from xconv.causes.variances import variance_forms
from xconv.comparison.case import Case
from xconv.graph import Graph, Node
from xconv.layers.activation import Activation
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.dense import Dense
from xconv.layers.io import Input
from xconv.layers.pad import Pad
from xconv.layers.recurrent import GATES, Recurrent
from xconv.layers.rescale import Normalization, Rescaling
from xconv.layers.reshape import Flatten, Reshape
from xconv.spec import Spec
from xconv.statistics import Array
from xconv.weights import Shape

__all__ = ["Reading", "readings", "same_sums"]

WAY = "_reverse"
FED = Rescaling, Normalization, Pad
"""What may stand between the input and the first convolution."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The numbers that `a` has in some role, in other forms."""

    source: str
    forms: tuple[Form, ...]
    keeps_numbers: bool = True
    """Whether all numbers are there still, in another arrangement."""


def readings(case: Case, a: Node, role: str, ours: Mapping[str, Array], found: Array) -> Iterator[Reading]:
    """Everything that an array found in `b` may be, the likeliest first; `ours` are those of its layer in `a`."""
    spec, shape = a.spec, found.shape
    if isinstance(spec, Recurrent):
        yield from _recurrent(spec, role, ours)
        return
    if isinstance(spec, BatchNorm):
        if role == "variance":
            yield from (Reading(role, (form,), False) for form in variance_forms(ours[role], found, spec.epsilon))
        return
    if len(shape) == 1:
        if "bias" in role:
            yield from (Reading(role, (form,), False) for form in bias_forms())
        return
    yield from (Reading(role, (form,)) for form in _kernel(case, a, role, shape))
    if isinstance(spec, Conv) and _takes_the_input(case.a.graph, a):
        for turned in reversed_channels(shape):
            yield Reading(role, (turned,))
            yield from (Reading(role, (turned, form)) for form in _kernel(case, a, role, shape))


def _kernel(case: Case, a: Node, role: str, shape: Shape) -> Iterator[Form]:
    spec = a.spec
    if isinstance(spec, Dense) and role == "kernel":
        sizes = _flattened(case.a.graph, a)
        if sizes is not None:
            yield from flatten_forms(shape, sizes)
    if isinstance(spec, (Conv, ConvTranspose)):
        groups = spec.groups if isinstance(spec, Conv) else 1
        yield from kernel_forms(shape, groups, len(spec.kernel))
    else:
        yield from kernel_forms(shape)


def _flattened(graph: Graph, node: Node) -> Shape | None:
    """The sizes (C, H, W) of the map that a Dense reads flattened."""
    nodes = graph.by_name()
    (value,) = node.inputs
    while isinstance(nodes[value.node].spec, (Activation, BatchNorm)):
        (value,) = nodes[value.node].inputs
    source = nodes[value.node]
    if not isinstance(source.spec, (Flatten, Reshape)):
        return None
    sizes = graph.shape(source.inputs[0])[1:]
    known = tuple(size for size in sizes if size is not None)
    return known if len(known) == len(sizes) > 1 else None


def _takes_the_input(graph: Graph, node: Node) -> bool:
    nodes = graph.by_name()
    source = nodes[node.inputs[0].node]
    while isinstance(source.spec, FED):
        source = nodes[source.inputs[0].node]
    return isinstance(source.spec, Input)


def _rows_of(spec: Recurrent, role: str) -> int:
    """How many biases a flat bias holds, one after the other."""
    return 2 if role.startswith("bias") and spec.kind == "gru" and spec.reset_after else 1


def _recurrent(spec: Recurrent, role: str, ours: Mapping[str, Array]) -> Iterator[Reading]:
    """Gates in another order, the other direction's numbers, a bias that counts twice; all of them at once."""
    rows, flat = _rows_of(spec, role), role.startswith("bias")
    sources = [role]
    other = role.removesuffix(WAY) if role.endswith(WAY) else role + WAY
    if spec.both and other in ours:
        sources.append(other)
    gates: list[tuple[Form, ...]] = [(), *((form,) for form in gate_forms(spec.kind, rows))]
    biases: list[tuple[Form, ...]] = [(), *((form,) for form in bias_forms(rows))] if flat else [()]
    for source, gate, bias in product(sources, gates, biases):
        yield Reading(source, (*gate, *bias), not bias)
    if not flat:
        blocks = GATES[spec.kind]
        yield from (Reading(role, (form,)) for form in kernel_forms(ours[role].shape, blocks=blocks))


def same_sums(spec: Spec, role: str, ours: Array, theirs: Array) -> Array | None:
    """The two biases of a GRU as `b` shares them out, which only together count for its first two gates."""
    if not isinstance(spec, Recurrent) or not role.startswith("bias") or _rows_of(spec, role) == 1:
        return None
    one, two = (array.astype(np.float64).reshape(2, 3, -1) for array in (ours, theirs))
    shared = one.copy()
    shared[0, :2], shared[1, :2] = one[0, :2] + one[1, :2] - two[1, :2], two[1, :2]
    return shared.reshape(ours.shape)
