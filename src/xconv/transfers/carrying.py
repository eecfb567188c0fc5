"""New numbers into a live model: all of them or, where one cannot be written, none (`carry_out`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from xconv.errors import InvalidInput, Problem
from xconv.weights import Arrays

__all__ = ["carry_out"]

Write: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Writes one array and gives back what stood there."""


def carry_out(values: Mapping[str, torch.Tensor], target: Arrays, model: Any = None) -> None:
    """Write new arrays over those of a live model.

    Tensors of torch are written in place: parameters stay the same objects and keep dtype, device, memory format and
    gradients; variables of Keras are assigned. Where anything fails, what was written is put back.

    Args:
        values: the new arrays by key, as the model stores them and in its dtypes.
        target: the model's own arrays, as `holdings_of` gives them.
        model: the live model; what its layers have worked out from their variables is worked out anew.

    Raises:
        InvalidInput: arrays that cannot be written: of a file, or without data.
    """
    writers = {key: _writer(target[key]) for key in values}
    closed = [Problem(key, "it is no live weight that can be written") for key, writer in writers.items() if not writer]
    if closed:
        raise InvalidInput("the target cannot be written to", problems=closed)
    done: list[tuple[Write, torch.Tensor]] = []
    try:
        for key, value in values.items():
            write = writers[key]
            if write is not None:
                done.append((write, write(value)))
        _settle(model)
    except BaseException:
        for write, before in reversed(done):
            write(before)
        _settle(model)
        raise


def _settle(model: Any) -> None:
    """Makes a Normalization of Keras, which computes with tensors made of its variables once, do that again."""
    layers = model._flatten_layers() if hasattr(model, "_flatten_layers") else ()
    made = [layer for layer in layers if hasattr(layer, "finalize_state")]
    for layer in made:
        layer.finalize_state()
    for step in ("train_function", "test_function", "predict_function") if made else ():
        if getattr(model, step, None) is not None:
            setattr(model, step, None)


def _writer(source: Any) -> Write | None:
    tensor = getattr(source, "tensor", None)
    if tensor is not None:
        return None if tensor.is_meta else lambda value: _into_tensor(tensor, value)
    variable = getattr(source, "variable", None)
    return None if variable is None else lambda value: _into_variable(variable, value)


def _into_tensor(tensor: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        before = tensor.detach().clone()
        tensor.copy_(value)
    return before


def _into_variable(variable: Any, value: torch.Tensor) -> torch.Tensor:
    import numpy as np

    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:
        value = value.float()  # which holds every bfloat16; NumPy has none
    held = variable.numpy() if hasattr(variable, "numpy") else variable
    held = np.asarray(held)
    before = torch.as_tensor(
        held.astype("float32") if held.dtype.kind == "V" or held.dtype.name == "bfloat16" else held
    )
    before = before.clone()
    variable.assign(value.numpy())
    return before
