"""`xconv inspect`: what a conversion would do with each layer."""

from __future__ import annotations

import typer
from rich.console import Console

import xconv
from xconv.cli.options import (
    TORCH_PROGRAMS,
    UNSUPPORTED,
    ConfigOption,
    JsonOption,
    LayoutOption,
    ModelArgument,
    QuietOption,
    WeightsOption,
    native_layout,
    steps,
)
from xconv.cli.output import print_json, say

__all__ = ["inspect"]


def inspect(
    model: ModelArgument,
    input_layout: LayoutOption = None,
    weights: WeightsOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what a conversion would do with each layer, before anything is converted. Exit code 3: it cannot be."""
    with steps(as_json or quiet) as step:
        step(f"reading {model.name}")
        layout = input_layout or native_layout(model.suffix in TORCH_PROGRAMS)
        found = xconv.inspect(model, input_layout=layout.value, weights=weights, config=config)
    if as_json:
        print_json(found.to_dict())
    elif not quiet:
        console = Console()
        if console.is_terminal:
            console.print(found)
        else:
            say(str(found))
    if not found.ok:
        raise typer.Exit(UNSUPPORTED)
