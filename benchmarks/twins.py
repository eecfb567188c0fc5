"""The same architectures, hand-written in torchvision, or in timm where torchvision has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["OPTIONS", "TWINS", "twin"]

OPTIONS: dict[str, dict[str, Any]] = {"MobileNetV3Large": {"include_preprocessing": False}}
"""What the constructor of keras.applications is told, so that the two do the same work."""


def _resnet(name: str) -> Callable[[], Any]:
    """A ResNet with its strides where Keras has them (v1): on the first 1x1 convolution of a stage, not on the 3x3.

    Keras's convolutions have a bias before BatchNorm and torchvision's have none: that is left, against xconv.
    """

    def build() -> Any:
        network = _of_torchvision(name)()
        for stage in (network.layer2, network.layer3, network.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
        return network

    return build


def _inception() -> Any:
    """InceptionV3 without its auxiliary head, as Keras has it."""
    import torchvision

    return torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)


def _of_torchvision(name: str) -> Callable[[], Any]:
    def build() -> Any:
        import torchvision

        return torchvision.models.get_model(name, weights=None)

    return build


def _of_timm(name: str) -> Callable[[], Any]:
    def build() -> Any:
        import timm

        return timm.create_model(name)

    return build


TWINS: dict[str, Callable[[], Any]] = {
    "ResNet50": _resnet("resnet50"),
    "ResNet101": _resnet("resnet101"),
    "VGG16": _of_torchvision("vgg16"),
    "DenseNet121": _of_torchvision("densenet121"),
    "MobileNetV3Large": _of_torchvision("mobilenet_v3_large"),
    "MobileNetV2": _of_torchvision("mobilenet_v2"),
    "InceptionV3": _inception,
    "EfficientNetV2S": _of_torchvision("efficientnet_v2_s"),
    "EfficientNetB0": _of_torchvision("efficientnet_b0"),
    "MobileNet": _of_timm("mobilenetv1_100"),
    "ViTB16": _of_torchvision("vit_b_16"),
}


def twin(name: str) -> Any:
    """The hand-written module for a constructor of keras.applications, with live weights, in inference mode."""
    import xconv
    from benchmarks.loading import load_torchvision

    load_torchvision()
    return xconv.randomize(TWINS[name](), seed=0).eval()
