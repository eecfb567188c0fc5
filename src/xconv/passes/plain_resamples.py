"""A product with a matrix along one axis by one name, as a resize is said in torch.

before   Einsum('abcd,cz->abzd') of a map and a free matrix          after   Resample along the axis
"""

from __future__ import annotations

from dataclasses import replace

from xconv.graph import Graph, Node
from xconv.layers.elementwise import Elementwise
from xconv.layers.io import Variable
from xconv.layers.matmul import Einsum
from xconv.layers.resample import Resample

__all__ = ["name_resamples"]


def name_resamples(graph: Graph) -> Graph:
    """The graph with every such Einsum as a Resample."""
    known = graph.by_name()
    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        if not isinstance(node.spec, Einsum) or len(node.inputs) != len("ab"):
            continue
        axis = _axis(node.spec.subscripts)
        if axis is not None and isinstance(known[node.inputs[1].node].spec, (Variable, Elementwise)):
            changes[node.name] = replace(node, spec=Resample(axis))
    return graph.rebuilt(changes) if changes else graph


def _axis(subscripts: str) -> int | None:
    """The axis of the first operand that the second replaces; None where it is another product.

    >>> _axis("adbc,bz->adzc"), _axis("ab,bc->ac"), _axis("ab,cb->ac")
    (2, 1, None)
    """
    operands, _, result = subscripts.replace(" ", "").partition("->")
    first, _, matrix = operands.partition(",")
    if len(matrix) != len("az") or len(set(first)) != len(first) or matrix[0] not in first or matrix[1] in first:
        return None
    return first.index(matrix[0]) if result == first.replace(*matrix) else None
