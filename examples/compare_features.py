"""The features of a picture from both frameworks: which layer is which, how long they are and why.

MobileNetV3 is the network whose vectors surprise most: 576 numbers from Keras and 1024 from timm.

    python examples/compare_features.py photo.jpg
    python examples/compare_features.py --random-weights                 # offline
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch  # before TensorFlow: the other order can crash

import keras  # isort: skip
import numpy as np
import PIL.Image
import timm

import xconv
import xconv.preprocessing
import xconv.zoo


def arguments() -> argparse.Namespace:
    """What the script is called with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", help="a photograph; by default one is drawn")
    parser.add_argument("--random-weights", action="store_true", help="nothing is downloaded")
    return parser.parse_args()


def drawn() -> Any:
    """A picture with waves of colour."""
    rows, columns = np.mgrid[0:300, 0:400]
    waves = [127 + 120 * np.sin(rows / a + columns / b) for a, b in ((17, 29), (41, -13), (-23, 19))]
    return PIL.Image.fromarray(np.stack(waves, -1).astype(np.uint8))


def print_lengths(model: keras.Model, network: torch.nn.Module) -> None:
    """How long the usual feature vectors are."""
    pooled = xconv.features(model, "activation_17", pooling="avg")
    bare = timm.create_model("tf_mobilenetv3_small_100", num_classes=0).eval()
    print(f"Keras, include_top=False, pooling='avg':  {xconv.feature_length(pooled)}")
    print(f"timm, num_classes=0:                      {xconv.feature_length(bare, input_shape=(3, 224, 224))}")
    print(f"timm, global_pool:                        {length(network, 'global_pool')}")


def length(network: torch.nn.Module, layer: str) -> object:
    """Where the length of a layer's features comes from."""
    return xconv.feature_length(xconv.features(network, layer), input_shape=(3, 224, 224))


def main() -> None:
    """Lengths, layers, numbers."""
    given = arguments()
    keras.utils.clear_session()  # so that Keras counts its unnamed layers from the first
    published: dict[str, Any] = {"weights": None, "seed": 0} if given.random_weights else {"weights": "imagenet"}
    options: dict[str, Any] = {"include_preprocessing": False, "input_shape": (224, 224, 3)}
    model = xconv.zoo.load("mobilenet_v3_small", framework="keras", **published, **options)
    network = xconv.zoo.load("mobilenet_v3_small", weights=model, destination="stock", library="timm", **options)

    print("1. Lengths\n")
    print_lengths(model, network)

    print("\n2. The levels of timm's features_only, in Keras\n")
    levels = timm.create_model("tf_mobilenetv3_small_100", features_only=True).eval()
    for info, layer in zip(levels.feature_info.get_dicts(), xconv.counterpart(levels, model), strict=True):
        print(f"1/{info['reduction']:<3} {info['num_chs']:4d} channels   {info['module']:<9} {layer}")

    print("\n3. The same features from both\n")
    picture = xconv.preprocessing.of("mobilenet_v3_small", "keras", include_preprocessing=False)(
        given.picture or drawn()
    )
    for layer in ("expanded_conv_2_add", "activation_17", "global_average_pooling2d", "activation_18"):
        print_compared(model, network, layer, picture[None])


def print_compared(model: keras.Model, network: torch.nn.Module, layer: str, batch: Any) -> None:
    """A layer's features, pooled, by both frameworks."""
    ours, theirs = xconv.same_features(model, network, layer, pooling="avg")
    expected = keras.ops.convert_to_numpy(ours(batch))
    with torch.no_grad():
        found = theirs(torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2)))).numpy()
    error = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"{layer:<26} {found.size:5d} numbers, differing by {error:.0e} in float32")


if __name__ == "__main__":
    main()
