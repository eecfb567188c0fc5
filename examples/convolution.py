"""How does a PyTorch convolution look in TensorFlow: padding, dilation, groups, transposed, layout, initialisation?

Every pair below is written by hand for both sides. `xconv.transfer` moves the weights of the torch layer into the
Keras one, which it refuses where the two are not the same function, and `xconv.verify` runs both in float64. Then the
other way: what Keras's `padding="same"` is in PyTorch, and where it shifts the picture by a pixel.
"""

from __future__ import annotations

import inspect
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch  # before TensorFlow: the other order can crash

import keras  # isort: skip
import numpy as np
from keras import layers
from torch import nn

import xconv

CHANNELS, HEIGHT, WIDTH = 6, 17, 22
"""Odd and even, and all different: where two sizes are equal, many a mistake stays hidden."""

PAIRS: tuple[tuple[str, Any, list[Any]], ...] = (
    ("no padding", nn.Conv2d(6, 8, 3), [layers.Conv2D(8, 3)]),
    ("padding that keeps the size", nn.Conv2d(6, 8, 3, padding=1), [layers.Conv2D(8, 3, padding="same")]),
    (
        "a stride: padding='same' would be another function",
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        [layers.ZeroPadding2D(1), layers.Conv2D(8, 3, strides=2)],
    ),
    (
        "dilation: padding = dilation keeps the size",
        nn.Conv2d(6, 8, 3, padding=2, dilation=2),
        [layers.Conv2D(8, 3, padding="same", dilation_rate=2)],
    ),
    (
        "groups",
        nn.Conv2d(6, 8, 3, padding=1, groups=2, bias=False),
        [layers.Conv2D(8, 3, padding="same", groups=2, use_bias=False)],
    ),
    (
        "depthwise: as many groups as channels",
        nn.Conv2d(6, 12, 3, padding=1, groups=6),
        [layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)],
    ),
    (
        "transposed, kernel 4: padding='same' is the same function",
        nn.ConvTranspose2d(6, 8, 4, stride=2, padding=1),
        [layers.Conv2DTranspose(8, 4, strides=2, padding="same")],
    ),
    (
        "transposed, with output_padding: crop what 'valid' makes",
        nn.ConvTranspose2d(6, 8, 3, stride=2, padding=1, output_padding=1),
        [layers.Conv2DTranspose(8, 3, strides=2), layers.Cropping2D(((1, 0), (1, 0)))],
    ),
)
SAID = (
    "filters",
    "kernel_size",
    "strides",
    "padding",
    "dilation_rate",
    "groups",
    "depth_multiplier",
    "use_bias",
    "cropping",
)
"""The arguments of a Keras layer that are shown where they are not the default."""


def code(layer: Any) -> str:
    """The call that makes a Keras layer."""
    config, defaults = layer.get_config(), inspect.signature(type(layer)).parameters
    said = [f"{name}={config[name]!r}" for name in SAID if name in config and config[name] != defaults[name].default]
    return f"{type(layer).__name__}({', '.join(said)})"


def keras_model(*stack: Any) -> keras.Model:
    """The layers as a model for channels-last images."""
    return keras.Sequential([keras.Input((HEIGHT, WIDTH, CHANNELS)), *stack], name="keras_model")


def both_sides() -> None:
    """Every pair: the code of both sides, how the kernel's axes move, and whether it is exact."""
    for title, layer, stack in PAIRS:
        module, model = nn.Sequential(layer).eval(), keras_model(*stack)
        xconv.transfer(module, model)
        kernel = next(item for item in model.layers if item.weights).weights[0]
        print(f"{title}")
        print(f"  torch   {layer}")
        print(f"  Keras   {', '.join(map(code, stack))}")
        print(f"  kernel  {tuple(layer.weight.shape)} -> {tuple(kernel.shape)}")
        print(f"  verify  {xconv.verify(module, model).verdict}\n")


def same_padding() -> None:
    """Keras's 'same' with a stride pads unevenly wherever the size is even, and evenly where it is odd."""
    print("Keras's Conv2D(8, 3, strides=2, padding='same') in torch")
    for height, width in ((17, 21), (16, 22)):
        image = keras.Input((height, width, CHANNELS))
        model = keras.Sequential([image, layers.Conv2D(8, 3, 2, "same", name="conv")], name="same")
        module = xconv.keras_to_torch(model)
        pads = [f"pad(x, {node.args[1]}), " for node in module.graph.nodes if node.op == "call_function"]
        print(f"  {height}x{width}  {''.join(pads)}{module.conv}")
        print(f"  verify  {xconv.verify(model, module).verdict}")

    by_hand = nn.Sequential(nn.Conv2d(CHANNELS, 8, 3, stride=2, padding=1)).eval()
    xconv.transfer(model, by_hand, strict=False)
    print("\npadding=1 at 16x22 instead, which gives the same shape:\n")
    print(xconv.diagnose(model, by_hand))


def layout() -> None:
    """The same numbers in another order: of the picture, and of the kernel."""
    model = keras_model(layers.Conv2D(8, 3, padding="same", name="conv"))
    kernel, bias = model.get_layer("conv").get_weights()
    convolution: Any = nn.Conv2d(CHANNELS, 8, 3, padding=1)
    module = nn.Sequential(convolution).eval()
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1)))
        convolution.bias.copy_(torch.from_numpy(bias))
    print("\nlayout: pictures are (N, H, W, C) in Keras, (N, C, H, W) in torch")
    print("  weight = kernel.transpose(3, 2, 0, 1)")
    print(f"  verify  {xconv.verify(model, module).verdict}")

    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(kernel.reshape(8, CHANNELS, 3, 3)))
    print("\nkernel.reshape(8, 6, 3, 3) instead, which gives the same shape:\n")
    print(xconv.diagnose(model, module))


def initialisation() -> None:
    """What new layers hold; it matters to whoever trains from scratch."""
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)
    model = keras_model(layers.Conv2D(64, 3, name="first"), layers.Conv2D(64, 3, name="second"))
    module: Any = nn.Sequential(nn.Conv2d(CHANNELS, 64, 3), nn.Conv2d(64, 64, 3)).eval()
    kernel, bias = map(np.abs, model.get_layer("second").get_weights())
    print("\ninitialisation: the second of two new layers")
    print(f"  Keras   kernel within {kernel.max():.3f}, bias within {bias.max():.3f}")
    print(f"  torch   kernel within {module[1].weight.abs().max():.3f}, bias within {module[1].bias.abs().max():.3f}\n")
    print(next(finding for finding in xconv.diagnose(model, module).findings if finding.cause == "initialisers"))


def main() -> None:
    """Prints every part of the answer."""
    both_sides()
    same_padding()
    layout()
    initialisation()


if __name__ == "__main__":
    main()
