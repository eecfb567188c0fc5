"""What is done to the pixels of a picture before a network takes them: channel order, factor and offset."""

from __future__ import annotations

from typing import Any

from xconv.frameworks import require
from xconv.preprocessing.value_maps import MODES, RGB, Scaling, ValueMap
from xconv.zoo.records import Network, Partner

__all__ = ["inside_scaling", "pixels_for_keras", "pixels_for_torch"]

NONE, TF, TORCH, CAFFE, SIGNED = (
    MODES[name]
    for name in (
        "no scaling (0..255)",
        "x / 127.5 - 1 (mode 'tf')",
        "(x / 255 - mean) / std of ImageNet (mode 'torch')",
        "minus the means of ImageNet, no scaling (mode 'caffe')",
        "x / 128 - 1",
    )
)
SIGNED_INSIDE = ("EfficientNetV2S", "EfficientNetV2M", "EfficientNetV2L")


def inside_scaling(network: Network) -> Scaling:
    """What a network of keras.applications does to pixels itself, where it is built so.

    >>> from xconv.zoo.catalogue import find
    >>> print(inside_scaling(find("mobilenet_v3_large")))
    x / 127.5 - 1 (mode 'tf')
    """
    if network.mode != "inside":
        return NONE
    if network.keras in SIGNED_INSIDE:
        return SIGNED
    return TF if network.keras.startswith("MobileNet") else TORCH


def pixels_for_keras(network: Network, *, inside: bool) -> ValueMap:
    """What `preprocess_input` of keras.applications does.

    Args:
        network: of which network.
        inside: whether the model scales pixels itself, where its constructor does so.

    >>> from xconv.zoo.catalogue import find
    >>> pixels_for_keras(find("resnet50"), inside=False).letters
    'BGR'
    """
    if network.mode == "inside":
        return ValueMap(RGB, NONE if inside else inside_scaling(network))
    if network.mode == "caffe":
        return ValueMap((2, 1, 0), CAFFE)
    return ValueMap(RGB, TF if network.mode == "tf" else TORCH)


def pixels_for_torch(partner: Partner, tag: str, *, transforms_input: bool = True) -> ValueMap:
    """What a network of torchvision or timm takes: the mean and deviation that its weights were trained with.

    Args:
        partner: which network.
        tag: of its weights; where nothing is published under it, the library's own for the network.
        transforms_input: False where torchvision's Inception lacks the scaling that it has with published weights.

    Raises:
        MissingFramework: the library is not installed.
    """
    if partner.library == "torchvision" and not transforms_input:
        return ValueMap(RGB, TF)
    mean, deviation = _timm(partner, tag) if partner.library == "timm" else _torchvision(partner, tag)
    return ValueMap(RGB, Scaling.normal(mean, deviation))


def _timm(partner: Partner, tag: str) -> tuple[Any, Any]:
    timm = require("timm", "zoo", f"timm's {partner.name}")
    config = timm.get_pretrained_cfg(f"{partner.name}.{tag}" if tag else partner.name, allow_unregistered=True)
    config = config or timm.get_pretrained_cfg(partner.name)
    return tuple(config.mean), tuple(config.std)


def _torchvision(partner: Partner, tag: str) -> tuple[Any, Any]:
    torchvision = require("torchvision", "zoo", f"torchvision's {partner.name}")
    members = torchvision.models.get_model_weights(partner.name)
    found = members[tag] if tag in members.__members__ else members.DEFAULT
    transforms = found.transforms()
    return tuple(transforms.mean), tuple(transforms.std)
