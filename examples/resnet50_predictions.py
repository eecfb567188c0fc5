"""Why do my ResNet50 predictions differ from Keras's?

The usual port: copy the weights of keras.applications into torchvision's resnet50, compare, and wonder. The two are not
the same network: ResNet v1 strides in the first 1x1 convolution of a stage, torchvision's "v1.5" in the 3x3. Keras's
convolutions have biases, its epsilon differs in the fourth digit, its model ends in a softmax, and the pictures are
prepared in two ways. `xconv.diagnose` measures what each of these does, and `xconv.transfer(adapt=True)` mends it.

The weights are random, so that nothing is downloaded. With `weights="imagenet"` in keras.applications.ResNet50 the same
is found, with other numbers.
"""

from __future__ import annotations

import os
import re

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch  # before TensorFlow: the other order can crash

import keras  # isort: skip
import torchvision
from torch import nn

import xconv

SHAPE = 65, 79, 3
"""Small, for speed. The findings are those of 224x224."""


def keras_name(name: str) -> str:
    """Keras's name of a layer of torchvision: conv3_block1_2_bn for layer2.0.bn2."""
    ends = {"conv1": "conv1_conv", "bn1": "conv1_bn", "fc": "predictions"}
    if name in ends:
        return ends[name]
    name = name.replace("downsample.0", "conv0").replace("downsample.1", "bn0")
    stage, block, kind, part = re.fullmatch(r"layer(\d)\.(\d)\.(conv|bn)(\d)", name).groups()  # type: ignore[union-attr]
    return f"conv{int(stage) + 1}_block{int(block) + 1}_{part}_{kind}"


@torch.no_grad()
def copy_by_hand(model: keras.Model, network: nn.Module) -> None:
    """What ports by hand do: copy every weight that has a place, and drop the others: the biases of convolutions."""
    for name, module in network.named_modules():
        if not isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.Linear)):
            continue
        first, *others = map(torch.from_numpy, model.get_layer(keras_name(name)).get_weights())
        if isinstance(module, nn.Conv2d):
            module.weight.copy_(first.permute(3, 2, 0, 1))
        elif isinstance(module, nn.Linear):
            module.weight.copy_(first.T)
            module.bias.copy_(others[0])
        else:
            places = module.weight, module.bias, module.running_mean, module.running_var
            for place, numbers in zip(places, (first, *others), strict=True):
                place.copy_(numbers)  # type: ignore[union-attr]


def main() -> None:
    """Diagnoses the usual port, mends it, and proves that it is mended."""
    model = xconv.randomize(keras.applications.ResNet50(weights=None, input_shape=SHAPE), seed=0)
    network = torchvision.models.resnet50().eval().double()  # in float32 a mean from which a bias is taken is rounded

    copy_by_hand(model, network)
    print("1. The usual port, every weight copied by name\n")
    print(xconv.diagnose(model, network))

    print("\n2. Weights transferred, and torchvision's settings changed to Keras's\n")
    print(xconv.transfer(model, network, adapt=True))
    print("\nkeras.applications against torchvision with a softmax behind its logits:")
    print(xconv.verify(model, nn.Sequential(network, nn.Softmax(dim=-1))).verdict)

    print("\n3. The pictures that they are fed\n")
    print(xconv.diagnose("keras.applications.resnet50 at 224", "torchvision ResNet50_Weights.IMAGENET1K_V1"))


if __name__ == "__main__":
    main()
