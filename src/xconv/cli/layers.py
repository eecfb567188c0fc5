"""`xconv layers`: which layers and operations of Keras are converted, and what they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer

from xconv.cli.options import JsonOption
from xconv.cli.output import print_json, say
from xconv.errors import InvalidInput

__all__ = ["layers"]

Row = TypeVar("Row")


def layers(
    name: Annotated[
        str | None, typer.Argument(help="A class, or a part of its name: LSTM, ops.Einsum, Pooling.")
    ] = None,
    of_torch: Annotated[bool, typer.Option("--torch", help="The classes of torch.nn instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which layers and operations of Keras are converted, what they become in torch, and what is refused."""
    from xconv.layers.torch_classes import table_of_classes, torch_classes
    from xconv.support import supported, table_of

    if of_torch:
        classes = _named(torch_classes(), lambda row: row.name, name)
        if as_json:
            print_json([asdict(row) for row in classes])
        else:
            say(table_of_classes(classes))
        return
    rows = _named(supported(), lambda row: row.kind, name)
    if as_json:
        print_json([{**asdict(row), "directions": row.directions} for row in rows])
    else:
        say(table_of(rows))


def _named(rows: Sequence[Row], named: Callable[[Row], str], name: str | None) -> Sequence[Row]:
    """The row of this name, or all whose names hold it."""
    if name is None:
        return rows
    found = [row for row in rows if named(row).lower() == name.lower()]
    found = found or [row for row in rows if name.lower() in named(row).lower()]
    if not found:
        raise InvalidInput(f"there is no {name!r} that xconv knows of", remedy="run `xconv layers` for all")
    return found
