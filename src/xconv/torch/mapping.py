"""The way of every weight, walked again: from another checkpoint into a module, and back to Keras's arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch

from xconv.errors import InvalidInput, Mismatch, Problem, XConvWarning
from xconv.torch.fill import fill
from xconv.torch.record import MappedWeight, Record, checksum, record
from xconv.torch.values import findings
from xconv.weights import Arrays, Weight

__all__ = ["export_weights", "fill_from", "with_checksums"]


def export_weights(module: torch.nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """The module's weights as the arrays of the Keras model that it came from, bit for bit.

    Returns:
        By key `layer/index`, where index counts the layer's variables in the order of their creation: exactly
        `model.get_layer(layer).weights[index]`. Arrays that the conversion did not need are not there.

    Raises:
        InvalidInput: the module has no record, no data (meta), or a dtype that NumPy lacks.
        Mismatch: weights that share one source array have grown apart, or the module was changed.
    """
    made: dict[str, np.ndarray[Any, Any]] = {}
    for mapped, tensor in _tensors(module, record(module)):
        array = _array(mapped, tensor)
        before = made.setdefault(mapped.weight.key, array)
        if before is not array and not np.array_equal(before.view(np.uint8), array.view(np.uint8)):
            raise Mismatch(
                f"{mapped.weight.key} is used in several ways, and they hold different numbers now",
                place=mapped.layer,
                remedy="train such layers with their weights tied",
            )
    return made


def with_checksums(module: torch.nn.Module, remembered: Record) -> Record:
    """The record with the SHA-256 of every source array, from the module's weights as they are."""
    sums = {
        mapped.name: checksum(mapped.weight.undo(tensor.detach())) for mapped, tensor in _tensors(module, remembered)
    }
    weights = tuple(replace(mapped, checksum=sums[mapped.name]) for mapped in remembered.weights)
    return replace(remembered, weights=weights)


def fill_from(module: torch.nn.Module, arrays: Arrays, source: str) -> None:
    """Replace every mapped weight of the module by the array of its key; all of them or, on an error, none.

    The tensors keep their dtype, device and memory format, and parameters stay the same objects.

    Raises:
        Mismatch: arrays that are missing, left over or of another shape, all in one error.
        Unreadable: the source cannot be read to its end.

    Warns:
        XConvWarning: NaN, infinities, negative variances, numbers that the module's dtype cannot hold.
    """
    remembered = record(module)
    pairs = _tensors(module, remembered)
    problems = _misfits(remembered, arrays)
    if problems:
        raise Mismatch(f"the weights of {source} do not fit {remembered.source}", problems=problems)
    fresh = [_read(mapped, tensor, arrays) for mapped, tensor in pairs]
    for (_, tensor), value in zip(pairs, fresh, strict=True):
        tensor.data = value
    found = findings({mapped.name: tensor.detach() for mapped, tensor in pairs}, remembered)
    if found:
        text = "\n  - ".join([f"the weights of {source} hold what no trained network does", *map(str, found)])
        warnings.warn(text, XConvWarning, stacklevel=3)


def _tensors(module: torch.nn.Module, remembered: Record) -> list[tuple[MappedWeight, torch.Tensor]]:
    """Every mapped weight with the module's tensor.

    Raises:
        Mismatch: the module's own layers were changed since the conversion.
        InvalidInput: the module has no data.
    """
    state = module.state_dict(keep_vars=True)
    problems, pairs = [], []
    for mapped in remembered.weights:
        tensor = state.get(mapped.name)
        if tensor is None or tuple(tensor.shape) != mapped.weight.shape:
            has = "is not there" if tensor is None else f"has shape {tuple(tensor.shape)}"
            problems.append(Problem(mapped.name, f"{has}; the conversion made it with shape {mapped.weight.shape}"))
            continue
        if tensor.is_meta:
            raise InvalidInput("the module has no data (meta device)", place=mapped.name, remedy="load weights into it")
        pairs.append((mapped, tensor))
    if problems:
        raise Mismatch("the module was changed since its conversion", problems=problems)
    return pairs


def _array(mapped: MappedWeight, tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    if tensor.dtype == torch.bfloat16:
        raise InvalidInput("NumPy has no bfloat16", place=mapped.name, remedy="call module.float() before")
    array: np.ndarray[Any, Any] = mapped.weight.undo(tensor.detach().cpu()).contiguous().numpy()
    return array.copy() if tensor.device.type == "cpu" else array


def _misfits(remembered: Record, arrays: Arrays) -> list[Problem]:
    """Everything that does not fit, on both sides."""
    wanted = {mapped.weight.key: mapped for mapped in remembered.weights}
    problems = [problem for mapped in wanted.values() for problem in _misfit(mapped, arrays)]
    known = wanted.keys() | set(remembered.unused)
    left = [key for key in arrays if key not in known]
    strangers = "the source is another architecture, or its layers have other names"
    problems += [
        Problem(key, f"an array {tuple(arrays[key].shape)} that the module has no place for", strangers) for key in left
    ]
    return problems


def _misfit(mapped: MappedWeight, arrays: Arrays) -> list[Problem]:
    weight, place = mapped.weight, f"{mapped.layer} {mapped.role}"
    if weight.key not in arrays:
        return [Problem(place, f"the source has no array {weight.key}; one of shape {weight.source} is needed")]
    found = arrays[weight.key]
    shape = tuple(found.shape)
    if shape != weight.source:
        return [
            Problem(
                place, f"the array {weight.key} has shape {shape}, {weight.source} is needed", _guess(shape, weight)
            )
        ]
    whole = found.dtype.startswith(("int", "uint", "bool"))
    if whole and weight.dtype.startswith(("float", "bfloat")):
        return [
            Problem(place, f"the array {weight.key} holds {found.dtype}, {weight.dtype} is needed", "cast it yourself")
        ]
    return []


def _guess(shape: tuple[int, ...], weight: Weight) -> str:
    """What a wrong shape is likely to be."""
    if shape == weight.shape:
        return "it seems to be in torch's order already"
    if sorted(shape) == sorted(weight.source):
        return "it seems to be transposed"
    if prod(shape) == prod(weight.source):
        return "it seems to be reshaped"
    if shape[:-1] == weight.source[:-1]:
        return "it seems to be made for another number of classes or filters"
    return "it seems to be another architecture or input size"


def _read(mapped: MappedWeight, tensor: torch.Tensor, arrays: Mapping[str, Any]) -> torch.Tensor:
    """The array in the tensor's shape, dtype, device and memory format."""
    source = arrays[mapped.weight.key]
    read = torch.empty(mapped.weight.shape, dtype=getattr(torch, source.dtype))
    fill(read, mapped.weight, source)
    if read.dtype == tensor.dtype and tensor.is_contiguous() and tensor.device.type == "cpu":
        return read
    cast = torch.empty_like(tensor, requires_grad=False).copy_(read)
    lost = int(torch.count_nonzero(read.isfinite()) - torch.count_nonzero(cast.isfinite()))
    if lost > 0:
        what = f"{lost} of {read.numel()} numbers are beyond {tensor.dtype}; they are infinite now"
        warnings.warn(str(Problem(f"{mapped.layer} {mapped.role}", what)), XConvWarning, stacklevel=4)
    return cast
