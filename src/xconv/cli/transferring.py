"""`xconv transfer`: the weights of one file moved into the model of another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import xconv
from xconv.cli.options import DIFFERS, JsonOption, QuietOption, sizes_in, steps
from xconv.cli.output import print_json, say
from xconv.errors import InvalidInput

__all__ = ["transfer"]


def transfer(
    source: Annotated[
        Path,
        typer.Argument(
            help="Where the weights come from: the file of a model (.keras, .h5, .pt2, or a .safetensors file that "
            "xconv wrote) or of weights alone (.weights.h5, .h5, .safetensors, .pt, .pth, .bin).",
            show_default=False,
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            help="The file of the model that gets them: .keras, .h5, .pt2, .safetensors. With --map the file to write.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: .safetensors, .pt or .pth; .weights.h5, .h5 or .keras. Without it, TARGET itself.",
            show_default=False,
        ),
    ] = None,
    architecture: Annotated[
        Path | None,
        typer.Option("--architecture", help="The file of the model that a SOURCE of weights alone belongs to."),
    ] = None,
    replayed: Annotated[
        Path | None, typer.Option("--map", help="Follow a saved map: no model is read, built or compared.")
    ] = None,
    save_map: Annotated[Path | None, typer.Option("--save-map", help="Write the mapping that was found.")] = None,
    which: Annotated[str, typer.Option(help="Of several sets of weights in a torch file: ema, or an entry.")] = "",
    inference_only: Annotated[
        bool, typer.Option("--inference-only", help="Also fold what is exact in inference alone.")
    ] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Turn kernels, and from then on images, by 180.")] = False,
    swap_channels: Annotated[bool, typer.Option("--swap-channels", help="Between RGB and BGR.")] = False,
    strict: Annotated[bool, typer.Option(help="Refuse where the two models are not the same function.")] = True,
    adapt: Annotated[bool, typer.Option("--adapt", help="Change the target's settings; for live models only.")] = False,
    input_shape: Annotated[
        str | None, typer.Option("--input-shape", help="Without the batch, channels first, such as 3,224,224.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Move weights from one model into another existing one, file to file. Exit code 1: what was moved is not all."""
    with steps(as_json or quiet) as step:
        step(f"moving {source.name} into {target.name}")
        if replayed is not None:
            if inference_only or rotate or swap_channels or adapt or save_map is not None:
                remedy = "leave out the options of planning"
                raise InvalidInput("--map follows what was planned before", place=str(replayed), remedy=remedy)
            model = None if output is None else target
            done = xconv.apply_map(
                replayed, source, output or target, architecture=model, config=architecture, which=which, strict=strict
            )
        else:
            done = xconv.transfer(
                source,
                output or _in_place(target),
                architecture=(architecture, target),
                which=which,
                inference_only=inference_only,
                rotate=rotate,
                swap_channels=swap_channels,
                strict=strict,
                adapt=adapt,
                input_shape=sizes_in(input_shape),
            )
            if save_map is not None:
                done.save_map(save_map)
    if as_json:
        print_json({"output": str(output or target), **done.to_dict()})
    elif not quiet:
        say(str(done), f"{output or target}: {done.numbers:,} numbers")
    if not done.ok:
        raise typer.Exit(DIFFERS)


def _in_place(target: Path) -> Path:
    """The target as the file to write, where its model would still be in it.

    Raises:
        InvalidInput: a file of torch, which would hold weights alone from then on.
    """
    if target.suffix.lower() in (".keras", ".h5"):
        return target
    raise InvalidInput("cannot be given other weights in place", place=str(target), remedy="name a file with -o")
