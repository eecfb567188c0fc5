"""The parts of docs/performance.md on torch to Keras: conversion side by side, and forward speed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from benchmarks.machine import in_full
from benchmarks.table import markdown, megabytes, percent, ratio, scientific, seconds

__all__ = ["conversion_part", "forward_part"]

Row = dict[str, Any]

ARM_NAMES = {
    "xconv_live": "xconv, live module",
    "xconv_file": "xconv, `.pt2` to `.keras`",
    "nobuco": "nobuco",
    "onnx2tf": "torch.onnx + onnx2tf",
}

CONVERSION = """\
## Conversion to Keras

`python -m benchmarks.conversion --direction to_keras`, on {machine}; torchvision's networks with random, live weights
and BatchNorm statistics, {size}x{size}. Every arm in a process of its own, {idle} three times in turn on an idle
machine (medians), the others once with other work beside them (**runs**). nobuco and onnx2tf run in environments of
their own, with the Keras that they were written for (`python -m benchmarks.rivals --make`); onnx2tf is given noise
instead of the photographs that it would download, and was tried on few networks, because it takes minutes for each.

- **seconds**: the first conversion in its process, after the imports and after the module was made; in brackets
  torch.export's or torch.onnx.export's share. onnx2tf writes files, and so does xconv from the `.pt2` file, which it
  reads; that is part of their work.
- **peak memory**: the largest resident memory during it, above what was held before, as a multiple of the weights.
- **difference**: max|Keras - torch| / max|torch| at the logits, Keras in float32 and torch in float64, batch 1; more
  than 1e-4 is wrong. **any batch**: whether three images give the right numbers too.
- **transposes** inside the model; **BatchNorm** layers and **trainable** values that are left; **names**: modules that
  own parameters, found again by their path in the names of layers that own weights.
- **reloads**: the model is saved as `.keras`, and loaded by Keras alone it gives the same numbers. **SavedModel**:
  TensorFlow can write it as one."""

HEAD = (
    *("", "seconds", "runs", "peak memory", "difference", "any batch", "layers", "transposes", "BatchNorm"),
    *("trainable", "names", "reloads", "SavedModel"),
)


def conversion_part(rows: Sequence[Row]) -> Iterator[str]:
    """Headline, a table over all networks, and one for each, from the newest row of every arm."""
    sources = {row["network"]: row for row in rows if row["kind"] == "to_keras_source"}
    arms = _newest(rows)
    if not arms:
        return
    machine = [row for row in rows if row["kind"] == "machine"][-1]
    size = next((source["size"] for source in sources.values()), "-")
    idle = dict.fromkeys(row["network"] for row in arms if row.get("seconds", {}).get("count", 1) > 1)
    yield CONVERSION.format(machine=in_full(machine), idle=" and ".join(idle) or "none", size=size)
    yield markdown(("", "right", "reloads", "seconds, idle, median", "as fast as xconv"), _totals(arms))
    for network in dict.fromkeys(row["network"] for row in arms):
        part = [row for row in arms if row["network"] == network]
        yield _network(network, sources.get(network), part)


def _newest(rows: Sequence[Row]) -> list[Row]:
    """The last row of every arm of every network, the networks and arms in the order in which they were first run."""
    found = {(row["network"], row["arm"]): row for row in rows if row["kind"] == "to_keras"}
    networks = list(dict.fromkeys(network for network, _ in found))
    places = list(ARM_NAMES)
    return [found[key] for key in sorted(found, key=lambda key: (networks.index(key[0]), places.index(key[1])))]


def _totals(arms: Sequence[Row]) -> Iterator[Sequence[Any]]:
    """For each arm: how many are right and can be loaded again; seconds and quotients where the machine was idle."""
    idle = {row["network"] for row in arms if row.get("seconds", {}).get("count", 1) > 1}
    live = {name: value for name, value in _medians(arms, "xconv_live").items() if name in idle}
    for arm in dict.fromkeys(row["arm"] for row in arms):
        part = [row for row in arms if row["arm"] == arm]
        good = [row for row in part if row.get("right")]
        times = {name: value for name, value in _medians(arms, arm).items() if name in live}
        quotients = [times[name] / live[name] for name in times]
        yield (
            ARM_NAMES.get(arm, arm),
            f"{len(good)} of {len(part)}",
            f"{sum(row.get('reloads', False) for row in good)} of {len(part)}",
            seconds(median(times.values()) if times else None),
            "" if arm == "xconv_live" or not quotients else f"1/{ratio(median(quotients))}",
        )


def _medians(arms: Sequence[Row], arm: str) -> dict[str, float]:
    return {row["network"]: row["seconds"]["median"] for row in arms if row["arm"] == arm and "seconds" in row}


def _network(network: str, source: Row | None, rows: Sequence[Row]) -> str:
    if source is None:
        return f"### {network}\n\nfailed: {rows[0]['error'][:200]}"
    weights = megabytes(source["weight_bytes"])
    title = f"### {network}: {source['parameters']:,} parameters, {weights}, {source['batch_norms']} BatchNorm"
    return f"{title}\n\n{markdown(HEAD, [_cells(row, source) for row in rows])}"


def _cells(row: Row, source: Row) -> Sequence[Any]:
    name = ARM_NAMES.get(row["arm"], row["arm"])
    if "error" in row:
        return (name, f"failed: {row['error'][:100]}", *[""] * (len(HEAD) - 2))
    exported = f" ({seconds(row['export_seconds']['median'])})" if "export_seconds" in row else ""
    return (
        name,
        seconds(row["seconds"]["median"]) + exported,
        row["seconds"]["count"],
        f"{megabytes(row['peak_bytes'])} ({ratio(row['peak_bytes'] / source['weight_bytes'])})",
        scientific(row["difference"]) if row["right"] else f"{scientific(row['difference'])}, wrong",
        _yes(row["open_batch"]),
        row["layers"],
        row["interior_transposes"],
        f"{row['batch_norms']} of {source['batch_norms']}",
        percent(row["trainable"] / source["parameters"]),
        percent(row["names_kept"] / source["named_modules"]),
        _yes(row["reloads"]),
        _yes(row["saved_model"]),
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


FORWARD = """\
## Forward in Keras

