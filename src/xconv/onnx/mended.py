"""Parts of onnx2torch's modules that current torch warns about or refuses, replaced in one module that was made."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn

__all__ = ["mend"]


class Sliced(nn.Module):
    """A Slice; onnx2torch indexes with a list, which torch takes for an index tensor or will."""

    def forward(self, value: torch.Tensor, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> torch.Tensor:
        """The part of the value between starts and ends along the axes; a negative step goes backwards."""
        begin, end = starts.tolist(), ends.tolist()
        places = axes.tolist() if axes is not None else list(range(len(begin)))
        strides = steps.tolist() if steps is not None else [1] * len(begin)
        for place, first, last, step in zip(places, begin, end, strides, strict=True):
            axis = place % value.dim()
            if step < 0:
                value = torch.flip(value, [axis])
            part = slice(first, last, step) if step > 0 else slice(-first - 1, -last - 1, -step)
            value = value[(slice(None),) * axis + (part,)]
        return value


def mend(module: fx.GraphModule) -> fx.GraphModule:
    """The module with what is known to be broken replaced; onnx2torch itself is left as it is."""
    for name, child in list(module.named_children()):
        if type(child).__name__ == "OnnxSlice":
            module.add_module(name, Sliced())
    return module
