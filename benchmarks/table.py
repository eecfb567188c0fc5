"""Markdown tables, and numbers as a reader wants them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["markdown", "megabytes", "percent", "ratio", "scientific", "seconds"]


def markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; columns after the first are set to the right.

    >>> print(markdown(["network", "s"], [["ResNet50", 1.5]]))
    | network | s |
    |---|---:|
    | ResNet50 | 1.5 |
    """
    rule = "|---" + "|---:" * (len(head) - 1) + "|"
    return "\n".join([_line(head), rule, *map(_line, rows)])


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def scientific(value: float | None) -> str:
    """Two digits and a power of ten; '-' where there is nothing.

    >>> scientific(1.04e-15), scientific(0.0), scientific(None)
    ('1.0e-15', '0', '-')
    """
    if value is None:
        return "-"
    return f"{value:.1e}" if value else "0"


def seconds(value: float | None) -> str:
    """Three digits; milliseconds below a tenth.

    >>> seconds(12.34), seconds(0.0123), seconds(None)
    ('12.3 s', '12.3 ms', '-')
    """
    if value is None:
        return "-"
    return f"{value:#.3g} s" if value >= 0.1 else f"{value * 1000:#.3g} ms"


def megabytes(value: float | None) -> str:
    """Bytes in MB, of 10**6.

    >>> megabytes(102_400_000)
    '102 MB'
    """
    return "-" if value is None else f"{value / 1e6:,.0f} MB"


def ratio(value: float | None) -> str:
    """A factor.

    >>> ratio(1.0349), ratio(52.3)
    ('1.03', '52')
    """
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def percent(share: float) -> str:
    """A share of one.

    >>> percent(0.6279), percent(1.0)
    ('62.8%', '100%')
    """
    return "100%" if share == 1 else f"{share:.1%}"
