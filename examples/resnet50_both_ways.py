"""ResNet50 of keras.applications into torchvision's resnet50, and back into Keras: the same network all the way.

torchvision's class is another network (strides, epsilon, no biases in its convolutions); its settings are changed and
the biases folded, so that it is exact. On the way back the biases stay folded: other numbers, the same function.

    python examples/resnet50_both_ways.py photo.jpg
    python examples/resnet50_both_ways.py --random-weights --size 97     # offline
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import PIL.Image
import torch  # before TensorFlow: the other order can crash

import xconv
import xconv.preprocessing
import xconv.zoo


def arguments() -> argparse.Namespace:
    """What the script is called with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", help="a photograph; by default one is drawn")
    parser.add_argument("--random-weights", action="store_true", help="nothing is downloaded")
    parser.add_argument("--size", type=int, default=224, help="of the network's input, with random weights")
    given = parser.parse_args()
    if given.size != 224 and not given.random_weights:
        parser.error("the published weights with their top are for 224x224: --size needs --random-weights")
    return given


def drawn() -> Any:
    """A picture with waves of colour."""
    rows, columns = np.mgrid[0:300, 0:400]
    waves = [127 + 120 * np.sin(rows / a + columns / b) for a, b in ((17, 29), (41, -13), (-23, 19))]
    return PIL.Image.fromarray(np.stack(waves, -1).astype(np.uint8))


def main() -> None:
    """There, and back, and proved each time.

    In float64: a bias that is folded into a mean is rounded in float32, and a proof is not about rounding.
    """
    given = arguments()
    picture = given.picture or drawn()
    options: dict[str, Any] = {"input_shape": (given.size, given.size, 3), "classifier_activation": None}
    published = {"weights": None, "seed": 0} if given.random_weights else {"weights": "imagenet"}
    prepared = xconv.preprocessing.of("resnet50", "keras", size=given.size)

    model = xconv.zoo.load("resnet50", framework="keras", dtype="float64", **published, **options)
    print(f"1. keras.applications.ResNet50, {model.count_params():,} weights\n")
    print(xconv.zoo.predict(model, picture))

    stock: dict[str, Any] = {"destination": "stock", "library": "torchvision"}
    network = xconv.zoo.load("resnet50", weights=model, dtype="float64", **stock, **options)
    print("\n2. torchvision.models.resnet50, with its own names\n")
    print(xconv.zoo.predict(network, picture))
    print("\nagainst Keras:", xconv.verify(model, network).verdict)
    changes = xconv.zoo.origin(network).changes
    print(f"what was changed in the class, {len(changes)} settings, such as: {changes[0]}")

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "resnet50.pth"
        torch.save(copy.deepcopy(network).float().state_dict(), file)
        print(f"a file for torch.load: {file.stat().st_size / 1e6:.0f} MB, {len(network.state_dict())} tensors")

    back = xconv.zoo.load("resnet50", framework="keras", weights=None, dtype="float64", **options)
    xconv.transfer(network, back)
    print("\n3. From torchvision's class back into keras.applications.ResNet50\n")
    print(xconv.zoo.predict(back, picture, preprocessing=prepared))
    print("\nagainst the first:", xconv.verify(model, back).verdict)


if __name__ == "__main__":
    main()
