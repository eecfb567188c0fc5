"""Conversion side by side in one run, both ways.

To torch: xconv live and from file, tf2onnx + onnx2torch, Keras's own export. To Keras: see benchmarks/to_keras.py.

python -m benchmarks.conversion [--networks ResNet50 MobileNetV2] [--repeat 3] [--lengths 10 30] [--sizes 10 100]
python -m benchmarks.conversion --direction to_keras [--torch-networks resnet50 swin_t] [--repeat 3]
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import conversion_cost, performance_page, rivals, to_keras
from benchmarks.machine import describe
from benchmarks.measure import run_arm, summary
from benchmarks.options import parsed
from benchmarks.stored import FOLDER, append
from benchmarks.table import ratio
from benchmarks.traits import names_left

RESULTS = FOLDER / "conversion.jsonl"
TO_KERAS = FOLDER / "to_keras.jsonl"
DIRECTIONS = ("to_torch", "to_keras")
ARMS = ("xconv_live", "xconv_file", "onnx", "keras_export")
ENVIRONMENTS = {"keras_export": {"KERAS_BACKEND": "torch"}}
LENGTHS = (10, 30, 100, 300, 1000, 3000)
SIZES = (10, 100, 1000, 4000)
QUICK = {
    "networks": ["MobileNetV2"],
    "torch_networks": ["mobilenet_v2"],
    "to_keras_arms": ["xconv_live", "xconv_file"],
    "repeat": 1,
    "lengths": [10, 100],
    "sizes": [10],
    "size": 96,
}

Row = dict[str, Any]


def main() -> None:
    options = _options()
    run = {"run": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    if "to_torch" in options.direction:
        _to_torch(run, options)
    if "to_keras" in options.direction:
        _to_keras(run, options)
    if not options.no_render:
        performance_page.write()


def _to_torch(run: Row, options: argparse.Namespace) -> None:
    append(options.results, {**run, "kind": "machine", **describe()})
    for network in options.networks:
        with tempfile.TemporaryDirectory() as folder:
            for row in measure_network(network, Path(folder), options.repeat, options.arms):
                append(options.results, {**run, **row})
                _show(row)
    growth = (measure_growth(options.lengths), conversion_cost.measure_sizes(options.sizes))
    profiles = conversion_cost.measure_profile(options.networks if options.profile else ())
    for row in itertools.chain(*growth, profiles):
        append(options.results, {**run, **row})
        _show(row)


def _to_keras(run: Row, options: argparse.Namespace) -> None:
    append(options.to_keras_results, {**run, "kind": "machine", **describe()})
    for network in options.torch_networks:
        found = to_keras.measure_network(network, options.repeat, options.to_keras_arms, options.rivals, options.size)
        for row in found:
            append(options.to_keras_results, {**run, **row})
            to_keras.show(row)


def measure_network(network: str, folder: Path, repeat: int, arms: Sequence[str] = ARMS) -> Iterator[Row]:
    """One row for each arm, and one for the whole process from file against its floor; rounds are interleaved."""
    source = run_arm("benchmarks.conversion_arms", "source", network, str(folder))
    head = {"kind": "conversion", "network": network}
    if "error" in source:
        yield {**head, "arm": "source", **source}
        return
    names = source.pop("names")
    yield {**head, "kind": "source", **source, "named_layers": len(names)}
    rounds: dict[str, list[Row]] = {arm: [] for arm in arms}
    for _ in range(repeat):
        for arm in arms:
            if not any("error" in earlier for earlier in rounds[arm]):
                rounds[arm].append(_run(arm, network, folder))
    for arm, found in rounds.items():
        yield {**head, "arm": arm, **_merged(found, names)}
    yield {**head, "kind": "process", **_process_times(folder, max(repeat, 5))}


def _run(arm: str, network: str, folder: Path) -> Row:
    return run_arm("benchmarks.conversion_arms", arm, network, str(folder), environment=ENVIRONMENTS.get(arm))


def _merged(found: Sequence[Row], names: list[str]) -> Row:
    """The last round's traits, with the seconds of all and the largest peak."""
    last = found[-1]
    if "error" in last:
        return {"error": last["error"]}
    merged = {key: value for key, value in last.items() if key not in ("keys", "wall_seconds")}
    merged["seconds"] = summary([row["seconds"] for row in found]).to_dict()
    merged["peak_bytes"] = max(row["peak_bytes"] for row in found)
    merged["names_left"] = names_left(names, last["keys"])
    return merged


