"""What the commands share: options, exit codes, and the sign of life on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from xconv.errors import InvalidInput

TORCH_PROGRAMS, TORCH_WEIGHTS = (".pt2", ".safetensors"), (".pt", ".pth")
DIFFERS, BAD_INPUT, UNSUPPORTED, INTERRUPTED = 1, 2, 3, 130


class InputLayout(StrEnum):
    """How images are taken."""

    FIRST = "channels_first"
    LAST = "channels_last"


class Route(StrEnum):
    """What a conversion goes through."""

    DIRECT = "direct"
    ONNX = "onnx"


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, and nothing else there.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only; the exit code tells the rest.")]
ModelArgument = Annotated[
    Path,
    typer.Argument(
        help="From Keras: a .keras, .h5 or .weights.h5 file. From PyTorch: a .pt2 file, or a .safetensors file that "
        "xconv wrote. An .onnx file.",
        show_default=False,
    ),
]
LayoutOption = Annotated[
    InputLayout | None,
    typer.Option(
        "--input-layout",
        help="How images are taken and returned; by default channels_first in PyTorch, channels_last in Keras.",
        show_default=False,
    ),
]
WeightsOption = Annotated[Path | None, typer.Option("--weights", help="Weights for a MODEL that is a configuration.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The configuration of a MODEL that is weights alone.")
]


def native_layout(keras: bool) -> InputLayout:
    """The framework's own way of holding images."""
    return InputLayout.LAST if keras else InputLayout.FIRST


def sizes_in(text: str | None) -> tuple[int, ...] | None:
    """The sizes that a text such as 3,224,224 names.

    Raises:
        InvalidInput: something else.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InvalidInput(f"--input-shape {text!r} names no sizes", remedy="write them as 3,224,224")
    return tuple(int(part) for part in parts)


@contextmanager
def steps(silent: bool) -> Iterator[Callable[[str], None]]:
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
