"""The benchmark of torch's functions: what comes out right, wrong or refused is told apart, counted and shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

from benchmarks import torch_functions, torch_functions_arm, torch_functions_page
from benchmarks.stored import append, read
from benchmarks.torch_functions_arm import Applied, Case, outcome
from xconv.errors import MissingFramework


def case(function: Callable[..., Any], *arguments: Any, given: tuple[int, ...] = (0,)) -> Case:
    leaves, structure = pytree.tree_flatten((arguments, {}))
    tensors = [leaves[place] for place in given]
    return Case("function", "", Applied(function, leaves, structure, given), tensors)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_outcomes() -> None:
    assert outcome(case(torch.sin, noise(3, 4))) == ("right", "")
    assert outcome(case(torch.add, noise(3, 4), noise(3, 4), given=(0, 1))) == ("right", "")
    assert outcome(case(torch.nn.functional.leaky_relu, noise(3, 4))) == ("right", "")  # by TensorFlow's own slope
    kind, reason = outcome(case(torch.special.bessel_j0, noise(3, 4)))
    assert kind == "refused"
    assert "special_bessel_j0" in reason
    assert outcome(case(torch.mm, noise(3, 4), noise(4, 3), given=(0, 1)))[0] == "not exportable"


def test_what_is_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch_functions_arm._computed
    monkeypatch.setattr(torch_functions_arm, "_computed", lambda *given: [array + 1e-6 for array in right(*given)])
    assert outcome(case(torch.sin, noise(3, 4)))[0] == "wrong"
    monkeypatch.setattr(torch_functions_arm, "_computed", lambda *given: [array[:, :2] for array in right(*given)])
    assert outcome(case(torch.sin, noise(3, 4))) == ("wrong", "batch 3: shape (3, 2), not (3, 4)")


def test_the_database_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    torch_functions_arm.database.cache_clear()
    monkeypatch.setitem(sys.modules, "expecttest", None)
    monkeypatch.delitem(sys.modules, torch_functions_arm.DATABASE, raising=False)
    with pytest.raises(MissingFramework, match="pip install expecttest"):
        torch_functions_arm.names()


def test_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("expecttest")
    results = tmp_path / "torch_functions.jsonl"
    quick = ["--quick", "--only", "sin", "--results", str(results)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.torch_functions", *quick])
    assert torch_functions.main() == 0
    (row,) = read(results)
    assert row["function"] == "sin"
    assert row["outcomes"] == {"right": 1}


def test_the_page(tmp_path: Path) -> None:
    context = {"samples": 2, "versions": {"torch": "2"}, "machine": {"cores": 2, "processor": "one", "memory_gib": 8}}
    refused = "Unknown: operator aten.bessel has no rule; leave it out"
    for name, outcomes, reason in (
        ("sin", {"right": 2}, ""),
        ("cat", {"right": 1, "refused": 1}, "Unsupported: no; give it"),
        ("sort", {"right": 1, "broken": 1}, "KeyError: a"),
        ("bessel", {"refused": 2}, refused),
    ):
        append(tmp_path / "a.jsonl", {"function": name, "outcomes": outcomes, "call": "x", "reason": reason, **context})
    torch_functions_page.write(tmp_path / "a.jsonl", tmp_path / "a.md")
    text = (tmp_path / "a.md").read_text()
    assert "| right | 1 | 4 |" in text
    assert "## In part: 1\n\n`cat`" in text
    assert "- `sort`, x: KeyError: a" in text
    assert "- no rule; leave it out: `bessel`" in text
