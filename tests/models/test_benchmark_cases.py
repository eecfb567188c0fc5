"""The benchmark of generated cases: it draws the same cases again, sees what differs, and counts what it compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import cases, cases_arm, cases_page, pieces
from benchmarks.stored import append
from tests.comparison import assert_same, told
from tests.layers import test_generated
from tests.layers.reference import assert_same_numbers
from xconv.spec import Example, TorchExample

DENSE = Example("Dense", ((3,),), {"units": 2})
MODES = ("inference", "training")


def test_every_generated_test_is_a_group() -> None:
    found = cases.groups()
    assert len(found) == len(set(found))
    for name in vars(test_generated):
        if hasattr(getattr(test_generated, name), "hypothesis"):
            assert f"test_generated.{name}" in found
    assert "test_torch_generated.test_linear" in found


def test_a_seed_draws_the_same_cases_again() -> None:
    first, again = (cases_arm.drawn(test_generated.test_batch_norm, 20, 3) for _ in range(2))
    assert first == again != cases_arm.drawn(test_generated.test_batch_norm, 20, 4)
    assert len({repr(values) for values in first}) == len(first) > 10


def test_the_mode_that_a_test_leaves_out_is_compared() -> None:
    found = cases_arm.judged(lambda example: assert_same_numbers(example, training=True), {"example": DENSE})
    named = {
        f"{what} in {mode}" for mode in MODES for what in ("outputs", "gradients of inputs", "gradients of weights")
    }
    assert found["parts"].keys() == named
    assert 0 < max(found["parts"].values()) < 1e-14


def test_what_differs_and_what_compares_nothing_are_failures() -> None:
    def differs(example: Example) -> None:
        with told("outputs in inference"):
            assert_same(np.ones(example.inputs[0]) + 1e-9, np.ones(3))

    operation = Example("ops.Tanh", ((3,),))
    row: dict[str, Any] = {"layers": {}, "failures": []}
    for test in (differs, lambda example: pytest.skip("no reason")):
        cases_arm.count(row, operation.kind, {"example": operation}, cases_arm.judged(test, {"example": operation}))
    (failure,) = row["failures"]
    assert failure["layer"] == "ops.Tanh"
    assert failure["case"] == f"example={operation!r}"
    assert "relative error 1e-09" in failure["error"]
    assert row["layers"]["ops.Tanh"] == {"float64": 0, "float32": 0, "skipped": 1, "parts": {}, "worst": 0.0}
    nothing = cases_arm.judged(lambda drawn: None, {"drawn": TorchExample("torch.tanh", ((3,),))})
    assert nothing == {"error": "nothing was compared"}


def test_a_crash_is_the_failure_of_one_case(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"Dense": {"float64": 1, "float32": 0, "skipped": 0, "parts": {"outputs in inference": 1}, "worst": 1e-16}}
    base = {"distinct": 3, "layers": counts, "failures": [], "seconds": 1.0}
    answers = [
        {**base, "running": 1, "case": "the second", "error": "killed by SIGABRT"},
        {**base, "running": 2, "done": True},
    ]
    started: list[str] = []

    def run_arm(*arguments: str, **_: Any) -> dict[str, Any]:
        started.append(arguments[-1])
        return answers[len(started) - 1]

    monkeypatch.setattr(pieces, "run_arm", run_arm)
    row = cases.measure("test_generated.test_dense", 3, 0, seconds=1)
    assert started == ["0", "2"]
    assert row["failures"] == [{"layer": "", "case": "the second", "error": "killed by SIGABRT"}]
    assert (row["distinct"], row["layers"]["Dense"]["float64"], row["seconds"]) == (3, 2, 2.0)


def test_the_page_counts_and_shows_what_failed(tmp_path: Path) -> None:
    dense: dict[str, Any] = {"float64": 1200, "float32": 4, "skipped": 0, "worst": 2e-15}
    dense["parts"] = {
        "outputs in inference": 1200,
        "outputs in training": 1100,
        "gradients of weights in training": 1000,
    }
    row = {"group": "test_generated.test_dense", "distinct": 1205, "seconds": 7200.0, "cases": 1500, "seed": 0}
    row |= {"layers": {"Dense": dense, "torch.nn.Linear": dense}, "versions": {"keras": "3.15.1"}}
    row |= {"machine": {"cores": 2, "processor": "one", "memory_gib": 8}}
    failure = {"layer": "Dense", "case": "example=Example('Dense')", "error": "AssertionError: relative error 0.5"}
    old = {**row, "group": "test_generated.test_that_is_gone"}
    for item in (old, {**row, "failures": [failure, failure]}, {**row, "failures": [failure]}):
        append(tmp_path / "cases.jsonl", item)
    cases_page.write(tmp_path / "cases.jsonl", tmp_path / "laws.md")
    text = (tmp_path / "laws.md").read_text()
    assert "**2,400 configurations of 2 layers in float64, 6,600 comparisons, 1 unexplained.** 8 more" in text
    assert "| Dense | 1,200 | 1,200 | 1,100 | 1,000 | 4 | 2.0e-15 |" in text
    assert "| nn.Linear | 1,200 |" in text.split("## Classes and functions of torch")[1]
    assert text.count("example=Example('Dense')") == 1
