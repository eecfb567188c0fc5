"""docs/serving.md, written from the results of `benchmarks.serving`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, in_full
from benchmarks.stored import FOLDER, GENERATED, newest
from benchmarks.table import markdown, ratio, scientific, seconds

__all__ = ["ALLOCATORS", "TITLES", "write"]

Row = dict[str, Any]

TITLES = {
    "xconv_eager": "xconv, eager",
    "xconv_optimized": "`xconv.optimize`",
    "xconv_openvino": '`xconv.optimize`, `compiled="openvino"`',
    "torchvision_eager": "torchvision, eager",
    "torchvision_compiled": "torchvision, torch.compile",
    "tensorflow": "TensorFlow graph",
    "onnxruntime": "onnxruntime",
    "openvino": "OpenVINO",
}
ALLOCATORS = {
    "library": "the C library's own allocator",
    "kept": "memory kept (`xconv.keep_memory()`)",
    "jemalloc": "jemalloc",
}

TEXT = """\
What a converted network costs to serve on a CPU: `python -m benchmarks.serving` on {machine}, {threads} threads,
float32; the arms of one run ran side by side. Milliseconds of one call, the median over all calls of
{processes} processes, with the tenth and the ninetieth percentile; in brackets how many times as long as
`xconv.optimize` it takes: more than 1 means that `xconv.optimize` is ahead.

- Every arm is a process of its own, and they run in turn. Inputs are fresh noise in rotation. The outputs were compared
  with TensorFlow's before anything was timed (largest difference {difference}); torchvision's networks have weights of
  their own, and the compiled ones were compared with the eager ones.
- TensorFlow runs the Keras model as one graph (`tf.function`). onnxruntime and OpenVINO run tf2onnx's export of it with
  all their optimisations, OpenVINO in float32. *torch.compile* has frozen weights. With `compiled="openvino"`
  `xconv.optimize` also tries a program that OpenVINO makes of the converted module, and keeps the fastest.
- The allocator matters as much as the program: the C library gives every large block back to the system when it is
  freed, and gets it cleared again. {allocators}.
