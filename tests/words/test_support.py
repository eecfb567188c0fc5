"""Every public layer of Keras has a row in the table of support: converted, or refused with its reason."""

from __future__ import annotations

import keras

from benchmarks.coverage_counts import layers_of_keras
from xconv.layers import RULES
from xconv.layers.refused import REFUSED
from xconv.support import supported


def test_every_layer_of_keras_is_converted_or_refused() -> None:
    """By any of its public names."""
    assert keras.__version__ >= "3"
    known = {row.kind for row in supported()}
    layers = layers_of_keras()
    assert len(layers) > 140
    assert [name for name, names in sorted(layers.items()) if not names & known] == []
    assert RULES.keys() & REFUSED.keys() == set()


def test_every_row_says_what_it_becomes_or_why_not() -> None:
    for row in supported():
        assert row.torch or row.refused, row.kind
        assert row.restrictions or not row.refused, row.kind