def _process_times(folder: Path, repeat: int) -> Row:
    """Whole processes, start to end: from the file to a module, and the floor, in turn."""
    times: dict[str, list[float]] = {"xconv": [], "floor": []}
    arms = {"xconv": ("benchmarks.file_xconv", "model.keras"), "floor": ("benchmarks.file_floor", "bare.h5")}
    for number in range(repeat + 1):
        for arm, (module, file) in arms.items():
            done = run_arm(module, str(folder / file))
            if "error" in done:
                return {"error": done["error"]}
            if number:  # the first round fills the page cache
                times[arm].append(done["wall_seconds"])
    return {name: summary(values).to_dict() for name, values in times.items()}


def measure_growth(lengths: Sequence[int]) -> Iterator[Row]:
    """One row for each length of a chain of convolution, batch normalisation and ReLU."""
    for length in lengths:
        with tempfile.TemporaryDirectory() as folder:
            found = run_arm("benchmarks.conversion_arms", "growth", str(length), folder)
            yield {"kind": "growth", "length": length, **found}


def _show(row: Row) -> None:
    """One line for the terminal."""
    name = f"{row['kind']:10} {row.get('network', row.get('length', ''))!s:14} {row.get('arm', ''):13}"
    if "error" in row:
        print(name, row["error"])
    elif row["kind"] == "process":
        times = row["xconv"]["median"], row["floor"]["median"]
        print(name, f"xconv {times[0]:.3f} s, floor {times[1]:.3f} s, ratio {ratio(times[0] / times[1])}")
    elif row["kind"] == "growth":
        print(name, {key: f"{row[key]['median'] / row['length'] * 1e6:.0f} us/layer" for key in ("live", "file")})
    elif row["kind"] == "size":
        print(name, row["megabytes"], "MB", {arm: row[arm].get("error") or _cost(row[arm]) for arm in ("live", "file")})
    elif row["kind"] == "profile":
        print(name, f"{row['seconds']:.3f} s without the profiler")
        for title in ("first", "later"):
            print(f"  {title}: {row[title]['total']:.0f} ms", *_lines(row[title]), sep="\n    ")
    elif row["kind"] == "conversion":
        print(name, f"{row['seconds']['median']:.3f} s, {row['peak_bytes'] / 1e6:,.0f} MB, {row['nodes']} nodes")


def _cost(found: Row) -> str:
    return f"{found['seconds']:.3f} s, {found['peak_bytes'] / 1e6:,.0f} MB"


def _lines(found: Row) -> list[str]:
    spans = {**found["modules"], **found["functions"]}
    return [f"{value:9.2f} ms  {key}" for key, value in spans.items()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", nargs="*", default=DIRECTIONS, choices=DIRECTIONS)
    parser.add_argument("--networks", nargs="*", default=["ResNet50", "MobileNetV2"])
    parser.add_argument("--arms", nargs="*", default=ARMS, choices=ARMS)
    parser.add_argument("--repeat", type=int, default=3, help="processes of each arm; medians are stored")
    parser.add_argument("--lengths", nargs="*", type=int, default=LENGTHS, help="of the chains; none: no chains")
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES, help="MB of weights; none: no such networks")
    parser.add_argument("--profile", action="store_true", help="also where the converter's own time goes")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--torch-networks", nargs="*", default=to_keras.NETWORKS, help="of torchvision, to Keras")
    parser.add_argument("--to-keras-arms", nargs="*", default=to_keras.ARMS, choices=to_keras.ARMS)
    parser.add_argument("--to-keras-results", type=Path, default=TO_KERAS)
    parser.add_argument("--size", type=int, default=224, help="of the images, to Keras")
    parser.add_argument("--rivals", type=Path, default=rivals.FOLDER, help="where benchmarks.rivals made them")
    parser.add_argument("--no-render", action="store_true", help="leave docs/performance.md as it is")
    return parsed(parser, QUICK)


if __name__ == "__main__":
    main()
