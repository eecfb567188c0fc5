"""What `xconv.optimize` measures with and compares: inputs, outputs in a precision, the error between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from xconv.errors import InvalidInput
from xconv.graph import values_in
from xconv.optimization import allocator
from xconv.statistics import Array, compare
from xconv.torch.precision import full_precision

__all__ = ["error_of", "inputs_of", "outputs_of", "setting_of"]


def inputs_of(module: nn.Module, example_inputs: Any, input_shape: Any) -> tuple[torch.Tensor, ...]:
    """The tensors that the module is called with."""
    if example_inputs is not None:
        given = example_inputs if isinstance(example_inputs, (tuple, list)) else (example_inputs,)
        if not given or not all(isinstance(item, torch.Tensor) for item in given):
            raise InvalidInput("example_inputs holds something else than tensors", remedy="give a tensor, or a tuple")
        return tuple(given)
    if input_shape is None:
        raise InvalidInput("there is nothing to measure with", remedy="give example_inputs= or input_shape=")
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
    several = isinstance(input_shape[0], (tuple, list))
    generator = torch.Generator().manual_seed(0)
    shapes = input_shape if several else [input_shape]
    return tuple(torch.randn((1, *shape), generator=generator).to(device) for shape in shapes)


def outputs_of(module: nn.Module, inputs: Sequence[torch.Tensor], dtype: str = "float32") -> list[Array]:
    """The outputs, flat."""
    wanted = getattr(torch, dtype)
    tensors = [item.to(wanted) if item.is_floating_point() else item for item in inputs]
    with full_precision(module, dtype):
        result = module(*tensors)
    return [item.detach().double().cpu().numpy() for item in values_in(result) if isinstance(item, torch.Tensor)]


def error_of(outputs: Sequence[Array], truth: Sequence[Array]) -> float:
    """max|a-b| / max|b|, of the output that is furthest off."""
    return max((compare(one, other).max_rel for one, other in zip(outputs, truth, strict=True)), default=0.0)


def setting_of(inputs: Sequence[torch.Tensor]) -> str:
    """Device, threads, inputs, version and allocator: what a measurement holds for."""
    device = inputs[0].device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    memory = "" if device.type == "cuda" else f", {allocator.in_words()}"
    return f"{where}, inputs {', '.join(str(tuple(item.shape)) for item in inputs)}, torch {torch.__version__}{memory}"
