"""The command `xconv`: convert, verify and inspect models. It holds no logic: it reads arguments, calls, and prints.

Exit codes: 0 match or done, 1 the two models differ, 2 bad input, 3 something in the model is not supported.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

import xconv
from xconv.errors import Unsupported, XConvError, XConvWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

__all__ = ["app", "main"]

DIFFERS, BAD_INPUT, UNSUPPORTED, INTERRUPTED, BROKEN_PIPE = 1, 2, 3, 130, 141

app = typer.Typer(
    help="Converts neural networks from Keras to PyTorch exactly, and proves it.",
    epilog="Exit codes: 0 match or done, 1 the models differ, 2 bad input, 3 unsupported.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


class InputLayout(StrEnum):
    """How images are taken."""

    FIRST = "channels_first"
    LAST = "channels_last"


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only; the exit code tells the rest.")]
ModelArgument = Annotated[Path, typer.Argument(help="A .keras, .h5 or .weights.h5 file.", show_default=False)]
LayoutOption = Annotated[InputLayout, typer.Option("--input-layout", help="How the module takes and returns images.")]
WeightsOption = Annotated[Path | None, typer.Option("--weights", help="Weights for a MODEL that is a configuration.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The configuration of a MODEL that is weights alone.")
]


@app.command()
def convert(
    model: ModelArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .safetensors, .pt2 or .pt file.", show_default=False)
    ],
    input_layout: LayoutOption = InputLayout.FIRST,
    weights: WeightsOption = None,
    config: ConfigOption = None,
    verify: Annotated[bool, typer.Option(help="Compare the module with the source before it is saved.")] = False,
    strict: Annotated[bool, typer.Option(help="Refuse NaN, infinities and negative variances in the weights.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Convert a Keras model file to a PyTorch file.

    .safetensors holds weights, graph and the record of the conversion; .pt2 is an exported program; .pt is the
    state_dict alone.
    """
    with _steps(as_json or quiet) as step:
        step(f"converting {model.name}")
        module = xconv.keras_to_torch(model, input_layout=input_layout.value, weights=weights, config=config)
        report, found = None, xconv.weights_report(module)
        if strict and found:
            raise xconv.InvalidInput(f"{model} holds weights that no trained network has", problems=found)
        if verify:
            step("verifying")
            report = xconv.verify(model, module)
        if report is None or report.ok:
            step(f"writing {output.name}")
            xconv.save(module, output)
    for problem in found:
        _warn(f"warning: {problem}")
    if as_json:
        _print_json(_summary(module, output, report, found))
    elif not quiet:
        _say(str(report) if report else "", _sentence(module, output, report))
    if report is not None and not report.ok:
        raise typer.Exit(DIFFERS)


@app.command()
def verify(
    a: Annotated[Path, typer.Argument(help="A model file: .keras, .h5, .safetensors or .pt2.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="The model file to compare it with.", show_default=False)],
    per_layer: Annotated[bool, typer.Option("--per-layer", help="Compare every layer, not only the outputs.")] = False,
    seed: Annotated[int, typer.Option(help="The seed of the inputs.")] = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run two models on the same inputs, in float64 and float32, and compare. Exit code 0: match, 1: they differ."""
    with _steps(as_json or quiet) as step:
        step(f"comparing {a.name} with {b.name}")
        report = xconv.verify(a, b, per_layer=per_layer, seed=seed)
    if as_json:
        _say(report.to_json())
    elif not quiet:
        _say(str(report))
    if not report.ok:
        raise typer.Exit(DIFFERS)


@app.command()
def inspect(
    model: ModelArgument,
    input_layout: LayoutOption = InputLayout.FIRST,
    weights: WeightsOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what a conversion would do with each layer, before anything is converted. Exit code 3: it cannot be."""
    with _steps(as_json or quiet) as step:
        step(f"reading {model.name}")
        found = xconv.inspect(model, input_layout=input_layout.value, weights=weights, config=config)
    if as_json:
        _print_json(found.to_dict())
    elif not quiet:
        console = Console()
        if console.is_terminal:
            console.print(found)
        else:
            _say(str(found))
    if not found.ok:
        raise typer.Exit(UNSUPPORTED)


def _version(wanted: bool) -> None:
    if wanted:
        _say(f"xconv {xconv.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Converts neural networks from Keras to PyTorch exactly, and proves it."""


def main() -> None:
    """Runs the command and exits with its code; errors of xconv are one message on stderr."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one call of the command."""
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning  # type: ignore[assignment]
        try:
            app(arguments, prog_name="xconv")
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else BAD_INPUT
        except KeyboardInterrupt:
            return INTERRUPTED
        except XConvError as error:
            _warn(f"xconv: {error}")
            return UNSUPPORTED if isinstance(error, Unsupported) else BAD_INPUT
    return 0


@contextmanager
def _steps(silent: bool) -> Iterator[Callable[[str], None]]:
    """Shows on a terminal's stderr what is being done, and for how long; gives the function that names each step."""
    console = Console(stderr=True)
    if silent or not console.is_terminal:
        yield lambda text: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda text: progress.update(task, description=text)


def _summary(module: torch.nn.Module, output: Path, report: Any, found: Any) -> dict[str, Any]:
    """What was written, as plain data."""
    remembered = xconv.record(module)
    return {
        "output": str(output) if report is None or report.ok else None,
        "source": remembered.source,
        "inputs": [asdict(port) for port in remembered.inputs],
        "parameters": sum(tensor.numel() for tensor in module.parameters()),
        "notes": list(remembered.notes),
        "weights": [asdict(problem) for problem in found],
        "report": None if report is None else json.loads(report.to_json()),
    }


def _sentence(module: torch.nn.Module, output: Path, report: Any) -> str:
    """What was written, in one line."""
    if report is not None and not report.ok:
        return f"nothing was written: the module differs from its source ({report.verdict})"
    count = sum(tensor.numel() for tensor in module.parameters())
    verdict = f"; verified: {report.verdict}" if report is not None else ""
    return f"{output}: {count:,} parameters{verdict}"


def _print_json(data: Any) -> None:
    _say(json.dumps(data, indent=2))


def _say(*texts: str) -> None:
    """Text on stdout; where its reader has gone, as `head` does, the command ends without a word."""
    try:
        for text in filter(None, texts):
            sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        # What Python would flush at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from error


def _warn(text: str) -> None:
    """One message on stderr, as it is."""
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """xconv's own warnings without the place in the code; others, which are not the user's, only where asked for."""
    if issubclass(category, XConvWarning):
        _warn(f"warning: {message}")
    elif sys.warnoptions:
        sys.stderr.write(warnings.formatwarning(message, category, *place[:2]))
