"""Why do ResNet50's feature vectors have different lengths in TensorFlow and PyTorch?

`include_top=False` takes off more than torchvision's `fc = Identity()` does: the pooling goes too, and what is left is
a map of 7x7 pixels, 100352 numbers once it is flattened, where torchvision and timm give 2048. `xconv.diagnose` says
so, with the line that mends it. Equal lengths are not yet equal numbers: `xconv.transfer` brings the weights over, and
`xconv.verify` proves that the features are the same.

The weights are random, so that nothing is downloaded; `weights="imagenet"` would load Keras's.
"""

from __future__ import annotations

import os
from math import prod
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch  # before TensorFlow: the other order can crash

import keras  # isort: skip
import timm
import torchvision
from torch import nn

import xconv


def keras_resnet(size: int, **options: Any) -> keras.Model:
    """ResNet50 of keras.applications."""
    return keras.applications.ResNet50(weights=None, input_shape=(size, size, 3), **options)


def torch_features() -> Any:
    """ResNet50 of torchvision without its last layer: the usual way to its feature vectors."""
    network = torchvision.models.resnet50()
    network.fc = nn.Identity()
    return network.eval()


def print_lengths() -> None:
    """What every usual way of asking for features returns for a picture of 224x224."""
    print("Keras")
    choices: tuple[dict[str, Any], ...] = {}, {"include_top": False}, {"include_top": False, "pooling": "avg"}
    for options in choices:
        said = ", ".join(f"{name}={value!r}" for name, value in options.items())
        print_length(f"ResNet50({said})", keras_resnet(224, **options).output_shape[1:])

    torch.set_default_device("meta")  # shapes alone, without numbers
    ways = {
        "torchvision.models.resnet50()": torchvision.models.resnet50(),
        "... with fc = nn.Identity()": torch_features(),
        "... its children()[:-2]": nn.Sequential(*list(torch_features().children())[:-2]),
        "timm.create_model('resnet50')": timm.create_model("resnet50"),
        "... with num_classes=0": timm.create_model("resnet50", num_classes=0),
        "... with num_classes=0, global_pool=''": timm.create_model("resnet50", num_classes=0, global_pool=""),
    }
    print("PyTorch")
    for name, network in ways.items():
        print_length(name, tuple(network(torch.empty(2, 3, 224, 224)).shape[1:]))
    torch.set_default_device("cpu")


def print_length(name: str, shape: tuple[int, ...]) -> None:
    """One way and its length."""
    print(f"  {name:<44}{'x'.join(map(str, shape)):>12} = {prod(shape):>6} numbers")


class ChannelsLast(nn.Module):
    """The axes as Keras has them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, H, W, C)."""
        return x.permute(0, 2, 3, 1)


def main() -> None:
    """Lengths, then why they differ, then the same features in both."""
    print_lengths()

    # From here on with small pictures, for speed: maps of 2x2 in place of 7x7.
    pooled = xconv.randomize(keras_resnet(64, include_top=False, pooling="avg"), seed=0)
    network = torch_features().double()  # in float64, so that nothing is rounded
    xconv.transfer(pooled, network, adapt=True)
    print("\nPooled, with the weights of Keras transferred:", xconv.verify(pooled, network).verdict)

    print("\nWhy torchvision's vector is shorter than what include_top=False returns:\n")
    body = keras.Model(pooled.input, pooled.layers[-2].output, name="include_top_false")
    print(xconv.diagnose(body, network))
    print("\nThe other way round, what to do in Keras:\n")
    print(xconv.diagnose(network, body))

    print("\nThe remedy for torch, applied. The vectors have one length now, but not one order:\n")
    network.avgpool = nn.Identity()
    vector = keras.Sequential([body, keras.layers.Flatten()], name="flattened")
    print(xconv.diagnose(vector, network))

    print("\nThat remedy applied too:")
    network.avgpool = ChannelsLast()
    print(xconv.verify(vector, network).verdict)


if __name__ == "__main__":
    main()
