"""One generated test with many more cases, in a process of its own: `-m benchmarks.cases_arm TEST CASES SEED START`."""

from __future__ import annotations

import gc
import importlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import hypothesis
import pytest

import tests.conftest  # noqa: F401  the environment, before any framework is loaded
from benchmarks.measure import answer, spent
from tests.comparison import watched
from tests.loading import torch_first
from xconv.spec import Example, TorchExample

__all__ = ["drawn", "judged", "layer_of", "main", "measure"]

Row = dict[str, Any]
CLEARED = 50
"""After how many cases Keras's names and TensorFlow's functions are let go."""


def main() -> None:
    """Answers before every case, so that a crash leaves what was counted until then and the case that crashed."""
    name, cases, seed, start = sys.argv[1:]
    torch_first()
    from tests.layers import gradients  # noqa: F401  those that TensorFlow has not

    measure(name, int(cases), int(seed), int(start), answer)


def measure(name: str, cases: int, seed: int, start: int, say: Callable[[Row], None]) -> Row:
    """Counts by layer and failures of one test, from the case with the number `start` on."""
    module, _, function = name.partition(".")
    test = getattr(importlib.import_module(f"tests.layers.{module}"), function)
    examples = drawn(test, cases, seed)
    row: Row = {"distinct": len(examples), "layers": {}, "failures": [], "seconds": 0.0}
    began = time.perf_counter()
    for number, values in enumerate(examples[start:], start):
        say({**row, "running": number, "case": told_of(values)})
        count(row, layer_of(values, function), values, judged(test.hypothesis.inner_test, values))
        row["seconds"] = spent(began)
        if number % CLEARED == CLEARED - 1:
            _let_go()
    row["done"] = True
    say(row)
    return row


def drawn(test: Any, cases: int, seed: int) -> list[dict[str, Any]]:
    """The arguments of different cases, the same ones for the same seed and version of hypothesis."""
    found: dict[str, dict[str, Any]] = {}

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(**test.hypothesis._given_kwargs)
    def draw(**values: Any) -> None:
        found.setdefault(told_of(values), values)

    draw()
    return list(found.values())


def judged(test: Callable[..., None], values: Mapping[str, Any]) -> Row:
    """What the test compares of one case, and beside it training or inference, whichever it left out."""
    parts: dict[str, float] = {}

    def seen(part: str, error: float) -> None:
        if part:
            parts[part] = max(error, parts.get(part, 0.0))

    with watched(seen):
        try:
            test(**values)
            _rest(_example(values), parts)
        except pytest.skip.Exception as reason:
            return {"skipped": str(reason)}
        except Exception as error:  # noqa: BLE001  whatever it is, the case is not explained
            notes = getattr(error, "__notes__", [])
            return {"error": f"{type(error).__name__}: {error} {' '.join(notes)}".strip()[:2000]}
    return {"parts": parts} if parts else {"error": "nothing was compared"}


def _rest(example: Example | TorchExample | None, parts: Mapping[str, float]) -> None:
    """The mode of a Keras layer that was not compared yet."""
    from tests.layers.reference import assert_same_numbers

    if not isinstance(example, Example):
        return
    modes = {part.rpartition(" ")[2] for part in parts}
    if "inference" not in modes:
        assert_same_numbers(example)
    if "training" not in modes and example.trains and not example.kind.startswith("ops."):
        assert_same_numbers(example, training=True)


def count(row: Row, layer: str, values: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Adds a case to the counts of its layer, or to the failures."""
    example = _example(values)
    counts = row["layers"].setdefault(layer, {"float64": 0, "float32": 0, "skipped": 0, "parts": {}, "worst": 0.0})
    if "error" in found:
        row["failures"].append({"layer": layer, "case": told_of(values), "error": found["error"]})
    elif "skipped" in found:
        counts["skipped"] += 1
    elif example is not None and not example.float64:
        counts["float32"] += 1
    else:
        counts["float64"] += 1
        for part, error in found["parts"].items():
            counts["parts"][part] = counts["parts"].get(part, 0) + 1
            counts["worst"] = max(counts["worst"], error)


def layer_of(values: Mapping[str, Any], test: str) -> str:
    """The class or function of a case, and what it wraps; for a test that builds models around operations, its name.

    >>> layer_of({"example": Example("RNN", ((3, 2),), {"cell": {"class_name": "GRUCell", "config": {}}})}, "")
    'RNN(GRUCell)'
    >>> layer_of({"axis": 2}, "test_batch_normalization")
    'ops in a model: batch normalization'
    """
    example = _example(values)
    if example is None:
        return f"ops in a model: {test.removeprefix('test_').replace('_', ' ')}"
    if isinstance(example, TorchExample):
        return example.target
    inner = [example.config.get(key) for key in ("layer", "cell")]
    names = [item["class_name"] for item in inner if isinstance(item, Mapping) and "class_name" in item]
    return f"{example.kind}({names[0]})" if names else example.kind


def told_of(values: Mapping[str, Any]) -> str:
    """The arguments of a case, so that it can be typed in again."""
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def _example(values: Mapping[str, Any]) -> Example | TorchExample | None:
    return next((value for value in values.values() if isinstance(value, (Example, TorchExample))), None)


def _let_go() -> None:
    import keras

    keras.backend.clear_session()
    gc.collect()


if __name__ == "__main__":
    main()
