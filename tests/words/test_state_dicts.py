"""Which of the sets of weights in what a trainer saved is taken, by `which=`; no framework is needed to tell."""

from __future__ import annotations

from typing import Any

import pytest

from xconv.errors import InvalidInput
from xconv.transfers.state_dicts import Chosen, choose

NAMES = ("conv.weight", "fc.bias")
PLAIN, EMA, OTHER = ({name: float(value) for name in NAMES} for value in (1, 2, 3))


def named(prefix: str, held: dict[str, float]) -> dict[str, float]:
    return {prefix + name: number for name, number in held.items()}


def chosen(content: Any, which: str = "") -> Chosen:
    return choose(content, lambda item: isinstance(item, float), place="net.pt", names=NAMES, which=which)


NESTED: dict[str, tuple[Any, dict[str, dict[str, float]]]] = {
    "an entry in an entry": (
        {"model": PLAIN, "ema": {"module": EMA, "decay": 3}},
        {"": PLAIN, "ema": EMA, "ema.module": EMA, "model": PLAIN},
    ),
    "a prefix beside a prefix": (
        {"state_dict": {**named("model.", PLAIN), **named("ema_model.", EMA)}},
        {"": PLAIN, "ema": EMA, "ema_model.": EMA, "model.": PLAIN},
    ),
    "names without a prefix beside a prefix": (
        {**PLAIN, **named("ema.", EMA)},
        {"": PLAIN, "ema": EMA, "ema.": EMA},
    ),
    "in a callback": (
        {"state_dict": named("model.", PLAIN), "callbacks": {"EMA": {"ema_state_dict": named("model.", EMA)}}},
        {"": PLAIN, "ema": EMA, "callbacks.EMA.ema_state_dict": EMA},
    ),
    "two averages": (
        {"model": PLAIN, "ema_0.99": EMA, "ema_0.999": OTHER},
        {"": PLAIN, "ema_0.99": EMA, "ema_0.999": OTHER},
    ),
    "averages alone": ({"ema": EMA}, {"": EMA, "ema": EMA}),
    "one prefix in two entries": (
        {"student": named("module.backbone.", PLAIN), "teacher": named("module.backbone.", EMA)},
        {"student": PLAIN, "teacher": EMA, "teacher.module.backbone.": EMA},
    ),
    "compiled and averaged": (
        {"model": named("_orig_mod.", PLAIN), "ema": named("_orig_mod.module.", EMA)},
        {"": PLAIN, "ema": EMA},
    ),
    "deep": ({"a": {"b": {"c": {"state_dict": PLAIN}}}}, {"": PLAIN, "a.b.c.state_dict": PLAIN}),
}


@pytest.mark.parametrize("case", sorted(NESTED))
def test_which_set_is_taken(case: str) -> None:
    content, wanted = NESTED[case]
    for which, tensors in wanted.items():
        assert dict(chosen(content, which).tensors) == tensors, which


def test_every_other_set_is_told_with_the_word_that_takes_it() -> None:
    for content, _ in NESTED.values():
        if content in ({"ema": EMA}, NESTED["one prefix in two entries"][0]):
            continue
        for note in chosen(content).notes:
            if "averaged" in note:
                word = note.partition("which='")[2].partition("'")[0]
                assert chosen(content, word).tensors != PLAIN


def test_names_beside_the_chosen_ones_are_left_and_told() -> None:
    found = chosen(NESTED["names without a prefix beside a prefix"][0])
    assert found.left == ("ema.conv.weight", "ema.fc.bias")
    inside = choose(
        {"conv.weight": 1.0, "ema.conv.weight": 2.0},
        lambda item: isinstance(item, float),
        place="net.pt",
        names=("conv.weight", "ema.conv.weight"),
    )
    assert len(inside.tensors) == 2  # a module of the network is called so


@pytest.mark.parametrize(
    ("case", "which", "said"),
    [
        ("two averages", "ema", ("several sets of weights named 'ema'", "which='ema_0.99'", "which='ema_0.999'")),
        ("averages alone", "model", ("no set of weights named 'model'", "which='ema'")),
        ("one prefix in two entries", "module.backbone.", ("several sets", "which='student'", "which='teacher'")),
        ("one prefix in two entries", "", ("which='student'", "which='teacher'")),
        ("deep", "ema", ("no set of weights named 'ema'", "which='a.b.c.state_dict'")),
    ],
)
def test_a_word_for_none_or_several_is_refused_with_the_words_that_there_are(
    case: str, which: str, said: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        chosen(NESTED[case][0], which)
    assert all(text in str(caught.value) for text in said), str(caught.value)
