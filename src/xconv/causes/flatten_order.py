"""The Dense behind a Flatten: its inputs counted in (H, W, C) order where the map is (C, H, W)."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.told import arranged, places_of, rearranged_back, remedy_of
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion

__all__ = ["flatten_order"]


def flatten_order(case: Case) -> Iterator[Suspicion]:
    """Kernels whose columns belong to the pixels of a map in another order."""
    for says, found in arranged(case, "flatten_order").items():
        apart, form = found[0]
        chosen = [item for item, _ in found]
        where = " and ".join(item.b.name for item in chosen)
        yield Suspicion(
            "flatten_order",
            f"the kernel of {where}, which reads a flattened map, is {says}",
            places_of(chosen, "the same numbers", says),
            remedy_of(case, apart, form),
            rearranged_back(found),
            hint="Keras flattens a map as (height, width, channels), torch as (channels, height, width)",
        )
