"""Why do ResNet outputs differ between Keras and tf.keras for one image?

Three causes look alike. Other random weights: a model that is built twice has other numbers, unless both have the same
seed or the same file. Another backend or another compilation: it adds the same numbers up in another order. And float32
itself: every one of them is off from the exact result by as much as they are off from each other. Whether a difference
is rounding is seen in float64: there it vanishes.

`tf_keras` is Keras 2, which tf.keras was up to TensorFlow 2.15. Where it is not installed, its lines are left out.
The weights are random, so that nothing is downloaded; `weights="imagenet"` would load the same file into both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch  # noqa: F401  before TensorFlow: the other order can crash

import keras  # isort: skip
import numpy as np

import xconv

try:
    import tf_keras
except ModuleNotFoundError:
    tf_keras = None

SHAPE = 97, 113, 3


def resnet(library: Any, seed: int) -> Any:
    """ResNet50 of either Keras, with the weights that it draws from a seed."""
    library.utils.set_random_seed(seed)
    return library.applications.ResNet50(weights=None, input_shape=SHAPE, classifier_activation=None)


def weights() -> Any:
    """First see whether the two have the same weights at all; returns a pair that has."""
    model = resnet(keras, seed=1)
    if tf_keras is None:
        print("tf_keras is not installed (pip install tf_keras): what follows is Keras alone")
        return xconv.randomize(model, seed=0), None
    older = resnet(tf_keras, seed=2)
    print("1. Keras against tf_keras, each with weights of its own\n")
    print(xconv.diagnose(model, older))

    xconv.randomize(model, seed=0)
    print("\n2. The weights of the one transferred into the other, and both run in float64 and float32\n")
    print(xconv.transfer(model, older))
    print()
    print(xconv.verify(model, older))
    return model, older


def in_float64(library: Any, model: Any) -> Any:
    """The same model with its numbers in float64."""
    set_policy = keras.config.set_dtype_policy if library is keras else library.mixed_precision.set_global_policy
    set_policy("float64")
    exact = resnet(library, seed=0)
    set_policy("float32")
    exact.set_weights(model.get_weights())
    return exact


def on_torch(model: Any, picture: Any) -> Any:
    """What Keras returns on its torch backend: a process of its own, because a process has one backend."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("model.keras", "picture.npy", "output.npy")]
        model.save(paths[0])
        np.save(paths[1], picture)
        command = [sys.executable, __file__, *paths]
        subprocess.run(command, env={**os.environ, "KERAS_BACKEND": "torch"}, check=True)  # noqa: S603
        return np.load(paths[2])


def predict(model: str, picture: str, output: str) -> None:
    """Runs a saved model on the backend of this process."""
    np.save(output, keras.models.load_model(model).predict(np.load(picture), verbose=0))


def rounding(model: Any, older: Any) -> None:
    """How far every float32 result is from float64: what lies within that is rounding."""
    picture = np.random.default_rng(0).uniform(-128, 128, (1, *SHAPE)).astype("float32")
    exact = in_float64(keras, model).predict(picture.astype("float64"), verbose=0)
    results = {
        "Keras, model.predict(picture)": model.predict(picture, verbose=0),
        "Keras, model(picture)": np.asarray(model(picture, training=False)),
        "Keras, in a batch of 4": model.predict(np.repeat(picture, 4, axis=0), verbose=0)[:1],
        "Keras on the torch backend": on_torch(model, picture),
    }
    if older is not None:
        results["tf_keras, model.predict(picture)"] = older.predict(picture, verbose=0)
        results["tf_keras in float64"] = in_float64(tf_keras, older).predict(picture.astype("float64"), verbose=0)
    print("\n3. One picture: how far every way to run it is from Keras in float64\n")
    for name, result in results.items():
        print(f"{name:<36}{relative(exact, result):8.0e}   same class: {result.argmax() == exact.argmax()}")
    if older is not None:
        ours, theirs = results["Keras, model.predict(picture)"], results["tf_keras, model.predict(picture)"]
        print(f"{'Keras against tf_keras in float32':<36}{relative(ours, theirs):8.0e}")


def relative(reference: Any, other: Any) -> float:
    """The largest difference, relative to the largest number."""
    return float(np.abs(other - reference).max() / np.abs(reference).max())


def main() -> None:
    """Weights first, then rounding."""
    rounding(*weights())


if __name__ == "__main__":
    if len(sys.argv) == 4:
        predict(*sys.argv[1:])
    else:
        main()
