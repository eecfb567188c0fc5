"""The benchmark of coverage: what it counts as right, wrong and refused, and in tables; what its page says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import coverage, coverage_arm, coverage_counts, coverage_page
from benchmarks.rival_operators import IN_NETWORKS, NOBUCO, ONNX2TF
from benchmarks.stored import append
from xconv.spec import Example

DENSE = Example("Dense", ((3,),), {"units": 2})
MACHINE = {"cores": 2, "processor": "one", "memory_gib": 8}


def test_an_example_is_right_wrong_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "0.npz"
    assert coverage_arm.outcome(DENSE, "xconv", path)[0] == "right"
    assert path.exists()  # for the other backend
    convert = coverage_arm.CONVERT["xconv"]
    monkeypatch.setitem(coverage_arm.CONVERT, "xconv", lambda *given: [1.001 * array for array in convert(*given)])
    assert coverage_arm.outcome(DENSE, "xconv", path) == ("wrong", "1.00e-03")
    assert coverage_arm.outcome(Example("ops.EmptyLike", ((3,),)), "xconv", path)[0] == "right"  # its numbers are none

    def refuse(*_: Any) -> Any:
        raise NotImplementedError("no such layer\nand more")

    monkeypatch.setitem(coverage_arm.CONVERT, "xconv", refuse)
    assert coverage_arm.outcome(DENSE, "xconv", path) == ("refused", "NotImplementedError: no such layer")
    assert coverage_arm.outcome(Example("NoLayer", ((3,),)), "xconv", path)[0] == "no reference"


def test_errors_count_shapes_and_holes() -> None:
    one = np.array([1.0, np.nan, 4.0])
    assert coverage_arm.error_of([one], [one]) == 0
    assert coverage_arm.error_of([one + 0.4], [one]) == pytest.approx(0.1)
    assert coverage_arm.error_of([np.nan_to_num(one)], [one]) == np.inf
    assert coverage_arm.error_of([one], [np.nan_to_num(one)]) == np.inf
    assert coverage_arm.error_of([one, one], [one]) == np.inf
    assert coverage_arm.error_of([np.array([True])], [np.array([False])]) == 1


def test_a_crash_counts_against_its_example_and_way(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = {"A": [DENSE, DENSE], "B": [Example("ops.Tanh", ((3,),))]}
    monkeypatch.setattr(coverage, "examples_of", lambda names: [e for name in names.split(",") for e in examples[name]])
    found = [
        {"results": [[0, "xconv", "right", "0"]], "item": [1, "xconv"], "running": 1, "error": "killed by SIGABRT"},
        {"results": [[2, "xconv", "wrong", "1"]], "done": True},
    ]
    monkeypatch.setattr(coverage, "ROUTES", {"tensorflow": ("xconv",)})
    monkeypatch.setattr(coverage, "pieces", lambda *_, **__: iter(found))
    first, second = coverage.measure(["A", "B"], 1)
    crash = ["Dense", 1, "xconv", "refused", "crash: killed by SIGABRT"]
    assert first == {"family": "A", "examples": 2, "tried": [["Dense", 0, "xconv", "right", "0"], crash]}
    assert second["tried"] == [["ops.Tanh", 0, "xconv", "wrong", "1"]]
    monkeypatch.setattr(coverage, "TOGETHER", 2)
    assert list(coverage.together(["A", "B", "B", "B"])) == [["A"], ["B", "B"], ["B"]]


def test_the_tables_of_others_are_of_operators_that_there_are() -> None:
    import torch

    names = {*NOBUCO.operators, *NOBUCO.never.split(), *IN_NETWORKS.split()} - {"unique", "zero", "fill"}
    assert [name for name in sorted(names) if not hasattr(torch.ops.aten, name)] == []
    assert "Conv" in ONNX2TF.operators
    assert len(ONNX2TF.operators) == 178


def test_what_is_counted() -> None:
    layers = coverage_counts.layers_of_keras()
    assert layers["AveragePooling1D"] == {"AveragePooling1D", "AvgPool1D"}
    assert not {"Layer", "InputSpec", "AvgPool1D"} & layers.keys()
    operations = coverage_counts.operations_of_keras()
    assert {"Absolute", "Conv", "Einsum", "Cond"} <= set(operations)
    assert not {"Operation", "SegmentReduction"} & set(operations)
    row = coverage_counts._functions({"ops.Absolute": "both", "ops.Abs": "both"})
    assert row["total"] > 250
    assert "abs" not in row["absent"]
    assert "tanh" in row["absent"]
    assert coverage_counts._way("conv2d") == "rule"
    assert coverage_counts._way("alias") == "read"
    assert coverage_counts._way("nonzero") == ""


def test_the_page(tmp_path: Path) -> None:
    base = {"tool": "xconv", "covered": 1, "total": 2, "absent": ["Wrapper"], "refused": ["Lambda"], "rules": 1}
    whats = ("keras.layers", "keras.ops, classes", "core ATen", "ONNX")
    counts = [{**base, "what": what} for what in whats] + [{**base, "what": "ONNX", "tool": "onnx2tf", "covered": 2}]
    tried = [
        ["Dense", 0, "xconv", "right", "0"],
        ["Dense", 0, "other", "wrong", "inf, as the backend itself"],
        ["Dense", 1, "xconv", "right", "0"],
        ["Dense", 1, "other", "right", "0"],
        ["Dense", 2, "xconv", "no reference", ""],
        ["Dense", 2, "other", "no reference", ""],
        ["ops.Tanh", 3, "xconv", "right", "0"],
        ["ops.Tanh", 3, "other", "refused", "no"],
    ]
    context = {"versions": {"keras": "3.15.1"}, "machine": MACHINE}
    append(tmp_path / "coverage.jsonl", {"kind": "counts", "counts": counts, **context})
    for row in ([], tried):
        append(tmp_path / "coverage.jsonl", {"kind": "family", "family": "A", "examples": 4, "tried": row, **context})
    coverage_page.write(tmp_path / "coverage.jsonl", tmp_path / "comparison.md")
    text = (tmp_path / "comparison.md").read_text()
    assert "| xconv | 3 | 0 | 0 | 1 of 1 | 0 | 1 of 1 | 0 |" in text
    assert "| other | 1 | 1 | 1 | 0 of 1 | 1 | 0 of 1 | 0 |" in text
    assert "1 examples have no answer" in text
    assert "Wrong without a word, other: Dense 1. 1 of them come out of Keras's backend so" in text
    assert "Not covered of keras.layers: `Wrapper`." in text
    assert "onnx2tf reads 2 of 2 operators of ONNX, xconv 1" in text
