"""What ONNX's operators mean in torch: for each a function of a `Call`, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xconv.onnx.call import Call
from xconv.onnx.operators.elementwise import ELEMENTWISE
from xconv.onnx.operators.normalization import NORMALIZATION
from xconv.onnx.operators.products import PRODUCTS
from xconv.onnx.operators.recurrent import RECURRENT
from xconv.onnx.operators.reduction import REDUCTION
from xconv.onnx.operators.shaping import SHAPING
from xconv.onnx.operators.windows import WINDOWS

__all__ = ["OPERATORS"]

OPERATORS: Mapping[str, Callable[[Call], Any]] = {
    **ELEMENTWISE,
    **NORMALIZATION,
    **PRODUCTS,
    **RECURRENT,
    **REDUCTION,
    **SHAPING,
    **WINDOWS,
}
