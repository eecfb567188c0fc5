"""Law 3 over generated calls of keras.ops: shapes, axes and options that no table would list."""

import pytest
from hypothesis import given, settings

from tests.layers.operation_strategies import of
from tests.layers.reference import assert_same_numbers

pytestmark = pytest.mark.filterwarnings(
    "ignore:NotImplemented should not be used:DeprecationWarning"
)  # Keras's tensordot

few = settings(max_examples=25)


@few
@given(of("elementwise"))
def test_elementwise(example):
    assert_same_numbers(example)


@few
@given(of("reductions"))
def test_reductions(example):
    assert_same_numbers(example)


@few
@given(of("along"))
def test_along_an_axis(example):
    assert_same_numbers(example)


@few
@given(of("arrays"))
def test_arrays(example):
    assert_same_numbers(example)


@few
@given(of("products"))
def test_products(example):
    assert_same_numbers(example)


@few
@given(of("matrices"))
def test_matrices_and_spectra(example):
    assert_same_numbers(example)


@few
@given(of("named"))
def test_what_integers_name_and_rows(example):
    assert_same_numbers(example)


@few
@given(of("windows"))
def test_pools(example):
    assert_same_numbers(example)
