"""The comparison of the suite can fail."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.comparison import assert_same

EXPECTED = np.linspace(-2.0, 3.0, 24).reshape(2, 3, 4)


def test_equal_arrays_are_the_same() -> None:
    assert_same(EXPECTED.copy(), EXPECTED, relative=0)


@given(place=st.integers(0, 23), factor=st.sampled_from([2.0, 1e3, np.inf, np.nan]), sign=st.sampled_from([-1, 1]))
def test_one_value_beyond_the_tolerance_fails(place: int, factor: float, sign: int) -> None:
    actual = EXPECTED.copy()
    actual.flat[place] += sign * factor * 1e-10 * 3.0
    with pytest.raises(AssertionError):
        assert_same(actual, EXPECTED)


@given(place=st.integers(0, 23), factor=st.floats(-0.9, 0.9))
def test_a_value_within_the_tolerance_passes(place: int, factor: float) -> None:
    actual = EXPECTED.copy()
    actual.flat[place] += factor * 1e-10 * 3.0
    assert_same(actual, EXPECTED)


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        (EXPECTED.transpose(1, 0, 2), "shape"),
        (EXPECTED[:1], "shape"),
        (EXPECTED.astype(np.float32), "dtype"),
        (EXPECTED[::-1], "relative error"),
        (EXPECTED.swapaxes(1, 1)[:, ::-1], "relative error"),
        (np.zeros_like(EXPECTED), "relative error"),
        (np.full_like(EXPECTED, np.nan), "not finite"),
    ],
)
def test_what_differs_is_named(actual: np.ndarray, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_same(actual, EXPECTED)


def test_the_worst_place_is_named() -> None:
    actual = EXPECTED.copy()
    actual[1, 2, 3] += 1
    with pytest.raises(AssertionError, match=r"\(1, 2, 3\).* 1 of 24"):
        assert_same(actual, EXPECTED)


def test_zeros_are_compared_by_their_difference() -> None:
    zeros = np.zeros(3)
    assert_same(zeros + 1e-11, zeros)
    with pytest.raises(AssertionError, match="relative error"):
        assert_same(zeros + 1e-9, zeros)


def test_infinities_must_stand_at_the_same_places() -> None:
    expected = np.array([1.0, -np.inf, np.nan])
    assert_same(expected.copy(), expected)
    for actual in ([1.0, np.inf, np.nan], [1.0, -np.inf, 0.0], [np.nan, -np.inf, np.nan]):
        with pytest.raises(AssertionError, match="not finite"):
            assert_same(np.array(actual), expected)


def test_integers_do_not_wrap_around() -> None:
    with pytest.raises(AssertionError, match="relative error"):
        assert_same(np.array([0], np.uint8), np.array([255], np.uint8))


def test_empty_arrays_are_the_same() -> None:
    assert_same(np.zeros((0, 3)), np.zeros((0, 3)))
