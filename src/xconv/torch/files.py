"""Converted modules and files: `.safetensors` (all of it), `.pt2` (the exported program), `.pt` (the weights alone)."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from xconv.atomic import replacing
from xconv.errors import InvalidInput, Mismatch, Problem, Unreadable, Unwritable, XConvError
from xconv.torch.exported import load_program, save_program
from xconv.torch.exported import read_program as read_program_file
from xconv.torch.record import Record
from xconv.torch.saved import load_module, save_module
from xconv.torch.tensor_file import DAMAGED, readable

__all__ = ["load", "read_program", "save"]


def save(module: torch.nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a module in the format that the suffix names; see `xconv.save`."""
    writers: dict[str, Callable[[torch.nn.Module, Path], None]] = {
        ".safetensors": save_module,
        ".pt2": save_program,
        ".pt": _save_weights,
        ".pth": _save_weights,
    }
    write = writers.get(Path(path).suffix)
    if write is None:
        raise _unknown_suffix(path)
    with replacing(path) as temporary:
        write(module, temporary)


def load(
    path: str | os.PathLike[str], module: torch.nn.Module | None = None, *, verify_checksums: bool = True
) -> torch.nn.Module:
    """The module in a file; see `xconv.load`."""
    where = Path(path)
    readable(where)
    match where.suffix:
        case ".safetensors":
            _refuse_module(module, where)
            return load_module(where, verify_checksums)
        case ".pt2":
            _refuse_module(module, where)
            _check_archive(where, verify_checksums)
            return load_program(where)
        case ".pt" | ".pth":
            return _load_weights(where, module, verify_checksums)
    raise _unknown_suffix(path)


def read_program(path: str | os.PathLike[str]) -> tuple[torch.export.ExportedProgram, Record | None]:
    """The exported program in a `.pt2` file, and the record where xconv wrote it.

    Raises:
        NotFound, IsDirectory, Unreadable: no such file, damaged, or no exported program.
        InvalidInput: another suffix.
    """
    where = Path(path)
    readable(where)
    if where.suffix != ".pt2":
        remedy = "export it with torch.export.save to a .pt2 file, or give the module itself"
        raise InvalidInput("holds no exported program", place=str(where), remedy=remedy)
    _check_archive(where, verify=True)
    return read_program_file(where)


def _unknown_suffix(path: str | os.PathLike[str]) -> InvalidInput:
    return InvalidInput(
        f"the suffix {Path(path).suffix!r} names no format", place=str(path), remedy="use .safetensors, .pt2 or .pt"
    )


def _refuse_module(module: torch.nn.Module | None, path: Path) -> None:
    if module is not None:
        raise InvalidInput("module= is for .pt files; this file builds its own", place=str(path), remedy="leave it out")


def _save_weights(module: torch.nn.Module, path: Path) -> None:
    """The state_dict, as users of torch expect it."""
    state = dict(module.state_dict())
    for name, tensor in state.items():
        if tensor.is_meta:
            raise InvalidInput("the module has no data (meta device)", place=name, remedy="load weights into it")
    try:
        torch.save(state, path)
    except RuntimeError as error:
        raise Unwritable(f"torch cannot write it: {error}", place=str(path), remedy="check the free space") from error


def _load_weights(path: Path, module: torch.nn.Module | None, verify: bool) -> torch.nn.Module:
    """Fill a module from a state_dict: all of it, or nothing."""
    if module is None:
        raise InvalidInput(
            "a .pt file holds weights and no graph",
            place=str(path),
            remedy="pass module=, such as xconv.keras_to_torch gave; or save .safetensors, which builds it again",
        )
    _check_archive(path, verify)
    state = _state_dict(path)
    problems = _misfits(state, module.state_dict())
    if problems:
        raise Mismatch(f"the tensors in {path} do not fit the module", problems=problems)
    module.load_state_dict(state)
    return module


def _state_dict(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in a `.pt` file; code in it is never run."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        what = f"torch cannot read it as weights: {str(error).strip().partition(chr(10))[0]}"
        raise Unreadable(what, place=str(path), remedy="give a file that holds a state_dict and no code") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise Unreadable(
            f"holds a {type(state).__name__}, not a state_dict", place=str(path), remedy="save state_dict()"
        )
    return state


def _misfits(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> list[Problem]:
    """Every name or shape that does not fit, on both sides."""
    problems = []
    for name in [*wanted, *(name for name in found if name not in wanted)]:
        if name not in found:
            problems.append(Problem(name, f"missing; shape {tuple(wanted[name].shape)} is needed"))
        elif name not in wanted:
            problems.append(Problem(name, f"shape {tuple(found[name].shape)}, and the module has no place for it"))
        elif found[name].shape != wanted[name].shape:
            shapes = tuple(found[name].shape), tuple(wanted[name].shape)
            problems.append(Problem(name, f"has shape {shapes[0]}, {shapes[1]} is needed"))
    return problems


def _check_archive(path: Path, verify: bool) -> None:
    """Look for a damaged member of torch's zip archive.

    Raises:
        Unreadable: it is no whole archive, or a member's CRC-32 differs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip() if verify else None
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        if isinstance(error, XConvError):
            raise
        raise Unreadable(f"is not a whole torch archive: {error}", place=str(path), remedy=DAMAGED) from error
    if damaged:
        raise Unreadable(f"the member {damaged} is damaged (CRC-32)", place=str(path), remedy=DAMAGED)
