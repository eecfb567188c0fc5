"""One network of every torchvision family at a small input, exact by verify's rule.

Constructors take small depths where they can; the whole table, at full size, is a benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import xconv

pytest.importorskip("torchvision")

from torchvision import models
from torchvision.models import (
    convnext,
    densenet,
    efficientnet,
    maxvit,
    regnet,
    resnet,
    segmentation,
    swin_transformer,
    vgg,
)

PLAIN = {"weights": None, "num_classes": 7}


def _convnext() -> Any:
    settings = [convnext.CNBlockConfig(8, 16, 1), convnext.CNBlockConfig(16, None, 2)]
    return convnext.ConvNeXt(settings, num_classes=7)


def _efficientnet(*, fused: bool) -> Any:
    kind = efficientnet.FusedMBConvConfig if fused else efficientnet.MBConvConfig
    first, more = kind(1, 3, 1, 8, 8, 1), kind(4, 3, 2, 8, 16, 2)
    settings = [first, more, efficientnet.MBConvConfig(6, 5, 2, 16, 24, 2)]
    return efficientnet.EfficientNet(settings, 0.2, num_classes=7, last_channel=32)


def _alexnet() -> Any:
    module = models.AlexNet(num_classes=7)
    module.classifier = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(9216, 7))
    return module


def _vgg() -> Any:
    module = vgg.VGG(vgg.make_layers([8, "M", 16, "M", 16, 16, "M"], batch_norm=True), 7, init_weights=False)
    module.classifier = torch.nn.Sequential(torch.nn.Linear(784, 32), torch.nn.ReLU(True), torch.nn.Linear(32, 7))
    return module


def _regnet() -> Any:
    sizes = regnet.BlockParams.from_init_params(depth=6, w_0=16, w_a=10.0, w_m=2.3, group_width=8, se_ratio=0.25)
    return regnet.RegNet(sizes, num_classes=7)


def _swin(version: int) -> Any:
    classes = {1: swin_transformer.SwinTransformerBlock, 2: swin_transformer.SwinTransformerBlockV2}
    merging = {1: swin_transformer.PatchMerging, 2: swin_transformer.PatchMergingV2}
    return swin_transformer.SwinTransformer(
        [4, 4], 12, [2, 2], [2, 4], [3, 3], num_classes=7, block=classes[version], downsample_layer=merging[version]
    )


def _maxvit() -> Any:
    return maxvit.MaxVit((64, 64), 8, 4, [8, 16], [1, 1], 8, 0.2, num_classes=7)


def _vit() -> Any:
    """Heads of 16, as the published ones are of 64: 1/sqrt(16) is exact in the float32 in which Keras holds it."""
    return models.VisionTransformer(32, 8, 2, 2, 32, 48, num_classes=7)


def _lraspp() -> Any:
    return segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3)


def _dilated() -> Any:
    """Less deep than ResNet50; its last two stages are dilated in place of strides, as a backbone's are."""
    return resnet.ResNet(resnet.Bottleneck, [1, 1, 2, 2], replace_stride_with_dilation=[False, True, True])


def _named(name: str, **options: Any) -> Callable[[], Any]:
    return lambda: getattr(models, name)(**PLAIN, **options)


NETWORKS: dict[str, tuple[Callable[[], Any], tuple[int, int]]] = {
    "alexnet": (_alexnet, (64, 79)),
    "convnext": (_convnext, (33, 46)),
    "densenet": (lambda: densenet.DenseNet(8, (2, 3), 16, num_classes=7), (33, 46)),
    "efficientnet": (lambda: _efficientnet(fused=False), (33, 46)),
    "efficientnet_v2": (lambda: _efficientnet(fused=True), (33, 46)),
    "googlenet": (_named("googlenet", aux_logits=False, init_weights=False), (33, 46)),
    "inception_v3": (_named("inception_v3", aux_logits=False, init_weights=False), (75, 80)),
    "maxvit": (_maxvit, (64, 64)),
    "mnasnet0_5": (_named("mnasnet0_5"), (33, 46)),
    "mobilenet_v2": (_named("mobilenet_v2"), (33, 46)),
    "mobilenet_v3_small": (_named("mobilenet_v3_small"), (33, 46)),
    "regnet": (_regnet, (33, 46)),
    "resnet18": (_named("resnet18"), (33, 46)),
    "resnext": (
        lambda: resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=7, groups=4, width_per_group=8),
        (33, 46),
    ),
    "shufflenet_v2_x0_5": (_named("shufflenet_v2_x0_5"), (33, 46)),
    "squeezenet1_0": (_named("squeezenet1_0"), (33, 46)),
    "swin": (lambda: _swin(1), (33, 46)),
    "swin_v2": (lambda: _swin(2), (33, 46)),
    "vgg_bn": (_vgg, (33, 46)),
    "vit": (_vit, (32, 32)),
    "fcn": (lambda: segmentation.fcn._fcn_resnet(_dilated(), 3, None), (33, 46)),
    "deeplabv3": (lambda: segmentation.deeplabv3._deeplabv3_resnet(_dilated(), 3, None), (33, 46)),
    "lraspp_mobilenet_v3_large": (_lraspp, (33, 46)),
}
"""For every family, a network and the height and width it is fed."""


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_every_family(name: str) -> None:
    """Every number is live; logits are compared, in float64 and in float32."""
    make, size = NETWORKS[name]
    module = xconv.randomize(make()).eval()
    model = xconv.torch_to_keras(module, input_shape=(3, *size))
    report = xconv.verify(module, model)
    assert report.ok, str(report)
    assert report.verdict.name in ("EXACT", "CONSTANTS"), str(report)
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    assert trained == sum(parameter.numel() for parameter in module.parameters())
