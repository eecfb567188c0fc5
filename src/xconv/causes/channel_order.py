"""The first convolution's kernel with its input channels in reverse: weights for BGR where the other's are for RGB."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.told import arranged, places_of, rearranged_back, remedy_of
from xconv.comparison.case import Case
from xconv.diagnosis.records import Suspicion

__all__ = ["channel_order"]


def channel_order(case: Case) -> Iterator[Suspicion]:
    """First convolutions whose kernels differ by the order of the colours alone."""
    for says, found in arranged(case, "channel_order").items():
        apart, form = found[0]
        chosen = [item for item, _ in found]
        yield Suspicion(
            "channel_order",
            f"the kernel of {apart.b.name} is made {says}",
            places_of(chosen, "the same numbers", says),
            f"{remedy_of(case, apart, form)}  # or reverse the channels of what b is fed",
            rearranged_back(found),
            hint="keras.applications feeds VGG and ResNet v1 with BGR ('caffe' mode), torchvision everything with RGB",
        )
