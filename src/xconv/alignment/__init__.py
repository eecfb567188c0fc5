"""Which node of one network is which of another: `align(a, b)`, for graphs in canonical form.

Names are not looked at. A node is recognised by what it is (its family, its sizes, its weights' shapes), by what stands
around it, and by its neighbours that are recognised already: from the inputs and outputs, the matching spreads along
the edges, the surest pair first. Where one network has nodes that the other lacks, the spreading steps over them. The
numbers that weights hold are asked only where several nodes fit as well as one another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconv.alignment.known import Side, commutes
from xconv.alignment.matching import Matching
from xconv.alignment.records import Alignment, Pair

if TYPE_CHECKING:
    from xconv.graph import Graph

__all__ = ["Alignment", "Pair", "align", "commutes"]


def align(a: Graph, b: Graph) -> Alignment:
    """The nodes of two graphs in pairs.

    Args:
        a: a graph in canonical form (`passes.CANONICAL`), held channels-first.
        b: the same.

    Returns:
        An `Alignment`. Two nodes of different families are never a pair; two whose weights have other shapes are, where
        everything around them says so.
    """
    matching = Matching(Side(a), Side(b))
    matching.seed()
    matching.spread()
    matching.settle()
    return matching.result()
