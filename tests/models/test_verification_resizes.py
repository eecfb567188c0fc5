"""Resizes that TensorFlow computes in float32 are judged by what their kernels mean, evaluated in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers

import xconv
from xconv.keras import evaluated
from xconv.report.records import Verdict

SIZE = (9, 11, 3)


def model_of(layer):
    image = keras.Input(SIZE)
    return xconv.randomize(keras.Model(image, layers.Dense(4, name="head")(layers.Flatten()(layer(image)))))


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "area", "lanczos3", "lanczos5"])
def test_resizing_by_every_kernel(kernel, antialias):
    model = model_of(layers.Resizing(5, 13, interpolation=kernel, antialias=antialias))
    report = xconv.verify(model, xconv.keras_to_torch(model), per_layer=True)
    assert report.verdict is Verdict.CONSTANTS, str(report)
    assert report.outputs[0].float64.max_rel < 1e-13
    assert all(layer.error < 1e-13 for layer in report.layers)
    if kernel != "bilinear" or antialias:
        assert "evaluated in float64" in dict(report.constants).popitem()[1]
        assert any("its own result lies within" in note for note in report.notes)


@pytest.mark.parametrize("kernel", ["bicubic", "lanczos3", "lanczos5"])
def test_upsampling(kernel):
    model = model_of(layers.UpSampling2D((2, 3), interpolation=kernel))
    assert xconv.verify(model, xconv.keras_to_torch(model)).outputs[0].float64.max_rel < 1e-13


def test_a_crop_that_must_resize():
    model = model_of(layers.CenterCrop(12, 5, name="crop"))
    report = xconv.verify(model, xconv.keras_to_torch(model))
    assert report.constants == (("crop", "bilinear resize in float32"),)


def test_beside_other_constants():
    image = keras.Input(SIZE)
    x = layers.Resizing(7, 8, interpolation="lanczos3")(image)
    x = layers.Activation("gelu", name="act")(layers.UpSampling2D(2, interpolation="bilinear", name="up")(x))
    x = layers.Resizing(6, 5, interpolation="area")(x)
    model = xconv.randomize(keras.Model(image, layers.Dense(3)(layers.Flatten()(x))))
    report = xconv.verify(model, xconv.keras_to_torch(model), per_layer=True)
    assert report.verdict is Verdict.CONSTANTS, str(report)
    assert {"act", "up", "lanczos3 resize", "area resize"} == set(dict(report.constants))
    assert all(layer.error < 1e-13 for layer in report.layers)


def test_a_small_difference_beside_it_is_still_found():
    model = model_of(layers.Resizing(5, 13, interpolation="bicubic"))
    module = xconv.keras_to_torch(model)
    with torch.no_grad():
        module.head.bias[1] += 1e-6
    report = xconv.verify(model, module)
    assert report.verdict is Verdict.DIFFERS
    assert report.first_difference.layer == "head"


def test_another_kernel_on_the_other_side_differs():
    model = model_of(layers.Resizing(5, 13, interpolation="bicubic", name="odd"))
    module = xconv.keras_to_torch(model)
    module.odd.interpolation = "lanczos3"
    report = xconv.verify(model, module)
    assert report.verdict is Verdict.DIFFERS
    assert report.first_difference.layer == "odd"


def test_a_definition_that_is_not_the_kernels_is_not_taken(monkeypatch):
    other = evaluated.applied
    monkeypatch.setattr(evaluated, "applied", lambda x, size, method, **options: other(x, size, "lanczos3", **options))
    plan = evaluated.Evaluated()
    image = tf.constant(np.random.default_rng(0).random((2, *SIZE)))
    with plan.active():
        found = tf.image.resize(image, (5, 13), "bicubic")
    assert found.dtype == tf.float32
    assert not plan.found
    model = model_of(layers.Resizing(5, 13, interpolation="bicubic"))
    assert xconv.verify(model, xconv.keras_to_torch(model)).verdict is Verdict.DIFFERS


def test_tensorflow_is_left_as_it_was():
    before, plan = tf.image.resize, evaluated.Evaluated()
    image = np.random.default_rng(0).random((2, *SIZE))
    with plan.active():
        exact = tf.image.resize(tf.constant(image), (5, 13), "lanczos5", antialias=True)
        assert tf.image.resize(tf.constant(image, "float32"), (5, 13), "lanczos5").dtype == tf.float32
    assert exact.dtype == tf.float64
    assert tf.image.resize is before
    assert 0 < plan.found["lanczos5, antialiased,"] < 1e-6
