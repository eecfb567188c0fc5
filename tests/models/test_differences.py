"""What two models say differently, and what is no difference."""

import keras
import pytest

import xconv


@pytest.mark.parametrize(("scale", "offset"), [(1 / 127.5, -1.0), ([0.5, 2.0, 4.0], [0.0, -1.0, 0.25])])
def test_a_converted_rescaling_is_no_difference(scale, offset):
    stack = [keras.Input((13, 10, 3)), keras.layers.Rescaling(scale, offset), keras.layers.Conv2D(4, 3)]
    model = keras.Sequential(stack)
    found = xconv.diagnose(model, xconv.keras_to_torch(model).eval())
    assert found.agree
    assert not found.findings, found


def test_lists_of_other_numbers_are_a_difference():
    def model(offset):
        stack = [keras.layers.Rescaling([0.5, 2.0, 4.0], offset), keras.layers.Conv2D(4, 3)]
        return xconv.randomize(keras.Sequential([keras.Input((13, 10, 3)), *stack]), seed=0)

    found = xconv.diagnose(model([0.0, -1.0, 0.25]), model([0.0, -1.0, 0.5]))
    assert not found.agree
    assert found.explained
    assert [finding.cause for finding in found.findings] == ["scaling"]
