"""A converted module <-> a `.pt2` file: torch.export with an open batch, and open sizes where the model has them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from xconv import axes
from xconv.errors import Mismatch, Unreadable, Unsupported, XConvError
from xconv.inputs import SIZES, Feed, sized
from xconv.torch.modules.states import keeps_states
from xconv.torch.record import KEY, Port, Record, record

__all__ = ["TRACED", "examples", "export", "load_program", "read_program", "save_program"]

RECORD = "xconv.json"
TRACED = 6
"""How many samples are traced: enough to cut some off, even, and a size that hardly any other axis has.

torch.export takes a size of one for a constant, so with a batch of two it would take `x[1:]` for one sample.
"""
BATCHES = (1, 3)
TOLERANCE = 1e-4
"""Relative; the exported program runs the same kernels, a wrong one is far beyond."""


def export(module: torch.nn.Module) -> ExportedProgram:
    """The module in inference mode as an exported program for any batch, and any size where the source has None.

    The module's own mode is left as it was.

    Raises:
        Unsupported: torch.export cannot keep the batch or a size open; its words are in the message.
        InvalidInput: the module was not made by xconv.
    """
    ports = record(module).inputs
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        return _exported(module, ports)
    finally:
        for part, mode in modes:
            part.training = mode


def save_program(module: torch.nn.Module, path: Path) -> None:
    """Write the exported program with the record, after loading it again and comparing it at batch 1 and 3.

    Raises:
        Unsupported: torch.export cannot say the module.
        Mismatch: what was loaded again computes something else.
    """
    program = export(module)
    # The parts of the graph have other names in the exported program.
    text = replace(record(module, checksums=True), places={}).to_json()
    torch.export.save(program, path, extra_files={RECORD: text})
    _compare(module, load_program(path))


def load_program(path: Path) -> torch.fx.GraphModule:
    """The exported program as a module in inference mode, with the record where xconv wrote the file.

    Raises:
        Unreadable: damaged, or no exported program.
    """
    program, found = read_program(path)
    module: torch.fx.GraphModule = program.module()
    module.eval = MethodType(_as_it_is, module)  # type: ignore[method-assign]
    if found is not None:
        module.meta[KEY] = found
    return module


def read_program(path: Path) -> tuple[ExportedProgram, Record | None]:
    """The exported program in a file, and the record where xconv wrote it.

    Raises:
        Unreadable: damaged, or no exported program.
    """
    extra = {RECORD: ""}
    try:
        program = torch.export.load(io.BytesIO(path.read_bytes()), extra_files=extra)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        if isinstance(error, XConvError):
            raise
        what = f"torch cannot read it as an exported program: {str(error).partition(chr(10))[0]}"
        raise Unreadable(what, place=str(path), remedy="save it again with this version of torch") from error
    return program, Record.from_json(extra[RECORD]) if extra[RECORD] else None


def _as_it_is(module: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """An exported program is in inference mode for good; torch's own `eval` raises an error there."""
    return module


def _exported(module: torch.nn.Module, ports: Sequence[Port]) -> ExportedProgram:
    """Export for the first sizes that the model takes."""
    if keeps_states(module):
        what = "stateful layers, whose states no file holds and which xconv reads in no program"
        raise Unsupported(what, remedy="save .safetensors, or the Keras model")
    failures: list[Exception] = []
    is_open = any(None in port.shape[1:] for port in ports)
    for size in SIZES if is_open else SIZES[:1]:
        inputs = examples(module, ports, size, TRACED)
        try:
            return torch.export.export(module, inputs, dynamic_shapes=_open_axes(ports))
        except (RuntimeError, ValueError) as error:
            failures.append(error)
    last = failures[-1]
    words = " ".join(str(last).split())[:600]
    raise Unsupported(
        f"torch.export cannot keep its sizes open: {words}",
        remedy="fix the sizes in the Keras model, or save .safetensors",
    ) from last


def examples(
    module: torch.nn.Module, ports: Sequence[Port], size: Sequence[int], batch: int
) -> tuple[torch.Tensor, ...]:
    """Inputs as the module takes them: seeded noise for floating point, small whole numbers otherwise."""
    first = next((p for p in module.state_dict().values() if p.is_floating_point()), torch.empty(0))
    feeds = sized([Feed(port.name, port.shape, port.dtype) for port in ports], size, batch)
    generator = torch.Generator().manual_seed(0)
    tensors = []
    for feed, port in zip(feeds, ports, strict=True):
        shape = axes.apply([int(length or 1) for length in feed.shape], port.order)
        if "float" in port.dtype:
            made = torch.randn(shape, generator=generator, dtype=torch.float64).to(first.dtype)
        else:
            made = torch.randint(0, 2, shape, generator=generator).to(getattr(torch, port.dtype))
        tensors.append(made.to(first.device))
    return tuple(tensors)


def _open_axes(ports: Sequence[Port]) -> tuple[dict[int, Any], ...]:
    """The axes that stay open: the batch, and those that the source leaves open."""
    return tuple(
        {
            axis: Dim.DYNAMIC
            for axis, length in enumerate(axes.apply(port.shape, port.order))
            if axis == 0 or length is None
        }
        for port in ports
    )


def _compare(module: torch.nn.Module, loaded: torch.nn.Module) -> None:
    """Run both at batch 1 and 3."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            for batch in BATCHES:
                inputs = examples(module, record(module).inputs, SIZES[2], batch)
                pairs = zip(pytree.tree_leaves(module(*inputs)), pytree.tree_leaves(loaded(*inputs)), strict=True)
                for wanted, found in pairs:
                    _same(wanted, found, batch)
    finally:
        for part, mode in modes:
            part.training = mode


def _same(wanted: torch.Tensor, found: torch.Tensor, batch: int) -> None:
    scale = wanted.abs().max() if wanted.numel() else 0.0
    if wanted.shape != found.shape or not torch.allclose(
        wanted, found, rtol=0, atol=float(TOLERANCE * scale), equal_nan=True
    ):
        raise Mismatch(f"the exported program computes something else at batch {batch}", remedy="save .safetensors")
