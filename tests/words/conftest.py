"""This tier loads no framework: a test that does is an error."""

import sys
from collections.abc import Iterator

import pytest

FRAMEWORKS = {"keras", "tensorflow", "tf_keras", "torch"}


@pytest.fixture(autouse=True)
def no_framework() -> Iterator[None]:
    before = FRAMEWORKS & sys.modules.keys()
    yield
    loaded = (FRAMEWORKS & sys.modules.keys()) - before
    assert not loaded, f"a test of the words tier loaded {sorted(loaded)}; it belongs into layers or models"