One run of `python -m benchmarks.forward --direction to_keras`, on {machine}, {threads} threads, inference mode,
float32, fresh random inputs. The Keras model made of torchvision's network and the one of keras.applications run in
turn in one process, compiled (`tf.function`, `jax.jit`), from a NumPy array to a NumPy array, in a new order each
round; the ratio is the median over rounds of the quotient, with its tenth and ninetieth percentile. **noise** is the
same quotient for a second copy of the model of keras.applications. Before anything is timed, the outputs are checked
against torch (**difference**).

torchvision's ResNet50 has its strides moved to where Keras has them, and no biases in its convolutions."""


def forward_part(rows: Sequence[Row]) -> Iterator[str]:
    """The table of the newest run."""
    arms = [row for row in rows if row["kind"] == "forward_keras"]
    if not arms:
        return
    machine = next(row for row in rows if row["kind"] == "machine")
    yield FORWARD.format(machine=in_full(machine), threads=machine["threads"])
    head = ("network", "backend", "allocator", "batch", "xconv", "keras.applications", "ratio", "noise", "difference")
    yield markdown(head, _forward_cells(arms))


def _forward_cells(arms: Sequence[Row]) -> Iterator[Sequence[Any]]:
    for row in arms:
        place = (row["network"], row["backend"], row["allocator"])
        if "error" in row:
            yield (*place, "", row["error"][:100], *[""] * 4)
            continue
        for count, found in row["batches"].items():
            times = seconds(found["xconv"]["median"]), seconds(found["applications"]["median"])
            low, high = ratio(found["ratio"]["low"]), ratio(found["ratio"]["high"])
            spread = f"{found['ratio']['median']:.3f} ({low} to {high})"
            noise = f"{found['noise']['median']:.3f}"
            yield (*place, count, *times, spread, noise, scientific(found["difference"]))
