"""One network of every keras.applications family at a small input: classes, features, live and from file.

Exact by verify's rule.

The whole table, at full size too, is `python -m benchmarks.applications`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import pytest
import torch

import xconv
from tests.models.test_round_trips import assert_same_network

SIZES = {
    "ConvNeXtTiny": (64, 79),
    "DenseNet121": (64, 79),
    "EfficientNetB0": (64, 79),
    "EfficientNetV2B0": (64, 79),
    "InceptionResNetV2": (80, 95),
    "InceptionV3": (80, 95),
    "MobileNet": (64, 79),
    "MobileNetV2": (64, 79),
    "MobileNetV3Large": (64, 79),
    "MobileNetV3Small": (64, 79),
    "NASNetMobile": (64, 79),
    "ResNet50": (64, 79),
    "ResNet50V2": (64, 79),
    "VGG16": (32, 47),
    "Xception": (80, 95),
}
"""An even height and an odd width: 'same' pads them differently."""

BACK = ("ResNet50", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "DenseNet121", "VGG16")
"""These come back layer by layer, every name and every setting that matters the same."""

SOFTMAX = ("MobileNetV3Small",)
"""Without a softmax it ends in an activation that does nothing, which does not come back; all others end in logits."""


def network(name: str, size: tuple[int, int] | tuple[None, None], *, top: bool) -> Any:
    """The network with live weights, ending in logits or in its last feature map."""
    keras.utils.clear_session()
    options: dict[str, Any] = {"weights": None, "include_top": top, "input_shape": (*size, 3)}
    if top:
        options |= {"classes": 17, "classifier_activation": "softmax" if name in SOFTMAX else None}
    return xconv.randomize(getattr(keras.applications, name)(**options))


def with_features(model: Any) -> Any:
    """The classifier with a second output: the feature map that is the whole answer without the top."""
    pools = [layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    flats = [layer for layer in model.layers if isinstance(layer, keras.layers.Flatten)]
    return keras.Model(model.inputs, [model.output, (pools or flats)[-1].input])


def check(model: Any, module: torch.fx.GraphModule, **options: Any) -> None:
    """Exact by verify's rule, no permute, every BatchNorm and every trainable value still there."""
    report = xconv.verify(model, module, batch=2, **options)
    assert report.ok, str(report)
    assert not [node for node in module.graph.nodes if "permute" in str(node.target)]
    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    layers = list(keras_layers(model))
    assert len(norms) == sum(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)
    trainable = sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert trainable == sum(math.prod(variable.shape) for variable in model.trainable_variables)


def keras_layers(model: Any) -> Any:
    """All layers, those of nested models included."""
    for layer in model.layers:
        yield from keras_layers(layer) if isinstance(layer, keras.Model) else (layer,)


@pytest.mark.parametrize("name", SIZES)
def test_live_from_file_and_back(name: str, tmp_path: Path) -> None:
    """Classes and feature map; a file gives the same module bit for bit, and the module the same layers."""
    model = with_features(network(name, SIZES[name], top=True))
    module = xconv.keras_to_torch(model)
    check(model, module)
    if name in BACK:
        assert_same_network(model, xconv.torch_to_keras(module))
    for path in (tmp_path / "model.keras", tmp_path / "model.h5"):
        model.save(path)
        stored = xconv.keras_to_torch(path)
        live, file = module.state_dict(), stored.state_dict()
        assert list(live) == list(file)
        assert all(torch.equal(live[key], file[key]) for key in live)
        assert stored.code == module.code


@pytest.mark.parametrize("name", ["MobileNetV3Small", "ResNet50", "EfficientNetV2B0"])
def test_open_sizes(name: str) -> None:
    """Height and width unknown when converted; right at odd and even sizes."""
    model = network(name, (None, None), top=False)
    module = xconv.keras_to_torch(model)
    for size in ((65, 78), (64, 97)):
        check(model, module, input_size=size)
