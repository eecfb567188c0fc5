"""docs/laws.md, written from the results of `benchmarks.cases`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, in_short
from benchmarks.stored import FOLDER, GENERATED, read
from benchmarks.table import markdown, scientific

__all__ = ["add", "totals", "write"]

Row = dict[str, Any]

PAGE = """\
# The laws, and how often they were tried

{generated}

Every layer is held to five laws, in both directions:

1. **Words.** A rule reads a record of the layer and writes a record of the other framework, and every entry that Keras
   or torch gave was read: what no rule read is an error, not a default.
2. **Closure.** What is said in Keras is read back as the same meaning; so is what is said in torch.
3. **Numbers.** In float64 the outputs and the gradients of all inputs and weights agree with the source, in inference
   and in training, within 1e-10 of the largest value.
4. **Order.** Holding the tensors in another order of axes changes nothing, and deciding the order twice is deciding it
   once.
5. **Refusal.** What the other framework cannot say is refused by name, with the option and a remedy.

The tests hold every family to them by examples that reach every option. What follows is the third law beyond the
examples: options and shapes that [hypothesis](https://hypothesis.readthedocs.io) generates, far more than the tests
draw.

    python -m benchmarks.cases --workers 2

{summary}

- **float64** and **float32** count different configurations of the layer that agree: within 1e-10, or, where the
  reference itself has constants or kernels in float32 alone, within 4e-6.
- **inference**, **training** and **gradients** say in how many of the float64 configurations these were compared.
  Layers that are random in training are compared there by the tests of their distribution.
- **worst** is the largest relative error in float64.
- A comparison is one part of one configuration: its outputs, the gradients of its inputs, or those of its weights, in
  one of the two modes.
- Classes and functions of Keras were converted to torch, those of torch (`nn.`, `Tensor.`) to Keras.
{failures}
{tables}
"""
HEAD = ("layer", "float64", "inference", "training", "gradients", "float32", "worst")
SIDES = ("Layers of Keras", "Operations of keras.ops", "Classes and functions of torch")


def write(results: Path = FOLDER / "cases.jsonl", target: Path = ROOT / "docs" / "laws.md") -> None:
    """Writes docs/laws.md from the newest row of each group that there still is."""
    from benchmarks.cases import groups

    newest = {row["group"]: row for row in read(results)}
    rows = [newest[group] for group in groups() if group in newest]
    if not rows:
        return
    layers: dict[str, Row] = {}
    for row in rows:
        for layer, counts in row["layers"].items():
            add(layers, layer, counts)
    text = PAGE.format(
        generated=GENERATED,
        summary=_summary(rows, layers),
        failures=_failures(rows),
        tables="\n\n".join(_tables(layers)),
    )
    target.write_text(text.rstrip() + "\n", encoding="utf-8")


def add(layers: dict[str, Row], layer: str, counts: Mapping[str, Any]) -> None:
    """Adds the counts of one layer to those that there are.

    >>> found = {}
    >>> for _ in range(2):
    ...     add(found, "Dense", {"float64": 3, "parts": {"outputs in training": 2}, "worst": 1e-15})
    >>> found["Dense"]["float64"], found["Dense"]["parts"], found["Dense"]["worst"]
    (6, {'outputs in training': 4}, 1e-15)
    """
    kept = layers.setdefault(layer, {"float64": 0, "float32": 0, "skipped": 0, "parts": {}, "worst": 0.0})
    for key in ("float64", "float32", "skipped"):
        kept[key] += counts.get(key, 0)
    for part, number in counts["parts"].items():
        kept["parts"][part] = kept["parts"].get(part, 0) + number
    kept["worst"] = max(kept["worst"], counts["worst"])


def totals(layers: Mapping[str, Row]) -> Row:
    """The sums over layers; `comparisons` are those in float64."""
    found: Row = {key: sum(counts[key] for counts in layers.values()) for key in ("float64", "float32", "skipped")}
    found["comparisons"] = sum(sum(counts["parts"].values()) for counts in layers.values())
    found["worst"] = max((counts["worst"] for counts in layers.values()), default=0.0)
    return found


def _summary(rows: Sequence[Row], layers: Mapping[str, Row]) -> str:
    found = totals(layers)
    failed = sum(len(row["failures"]) for row in rows)
    newest = rows[-1]
    software = ", ".join(f"{name} {number}" for name, number in newest["versions"].items())
    cases = sorted({row["cases"] for row in rows})
    seeds = sorted({row["seed"] for row in rows})
    hours = sum(row["seconds"] for row in rows) / 3600
    return (
        f"**{found['float64']:,} configurations of {len(layers)} layers in float64, {found['comparisons']:,} "
        f"comparisons, {failed} unexplained.** {found['float32']:,} more in float32. The worst relative error in "
        f"float64 is {scientific(found['worst'])}. {len(rows)} strategies drew {' or '.join(map(str, cases))} cases "
        f"each, under the seed {', '.join(map(str, seeds))}: the same seed and the same hypothesis draw the same "
        f"cases. {hours:.1f} hours on {in_short(newest['machine'])}; {software}."
    )


def _failures(rows: Iterable[Row]) -> str:
    found = [failure for row in rows for failure in row["failures"]]
    lines = [f"- `{failure['case']}`\n\n  {failure['error']}" for failure in found]
    return "\n".join(["\n## Unexplained\n", *lines, ""]) if lines else ""


def _tables(layers: Mapping[str, Row]) -> Iterable[str]:
    """A table for each side."""
    for side in SIDES:
        names = sorted((name for name in layers if _side(name) == side), key=str.lower)
        if names:
            yield f"## {side}\n\n{markdown(HEAD, [_cells(name, layers[name]) for name in names])}"


def _side(name: str) -> str:
    if name.startswith(("ops.", "ops ")):
        return SIDES[1]
    return SIDES[2] if name.startswith(("torch.", "Tensor.", "operator.")) else SIDES[0]


def _cells(name: str, counts: Row) -> list[str]:
    parts: Mapping[str, int] = counts["parts"]
    gradients = max((number for part, number in parts.items() if part.startswith("gradients")), default=0)
    compared = [parts.get(f"outputs in {mode}", 0) for mode in ("inference", "training")]
    numbers = (counts["float64"], *compared, gradients, counts["float32"])
    return [name.removeprefix("torch."), *(f"{number:,}" for number in numbers), scientific(counts["worst"])]
