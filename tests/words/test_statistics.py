"""The measures of a comparison, on arrays whose distance is known by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xconv.statistics import compare, ratio, spread


def test_equal_arrays_are_at_distance_zero():
    found = compare(np.array([[1.0, -2.0], [3.0, 0.0]]), np.array([[1.0, -2.0], [3.0, 0.0]]))
    assert (found.max_abs, found.max_rel, found.rms_rel, found.argmax, found.nonfinite) == (0, 0, 0, 1.0, 0)
    assert found.cosine == pytest.approx(1)


def test_measures_by_hand():
    found = compare(np.array([[3.0, 0.0]]), np.array([[3.0, 4.0]]))
    assert found.max_abs == 4
    assert found.max_rel == 1
    assert found.rms_rel == pytest.approx(4 / 5)
    assert found.cosine == pytest.approx(3 / 5)
    assert found.argmax == 0


def test_the_reference_sets_the_scale():
    assert compare(np.array([2.0]), np.array([1.0])).max_rel == 1
    assert compare(np.array([1.0]), np.array([2.0])).max_rel == 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_on_one_side_is_no_agreement(value):
    found = compare(np.array([1.0, value]), np.array([1.0, 2.0]))
    assert found.nonfinite == 1
    assert found.max_rel == found.max_abs == found.rms_rel == np.inf


def test_nan_on_both_sides_is_no_agreement():
    found = compare(np.array([1.0, np.nan]), np.array([1.0, np.nan]))
    assert (found.nonfinite, found.max_rel) == (1, np.inf)


def test_the_same_infinity_is_agreement_and_the_other_is_not():
    assert compare(np.array([1.0, np.inf]), np.array([1.0, np.inf])).nonfinite == 0
    assert compare(np.array([1.0, np.inf]), np.array([1.0, np.inf])).max_rel == 0
    assert compare(np.array([1.0, np.inf]), np.array([1.0, -np.inf])).nonfinite == 1


def test_shapes_that_differ_are_infinitely_far():
    found = compare(np.ones((2, 3)), np.ones((3, 2)))
    assert (found.shape, found.other_shape, found.max_rel) == ((2, 3), (3, 2), np.inf)


def test_zero_references():
    assert compare(np.zeros(3), np.zeros(3)).max_rel == 0
    assert compare(np.ones(3), np.zeros(3)).max_rel == np.inf
    assert compare(np.ones(3), np.zeros(3)).cosine == 0


def test_empty_arrays_agree():
    assert compare(np.ones((0, 3)), np.ones((0, 3))).max_rel == 0


def test_integers_booleans_and_complex_numbers():
    assert compare(np.array([1, 2]), np.array([1, 4])).max_rel == 0.5
    assert compare(np.array([True, False]), np.array([True, True])).max_rel == 1
    assert compare(np.array([1 + 1j]), np.array([1 + 2j])).max_abs == 1


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1.0, 1e160, 1e300])
def test_no_overflow_or_underflow(scale):
    found = compare(scale * np.array([[3.0, 0.0]]), scale * np.array([[3.0, 4.0]]))
    assert found.rms_rel == pytest.approx(4 / 5)
    assert found.cosine == pytest.approx(3 / 5)
    assert found.nonfinite == 0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(0.125, 8))
def test_relative_measures_do_not_depend_on_the_unit(values, unit):
    reference, other = np.array(values) + 1, np.array(values)
    a, b = compare(other, reference), compare(other * unit, reference * unit)
    assert a.max_rel == pytest.approx(b.max_rel, rel=1e-6)
    assert a.cosine == pytest.approx(b.cosine, abs=1e-6)


def test_memory_order_does_not_matter():
    a, b = np.arange(24.0).reshape(2, 3, 4), np.arange(24.0).reshape(2, 3, 4) ** 2
    turned = np.asfortranarray(a)
    assert compare(turned, b) == compare(a, b)


def test_argmax_agreement_is_a_share():
    a = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0]])
    assert compare(a, np.tile([1.0, 2.0], (4, 1))).argmax == 0.75
    assert compare(np.ones(4), np.ones(4)).argmax is None


def test_ratio_and_spread_at_their_edges():
    assert ratio(1, 0) == np.inf
    assert spread(np.array([[1.0, 1.0], [1.0, 1.0]])) == 0
    assert spread(np.array([[np.nan]])) == np.inf
    assert spread(np.ones((1, 4))) == 0
