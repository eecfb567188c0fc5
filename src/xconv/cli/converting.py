"""`xconv convert`: a model file of one framework becomes a file of the other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xconv.cli.conversions import Task, to_keras_file, to_onnx_file, to_torch_file
from xconv.cli.options import (
    DIFFERS,
    TORCH_PROGRAMS,
    TORCH_WEIGHTS,
    ConfigOption,
    JsonOption,
    LayoutOption,
    ModelArgument,
    QuietOption,
    Route,
    WeightsOption,
    native_layout,
    steps,
)
from xconv.cli.output import print_json, say, warn
from xconv.errors import InvalidInput

__all__ = ["convert"]


def convert(
    model: ModelArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="For PyTorch: .safetensors, .pt2 or .pt. For Keras: .keras. From both: .onnx.",
            show_default=False,
        ),
    ],
    input_layout: LayoutOption = None,
    weights: WeightsOption = None,
    config: ConfigOption = None,
    verify: Annotated[bool, typer.Option(help="Compare the result with the source before it is saved.")] = False,
    strict: Annotated[bool, typer.Option(help="Refuse NaN, infinities and negative variances in the weights.")] = False,
    route: Annotated[Route, typer.Option(help="onnx goes through ONNX, and says what it loses.")] = Route.DIRECT,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="From Keras: another dtype policy for all layers, such as float32.")
    ] = None,
    dequantize: Annotated[
        bool, typer.Option("--dequantize", help="From Keras: quantised layers as the float layers they stand for.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a Keras model file to a PyTorch file, or a PyTorch program to a .keras file, as the suffixes say.

    .safetensors holds weights, graph and the record of the conversion; .pt2 is an exported program; .pt is the
    state_dict alone. A .keras file is written without Keras; only --verify needs it.
    """
    to_keras = _writes_keras(model, output, weights or config)
    numbers = {"dtype": dtype, "dequantize": dequantize}
    task = Task(model, output, input_layout or native_layout(to_keras), verify, strict, route is Route.ONNX, numbers)
    if any(numbers.values()) and (to_keras or task.through_onnx or ".onnx" in (model.suffix, output.suffix)):
        raise InvalidInput("--dtype and --dequantize are for a Keras model that becomes a file of torch")
    with steps(as_json or quiet) as step:
        step(f"converting {model.name}")
        if output.suffix == ".onnx":
            done = to_onnx_file(task, input_layout, step)
        else:
            done = to_keras_file(task, step) if to_keras else to_torch_file(task, weights, config, step)
    for problem in done.found:
        warn(f"warning: {problem}")
    if as_json:
        print_json(done.summary(output))
    elif not quiet:
        say(str(done.report) if done.report else "", done.sentence(output))
    if not done.written:
        raise typer.Exit(DIFFERS)


def _writes_keras(model: Path, output: Path, keras_only: Path | None) -> bool:
    """Whether a torch source becomes a `.keras` file; otherwise a Keras source becomes a torch file.

    Raises:
        InvalidInput: suffixes between which there is nothing to convert.
    """
    from_torch, to_keras = model.suffix in (*TORCH_PROGRAMS, *TORCH_WEIGHTS), output.suffix == ".keras"
    if model.suffix in TORCH_WEIGHTS:
        what, remedy = "holds weights and no graph", "give a .pt2 file, which torch.export.save writes"
        raise InvalidInput(what, place=str(model), remedy=remedy)
    if not to_keras and output.suffix not in (*TORCH_PROGRAMS, *TORCH_WEIGHTS, ".onnx"):
        remedy = "use .keras or .onnx" if from_torch else "use .safetensors, .pt2, .pt or .onnx"
        raise InvalidInput(f"the suffix {output.suffix!r} names no format", place=str(output), remedy=remedy)
    if model.suffix == output.suffix == ".onnx":
        raise InvalidInput(f"{model.name} and {output.name} are both ONNX", remedy="write another file")
    if from_torch != to_keras and ".onnx" not in (model.suffix, output.suffix):
        side, remedy = (
            ("PyTorch", "write a .keras file") if from_torch else ("Keras", "write .safetensors, .pt2 or .pt")
        )
        raise InvalidInput(f"{model.name} and {output.name} are both of {side}", remedy=remedy)
    if (from_torch or ".onnx" in (model.suffix, output.suffix)) and keras_only is not None:
        remedy = f"leave them out: {model.name} holds its own"
        raise InvalidInput("--weights and --config belong to a Keras model", remedy=remedy)
    return to_keras
