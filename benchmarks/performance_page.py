"""docs/performance.md, written from the results of `benchmarks.conversion` and `benchmarks.forward`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import fidelity, to_keras_page
from benchmarks.machine import ROOT, in_full
from benchmarks.stored import FOLDER, GENERATED, last_run, read
from benchmarks.table import markdown, megabytes, percent, ratio, scientific, seconds

__all__ = ["write"]

ARM_NAMES = {
    "xconv_live": "xconv, live model",
    "xconv_file": "xconv, `.keras` file",
    "onnx": "tf2onnx + onnx2torch",
    "keras_export": 'Keras `export(format="torch")`',
}

Row = dict[str, Any]


def write(
    conversion: Path = FOLDER / "conversion.jsonl",
    forward: Path = FOLDER / "forward.jsonl",
    target: Path = ROOT / "docs" / "performance.md",
    *,
    to_keras: Path = FOLDER / "to_keras.jsonl",
    forward_keras: Path = FOLDER / "forward_keras.jsonl",
    plots: str = "plots",
) -> None:
    """Writes docs/performance.md from the newest run of each benchmark; what fits beside it is linked."""
    parts = [
        *fidelity.part(conversion.parent),
        *_conversion_part(last_run(conversion)),
        *to_keras_page.conversion_part(read(to_keras)),
        *_forward_part(last_run(forward)),
        *to_keras_page.forward_part(last_run(forward_keras)),
    ]
    if parts:
        parts = [*_commands(target.parent), *parts]
        if (target.parent / plots / "conversion.svg").exists():
            parts.append(f"## Plot\n\n![Seconds of a conversion against layers and weights]({plots}/conversion.svg)")
        target.write_text("\n\n".join(["# Performance", GENERATED, *parts]) + "\n", encoding="utf-8")


COMMANDS = """\
What is measured here and how it is measured again:

| command | shows |
|---|---|
| `python -m benchmarks all --quick` | everything, few and small, in minutes; results and pages in `build/benchmarks` |
| `python -m benchmarks conversion` | seconds and memory of conversions beside others; growth; `--profile` |
| `python -m benchmarks forward` | eager speed of converted networks beside hand-written ones |
| `python -m benchmarks serving` | `xconv.optimize` on a CPU beside TensorFlow, onnxruntime and OpenVINO |
| `python -m benchmarks throughput` | images a second in every precision, batch and mode, on a GPU where there is one |
| `xconv bench model.keras` | one model of yours: converted, verified, timed, optimised |"""

MEASURED = {
    "serving": "[Serving on a CPU](serving.md): what `xconv.optimize` gains, step by step, with every allocator.",
    "throughput": "[Throughput](throughput.md): every precision, batch and mode, against the bound of the device.",
}
MISSING = {
    "serving": "Serving on a CPU: not measured in full yet (`python -m benchmarks serving`).",
    "throughput": "Throughput on a GPU: no GPU was at hand (`python -m benchmarks throughput`).",
}


def _commands(folder: Path) -> Iterator[str]:
    """The commands, and the pages beside this one or that there are none."""
    yield COMMANDS
    yield "\n".join(f"- {MEASURED[n] if (folder / f'{n}.md').exists() else MISSING[n]}" for n in MEASURED)


CONVERSION = """\
## Conversion

One run of `python -m benchmarks.conversion`, on {machine}; every arm in a process of its own, {repeat} times in
turn, medians.

- **seconds**: the first conversion in its process, after the imports and after the model was made. Keras's
  export writes a file, and that is part of its work.
- **peak memory**: the largest resident memory during it, above what was held before (the imports; for a live
  model also the model itself). In brackets as a multiple of the weights.
- **calls** and **transposes inside**: nodes of the program that `torch.export` gives for batch 1, and its
  transposes apart from those of the input and the output. (fx): torch.export refuses the module, these are the
  nodes of its fx graph.
- **BatchNorm**, **trainable**, **names**: what is left of the source's BatchNorm layers, its trainable values,
  and the names of its layers that own weights (as a part of a key in the state_dict).
- **difference**: max|torch - Keras| / max|Keras| at the logits, float32, batch 1, Keras on TensorFlow."""

WHOLE = """\
### Whole process, from file to module

