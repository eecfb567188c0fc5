"""keras.applications in stock classes of torchvision and timm, on an image that is turned by 180 degrees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import xconv
from tests.comparison import assert_same
from xconv.errors import Mismatch

APPLICATIONS = keras.applications
TOP = {"weights": None, "classes": 7, "classifier_activation": None}
FED = {**TOP, "include_preprocessing": False}


def torchvision(name: str, **options: Any) -> Any:
    found = getattr(pytest.importorskip("torchvision").models, name)
    return found(num_classes=7, **options).double().eval()


def _timm_mobilenet() -> Any:
    found = pytest.importorskip("timm.models.efficientnet")
    return found._gen_mobilenet_v1("mobilenetv1_100", 0.25, num_classes=7).double().eval()


def _keras_efficientnet() -> Any:
    """EfficientNet-B0 at a third of its width and depth, with the normalisation inside."""
    from keras.src.applications.efficientnet import EfficientNet

    return EfficientNet(0.3, 0.3, 64, input_shape=(64, 64, 3), name="efficientnet", **TOP)


def _torch_efficientnet() -> Any:
    found = pytest.importorskip("torchvision").models.efficientnet
    blocks, _ = found._efficientnet_conf("efficientnet_b0", width_mult=0.3, depth_mult=0.3)
    return found.EfficientNet(blocks, 0.2, num_classes=7).double().eval()


PAIRS: dict[str, tuple[int, Callable[[], Any], Callable[[], Any]]] = {
    "MobileNetV2": (
        100,
        lambda: APPLICATIONS.MobileNetV2((100, 100, 3), alpha=0.35, **TOP),
        lambda: torchvision("mobilenet_v2", width_mult=0.35),
    ),
    "MobileNetV3Small": (
        112,
        lambda: APPLICATIONS.MobileNetV3Small((112, 112, 3), **FED),
        lambda: torchvision("mobilenet_v3_small"),
    ),
    "EfficientNet": (
        64,
        _keras_efficientnet,
        _torch_efficientnet,
    ),
    "MobileNet": (
        96,
        lambda: APPLICATIONS.MobileNet((96, 96, 3), alpha=0.25, **TOP),
        _timm_mobilenet,
    ),
}


def image(size: int) -> torch.Tensor:
    return torch.rand(2, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_a_same_network_is_exact_in_a_stock_class_on_a_turned_image(name: str) -> None:
    size, make, other = PAIRS[name]
    model, module = make(), other()
    xconv.randomize(model, 2)
    classes = [type(part) for part in module.modules()]
    report = xconv.transfer(model, module, rotate=True, inference_only=True)
    assert report.ok
    assert "for an image turned by 180 degrees" in report.verdict
    assert [type(part) for part in module.modules()] == classes
    x = image(size)
    names: dict[str, Any] = {"torch": torch, "x": x}
    for note in report.notes:
        exec(note.partition("yourself: ")[2], names)  # noqa: S102  what a reader of the report would run
    wanted = xconv.keras_to_torch(model).double().eval()(x)
    assert_same(module(names["x"].flip(-2, -1)), wanted, relative=1e-10 if names["x"] is x else 1e-6)


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_a_network_of_torchvision_in_a_stock_keras_model(name: str) -> None:
    size, make, other = PAIRS[name]
    keras.config.set_dtype_policy("float64")
    model = make()
    keras.config.set_dtype_policy("float32")
    module, x = other(), image(size)
    xconv.randomize(module, 3, inputs=x)
    report = xconv.transfer(module, model, rotate=True, inference_only=True)
    assert report.ok
    turned = np.flip(x.movedim(1, -1).numpy(), (1, 2))
    # a constant that TensorFlow's hard-swish keeps in float32 is the same in xconv's reading, which is run here
    found = xconv.keras_to_torch(model).double().eval()(torch.from_numpy(turned.copy()).movedim(-1, 1))
    assert_same(found, module(x))


@pytest.mark.parametrize("case", ["MobileNet on odd maps", "Xception", "open sizes"])
def test_what_cannot_be_turned_is_refused_and_untouched(case: str) -> None:
    if case == "MobileNet on odd maps":
        model: Any = APPLICATIONS.MobileNet((112, 112, 3), alpha=0.25, **TOP)
        module, words = PAIRS["MobileNet"][2](), r"conv_dw_12 -> blocks.4.0.conv_dw: turned by 180 degrees"
    elif case == "Xception":
        image = keras.Input((24, 24, 3))
        x = keras.layers.SeparableConv2D(6, 3, padding="same", use_bias=False)(image)
        x = keras.layers.MaxPooling2D(3, 2, padding="same")(x)
        short = keras.layers.Conv2D(6, 1, strides=2, padding="same", use_bias=False)(image)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([x, short]))
        model, module, words = keras.Model(image, x), _Shortcut().double().eval(), "turned by 180 degrees its windows"
    else:
        bare = {"include_top": False, "pooling": "avg", "weights": None, "alpha": 0.35}
        model = APPLICATIONS.MobileNetV2((None, None, 3), **bare)
        features = torchvision("mobilenet_v2", width_mult=0.35).features
        module, words = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten()), "its map is open"
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    with pytest.raises(Mismatch, match=words):
        xconv.transfer(model, module, rotate=True, inference_only=True)
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


class _Shortcut(nn.Module):
    """A block of Xception: turned, its 1x1 convolution of stride 2 takes the other pixels of an even map."""

    def __init__(self) -> None:
        super().__init__()
        self.deep, self.point = nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False), nn.Conv2d(3, 6, 1, bias=False)
        self.pool, self.short = nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 6, 1, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.pool(self.point(self.deep(x))) + self.short(x)).mean((2, 3))
