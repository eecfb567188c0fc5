"""`xconv bench`: a user's own model converted, verified, timed, optimised and timed again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from xconv.cli.options import DIFFERS, TORCH_PROGRAMS, JsonOption
from xconv.cli.output import print_json, say
from xconv.errors import InvalidInput

if TYPE_CHECKING:
    from xconv.optimization.records import Optimized
    from xconv.report.records import Report
    from xconv.torch.run import TorchSide

__all__ = ["bench"]

Programs: TypeAlias = bool | Literal["openvino"]
"""What `xconv.optimize` may try."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One model: how long its conversion took, whether it is the same, and what was gained for every batch."""

    seconds: float
    parameters: int
    report: Report | None
    batches: dict[int, Optimized]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "conversion_seconds": self.seconds,
            "parameters": self.parameters,
            "verdict": str(self.report.verdict) if self.report else None,
            "batches": {str(batch): found.to_dict() for batch, found in self.batches.items()},
        }

    def __str__(self) -> str:
        verdict = f"; verified: {self.report.verdict}" if self.report else "; not verified, as asked for"
        head = f"converted in {self.seconds:.3f} s, {self.parameters:,} parameters{verdict}"
        return "\n".join((head, *(f"batch {batch}: {found}" for batch, found in self.batches.items())))


def bench(
    model: Annotated[
        Path, typer.Argument(help="A .keras or .h5 file, a .pt2 file, or a .safetensors file that xconv wrote.")
    ],
    batch: Annotated[
        list[int] | None, typer.Option("--batch", "-b", help="Images in one call, 1 by default; may be given again.")
    ] = None,
    size: Annotated[int, typer.Option(help="Height and width where the model leaves them open.")] = 224,
    rounds: Annotated[int, typer.Option(help="How often each variant is measured.")] = 15,
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Try torch.compile; takes a minute.")] = True,
    openvino: Annotated[bool, typer.Option("--openvino", help="Try a program of OpenVINO too.")] = False,
    verify: Annotated[bool, typer.Option(help="Compare the converted module with its source first.")] = True,
    keep_memory: Annotated[
        bool, typer.Option("--keep-memory/--no-keep-memory", help="Let the C library keep memory that torch frees.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Time a model in torch as it is converted and as `xconv.optimize` makes it. Exit code 1: it is not the same."""
    batches = batch or [1]
    if min(*batches, size) < 1:
        raise InvalidInput(f"--batch {min(batches)} --size {size}", remedy="give positive numbers")
    if openvino and not compiled:
        raise InvalidInput("--openvino with --no-compile", remedy="leave one of them out")
    programs: Programs = "openvino" if openvino else compiled
    found = measured(model, batches, size, rounds=rounds, compiled=programs, verify=verify, keep_memory=keep_memory)
    if as_json:
        print_json({"model": str(model), **found.to_dict()})
    else:
        say(str(found))
    if found.report is not None and not found.report.ok:
        raise typer.Exit(DIFFERS)


def measured(
    model: Path, batches: list[int], size: int, *, rounds: int, compiled: Programs, verify: bool, keep_memory: bool
) -> Measured:
    """Converts the file, compares the module with it, and optimises it for each batch; not where it differs.

    Raises:
        InvalidInput: the model is made for another batch.
    """
    import xconv
    from xconv.torch.run import TorchSide

    _check(model, batches)
    if keep_memory:
        xconv.keep_memory()
    start = time.perf_counter()
    module = _module_of(model)
    seconds = time.perf_counter() - start
    count = sum(value.numel() for value in module.parameters())
    report = xconv.verify(model, module) if verify else None
    done = {}
    if report is None or report.ok:
        side = TorchSide(module)
        for batch in batches:
            done[batch] = xconv.optimize(module, _inputs(side, size, batch), compiled=compiled, rounds=rounds)
    return Measured(seconds, count, report, done)


def _check(model: Path, batches: list[int]) -> None:
    """Refuses batches that an exported program does not take."""
    if model.suffix.lower() != ".pt2" or not model.exists():
        return
    from xconv.verification.opening import open_side

    for feed in open_side(model).feeds():
        made_for = feed.shape[0] if feed.shape else None
        if made_for is not None and set(batches) != {made_for}:
            remedy = f"give --batch {made_for}, or export the model with its batch open"
            raise InvalidInput(f"its input {feed.name} takes a batch of {made_for}", place=str(model), remedy=remedy)


def _module_of(model: Path) -> Any:
    """The file's network as a module that xconv writes."""
    from xconv.api import keras_to_torch, read_torch
    from xconv.layout import resolve
    from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
    from xconv.torch.write import write

    if model.suffix.lower() == ".safetensors":
        from xconv.api import load

        return load(model).eval()
    if model.suffix.lower() not in TORCH_PROGRAMS:
        return keras_to_torch(model).eval()
    graph = resolve(run(BEFORE_LAYOUT, read_torch(model)), "first", "channels_first")
    return write(run(AFTER_LAYOUT, graph), "channels_first").eval()


def _inputs(side: TorchSide, size: int, batch: int) -> tuple[Any, ...]:
    """Noise for the module, as it takes it."""
    from xconv.inputs import noise, sized

    _, tensors = side.exportable(noise(sized(side.feeds(), (size, size), batch)), "float32")
    return tuple(tensors)
