"""Live models of every Keras backend that is installed convert alike; another backend needs another process."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import xconv

SCRIPT = "import torch, json; from tests.models.test_backends import found; print(json.dumps(found()))"


def found() -> dict[str, Any]:
    """What becomes of a small network on the backend of this process."""
    import keras

    image = keras.Input((9, 8, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(image)
    x = keras.layers.MaxPooling2D(2, padding="same")(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.Dense(5, name="head")(keras.layers.Flatten()(keras.layers.ReLU()(x)))
    model = xconv.randomize(keras.Model(image, x))
    module = xconv.keras_to_torch(model).eval()
    given = np.random.default_rng(0).normal(size=(3, 9, 8, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(given, training=False))
    actual = module(torch.tensor(given).permute(0, 3, 1, 2)).detach().numpy()
    error = float(np.abs(actual - expected).max() / np.abs(expected).max())
    return {"backend": keras.backend.backend(), "error": error, "keys": list(module.state_dict())}


def judge(result: dict[str, Any], backend: str) -> None:
    """The same names, and float32 results within float32's own rounding."""
    assert result["backend"] == backend
    assert result["error"] < 2e-6
    assert {"conv.weight", "norm.running_var", "head.bias"} <= set(result["keys"])


def test_the_backend_of_the_tests() -> None:
    judge(found(), "tensorflow")


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_another_backend(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    judge(json.loads(done.stdout.splitlines()[-1]), backend)
