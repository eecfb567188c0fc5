"""Operators that move complex numbers or add them up: the same of the real and of the imaginary parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xconv.errors import Unsupported
from xconv.torch.reading.arithmetic import pair
from xconv.torch.reading.parts import Asked, Complex, Part

__all__ = ["BOTH", "of_both"]

BOTH = frozenset(
    {"_unsafe_view", "alias", "broadcast_to", "cat", "chunk", "clone", "concat", "concatenate"}
    | {"constant_pad_nd", "contiguous", "cumsum", "detach", "diag_embed", "diagonal", "expand", "expand_as"}
    | {"flatten", "flip", "fliplr", "flipud", "gather", "index", "index_put", "index_select", "lift_fresh_copy"}
    | {"masked_fill", "mean", "movedim", "mT", "narrow", "neg", "numpy_T", "pad", "permute", "positive", "repeat"}
    | {"repeat_interleave", "reshape", "reshape_as", "roll", "select", "select_scatter", "slice", "slice_scatter"}
    | {"split", "split_with_sizes", "squeeze", "stack", "sum", "swapaxes", "swapdims", "t", "take_along_dim"}
    | {"tensor_split", "tile", "transpose", "tril", "triu", "unbind", "unflatten", "unfold", "unsqueeze", "view"}
    | {"view_as", "where", "_neg_view", "trace"}
)
"""Operators that are the same of both parts."""

VALUES = frozenset({"self", "input", "tensors", "src", "other", "value", "values", "source", "fill_value"})
"""The arguments of such operators that hold elements; a real one has no imaginary part."""


def of_both(call: Asked) -> Any:
    """The operator of both parts: a pair, or a pair for each of several results."""
    given = {key: call[key] for key in call.arguments}
    if call.op == "view" and "dtype" in given:
        raise Unsupported("complex numbers viewed in another type", remedy="use torch.view_as_real, view_as_complex")
    first, second = (call.writer.again(call.target, _side(given, place)) for place in (0, 1))
    if isinstance(first, Part):
        return Complex(first, second)
    return [Complex(*parts) for parts in zip(first, second, strict=True)]


def _side(given: Mapping[str, Any], place: int) -> dict[str, Any]:
    """The arguments for the real or the imaginary part."""

    def of(item: Any) -> Any:
        if isinstance(item, (list, tuple)):
            return [of(part) for part in item]
        if not isinstance(item, (Complex, Part, int, float, complex)):
            return item
        part = pair(item)[place]
        return item.like(0) if isinstance(item, Part) and place else part

    def kept(item: Any) -> Any:
        return [kept(part) for part in item] if isinstance(item, (list, tuple)) else item

    return {key: of(item) if key in VALUES else kept(item) for key, item in given.items()}