- What was not measured says why."""


def write(
    results: Path = FOLDER / "serving.jsonl", target: Path = ROOT / "docs" / "serving.md", plots: str = "plots"
) -> None:
    """Writes the page from the newest rows; without results nothing is written.

    Args:
        results: the rows.
        target: the page.
        plots: the folder of the plots, from the page.
    """
    rows = current(results)
    if len(rows) < 2:
        return
    parts = ["# Serving on a CPU", GENERATED, *_parts(rows)]
    if (target.parent / plots / "serving.svg").exists():
        parts.insert(3, f"![Milliseconds of every arm]({plots}/serving.svg)")
    target.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def current(results: Path) -> list[Row]:
    """The machine and the newest rows; an arm that failed and was measured later has not failed, and the reverse."""
    rows = newest(results, "network", "allocator", "arm", "batch")
    failed, measured = ({_arm(row): row["run"] for row in rows[1:] if ("error" in row) is way} for way in (True, False))
    return rows[:1] + [
        row for row in rows[1:] if row["run"] >= (measured if "error" in row else failed).get(_arm(row), "")
    ]


def _arm(row: Row) -> tuple[Any, ...]:
    return row["network"], row.get("allocator"), row.get("arm")


def _parts(rows: Sequence[Row]) -> Iterator[str]:
    machine, cells = rows[0], [row for row in rows[1:] if "median" in row]
    used = dict.fromkeys(row["allocator"] for row in cells)
    yield TEXT.format(
        machine=in_full(machine),
        threads=machine["threads"],
        processes=max((len(row["processes"]) for row in cells), default=1),
        difference=scientific(max((row.get("difference", 0.0) for row in cells), default=0.0)),
        allocators="; ".join(f"*{name}*: {ALLOCATORS[name]}" for name in used),
    )
    for network in dict.fromkeys(row["network"] for row in rows[1:]):
        mine = [row for row in cells if row["network"] == network]
        failed = [row for row in rows[1:] if row["network"] == network and "error" in row]
        yield f"## {network}"
        yield _table(mine)
        yield from _runs(mine)
        yield from _failures(failed)
        yield from _gaps(mine)
        yield from _steps(mine)
    yield from _operators(cells)


def _table(cells: Sequence[Row]) -> str:
    """Arms down, batches and allocators across."""
    across = sorted({(row["batch"], list(ALLOCATORS).index(row["allocator"])) for row in cells})
    columns = [(batch, list(ALLOCATORS)[place]) for batch, place in across]
    known = {(row["arm"], row["batch"], row["allocator"]): row for row in cells}
    lines = []
    for arm in (name for name in TITLES if any(row["arm"] == name for row in cells)):
        line = [TITLES[arm]]
        for batch, allocator in columns:
            best = known.get(("xconv_optimized", batch, allocator))
            line.append(_cell(known.get((arm, batch, allocator)), best))
        lines.append(line)
    return markdown(["", *(f"batch {batch}, {allocator}" for batch, allocator in columns)], lines)


def _cell(row: Row | None, best: Row | None) -> str:
    if row is None:
        return ""
    against = f" ({ratio(row['median'] / best['median'])})" if best is not None and best is not row else ""
    return f"{seconds(row['median'])}, {seconds(row['low'])} to {seconds(row['high'])}{against}"


def _runs(cells: Sequence[Row]) -> Iterator[str]:
    """Which arms ran side by side, where a network was measured in several runs."""
    runs: dict[str, dict[str, None]] = {}
    for row in cells:
        where = f"{TITLES[row['arm']]} at batch {row['batch']}, {row['allocator']}"
        runs.setdefault(row["run"], {})[where] = None
    if len(runs) > 1:
        *earlier, _ = sorted(runs)
        said = (f"- {run}: {'; '.join(runs[run])}" for run in earlier)
        yield "Measured in earlier runs than the rest:\n\n" + "\n".join(said)


def _failures(rows: Sequence[Row]) -> Iterator[str]:
    said = {f"- {TITLES.get(row.get('arm', ''), row.get('allocator', ''))}: {row['error']}" for row in rows}
    if said:
        yield "Not measured:\n\n" + "\n".join(sorted(said))


def _steps(cells: Sequence[Row]) -> Iterator[str]:
    """What every step of xconv.optimize gained; with the allocator that keeps memory, where that was measured."""
    found = [row for row in cells if row["arm"] == "xconv_optimized" and "optimized" in row]
    chosen = [row for row in found if row["allocator"] == "kept"] or found
    lines = [
        (step["what"], row["batch"], _milliseconds(step), ratio(step["gain"]), "yes" if step["kept"] else "no")
        for row in chosen
        for step in row["optimized"]["steps"]
    ]
    if lines:
        head = ("step", "batch", "before and after", "times as fast", "kept")
        yield f"Steps, with {ALLOCATORS[chosen[0]['allocator']]}:\n\n" + markdown(head, lines)


def _gaps(cells: Sequence[Row]) -> Iterator[str]:
    """Where onnxruntime spends less or more than `xconv.optimize`, by the operators of both under a profiler."""
    known = {(row["arm"], row["batch"], row["allocator"]): row for row in cells if "operators" in row}
    lines = []
    for (arm, batch, allocator), ours in known.items():
        theirs = known.get(("onnxruntime", batch, allocator))
        if arm == "xconv_optimized" and theirs is not None:
            told = (
                f"{part} {here:.2f} ms here and {there:.2f} ms there" for part, here, there in _parted(ours, theirs)
            )
            faster = ratio(theirs["median"] / ours["median"])
            lines.append(f"- batch {batch}, onnxruntime takes {faster} times as long: {', '.join(told)}.")
    if lines:
        yield "Against onnxruntime, under a profiler, which takes time itself:\n\n" + "\n".join(lines)


def _parted(ours: Row, theirs: Row) -> Iterator[tuple[str, float, float]]:
    """Milliseconds in convolutions, and in all else."""
    costs = [{name: cost for name, (cost, _) in row["operators"].items()} for row in (ours, theirs)]
    inside = [sum(cost for name, cost in each.items() if "conv" in name.lower()) for each in costs]
    yield "convolutions", inside[0], inside[1]
    yield "all else", sum(costs[0].values()) - inside[0], sum(costs[1].values()) - inside[1]


def _milliseconds(step: Row) -> str:
    return f"{step['before_ms']:.3g} to {step['after_ms']:.3g} ms"


def _operators(cells: Sequence[Row]) -> Iterator[str]:
    """Where the time goes, for the arms that were profiled."""
    for row in cells:
        if "operators" in row and row["arm"] in ("xconv_optimized", "onnxruntime"):
            head = f"### {row['network']}, batch {row['batch']}, {row['allocator']}: operators of {TITLES[row['arm']]}"
            spans = [(f"`{name[:70]}`", f"{cost:.2f}", f"{calls:.0f}") for name, (cost, calls) in _top(row)]
            yield f"{head}\n\n{markdown(('operator', 'ms', 'calls'), spans)}"


def _top(row: Row) -> list[Any]:
    return list(row["operators"].items())[:8]
