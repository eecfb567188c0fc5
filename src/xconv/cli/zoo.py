"""`xconv zoo`: which networks correspond, and one of them loaded and written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xconv.cli.options import JsonOption
from xconv.cli.output import print_json, say
from xconv.errors import InvalidInput

__all__ = ["zoo"]

zoo = typer.Typer(
    help="Pretrained networks of keras.applications, torchvision and timm, in either framework.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@zoo.command("list")
def list_networks(
    name: Annotated[str | None, typer.Argument(help="One network, as any of the libraries calls it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which networks correspond, exactly or not and why, and how their parameters add up."""
    from xconv.zoo.listing import table

    found = table(name)
    if as_json:
        print_json(found.to_dict())
    else:
        say(str(found))


@zoo.command("load")
def load_network(
    name: Annotated[str, typer.Argument(help="Of the network, as any of the libraries calls it.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The file to write: .safetensors, .pt2, .pt or .pth for torch, .keras, .h5 or .weights.h5 for Keras; "
            "a name without a suffix is a folder that timm loads.",
            show_default=False,
        ),
    ],
    source: Annotated[str, typer.Option(help="Whose weights: keras, torchvision or timm.")] = "keras",
    framework: Annotated[str, typer.Option(help="What is written: torch or keras.")] = "torch",
    weights: Annotated[
        str, typer.Option(help="Their tag ('imagenet' is their owner's default), the path of a file, or 'random'.")
    ] = "imagenet",
    destination: Annotated[
        str, typer.Option(help="converted: with the source's names; stock: a library's own class.")
    ] = "converted",
    library: Annotated[str | None, typer.Option(help="Whose class: torchvision or timm.", show_default=False)] = None,
    geometry: Annotated[str, typer.Option(help="Of a stock class: adapted, rotated or unchanged.")] = "adapted",
    include_top: Annotated[bool, typer.Option("--top/--no-top", help="With the classifier.")] = True,
    pooling: Annotated[str | None, typer.Option(help="Without it: avg or max.", show_default=False)] = None,
    classes: Annotated[int, typer.Option(help="Of the classifier.")] = 1000,
    input_shape: Annotated[
        str | None, typer.Option("--input-shape", help="Height, width and channels: 224,224,3.", show_default=False)
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="The width of a MobileNet.", show_default=False)] = None,
    minimalistic: Annotated[bool, typer.Option("--minimalistic", help="The plain MobileNetV3.")] = False,
    logits: Annotated[bool, typer.Option("--logits", help="Without the softmax of keras.applications.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of random weights.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Load a network with published, given or random weights, convert it, and write it."""
    from xconv.zoo.loading import load
    from xconv.zoo.origins import origin
    from xconv.zoo.wanted import AS_SOURCE
    from xconv.zoo.writing import write

    model = load(
        name,
        source=source,  # type: ignore[arg-type]
        framework=framework,  # type: ignore[arg-type]
        weights=None if weights == "random" else weights,
        destination=destination,  # type: ignore[arg-type]
        library=library,  # type: ignore[arg-type]
        geometry=geometry,  # type: ignore[arg-type]
        include_top=include_top,
        pooling=pooling,  # type: ignore[arg-type]
        classes=classes,
        input_shape=_shape(input_shape),
        alpha=alpha,
        minimalistic=minimalistic or None,
        classifier_activation=None if logits else AS_SOURCE,
        seed=seed,
    )
    write(model, output)
    found = origin(model)
    if as_json:
        print_json({"output": str(output), **found.to_dict()})
    else:
        say(str(found), str(output))


def _shape(text: str | None) -> tuple[int | None, ...] | None:
    """The sizes that a text such as 224,224,3 names; 'none' is an open one.

    Raises:
        InvalidInput: something else.
    """
    if text is None:
        return None
    parts = [part.strip().casefold() for part in text.split(",")]
    if not all(part == "none" or part.isdecimal() for part in parts):
        raise InvalidInput(f"--input-shape {text!r} names no sizes", remedy="write them as 224,224,3")
    return tuple(None if part == "none" else int(part) for part in parts)
