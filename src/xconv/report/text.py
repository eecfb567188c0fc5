"""A verification report for people: plain text, or a table for rich."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from xconv.report.records import LayerReport, OutputReport, Report

if TYPE_CHECKING:
    from xconv.statistics import Comparison

__all__ = ["as_table", "as_text"]

OUTPUT_COLUMNS = ("output", "shape", "float64 rel", "rms", "cosine", "argmax", "float32 rel", "own float32", "ratio")
LAYER_COLUMNS = ("layer", "kind", "shape", "own activations", "reference's activations", "max abs", "")


def number(value: float | None) -> str:
    """A short number; '-' for None.

    >>> number(1.234e-13), number(0.0), number(None)
    ('1.2e-13', '0', '-')
    """
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.2g}"


def as_text(report: Report) -> str:
    """Verdict, outputs, layers, first difference and notes, as lines of text."""
    lines = [headline(report), *_lines([OUTPUT_COLUMNS, *map(output_row, report.outputs)])]
    if report.layers:
        lines += ["", *_lines([LAYER_COLUMNS, *map(layer_row, report.layers)])]
    return "\n".join([*lines, *([""] if any(remarks(report)) else []), *remarks(report)])


def headline(report: Report) -> str:
    """One line: who was compared with what outcome."""
    return f"{report.other} against {report.reference}: {report.verdict} ({report.seconds:.1f} s)"


def remarks(report: Report) -> Iterator[str]:
    """What is to be said below the numbers."""
    if report.first_difference is not None:
        yield f"first difference: {report.first_difference}"
    if report.witness is not None:
        yield f"witness: {report.witness}"
    if report.constants:
        named = ", ".join(f"{layer} ({text})" for layer, text in report.constants[:12])
        more = len(report.constants) - 12
        yield f"float32 in TensorFlow: {named}" + (f" and {more} more" if more > 0 else "")
    if report.noise_floor is not None:
        yield f"noise floor: {number(report.noise_floor)} (outputs, when the input moves by 1e-15)"
    yield from (f"note: {note}" for note in report.notes)


def output_row(output: OutputReport) -> tuple[str, ...]:
    """One output as cells."""
    best = output.float64 or output.float32
    own = output.reference_float32
    return (
        output.name,
        str(output.shape) if best.shape == best.other_shape else f"{best.shape} against {best.other_shape}",
        number(output.float64.max_rel if output.float64 else None),
        number(best.rms_rel),
        f"{best.cosine:.6f}",
        "-" if best.argmax is None else f"{best.argmax:.1%}",
        number(output.float32.max_rel),
        number(own.max_rel if own else None),
        number(output.ratio),
    )


def layer_row(layer: LayerReport) -> tuple[str, ...]:
    """One layer as cells."""
    name = layer.layer + (f" call {layer.call}" if layer.call else "") + (f" [{layer.tensor}]" if layer.tensor else "")
    mark = layer.note if layer.ok else f"DIFFERS {layer.note}".rstrip()
    best = layer.local or layer.chained
    local = layer.local.max_rel if layer.local else None
    return (name, layer.kind, _shape(best), number(layer.chained.max_rel), number(local), number(best.max_abs), mark)


def _shape(comparison: Comparison) -> str:
    same = comparison.shape == comparison.other_shape
    return str(comparison.shape) if same else f"{comparison.shape} against {comparison.other_shape}"


def _lines(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def as_table(report: Report) -> Any:
    """The same as a rich renderable."""
    from rich.console import Group
    from rich.text import Text

    colour = "green" if report.ok else "red"
    parts: list[Any] = [
        Text(headline(report), style=f"bold {colour}"),
        _table(OUTPUT_COLUMNS, [(output_row(output), output.verdict.ok) for output in report.outputs]),
    ]
    if report.layers:
        parts.append(_table(LAYER_COLUMNS, [(layer_row(layer), layer.ok) for layer in report.layers]))
    return Group(*parts, *map(Text, remarks(report)))


def _table(columns: tuple[str, ...], rows: list[tuple[tuple[str, ...], bool]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    for cells, fine in rows:
        table.add_row(*map(Text, cells), style="" if fine else "red")
    return table
