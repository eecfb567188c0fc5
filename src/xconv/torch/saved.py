"""A converted module <-> a `.safetensors` file that holds all it takes to build it again: program, record, numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from xconv.errors import InvalidInput, Mismatch, Problem, Unreadable, XConvError
from xconv.keras import json_text
from xconv.torch.network import Network
from xconv.torch.program import Program, decode, encode
from xconv.torch.record import KEY, Record, checksum, record
from xconv.torch.tensor_file import TensorFile, write_tensors
from xconv.torch.write import PROGRAM, build
from xconv.weights import Weight

__all__ = ["load_module", "save_module"]

FORMAT = 1


def save_module(module: torch.nn.Module, path: Path) -> None:
    """Write the module's program, record and weights.

    Raises:
        InvalidInput: not a module that xconv made, or one without data.
        Mismatch: its graph or its layers were changed since, so that the program no longer builds it.
    """
    remembered = record(module, checksums=True)
    program = getattr(module, "meta", {}).get(PROGRAM)
    if program is None:
        what = f"{type(module).__name__} is a part of a converted module, whose program builds the whole"
        raise InvalidInput(what, remedy="save the whole module, or this part as a .pt2 file")
    tensors, aliases = _distinct(module)
    _check_unchanged(module, program, aliases)
    content = {
        "aliases": aliases,
        "checksums": {name: checksum(tensor) for name, tensor in tensors.items()},
        "frozen": sorted(name for name, parameter in module.named_parameters() if not parameter.requires_grad),
        "training": module.training,
        "other_mode": sorted(name for name, part in module.named_modules() if part.training != module.training),
        "program": encode(program),
        "record": encode(remembered),
    }
    text = json.dumps({"format": FORMAT, "sha256": _sum(content), "content": content})
    write_tensors(path, tensors, text)


def load_module(path: Path, verify_checksums: bool = True) -> Network:
    """The module that `save_module` wrote.

    Raises:
        Unreadable: damaged, or not written by xconv; a checksum that differs names its tensor.
        Mismatch: tensors that are missing, left over or of another shape, all in one error.
    """
    with TensorFile.opened(path) as file:
        content = _content(file.text, path)
        try:
            saved = _Saved(content, file, path, verify_checksums)
            return saved.module()
        except (TypeError, KeyError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            if isinstance(error, XConvError):
                raise
            what = f"its program does not build a module: {type(error).__name__}: {error}"
            raise Unreadable(
                what, place=str(path), remedy="save the module again with this version of xconv"
            ) from error


@dataclass(slots=True)
class _Saved:
    """A file that is being turned into a module."""

    content: Mapping[str, Any]
    file: TensorFile
    path: Path
    verify: bool

    def module(self) -> Network:
        """The module, filled, in the modes in which it was saved."""
        program, remembered = decode(self.content["program"]), decode(self.content["record"])
        if not isinstance(program, Program) or not isinstance(remembered, Record):
            raise Unreadable("holds no program of a module", place=str(self.path), remedy="save it again")
        self.check_shapes(program)
        module = build(program, lambda name, weight: self.tensor(name))
        self.fill_buffers(module)
        self.set_modes(module)
        module.meta[KEY] = remembered
        module.meta[PROGRAM] = program
        return module

    def check_shapes(self, program: Program) -> None:
        """Compare the file's tensors with those that the program asks for."""
        wanted = {name: tuple(tensor.shape) for name, tensor in _skeleton(program).state_dict().items()}
        found = dict(self.file.shapes)
        for alias, name in self.content["aliases"].items():
            if name in found:
                found[alias] = found[name]
        problems = [
            Problem(name, f"missing; shape {shape} is needed")
            if name not in found
            else Problem(name, f"has shape {found[name]}, {shape} is needed")
            for name, shape in wanted.items()
            if found.get(name) != shape
        ]
        problems += [
            Problem(name, f"shape {found[name]}, and the module has no place for it")
            for name in found
            if name not in wanted
        ]
        if problems:
            raise Mismatch(f"the tensors in {self.path} do not fit its program", problems=problems)

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor, checked."""
        stored = self.content["aliases"].get(name, name)
        tensor = self.file.tensor(stored)
        if self.verify and checksum(tensor) != self.content["checksums"].get(stored):
            raise Unreadable(
                f"the tensor {stored!r} has another SHA-256 than when it was saved",
                place=str(self.path),
                remedy="the file is damaged; save or download it again (verify_checksums=False reads it all the same)",
            )
        return tensor

    def fill_buffers(self, module: Network) -> None:
        """The buffers that no source array fills, such as counts of batches."""
        for path, part in module.named_modules():
            for name in part._buffers:
                full = f"{path}.{name}" if path else name
                if full in self.content["checksums"] or full in self.content["aliases"]:
                    part._buffers[name] = self.tensor(full)

    def set_modes(self, module: Network) -> None:
        """Training or inference, and which parameters are frozen."""
        module.train(self.content["training"])
        for name in self.content["other_mode"]:
            module.get_submodule(name).training = not self.content["training"]
        frozen = set(self.content["frozen"])
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name not in frozen and parameter.is_floating_point())


def _content(text: str | None, path: Path) -> dict[str, Any]:
    """What the file says of the module, its own checksum compared."""
    if text is None:
        raise Unreadable(
            "holds tensors, but nothing that xconv wrote of the module that they belong to",
            place=str(path),
            remedy="load it with safetensors.torch.load_file, into a module that you have",
        )
    held = json_text.load(text, str(path))
    if held.get("format") != FORMAT:
        what = f"is in format {held.get('format')!r}; this version of xconv reads {FORMAT}"
        raise Unreadable(what, place=str(path), remedy="update xconv")
    content = held.get("content")
    if not isinstance(content, dict) or _sum(content) != held.get("sha256"):
        raise Unreadable(
            "its header has another SHA-256 than when it was saved", place=str(path), remedy="save it again"
        )
    return content


def _sum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _distinct(module: torch.nn.Module) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The state_dict with every tensor once and contiguous, and for every other name the one that it is stored under.

    Raises:
        InvalidInput: a tensor without data.
    """
    tensors: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    for name, tensor in module.state_dict().items():
        if tensor.is_meta:
            raise InvalidInput("the module has no data (meta device)", place=name, remedy="load weights into it")
        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, str(tensor.device))
        if tensor.numel() and key in first:
            aliases[name] = first[key]
            continue
        first[key] = name
        tensors[name] = tensor.detach().cpu().contiguous()
    return tensors, aliases


def _skeleton(program: Program) -> Network:
    """The module of a program without numbers."""

    def empty(weight: Weight) -> torch.Tensor:
        return torch.empty(weight.shape, dtype=getattr(torch, weight.dtype), device="meta")

    return build(program, lambda name, weight: empty(weight))


def _check_unchanged(module: torch.nn.Module, program: Program, aliases: Mapping[str, str]) -> None:
    """Refuse a module that its program would not build again."""
    skeleton = _skeleton(program)
    state, wanted = module.state_dict(), skeleton.state_dict(keep_vars=True)
    by_identity: dict[int, list[str]] = {}
    for name, tensor in wanted.items():
        by_identity.setdefault(id(tensor), []).append(name)
    ties = {name: names[0] for names in by_identity.values() for name in names[1:]}
    same = (
        str(module) == str(skeleton)
        and {name: tensor.shape for name, tensor in state.items()} == {n: t.shape for n, t in wanted.items()}
        and ties == dict(aliases)
    )
    if not same:
        raise Mismatch(
            "its graph, layers or ties were changed since the conversion, so the file could not build it again",
            place=type(module).__name__,
            remedy="save the weights alone (.pt), or the exported program (.pt2)",
        )
