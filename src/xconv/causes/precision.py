"""Precision: float16, bfloat16, mixed policies and TF32, and how much of the error each of them is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xconv.comparison.case import Case
from xconv.comparison.opened import Opened
from xconv.diagnosis.as_given import Outcome
from xconv.diagnosis.records import Place, Suspicion
from xconv.statistics import Array

__all__ = ["precision"]

UNITS = {"bfloat16": 2.0**-8, "float16": 2.0**-11, "tf32": 2.0**-11}
"""The unit roundoff of each; a name may hold that of a later one."""


def precision(case: Case, outcome: Outcome, feeds: tuple[Array, ...]) -> Iterator[Suspicion]:
    """A side that computes with fewer bits than float32."""
    del feeds
    word = low_precision(outcome.opened)
    if not word or outcome.departure == 0 or outcome.given.unrest > outcome.departure / 2:
        return
    ours = outcome.opened is case.a
    said = f"computes in {word}"
    place = Place(outcome.opened.name, "", said, "") if ours else Place("", outcome.opened.name, "", said)
    text = (
        f"{outcome.opened.name} computes in {word}: that alone moves its outputs by {outcome.departure:.2g}, "
        f"one rounding being {_unit(word):.1g}"
    )
    yield Suspicion("dtype", text, (place,), _remedy(outcome.opened, word), measured=(outcome.departure, 0.0))


def low_precision(opened: Opened) -> str:
    """The name of the precision below float32 in which a live model computes; empty for float32 and above."""
    return _keras_policy(opened.model) if opened.framework == "keras" else _torch_precision(opened.model)


def _keras_policy(model: Any) -> str:
    from xconv.keras.precision import policies_of

    if not hasattr(model, "layers"):
        return ""
    return next((name for name in sorted(policies_of(model)) if "16" in name), "")


def _torch_precision(module: Any) -> str:
    import torch

    if not isinstance(module, torch.nn.Module):
        return ""
    tensors = list(module.parameters())
    low = {tensor.dtype for tensor in tensors} & {torch.float16, torch.bfloat16}
    if low:
        return str(low.pop()).removeprefix("torch.")
    on_gpu = any(tensor.is_cuda for tensor in tensors)
    fast = torch.backends.cudnn.allow_tf32 or torch.get_float32_matmul_precision() != "highest"
    return "tf32" if on_gpu and fast else ""


def _unit(word: str) -> float:
    return next(unit for name, unit in UNITS.items() if name in word)


def _remedy(opened: Opened, word: str) -> str:
    if word == "tf32":
        return "torch.backends.cudnn.allow_tf32 = False; torch.set_float32_matmul_precision('highest')"
    if opened.framework == "torch":
        return "model.float()"
    return "keras.config.set_dtype_policy('float32') before the model is built"
