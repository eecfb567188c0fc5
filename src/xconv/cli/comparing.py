"""`xconv verify` and `xconv diagnose`: whether two models are the same, and why they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import xconv
from xconv.cli.options import DIFFERS, JsonOption, QuietOption, sizes_in, steps
from xconv.cli.output import say

__all__ = ["diagnose", "verify"]


def verify(
    a: Annotated[
        Path, typer.Argument(help="A model file: .keras, .h5, .safetensors, .pt2 or .onnx.", show_default=False)
    ],
    b: Annotated[Path, typer.Argument(help="The model file to compare it with.", show_default=False)],
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Compare every layer, not only the outputs.")] = False,
    seed: Annotated[int, typer.Option(help="The seed of the inputs.")] = 0,
    witness: Annotated[
        str | None, typer.Option("--witness", help="onnxruntime: a third opinion on which of the two is off.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run two models on the same inputs, in float64 and float32, and compare. Exit code 0: match, 1: none proved."""
    with steps(as_json or quiet) as step:
        step(f"comparing {a.name} with {b.name}")
        report = xconv.verify(a, b, per_layer=per_layer, seed=seed, witness=witness)
    if as_json:
        say(report.to_json())
    elif not quiet:
        say(str(report))
    if not report.ok:
        raise typer.Exit(DIFFERS)


def diagnose(
    a: Annotated[Path, typer.Argument(help="What the other model should be: .keras, .h5, .pt2 or .safetensors.")],
    b: Annotated[Path, typer.Argument(help="The model that differs.")],
    input_shape: Annotated[
        str | None, typer.Option("--input-shape", help="Without the batch, channels first, such as 3,224,224.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of the inputs.")] = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say why two models differ: causes, places, measured effects, remedies. Exit code 0: they agree, 1: not."""
    with steps(as_json or quiet) as step:
        step(f"diagnosing {a.name} against {b.name}")
        found = xconv.diagnose(a, b, input_shape=sizes_in(input_shape), seed=seed)
    if as_json:
        say(found.to_json())
    elif not quiet:
        say(str(found))
    if not found.agree:
        raise typer.Exit(DIFFERS)