`python -c "import xconv; xconv.keras_to_torch('model.keras')"`, start to end of the process, against the floor:
a process that imports torch and reads every array of the same file bare with h5py. The page cache is warm, the
two run in turn."""

GROWTH = """\
### Growth

Chains of convolution, batch normalisation and ReLU (8 channels); medians of seven conversions after a first."""


SIZES = """\
### Growth with weights

Chains of 3x3 convolutions with 512 channels; the first conversion in its process. Peak memory above what was held
before, in brackets as a multiple of the weights."""

PROFILE = """\
### Where the converter's time goes

Self time by module of the first conversion from file in its process, and of later ones, under Python's profiler, which
makes small functions look dearer than they are. *imports* is what loads xconv's own modules, *built in* C code of
Python, h5py and torch."""


def _conversion_part(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    machine = next(row for row in rows if row["kind"] == "machine")
    arms = [row for row in rows if row["kind"] == "conversion"]
    repeat = max((row["seconds"]["count"] for row in arms if "seconds" in row), default=1)
    yield CONVERSION.format(machine=in_full(machine), repeat=repeat)
    for network in dict.fromkeys(row["network"] for row in arms):
        source = next((row for row in rows if row["kind"] == "source" and row["network"] == network), None)
        if source is not None:
            yield _conversion_table(network, source, [row for row in arms if row["network"] == network])
    processes = [row for row in rows if row["kind"] == "process"]
    if processes:
        yield WHOLE
        yield markdown(("network", "xconv", "floor", "ratio"), map(_process_cells, processes))
    growth = [row for row in rows if row["kind"] == "growth"]
    if growth:
        yield GROWTH
        yield markdown(("layers", "live", "a layer", "file", "a layer"), map(_growth_cells, growth))
    sizes = [row for row in rows if row["kind"] == "size"]
    if sizes:
        yield SIZES
        yield markdown(("weights", "live", "peak memory", "file", "peak memory"), map(_size_cells, sizes))
    yield from _profiles([row for row in rows if row["kind"] == "profile" and "error" not in row])


def _conversion_table(network: str, source: Row, rows: Sequence[Row]) -> str:
    weights = source["weight_bytes"]
    title = (
        f"### {network}: {source['layers']} layers, {megabytes(weights)} of weights, {source['batch_norms']} BatchNorm"
    )
    head = ("", "seconds", "peak memory", "calls", "transposes inside", "BatchNorm", "trainable", "names", "difference")
    cells = [_arm_cells(row, source) for row in rows]
    return f"{title}\n\n{markdown(head, cells)}\n\n{_comparison(rows)}"


def _arm_cells(row: Row, source: Row) -> Sequence[Any]:
    name = ARM_NAMES.get(row["arm"], row["arm"])
    if "error" in row:
        return (name, f"failed: {row['error'][:100]}", *[""] * 7)
    peak = f"{megabytes(row['peak_bytes'])} ({ratio(row['peak_bytes'] / source['weight_bytes'])})"
    return (
        name,
        _spread(row["seconds"]),
        peak,
        f"{row['nodes']:,}" + ("" if row.get("exports", True) else " (fx)"),
        row["interior_transposes"],
        f"{row['batch_norms']} of {source['batch_norms']}",
        percent(row["trainable"] / source["trainable"]),
        percent(row["names_left"] / source["named_layers"]),
        scientific(row["difference"]),
    )


def _comparison(rows: Sequence[Row]) -> str:
    """How many times faster xconv is than each rival that finished."""
    median = {row["arm"]: row["seconds"]["median"] for row in rows if "seconds" in row}
    if "xconv_live" not in median:
        return ""
    lines = [
        f"{ratio(median[arm] / median['xconv_live'])} times as fast as {ARM_NAMES[arm]}"
        for arm in ("onnx", "keras_export")
        if arm in median
    ]
    return f"From the live model xconv is {' and '.join(lines)}." if lines else ""


def _process_cells(row: Row) -> Sequence[Any]:
    if "error" in row:
        return row["network"], row["error"], "", ""
    quotient = row["xconv"]["median"] / row["floor"]["median"]
    return row["network"], _spread(row["xconv"]), _spread(row["floor"]), ratio(quotient)


def _size_cells(row: Row) -> Sequence[Any]:
    cells: list[Any] = [f"{row['megabytes']:,} MB"]
    for arm in ("live", "file"):
        found = row[arm]
        if "error" in found:
            cells += [f"failed: {found['error'][:100]}", ""]
            continue
        share = ratio(found["peak_bytes"] / row["live"].get("weight_bytes", row["megabytes"] * 1e6))
        cells += [seconds(found["seconds"]), f"{megabytes(found['peak_bytes'])} ({share})"]
    return cells


def _profiles(rows: Sequence[Row]) -> Iterator[str]:
    for place, row in enumerate(rows):
        if not place:
            yield PROFILE
        names = dict.fromkeys([*row["first"]["modules"], *row["later"]["modules"]])
        spans = [[row[title]["modules"].get(name) for title in ("first", "later")] for name in names]
        cells = [
            (name, *(f"{span:.1f} ms" if span else "" for span in pair))
            for name, pair in zip(names, spans, strict=True)
        ]
        yield f"{row['network']}, {seconds(row['seconds'])} without the profiler:\n\n" + markdown(
            ("module", "first", "later"), cells
        )


def _growth_cells(row: Row) -> Sequence[Any]:
    if "error" in row:
        return row["length"], row["error"], "", "", ""
    cells: list[Any] = [f"{row['length']:,}"]
    for name in ("live", "file"):
        median = row[name]["median"]
        cells += [seconds(median), f"{median / row['length'] * 1e6:,.0f} us"]
    return cells


FORWARD = """\
## Forward

