"""The command `xconv`: convert, verify and inspect models. It reads arguments, calls, and prints.

Exit codes: 0 match or done, 1 the two models differ, 2 bad input, 3 something in the model is not supported.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer

import xconv
from xconv.cli import bench, comparing, converting, inspecting, layers, transferring, zoo
from xconv.cli.options import BAD_INPUT, INTERRUPTED, UNSUPPORTED
from xconv.cli.output import say, warn
from xconv.errors import Unsupported, XConvError, XConvWarning

__all__ = ["app", "main", "run"]

app = typer.Typer(
    help="Converts neural networks between Keras and PyTorch exactly, both ways, and proves it.",
    epilog="Exit codes: 0 match or done, 1 the models differ, 2 bad input, 3 unsupported.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
for command in (
    converting.convert,
    comparing.verify,
    comparing.diagnose,
    transferring.transfer,
    inspecting.inspect,
    layers.layers,
    bench.bench,
):
    app.command()(command)
app.add_typer(zoo.zoo, name="zoo")


def _version(wanted: bool) -> None:
    if wanted:
        say(f"xconv {xconv.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Converts neural networks between Keras and PyTorch exactly, both ways, and proves it."""


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
            warn(f"xconv: {error}")
            return UNSUPPORTED if isinstance(error, Unsupported) else BAD_INPUT
    return 0


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """xconv's own warnings without the place in the code; others, which are not the user's, only where asked for."""
    if issubclass(category, XConvWarning):
        warn(f"warning: {message}")
    elif sys.warnoptions:
        sys.stderr.write(warnings.formatwarning(message, category, *place[:2]))
