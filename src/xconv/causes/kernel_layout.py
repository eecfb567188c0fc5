"""Kernels whose numbers are right and whose axes are not: not transposed, turned, rotated, regrouped."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.arrays import compared
from xconv.causes.bias import NORMS
from xconv.causes.told import (
    arranged,
    counted,
    exchanged_back,
    names_of,
    places_of,
    rearranged_back,
    remedy_of,
)
from xconv.comparison.case import Case
from xconv.diagnosis.records import Place, Suspicion
from xconv.layers.recurrent import Recurrent

__all__ = ["kernel_layout"]

OWN = *NORMS, Recurrent
"""Whose arrays in each other's place have causes of their own: `statistics`, `gate_order`."""


def kernel_layout(case: Case) -> Iterator[Suspicion]:
    """Kernels that hold the numbers of `a` in another arrangement, which their shape does not forbid."""
    for says, found in arranged(case, "kernel_layout").items():
        apart, form = found[0]
        chosen = [item for item, _ in found]
        count = len([item for item in chosen if not item.again])
        yield Suspicion(
            "kernel_layout",
            f"{counted(count, 'kernel')} of b {'holds' if count == 1 else 'hold'} the numbers of a, {says}",
            places_of(chosen, "the same numbers", says),
            remedy_of(case, apart, form),
            rearranged_back(found),
            hint=_hint(says),
        )

    swapped = [item for item in compared(case).apart if item.source != item.role and not isinstance(item.b.spec, OWN)]
    if swapped:
        roles = " and ".join(sorted({item.role for item in swapped}))
        yield Suspicion(
            "kernel_layout",
            f"in {', '.join(names_of(swapped))}, {roles} stand in each other's place",
            tuple(
                Place(item.a.name, item.b.name, f"{item.role}: its own", f"{item.role}: the numbers of {item.source}")
                for item in swapped
                if not item.again
            ),
            "xconv.transfer(a, b)",
            exchanged_back(swapped),
            hint="torch's in_proj_weight holds query, key and value one below the other, in this order",
        )


def _hint(says: str) -> str:
    if "rotated" in says or "mirrored" in says:
        return "both frameworks compute a cross-correlation: a kernel is never flipped on the way"
    return "Keras stores (height, width, in, out) and (in, out), torch (out, in, height, width) and (out, in)"
