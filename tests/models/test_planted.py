"""Mistakes planted in networks that otherwise agree: the first finding is that mistake, at its place."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from benchmarks.diagnosis import judge, together, twins
from benchmarks.mutations import SUBJECTS, Mutation, mutations_of
from tests.loading import torch_first

torch_first()

SMALL = ("vgg", "lstm", "vit")
FULL = {"resnet50": ("stride", "residual"), "mobilenet_v3_small": ("padding", "scaling")}
CASES = [
    *((name, (mutation,)) for name in SMALL for mutation in mutations_of(name)),
    *((name, (m,)) for name, causes in FULL.items() for m in mutations_of(name) if m.cause in causes),
    *((name, several) for name in SMALL for several in together(mutations_of(name), 0)[-2:]),
]


@functools.cache
def pair(name: str) -> tuple[Any, Any]:
    """The Keras twin and the torch module of a subject."""
    return twins(SUBJECTS[name])


def label(case: tuple[str, tuple[Mutation, ...]]) -> str:
    """A readable name of a case."""
    return f"{case[0]}-{'-'.join(f'{m.cause}@{m.place}' for m in case[1])}"


@pytest.mark.parametrize("name", [*SMALL, *FULL])
def test_twins_have_no_findings(name: str) -> None:
    row = judge(SUBJECTS[name], *pair(name), ())
    assert row["found"] == []
    assert row["cause_right"]


@pytest.mark.parametrize("case", CASES, ids=label)
def test_what_was_planted_is_found_first_and_explains_everything(case: tuple[str, tuple[Mutation, ...]]) -> None:
    name, mutations = case
    row = judge(SUBJECTS[name], *pair(name), mutations)
    assert row["cause_right"], row["found"]
    assert row["place_right"], row
    assert row["explained"], row["unexplained"]
