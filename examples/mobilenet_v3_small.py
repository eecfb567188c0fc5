"""Do TensorFlow and PyTorch give different results for MobileNetV3Small?

In inference they need not. Keras scales the picture inside the model (so scaling it before counts twice), and pads
stride-2 convolutions on one side where torchvision pads on both; timm's `tf_` variant has Keras's padding. Once that is
settled the two agree in float64.

In fine-tuning they drift apart all the same: torch corrects the variance of a batch by n / (n - 1) before it goes into
the running variance, Keras does not, and torchvision's statistics follow the batches ten times as fast as Keras's. The
weights stay the same, the outputs in inference do not. The last part measures it.

The weights are random, so that nothing is downloaded; `weights="imagenet"` would load Keras's.
"""

from __future__ import annotations

import copy
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch  # before TensorFlow: the other order can crash

import keras  # isort: skip
import numpy as np
import timm
import torchvision
from torch import nn

import xconv

SHAPE = 64, 80, 3
STEPS, BATCH, CLASSES = 10, 8, 10
RATE = 2**-7
"""A learning rate that float32 holds exactly: Keras keeps it in float32."""


def small(**options: Any) -> keras.Model:
    """MobileNetV3Small of keras.applications up to its logits, with random weights that are alive."""
    build = keras.applications.MobileNetV3Small
    return xconv.randomize(build(weights=None, input_shape=SHAPE, classifier_activation=None, **options), seed=0)


def inference() -> None:
    """What differs in inference, and the same function in the end."""
    model = small()
    network = torchvision.models.mobilenet_v3_small().eval()
    xconv.transfer(model, network, strict=False)
    print("1. keras.applications against torchvision, with the same weights\n")
    print(xconv.diagnose(model, network))

    print("\n2. Pictures from 0 to 255 that are scaled before a model which scales them itself\n")
    pictures = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")
    print(xconv.diagnose(model, model, inputs=pictures, inputs_b=pictures / 127.5 - 1))

    print("\n3. Without the scaling inside, weights transferred and verified\n")
    bare = small(include_preprocessing=False)
    variant = timm.create_model("tf_mobilenetv3_small_100").eval()
    xconv.transfer(bare, variant)
    print("timm's tf_mobilenetv3_small_100, as it is:       ", xconv.verify(bare, variant).verdict)
    report = xconv.transfer(bare, network, adapt=True)
    print("torchvision's mobilenet_v3_small, adapt=True:    ", xconv.verify(bare, network).verdict)
    print()
    print(report)


def fine_tuning() -> None:
    """A few steps in both frameworks from the same weights, in float64, so that rounding plays no part to speak of."""
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    model = small(include_preprocessing=False, classes=CLASSES, dropout_rate=0.0)
    converted = xconv.keras_to_torch(model).double()
    modules = {
        "torchvision's momentum": copy.deepcopy(converted),
        "Keras's momentum": copy.deepcopy(converted),
        "Keras's momentum and variance": converted,
    }
    for layer in modules["torchvision's momentum"].modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.01  # Keras's 0.999 is torch's 0.001
    for layer in modules["Keras's momentum and variance"].modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_hook(uncorrected_variance)

    generator = np.random.default_rng(1)
    batches = [
        (generator.standard_normal((BATCH, *SHAPE)), generator.integers(0, CLASSES, BATCH)) for _ in range(STEPS)
    ]
    train_in_keras(model, batches)
    print(f"\n4. {STEPS} steps of fine-tuning from the same weights, on the same batches of {BATCH}, in float64\n")
    print("relative difference of torch from Keras    weights   running means   running variances   outputs")
    for title, module in modules.items():
        train_in_torch(module, batches)
        weights, means, variances, outputs = difference(model, module, batches[0][0])
        print(f"{title:<40}{weights:10.0e}{means:16.0e}{variances:20.0e}{outputs:10.0e}")


def uncorrected_variance(layer: nn.Module, inputs: tuple[torch.Tensor], _: torch.Tensor) -> None:
    """Makes torch's running variance Keras's: takes back that the variance of a batch was divided by n - 1, not n."""
    if layer.training:
        batch = inputs[0].detach()
        count = batch.numel() / batch.shape[1]
        excess = batch.var((0, 2, 3), correction=0) / (count - 1)
        layer.running_var = layer.running_var - layer.momentum * excess  # type: ignore[operator]


def train_in_keras(model: keras.Model, batches: list[tuple[Any, Any]]) -> None:
    """Plain gradient descent."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss)
    for pictures, labels in batches:
        model.train_on_batch(pictures, labels)


def train_in_torch(module: nn.Module, batches: list[tuple[Any, Any]]) -> None:
    """The same."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), RATE)
    for pictures, labels in batches:
        optimizer.zero_grad()
        scores = module(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        nn.functional.cross_entropy(scores, torch.from_numpy(labels)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def difference(model: keras.Model, module: Any, pictures: Any) -> tuple[float, ...]:
    """How far the torch module is from the Keras model by now: weights, means, variances, outputs in inference."""
    ours = {f"{layer.name}/{place}": weight for layer in model.layers for place, weight in enumerate(layer.weights)}
    theirs = xconv.export_weights(module)
    groups: dict[str, list[float]] = {"weights": [], "moving_mean": [], "moving_variance": []}
    for key, weight in ours.items():
        group = groups.get(weight.name, groups["weights"])
        group.append(relative(keras.ops.convert_to_numpy(weight), theirs[key]))
    with torch.no_grad():
        scores = module.eval()(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()
    outputs = relative(keras.ops.convert_to_numpy(model(pictures)), scores)
    return (*map(max, groups.values()), outputs)


def relative(reference: Any, other: Any) -> float:
    """The largest difference, relative to the largest number."""
    return float(np.abs(np.asarray(other) - reference).max() / np.abs(reference).max())


def main() -> None:
    """Inference, then training."""
    inference()
    fine_tuning()


if __name__ == "__main__":
    main()
