"""docs/throughput.md, written from the results of `benchmarks.throughput`: the newest run of every device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.stored import FOLDER, GENERATED, read
from benchmarks.table import markdown, ratio

__all__ = ["TITLES", "newest", "write"]

Row = dict[str, Any]

TITLES = {
    "xconv": "xconv",
    "xconv_folded": "xconv, BatchNorm folded",
    "handwritten": "hand-written",
    "keras_torch": "Keras on torch",
    "keras_export": "Keras's torch export",
    "onnx2torch": "tf2onnx + onnx2torch",
    "keras_jax": "Keras on JAX (XLA)",
}

TEXT = """\
Images a second of every arm, at the median call. In brackets: its ratio to the hand-written module of torchvision or
timm in the same precision, mode and batch. The last rows give the bound of the device for this network, and how much
of it xconv's best mode reaches.

- Weights are random and live; float32 outputs of every arm were compared with the source's before it was timed (the
  hand-written module has its own weights, and its own pads).
- *eager* holds images as torch does; all other modes hold them channels-last. *compile* is torch.compile, on a CPU with
  frozen weights; *cuda_graph* replays the eager calls.
- *float32* is without TF32. *tf32* allows it in convolutions and products. *bfloat16* holds the weights in it too.
- The bound: each layer takes at least its operations at the measured peak rate, or its bytes at the measured bandwidth;
  elementwise work between two library calls is one pass (`benchmarks/roofline.py`).
- *training* is a whole step: forward, cross-entropy, backward, SGD with momentum.
- A cell that is empty was not measured; one with words could not be run."""


def write(results: Path = FOLDER / "throughput.jsonl", target: Path = ROOT / "docs" / "throughput.md") -> None:
    """Writes the page; without results nothing is written."""
    runs = list(newest(read(results)))
    if not runs:
        return
    parts = ["# Throughput", GENERATED, TEXT]
    if not any(rows[0]["device"] != "cpu" for rows in runs):
        parts.append(
            "No GPU was at hand: there are no figures of one here. `python -m benchmarks.throughput` on one "
            "measures all cells."
        )
    if (target.parent / "plots" / "throughput.svg").exists():
        parts.append("![Images a second of every arm, in its best mode](plots/throughput.svg)")
    for rows in runs:
        parts += _device(rows)
    target.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def newest(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The newest whole run of each device; a quick one only where there is no other."""
    runs: dict[str, list[Row]] = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row)
    chosen: dict[str, list[Row]] = {}
    for found in runs.values():
        if len(found) > 1 and not (found[0]["quick"] and found[0]["device"] in chosen):
            chosen[found[0]["device"]] = found
    yield from (chosen[name] for name in sorted(chosen, key=lambda name: (name == "cpu", name)))


def _device(rows: Sequence[Row]) -> Iterator[str]:
    machine = rows[0]
    where = (
        machine["device"] if machine["device"] != "cpu" else f"{machine['threads']} threads of {machine['processor']}"
    )
    named = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    yield f"## {where}\n\n{named}; {machine['allocator']}; environment {machine['environment'] or 'as it is'}."
    for network in dict.fromkeys(row["network"] for row in rows[1:]):
        yield from _network(network, [row for row in rows[1:] if row["network"] == network])


def _network(network: str, rows: Sequence[Row]) -> Iterator[str]:
    arms = {row["arm"]: row.get("cells", []) for row in rows if row["kind"] == "throughput"}
    limits = [cell for row in rows if row["kind"] == "limits" for cell in row.get("cells", [])]
    failed = [f"- {TITLES[row['arm']]}: {row['error']}" for row in rows if "arm" in row and "error" in row]
    failed += [f"- {row['error']}" for row in rows if row["kind"] == "source" and "error" in row]
    precisions = dict.fromkeys(cell["precision"] for cells in arms.values() for cell in cells)
    for precision in precisions:
        chosen = {arm: [cell for cell in cells if cell["precision"] == precision] for arm, cells in arms.items()}
        batches = sorted({cell["batch"] for cells in chosen.values() for cell in cells})
        hand = {(cell["mode"], cell["batch"]): cell for cell in chosen.get("handwritten", ())}
        lines = [line for arm, cells in chosen.items() for line in _arm(arm, cells, batches, hand)]
        found = next((limit for limit in limits if limit["precision"] == precision), None)
        if found is not None:
            lines += _bounds(found, chosen.get("xconv", []), batches)
        yield f"### {network}, {precision}\n\n" + markdown(["arm", "mode", *(f"batch {b}" for b in batches)], lines)
        training = [line for arm, cells in chosen.items() for line in _training(arm, cells, batches, hand)]
        if training:
            yield "training:\n\n" + markdown(["arm", "mode", *(f"batch {b}" for b in batches)], training)
    if failed:
        yield f"{network}: not measured:\n\n" + "\n".join(failed)


def _arm(arm: str, cells: Sequence[Row], batches: Sequence[int], hand: Row) -> Iterator[list[str]]:
    for mode in dict.fromkeys(cell["mode"] for cell in cells):
        by_batch = {cell["batch"]: cell for cell in cells if cell["mode"] == mode}
        yield [TITLES[arm], mode, *(_cell(by_batch.get(batch), hand.get((mode, batch))) for batch in batches)]


def _training(arm: str, cells: Sequence[Row], batches: Sequence[int], hand: Row) -> Iterator[list[str]]:
    trained = [
        {**cell["training"], "mode": cell["mode"], "batch": cell["batch"]} for cell in cells if "training" in cell
    ]
    known = {key: cell["training"] for key, cell in hand.items() if "training" in cell}
    yield from _arm(arm, trained, batches, known)


def _cell(cell: Row | None, hand: Row | None) -> str:
    if cell is None:
        return ""
    if "error" in cell:
        return str(cell["error"].partition(":")[0])
    against = ""
    if hand is not None and hand is not cell and "images_per_second" in hand:
        against = f" ({ratio(cell['images_per_second'] / hand['images_per_second'])})"
    return f"{_number(cell['images_per_second'])}{against}"


def _bounds(limit: Row, cells: Sequence[Row], batches: Sequence[int]) -> Iterator[list[str]]:
    peaks = f"{limit['bandwidth'] / 1e9:,.0f} GB/s, {limit['operations'] / 1e12:,.2f} Tflop/s"
    yield ["bound", peaks, *(_number(limit["bound"][str(batch)]) for batch in batches)]
    best = {
        batch: max((c["images_per_second"] for c in cells if c["batch"] == batch and "error" not in c), default=None)
        for batch in batches
    }
    shares = (best[batch] / limit["bound"][str(batch)] if best[batch] else None for batch in batches)
    yield ["xconv's best of it", "", *(f"{share:.0%}" if share else "" for share in shares)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


if __name__ == "__main__":
    write()
