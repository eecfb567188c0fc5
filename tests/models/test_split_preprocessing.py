"""What networks do to pixels themselves is lifted out: both parts, one after the other, are the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import xconv
from xconv.errors import InvalidInput
from xconv.preprocessing import load_img, of, pixels, resizing, torchvision
from xconv.preprocessing.pictures import scene
from xconv.preprocessing.splitting import split_preprocessing

keras = pytest.importorskip("keras")
layers, applications = keras.layers, keras.applications

SIZE = (65, 79)
PICTURE = scene(SIZE)
VARIANCE = [0.229, 0.224, 0.225]


def network(name: str) -> Any:
    """A network with scaling inside, with random weights."""
    if name == "a third layer":  # EfficientNet as it is built for its published weights
        inputs = keras.Input((*SIZE, 3))
        x = layers.Rescaling(1 / 255)(inputs)
        x = layers.Normalization()(x)
        x = layers.Rescaling([1 / np.sqrt(one) for one in VARIANCE])(x)
        model = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, strides=2)(x)))
    else:
        model = getattr(applications, name)(weights=None, input_shape=(*SIZE, 3), include_top=False, pooling="avg")
    xconv.randomize(model)
    return model


NETWORKS = ["MobileNetV3Small", "a third layer"]
STEPS = {"MobileNetV3Small": 2, "a third layer": 4}


@pytest.fixture(params=NETWORKS, scope="module")
def whole(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param, network(request.param)


def error(made: Any, expected: Any) -> float:
    made, expected = (np.asarray(one, np.float64) for one in (made, expected))
    return float(np.abs(made - expected).max() / np.abs(expected).max())


def by_keras(model: Any, pictures: Any) -> Any:
    return keras.ops.convert_to_numpy(model(pictures))


def test_a_keras_model_is_its_two_parts(whole: tuple[str, Any], tmp_path: Path) -> None:
    name, model = whole
    names, before = [layer.name for layer in model.layers], by_keras(model, PICTURE[None].astype("f4"))
    front, rest = split_preprocessing(model)
    assert len(front.steps) == STEPS[name]
    assert error(by_keras(rest, front(PICTURE)[None]), before) < 1e-6
    assert [layer.name for layer in model.layers] == names
    assert np.array_equal(by_keras(model, PICTURE[None].astype("f4")), before)
    kept = [layer.name for layer in rest.layers]
    assert kept == [one for one in names if type(model.get_layer(one)).__name__ not in ("Rescaling", "Normalization")]
    assert all(rest.get_layer(one) is model.get_layer(one) for one in kept[1:])
    if name == "MobileNetV3Small":
        rest.save(tmp_path / "rest.keras")
        again = keras.models.load_model(tmp_path / "rest.keras")
        assert error(by_keras(again, front(PICTURE)[None]), before) < 1e-6


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_a_converted_network_is_its_two_parts(whole: tuple[str, Any], layout: Any, tmp_path: Path) -> None:
    _, model = whole
    module = xconv.keras_to_torch(model, input_layout=layout).eval()
    front, rest = split_preprocessing(module)
    given = pixels().with_layout(layout)(PICTURE)[None]
    with torch.no_grad():
        before = module(torch.from_numpy(given))
        after = rest(torch.from_numpy(front(PICTURE))[None])
    assert front.layout == layout
    assert error(after, before) < 1e-6
    assert not rest.training
    gone = {key for key in module.state_dict() if key.startswith("normalization")}
    assert set(rest.state_dict()) == set(module.state_dict()) - gone
    assert all(parameter is dict(module.named_parameters())[key] for key, parameter in rest.named_parameters())
    record = xconv.record(rest)
    assert {one.name for one in record.weights} == set(rest.state_dict()) & {
        one.name for one in xconv.record(module).weights
    }
    assert "lifted out" in record.notes[-1]
    xconv.save(rest, tmp_path / "rest.safetensors")
    with torch.no_grad():
        assert (
            error(xconv.load(tmp_path / "rest.safetensors").eval()(torch.from_numpy(front(PICTURE))[None]), before)
            < 1e-6
        )


def test_the_rest_is_converted_back() -> None:
    module = xconv.keras_to_torch(network("a third layer")).eval()
    front, rest = split_preprocessing(module)
    model = xconv.torch_to_keras(rest)
    picture = front.with_layout("channels_last")(PICTURE)[None]
    with torch.no_grad():
        assert (
            error(by_keras(model, picture), module(torch.from_numpy(np.moveaxis(PICTURE, -1, 0)[None].astype("f4"))))
            < 1e-5
        )


def test_a_model_in_float64_is_split_in_float64() -> None:
    keras.config.set_dtype_policy("float64")
    try:
        model = network("a third layer")
    finally:
        keras.config.set_dtype_policy("float32")
    front, rest = split_preprocessing(model)
    assert front.dtype == "float64"
    assert error(by_keras(rest, front(PICTURE)[None]), by_keras(model, PICTURE[None].astype("f8"))) < 1e-14


@pytest.mark.parametrize("name", ["EfficientNetV2B0", "ConvNeXtTiny"])
def test_what_is_lifted_out_is_what_the_zoo_says(name: str) -> None:
    """`include_preprocessing=False` needs the very steps that the model would do itself."""
    options = {"weights": None, "input_shape": (*SIZE, 3), "include_top": False}
    front, _ = split_preprocessing(getattr(applications, name)(**options))
    said = of(name, "keras", include_preprocessing=False).steps
    assert [step.operation for step in front.steps] == [step.operation for step in said]
    for mine, theirs in zip(front.steps, said, strict=True):
        assert mine.numbers == pytest.approx(theirs.numbers, rel=1e-7)


def test_a_resize_and_layers_of_our_own_are_lifted_out() -> None:
    for first in (
        [load_img(40, "bicubic", mode="caffe").to_keras()],
        [layers.Resizing(40, 31, crop_to_aspect_ratio=True), layers.Rescaling(1 / 127.5, -1.0)],
        [torchvision(48, 40).to_keras(), layers.Rescaling(0.5)],
    ):
        model = keras.Sequential([keras.Input((*SIZE, 3)), *first, layers.Conv2D(4, 3)])
        front, rest = split_preprocessing(model)
        assert error(by_keras(rest, front(PICTURE)[None]), by_keras(model, PICTURE[None].astype("f4"))) < 1e-6
        assert [type(layer).__name__ for layer in rest.layers] == ["InputLayer", "Conv2D"]
    assert resizing((40, 31), crop_to_aspect_ratio=True).frame.rule == "aspect"


def test_a_sequence_of_torch_modules() -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2")
    convolution = torch.nn.Conv2d(3, 4, 3)
    first = [("resize", load_img(40, mode="tf").to_torch()), ("norm", v2.Normalize([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]))]
    model = torch.nn.Sequential()
    for name, child in [*first, ("conv", convolution)]:
        model.add_module(name, child)
    front, rest = split_preprocessing(model)
    assert rest.conv is convolution
    picture = torch.from_numpy(np.ascontiguousarray(np.moveaxis(PICTURE, -1, 0)))[None]
    assert error(rest(torch.from_numpy(front(PICTURE))[None]).detach(), model(picture).detach()) < 1e-6


def inside() -> Any:
    base = keras.Sequential([keras.Input((*SIZE, 3)), layers.Rescaling(2.0), layers.Conv2D(2, 3)], name="base")
    inputs = keras.Input((*SIZE, 3))
    return keras.Model(inputs, layers.ReLU()(base(inputs)))


def twice() -> Any:
    inputs = keras.Input((*SIZE, 3))
    return keras.Model(inputs, layers.Add()([layers.Rescaling(2.0)(inputs), inputs]))


REFUSED = {
    "conv2d.* is no preprocessing": lambda: keras.Sequential([keras.Input((*SIZE, 3)), layers.Conv2D(2, 3)]),
    "split the model inside: model.get_layer\\('base'\\)": inside,
    "begins with .* and .*, which is no preprocessing": twice,
    "preprocessing altogether": lambda: keras.Sequential([keras.Input((*SIZE, 3)), layers.Rescaling(2.0)]),
    "no pictures": lambda: keras.Sequential([keras.Input((*SIZE, 4)), layers.Rescaling(2.0), layers.Conv2D(2, 3)]),
    "scaled before": lambda: keras.Sequential(
        [keras.Input((*SIZE, 3)), layers.Rescaling(2.0), layers.Resizing(9, 9), layers.Conv2D(2, 3)]
    ),
    "undoes a normalisation": lambda: keras.Sequential(
        [keras.Input((*SIZE, 3)), layers.Normalization(mean=1.0, variance=2.0, invert=True), layers.Conv2D(2, 3)]
    ),
    "2 inputs": lambda: keras.Model(
        two := [keras.Input((*SIZE, 3)), keras.Input((*SIZE, 3))],
        layers.Add()([layers.Rescaling(2.0)(one) for one in two]),
    ),
    "neither a converted network": lambda: torch.nn.Conv2d(3, 4, 3),
    "begins with 0, which is no preprocessing": lambda: torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)),
    "no model of Keras or torch": lambda: "resnet50",
}


@pytest.mark.parametrize("said", REFUSED)
def test_what_does_not_begin_with_preprocessing_is_refused(said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        split_preprocessing(REFUSED[said]())