One run of `python -m benchmarks.forward`, on {machine}, {threads} threads, eager, inference mode, float32,
channels-first, fresh random inputs. The converted module and torchvision's own of the same architecture run in
turn in one process, in a new order each round; the ratio is the median over rounds of the quotient, with its
tenth and ninetieth percentile. **noise** is the same quotient for a second copy of torchvision's module.
TensorFlow (one graph, `tf.function`) and Keras's torch backend run in processes of their own. Before anything
is timed, the outputs are checked against Keras on TensorFlow (**difference**).

ResNet50 of torchvision has its strides moved to where Keras has them. Its convolutions have no bias; Keras's
have one, and the converted module adds it."""

KEEPS = """\
### With an allocator that keeps large blocks

`MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000`: without it, much of the time at large batches is page
faults, for every arm."""

ALLOCATORS = {"default": "### With the C library's own allocator settings", "keeps": KEEPS}


def _forward_part(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    machine = next(row for row in rows if row["kind"] == "machine")
    yield FORWARD.format(machine=in_full(machine), threads=machine["threads"])
    arms = [row for row in rows if row["kind"] == "forward" and row["arm"] != "profile"]
    for allocator in dict.fromkeys(row["allocator"] for row in arms):
        part = {(row["network"], row["arm"]): row for row in arms if row["allocator"] == allocator}
        head = ("network", "batch", "xconv", "torchvision", "ratio", "noise", "ratio, channels_last")
        table = markdown((*head, "TensorFlow", "Keras on torch", "difference"), _forward_cells(part))
        yield f"{ALLOCATORS[allocator]}\n\n{table}"


def _forward_cells(part: dict[tuple[str, str], Row]) -> Iterator[Sequence[Any]]:
    for network in dict.fromkeys(name for name, _ in part):
        found = part[network, "converted"]
        if "error" in found:
            yield network, "", f"failed: {found['error'][:100]}", *[""] * 7
            continue
        for count, row in found["batches"].items():
            spread = f"{row['ratio']['median']:.3f} ({ratio(row['ratio']['low'])} to {ratio(row['ratio']['high'])})"
            last = f"{row['ratio_last']['median']:.3f}" if "ratio_last" in row else "-"
            others = [_median(part.get((network, arm)), count) for arm in ("keras_tensorflow", "keras_torch")]
            times = seconds(row["xconv"]["median"]), seconds(row["torchvision"]["median"])
            noise = f"{row['noise']['median']:.3f}"
            yield network, count, *times, spread, noise, last, *others, scientific(row["difference"])


def _median(row: Row | None, count: str) -> str:
    return seconds(row["batches"][count]["median"]) if row and "batches" in row else "failed"


def _spread(timing: Row) -> str:
    """The median with its spread."""
    return f"{seconds(timing['median'])} ({seconds(timing['low'])} to {seconds(timing['high'])})"
