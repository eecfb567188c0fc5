"""MobileNetV3 of torchvision, with its own weights, as a Keras model that saves, loads and trains without xconv.

python examples/mobilenet_v3_to_keras.py photo.jpg -o mobilenet_v3_small.keras
python examples/mobilenet_v3_to_keras.py --random-weights            # offline
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch  # before TensorFlow: the other order can crash

import keras  # isort: skip
import numpy as np
import PIL.Image

import xconv
import xconv.preprocessing
import xconv.zoo


def arguments() -> argparse.Namespace:
    """What the script is called with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", help="a photograph; by default one is drawn")
    parser.add_argument("--random-weights", action="store_true", help="nothing is downloaded")
    parser.add_argument("--network", choices=["small", "large"], default="small")
    parser.add_argument("-o", "--output", type=Path, help="where the .keras file is kept")
    return parser.parse_args()


def drawn() -> Any:
    """A picture with waves of colour."""
    rows, columns = np.mgrid[0:300, 0:400]
    waves = [127 + 120 * np.sin(rows / a + columns / b) for a, b in ((17, 29), (41, -13), (-23, 19))]
    return PIL.Image.fromarray(np.stack(waves, -1).astype(np.uint8))


def main() -> None:
    """Converted, proved, saved, loaded again without xconv, and asked what it sees."""
    given = arguments()
    picture = given.picture or drawn()
    name = f"mobilenet_v3_{given.network}"
    published: dict[str, Any] = {"weights": None, "seed": 0} if given.random_weights else {"weights": "imagenet"}

    module = xconv.zoo.load(name, source="torchvision", framework="torch", **published)
    print(f"1. torchvision.models.{name}, {sum(p.numel() for p in module.parameters()):,} parameters\n")
    print(xconv.zoo.predict(module, picture))

    model = xconv.zoo.load(name, source="torchvision", framework="keras", weights=module)
    print(f"\n2. The Keras model: {len(model.layers)} layers, {sum(map(size, model.trainable_weights)):,} parameters\n")
    print("torchvision's features.0.0 is", type(model.get_layer("features>0>0")).__name__)
    print("against torchvision:", xconv.verify(module, model).verdict)

    prepared = xconv.preprocessing.of(name, "torchvision")
    with tempfile.TemporaryDirectory() as folder:
        file = given.output or Path(folder) / f"{name}.keras"
        model.save(file)
        again = keras.models.load_model(file)  # Keras's own layers: xconv is not needed for it
    print("\n3. Saved, and loaded by Keras\n")
    print(xconv.zoo.predict(again, picture, preprocessing=prepared))
    batch = prepared.with_layout("channels_last")(picture)[None]
    scores = keras.ops.convert_to_numpy(again(batch))
    with torch.no_grad():
        expected = module(torch.from_numpy(batch).permute(0, 3, 1, 2)).numpy()
    print(
        f"\nits scores in float32 against torchvision's: {np.abs(scores - expected).max() / np.abs(expected).max():.0e}"
    )


def size(weight: Any) -> int:
    """How many numbers a weight holds."""
    return int(np.prod(weight.shape))


if __name__ == "__main__":
    main()
