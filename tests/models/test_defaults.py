"""The table of constructor defaults says what the installed Keras says."""

import inspect

import pytest

keras = pytest.importorskip("keras")

from xconv.keras.defaults import DEFAULTS  # noqa: E402


@pytest.mark.parametrize("kind", sorted(DEFAULTS))
def test_defaults_are_those_of_the_installed_keras(kind):
    parameters = inspect.signature(getattr(keras.layers, kind).__init__).parameters
    defaults = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not inspect.Parameter.empty and name != "name"
    }
    assert dict(DEFAULTS[kind]) == defaults
