"""One command for all benchmarks: quick runs keep apart, arms serve one small network, plots repeat, pages say it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import (
    conversion_cost,
    fidelity,
    options,
    performance_page,
    plots,
    render,
    serving,
    serving_arms,
    serving_page,
    throughput_page,
)
from benchmarks.machine import ROOT
from benchmarks.stored import FOLDER, append, read

MACHINE = {
    "processor": "one",
    "cores": 2,
    "memory_gib": 8,
    "system": "Linux",
    "allocator": "glibc",
    "environment": {},
    "python": "3.11",
    "versions": {"torch": "2"},
    "load": 0.1,
    "threads": 2,
    "quick": False,
}
TIMING = {"median": 0.2, "low": 0.1, "high": 0.3, "count": 3}


def parsed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", nargs="*", default=["A", "B"])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--results", type=Path, default=FOLDER / "some.jsonl")
    parser.add_argument("--no-render", action="store_true")
    monkeypatch.setattr(sys, "argv", ["benchmarks.some", *arguments])
    return options.parsed(parser, {"networks": ["A"], "rounds": 5})


def test_quick_is_small_and_keeps_its_results_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    full = parsed(monkeypatch)
    assert (full.networks, full.rounds, full.results, full.no_render) == (["A", "B"], 60, FOLDER / "some.jsonl", False)
    quick = parsed(monkeypatch, "--quick")
    assert (quick.networks, quick.rounds, quick.no_render) == (["A"], 5, True)
    assert quick.results == options.QUICK_FOLDER / "some.jsonl"
    assert FOLDER not in quick.results.parents
    said = parsed(monkeypatch, "--networks", "C", "--quick", "--folder", str(tmp_path))
    assert (said.networks, said.rounds, said.results) == (["C"], 5, tmp_path / "some.jsonl")
    own = parsed(monkeypatch, "--quick", "--results", str(tmp_path / "mine.jsonl"))
    assert own.results == tmp_path / "mine.jsonl"


def test_every_name_is_a_benchmark_with_a_quick_form() -> None:
    for name in command.NAMES:
        text = (ROOT / "benchmarks" / f"{name}.py").read_text()
        assert "parsed(parser, QUICK)" in text, name
        assert f"benchmarks.{name}" in (ROOT / "benchmarks" / "README.md").read_text(), name


def test_an_unknown_name_and_quick_results_among_the_full_ones_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "speed"])
    assert command.main() == 2
    assert "no benchmark 'speed'" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["benchmarks", "all", "--quick", "--results", str(FOLDER)])
    with pytest.raises(SystemExit):
        command.main()
    assert "do not go among the full ones" in capsys.readouterr().err


def test_all_runs_each_and_goes_on_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[list[str]] = []

    def run(arguments: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        called.append(arguments[1:])
        return subprocess.CompletedProcess(arguments, 1 if "benchmarks.pairs" in arguments else 0)

    monkeypatch.setattr(command.subprocess, "run", run)
    monkeypatch.setattr(render, "write", lambda *places: called.append([str(place) for place in places]))
    chosen = ["benchmarks", "all", "--quick", "--results", str(tmp_path), "--only", "pairs", "serving"]
    monkeypatch.setattr(sys, "argv", chosen)
    assert command.main() == 1
    options_of_each = ["--quick", "--folder", str(tmp_path), "--no-render"]
    assert called[:2] == [["-m", f"benchmarks.{name}", *options_of_each] for name in ("pairs", "serving")]
    assert called[2] == [str(tmp_path), str(tmp_path)]  # pages beside quick results
    assert "pairs" in (said := capsys.readouterr().out)
    assert "exit code 1" in said


def serving_row(arm: str, median: float, **facts: Any) -> dict[str, Any]:
    place = {"run": "one", "kind": "serving", "network": "N", "arm": arm, "batch": 1, "allocator": "kept"}
    return {**place, **TIMING, "median": median, "processes": [median], "first_call": 1.0, "difference": 1e-6, **facts}


def test_the_page_of_serving(tmp_path: Path) -> None:
    step = {"name": "fold", "what": "2 folded", "kept": True, "before_ms": 3.0, "after_ms": 2.0, "gain": 1.5}
    rows = [
        {"run": "one", "kind": "machine", **MACHINE},
        serving_row("xconv_optimized", 0.1, optimized={"steps": [step]}, operators={"conv": [3.25, 2.0]}),
        serving_row("tensorflow", 0.25),
        serving_row("openvino", 0.0) | {"error": "openvino is not installed"},
    ]
    for row in rows:
        append(tmp_path / "serving.jsonl", row)
    serving_page.write(tmp_path / "serving.jsonl", tmp_path / "serving.md")
    text = (tmp_path / "serving.md").read_text()
    assert "| TensorFlow graph | 0.250 s, 0.100 s to 0.300 s (2.50) |" in text
    assert "| `xconv.optimize` | 0.100 s, 0.100 s to 0.300 s |" in text
    assert "| 2 folded | 1 | 3 to 2 ms | 1.50 | yes |" in text
    assert "- OpenVINO: openvino is not installed" in text
    assert "| `conv` | 3.25 | 2 |" in text
    later = {**serving_row("openvino", 0.05), "run": "two"}
    for row in ({"run": "two", "kind": "machine", **MACHINE}, later):
        append(tmp_path / "serving.jsonl", row)
    serving_page.write(tmp_path / "serving.jsonl", tmp_path / "serving.md")
    text = (tmp_path / "serving.md").read_text()
    assert "not installed" not in text  # it was measured since
    assert "- one: `xconv.optimize` at batch 1, kept; TensorFlow graph at batch 1, kept" in text
    assert "| OpenVINO | 50.0 ms, 0.100 s to 0.300 s (0.50) |" in text


def test_rounds_of_processes_are_put_together() -> None:
    rounds = [{"1": {"seconds": [0.1, 0.3], "first_call": 2.0}}, {"1": {"seconds": [0.2], "first_call": 3.0}}]
    (cell,) = serving._cells(rounds, {"batches": [1]})
    assert (cell["median"], cell["count"], cell["processes"], cell["first_call"]) == (0.2, 3, [0.2, 0.2], 2.0)
    assert list(serving._cells([*rounds, {"error": "x"}], {"batches": [1]})) == [{"error": "x"}]


def test_the_allocators() -> None:
    assert serving._environment("library", "") == {}
    assert serving._environment("kept", "") == serving.KEPT
    assert serving._environment("jemalloc", __file__)["LD_PRELOAD"] == __file__  # type: ignore[index]


def test_arms_of_serving_agree_on_a_small_network(tmp_path: Path) -> None:
    task = {"network": "MobileNetV2", "folder": str(tmp_path), "batches": [1], "rounds": 4, "threads": 1}
    task |= {"size": 64, "profile": True}
    assert serving_arms.source(task) == {"onnx": "made"}
    for arm in ("xconv_eager", "onnxruntime"):
        found = serving_arms.measure(arm, task)["1"]
        assert found["difference"] < serving_arms.SAME
        assert len(found["seconds"]) == 5
        assert any("conv" in name.lower() for name in found["operators"])


def test_a_wrong_arm_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    np.savez(tmp_path / "batch1.npz", images=np.ones((4, 1, 2, 2, 3)), outputs=np.ones((1, 5)))
    wrong = (lambda image: np.full((1, 5), 1.01), [None] * 4, {})
    monkeypatch.setitem(serving_arms.ARMS, "onnxruntime", lambda *_: wrong)
    task = {"folder": str(tmp_path), "batches": [1], "rounds": 4, "threads": 1, "profile": False}
    with pytest.raises(ValueError, match=r"0\.01 from TensorFlow's"):
        serving_arms.measure("onnxruntime", task)


def test_where_a_conversion_spends_its_time(tmp_path: Path) -> None:
    import keras

    image = keras.Input((9, 7, 3))
    keras.Model(image, keras.layers.Conv2D(4, 3)(image)).save(tmp_path / "model.keras")
    found = conversion_cost.profile("small", tmp_path)
    assert found["seconds"] > 0
    assert any(name.startswith("xconv.") for name in found["later"]["modules"])
    assert sum(found["first"]["modules"].values()) <= found["first"]["total"] + 0.1


def test_pages_hold_sizes_profile_and_one_table_of_fidelity(tmp_path: Path) -> None:
    cost = {"seconds": 0.5, "peak_bytes": 11e6, "weight_bytes": 10e6}
    spans = {"modules": {"xconv.keras": 2.5}, "functions": {"xconv.keras: read": 1.0}, "total": 3.0}
    profile = {"kind": "profile", "network": "N", "first": spans, "later": spans, "seconds": 0.1}
    append(tmp_path / "conversion.jsonl", {"run": "one", "kind": "machine", **MACHINE})
    append(tmp_path / "conversion.jsonl", {"run": "one", "kind": "size", "megabytes": 10, "live": cost, "file": cost})
    append(tmp_path / "conversion.jsonl", {"run": "one", **profile})
    exact = {"network": "N", "top": True, "height": 96, "ok": True, "float64": 1e-15, "float32_ratio": 0.9}
    append(tmp_path / "applications.jsonl", exact)
    append(tmp_path / "applications.jsonl", {**exact, "top": False, "ok": False, "error": "out of memory"})
    none = tmp_path / "none.jsonl"
    performance_page.write(
        tmp_path / "conversion.jsonl", none, tmp_path / "performance.md", to_keras=none, forward_keras=none
    )
    text = (tmp_path / "performance.md").read_text()
    assert "| 10 MB | 0.500 s | 11 MB (1.10) | 0.500 s | 11 MB (1.10) |" in text
    assert "| xconv.keras | 2.5 ms | 2.5 ms |" in text
    assert "| 2 | 1 | 1.0e-15 | 1.0e-15 | 0.90 |" in text
    assert "no GPU was at hand" in text
    assert list(fidelity.part(tmp_path / "nowhere")) == []


def test_plots_are_the_same_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    growth = {"kind": "growth", "live": TIMING, "file": TIMING}
    for length in (10, 100):
        append(tmp_path / "conversion.jsonl", {"run": "one", "length": length, **growth})
    append(tmp_path / "serving.jsonl", {"run": "one", "kind": "machine", **MACHINE})
    append(tmp_path / "serving.jsonl", serving_row("xconv_optimized", 0.15))
    append(tmp_path / "serving.jsonl", serving_row("tensorflow", 0.25))
    cells = [
        {"precision": "float32", "mode": "eager", "batch": batch, "images_per_second": 5.0 * batch} for batch in (1, 8)
    ]
    append(tmp_path / "throughput.jsonl", {"run": "one", "kind": "machine", "device": "cpu", **MACHINE})
    found = {"run": "one", "kind": "throughput", "network": "N", "arm": "xconv", "cells": cells}
    append(tmp_path / "throughput.jsonl", found)
    first, second = (plots.write(tmp_path, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == [f"{name}{end}" for name in plots.PLOTS for end in (".svg", ".png")]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    drawn = first[0].read_text()
    assert "conversion (s)" in drawn
    assert "layers" in drawn
    assert "date" not in drawn
    assert plots.write(tmp_path / "nowhere", tmp_path / "c") == []


def test_a_page_shows_the_plot_beside_it(tmp_path: Path) -> None:
    append(tmp_path / "serving.jsonl", {"run": "one", "kind": "machine", **MACHINE})
    append(tmp_path / "serving.jsonl", serving_row("xconv_optimized", 0.15))
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "serving.svg").touch()
    serving_page.write(tmp_path / "serving.jsonl", tmp_path / "serving.md")
    assert "(plots/serving.svg)" in (tmp_path / "serving.md").read_text()


def test_pages_of_throughput_say_that_there_was_no_gpu(tmp_path: Path) -> None:
    cell = {"precision": "float32", "mode": "eager", "batch": 1, "images_per_second": 5.0}
    append(tmp_path / "throughput.jsonl", {"run": "one", "kind": "machine", "device": "cpu", **MACHINE})
    found = {"run": "one", "kind": "throughput", "network": "N", "arm": "xconv", "cells": [cell]}
    append(tmp_path / "throughput.jsonl", json.loads(json.dumps(found)))
    throughput_page.write(tmp_path / "throughput.jsonl", tmp_path / "throughput.md")
    text = (tmp_path / "throughput.md").read_text()
    assert "No GPU was at hand" in text
    assert "| xconv | eager | 5.0 |" in text
    assert len(read(tmp_path / "throughput.jsonl")) == 2
