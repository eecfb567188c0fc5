"""`xconv layers`: which layers and operations of Keras are converted, and what they become."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from xconv.cli.options import JsonOption
from xconv.cli.output import print_json, say
from xconv.errors import InvalidInput

__all__ = ["layers"]


def layers(
    name: Annotated[
        str | None, typer.Argument(help="A class, or a part of its name: LSTM, ops.Einsum, Pooling.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which layers and operations of Keras are converted, what they become in torch, and what is refused."""
    from xconv.support import supported, table_of

    rows = supported()
    if name is not None:
        exact = [row for row in rows if row.kind.lower() == name.lower()]
        rows = tuple(exact or [row for row in rows if name.lower() in row.kind.lower()])
        if not rows:
            raise InvalidInput(f"Keras has no {name!r} that xconv knows of", remedy="run `xconv layers` for all")
    if as_json:
        print_json([{**asdict(row), "directions": row.directions} for row in rows])
    else:
        say(table_of(rows))
