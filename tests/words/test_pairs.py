"""The list of pairs and what a measurement of one is compared with."""

import doctest
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pair_list, pairs_page
from benchmarks.pair_list import PAIRS, Pair, compared, is_good
from benchmarks.stored import append

PADS = Pair("MobileNetV2", "torchvision", "mobilenet_v2", {"padding": 5, "epsilon": 0})


def finding(cause: str, places: int) -> dict[str, Any]:
    return {"cause": cause, "places": places, "alone": 0.1}


GOOD = {"ok": True, "explained": True, "findings": [finding("padding", 5), finding("epsilon", 3)]}


def test_the_examples_hold() -> None:
    assert doctest.testmod(pair_list) == (0, 1)


def test_every_pair_has_a_name_of_its_own() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS) >= 90
    assert len({pair.keras for pair in PAIRS}) == len({pair.keras for pair in PAIRS if not pair.back})


@pytest.mark.parametrize(
    ("findings", "unexpected", "missing"),
    [
        ([finding("padding", 5), finding("epsilon", 52)], {}, {}),
        ([finding("padding", 2), finding("padding", 3), finding("epsilon", 1)], {}, {}),
        ([finding("padding", 4), finding("epsilon", 52)], {"padding": 4}, {"padding": 5}),
        ([finding("padding", 5)], {}, {"epsilon": 0}),
        ([finding("padding", 5), finding("epsilon", 2), finding("weights", 3)], {"weights": 3}, {}),
        ([], {}, {"padding": 5, "epsilon": 0}),
    ],
)
def test_what_is_named_is_compared_with_what_is_known(
    findings: list[dict[str, Any]], unexpected: dict[str, int], missing: dict[str, int]
) -> None:
    assert compared(PADS, findings) == {"unexpected": unexpected, "missing": missing}


@pytest.mark.parametrize(
    ("wrong", "good"),
    [
        ({}, True),
        ({"ok": False}, False),
        ({"explained": False}, False),
        ({"findings": [finding("padding", 5)]}, False),
        ({"plain_ok": True}, True),
        ({"plain_ok": False}, False),
    ],
)
def test_a_row_is_good_only_where_everything_is(wrong: dict[str, Any], good: bool) -> None:
    assert is_good(PADS, GOOD | wrong) is good
    assert not is_good(PADS, {"error": "killed by SIGKILL"})


def test_the_page_shows_what_is_not_as_it_should_be(tmp_path: Path) -> None:
    pair = next(pair for pair in PAIRS if pair.stock and "dropout" in pair.causes)
    row = {
        "pair": pair.name,
        "size": pair.size,
        "naive": 0.5,
        **GOOD,
        "findings": [finding("weights", 3)],
        "changes": {"stride": 2},
        "after": 1e-15,
        "diagnose_seconds": 1.0,
        "transfer_seconds": 2.0,
        "unexplained": "",
        "machine": {"processor": "one", "cores": 2, "memory_gib": 4},
        "plain": 0.25,
        "plain_ok": False,
    }
    append(tmp_path / "rows.jsonl", row)
    pairs_page.write(tmp_path / "rows.jsonl", tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    for words in ("**not known: weights 3**", "**not named: dropout 1**", "2.5e-01 **differs**", "else in 0"):
        assert words in text
