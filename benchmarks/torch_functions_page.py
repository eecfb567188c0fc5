"""docs/torch_functions.md, written from the results of `benchmarks.torch_functions`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, in_short
from benchmarks.stored import FOLDER, GENERATED, read
from benchmarks.table import markdown

__all__ = ["outcome_of", "write"]

Row = dict[str, Any]

PAGE = """\
# torch's functions as Keras models

{generated}

torch keeps samples of its functions for its own tests (`op_db` of torch.testing._internal). Up to {samples} samples of
each were converted to Keras and compared with torch in float64 at 1e-10 of the largest value: shape, kind of number,
values, and where NaN stands, on the sample and on a larger batch where torch takes one. Every sample counts twice, with
all of its tensors as arguments, and with the first alone while the others are held as buffers.

    python -m benchmarks.torch_functions

{functions} functions and their variants, {calls:,} calls; {software}, {machine}.

{table}

- right: every call that torch.export can say with an open batch is right.
- in part: some are right, the others refused with a reason.
- wrong: at least one call came out wrong, or not as an error of xconv's.
- refused: none is right, each that torch.export can say is refused with a reason and a remedy.
- not exportable: torch.export cannot say any with an open batch, as where two arguments have batches of two sizes.
- left out: random, without a tensor, of sparse tensors, or for a device that is not there.
- Constants that TensorFlow keeps in float32, such as the slope of leaky_relu, are put into torch's own before it is
  compared ([precision](precision.md)). Where TensorFlow has no kernel in float64, float32 is compared at 4e-6.

{lists}
"""
KINDS = ("right", "in part", "wrong", "refused", "not exportable", "left out")
NAN = "The sample holds NaN, which torch takes for the largest number, and keras.ops passes over."
KNOWN = {
    "masked.argmax": NAN,
    "masked.argmin": NAN.replace("largest", "smallest"),
    "scatter_reduce:prod": "The places have fewer rows than the tensor; both are open batches, and taken for equal.",
}
"""Why a call is wrong, where that is known."""
NAMED = ("right", "in part", "not exportable", "left out")


def write(
    results: Path = FOLDER / "torch_functions.jsonl", target: Path = ROOT / "docs" / "torch_functions.md"
) -> None:
    """Writes docs/torch_functions.md from the newest row of each function."""
    newest = {row["function"]: row for row in read(results)}
    rows = sorted(newest.values(), key=lambda row: row["function"])
    if not rows:
        return
    last = rows[-1]
    text = PAGE.format(
        generated=GENERATED,
        samples=max(row["samples"] for row in rows),
        functions=len(rows),
        calls=sum(sum(row["outcomes"].values()) for row in rows),
        software=", ".join(f"{name} {number}" for name, number in last["versions"].items()),
        machine=in_short(last["machine"]),
        table=_table(rows),
        lists="\n\n".join(_lists(rows)),
    )
    target.write_text(text.rstrip() + "\n", encoding="utf-8")


def outcome_of(outcomes: Mapping[str, int]) -> str:
    """What became of a function, by what became of its calls.

    >>> outcome_of({"right": 2, "not exportable": 1}), outcome_of({"right": 1, "refused": 1})
    ('right', 'in part')
    """
    if outcomes.get("wrong") or outcomes.get("broken"):
        return "wrong"
    if outcomes.get("right"):
        return "in part" if outcomes.get("refused") else "right"
    return next((kind for kind in ("refused", "not exportable") if outcomes.get(kind)), "left out")


def _table(rows: Sequence[Row]) -> str:
    functions = Counter(outcome_of(row["outcomes"]) for row in rows)
    calls: Counter[str] = Counter()
    for row in rows:
        calls.update(row["outcomes"])
    calls["wrong"] += calls["broken"]
    return markdown(("", "functions", "calls"), [(kind, functions[kind], calls[kind] or "-") for kind in KINDS])


def _lists(rows: Sequence[Row]) -> Iterable[str]:
    """The functions of each outcome; those that are wrong or refused with the reason."""
    for kind in KINDS:
        mine = [row for row in rows if outcome_of(row["outcomes"]) == kind]
        if not mine:
            continue
        title = f"## {kind.capitalize()}: {len(mine)}\n\n"
        if kind in NAMED:
            yield title + ", ".join(f"`{row['function']}`" for row in mine)
            continue
        if kind == "wrong":
            yield title + "\n".join(map(_wrong, mine))
            continue
        by_reason: dict[str, list[str]] = {}
        for row in mine:
            by_reason.setdefault(_short(row), []).append(f"`{row['function']}`")
        yield title + "\n".join(f"- {reason}: {', '.join(names)}" for reason, names in sorted(by_reason.items()))


def _wrong(row: Row) -> str:
    known = KNOWN.get(row["function"])
    return f"- `{row['function']}`, {row['call']}: {row['reason']}{f'. {known}' if known else ''}"


def _short(row: Row) -> str:
    """The reason without its kind, and without the operator where it has no rule at all."""
    reason = row["reason"].partition(": ")[2]
    said, _, remedy = reason.partition(" has no rule; ")
    return f"no rule; {remedy}" if remedy and said.startswith("operator aten.") else reason
