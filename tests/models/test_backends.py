"""Live models of every Keras backend that is installed convert alike; each backend needs a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import torch
import json
import keras
import numpy as np
import xconv

keras.utils.set_random_seed(0)
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
print(json.dumps({"backend": keras.backend.backend(), "error": error, "keys": list(module.state_dict())}))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_backend(backend: str) -> None:
    """The same names, and float32 results within float32's own rounding."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["backend"] == backend
    assert found["error"] < 2e-6
    assert {"conv.weight", "norm.running_var", "head.bias"} <= set(found["keys"])
