"""What a conversion costs as networks grow in weights, and where the converter's own time goes.

Run by `python -m benchmarks.conversion --sizes 10 100 1000 4000` and `--profile`; every arm is a process of its own.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT
from benchmarks.measure import PeakMemory, answer_arm, run_arm, spent

__all__ = ["measure_profile", "measure_sizes"]

CHANNELS = 512
LAYER = 9 * CHANNELS**2 * 4
"""Bytes of a 3x3 convolution."""
SHOWN = 12

Row = dict[str, Any]


def measure_sizes(megabytes: Sequence[int]) -> Iterator[Row]:
    """One row for each size: seconds and peak memory, from the live model and from its file."""
    for size in megabytes:
        with tempfile.TemporaryDirectory() as folder:
            found = {arm: run_arm("benchmarks.conversion_cost", arm, str(size), folder) for arm in ("live", "file")}
            yield {"kind": "size", "megabytes": size, **found}


def measure_profile(networks: Sequence[str]) -> Iterator[Row]:
    """One row for each network: seconds by module and by function, of a first conversion and of later ones."""
    for network in networks:
        with tempfile.TemporaryDirectory() as folder:
            made = run_arm("benchmarks.conversion_arms", "source", network, folder)
            if "error" in made:
                yield {"kind": "profile", "network": network, "error": made["error"]}
                continue
            yield {
                "kind": "profile",
                "network": network,
                **run_arm("benchmarks.conversion_cost", "profile", network, folder),
            }


def live(megabytes: str, folder: Path) -> Row:
    """From the live model, which is saved for the other arm."""
    import torch  # noqa: F401  before TensorFlow

    from xconv import keras_to_torch

    model = _model(int(megabytes))
    model.save(folder / "model.keras")
    return {**_cost(lambda: keras_to_torch(model)), "weight_bytes": model.count_params() * 4}


def file(megabytes: str, folder: Path) -> Row:
    """From the file, with Keras unloaded."""
    del megabytes
    import h5py  # noqa: F401
    import torch  # noqa: F401

    from xconv import keras_to_torch

    return _cost(lambda: keras_to_torch(folder / "model.keras"))


def _model(megabytes: int) -> Any:
    """A chain of convolutions with about that many MB of weights."""
    import keras

    image = keras.Input((8, 8, CHANNELS))
    value = image
    for _ in range(max(megabytes * 1_000_000 // LAYER, 1)):
        value = keras.layers.Conv2D(CHANNELS, 3, padding="same", kernel_initializer="random_uniform")(value)
    return keras.Model(image, value)


def _cost(convert: Callable[[], Any]) -> Row:
    memory = PeakMemory()
    start = time.perf_counter()
    convert()
    return {"seconds": spent(start), "peak_bytes": memory.above()}


def profile(network: str, folder: Path) -> Row:
    """Self time of a first conversion from the file and of later ones, in milliseconds."""
    del network
    import h5py  # noqa: F401
    import torch  # noqa: F401

    from xconv import keras_to_torch

    path = folder / "model.keras"
    first = _profiled(lambda: keras_to_torch(path), 1)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        keras_to_torch(path)
        times.append(spent(start))
    return {"first": first, "later": _profiled(lambda: keras_to_torch(path), 3), "seconds": sorted(times)[3]}


def _profiled(convert: Callable[[], Any], repeat: int) -> Row:
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(repeat):
        convert()
    profiler.disable()
    functions: dict[str, float] = {}
    modules: dict[str, float] = {}
    stats: dict[Any, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    for (path, _, name), (_, _, own, _, _) in stats.items():
        milliseconds = own * 1e3 / repeat
        module = _module(path)
        functions[f"{module}: {name}"] = functions.get(f"{module}: {name}", 0.0) + milliseconds
        modules[module] = modules.get(module, 0.0) + milliseconds
    return {"modules": _largest(modules), "functions": _largest(functions), "total": round(sum(modules.values()), 2)}


def _module(path: str) -> str:
    """A file's module; what has no file is Python's own or a library's C code."""
    if path.startswith(str(ROOT / "src")):
        return ".".join(Path(path).relative_to(ROOT / "src").with_suffix("").parts)
    parts = Path(path).parts
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    return "imports" if "importlib" in path else "built in" if path.startswith(("~", "<")) else "Python's library"


def _largest(found: dict[str, float]) -> dict[str, float]:
    ordered = sorted(found.items(), key=lambda item: -item[1])[:SHOWN]
    return {name: round(value, 2) for name, value in ordered}


ARMS: dict[str, Callable[[str, Path], Row]] = {"live": live, "file": file, "profile": profile}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    answer_arm(ARMS)
