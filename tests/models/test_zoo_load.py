"""`xconv.zoo.load`: every family from files as they are published, in both directions, exact in float64."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import timm
import torch
import torchvision

import xconv
from tests.published import caches, plant, republished, write_keras, write_torch
from xconv.errors import InvalidInput, Mismatch, NotFound
from xconv.torch.modules.adapted import Adapted
from xconv.zoo import find, load, origin
from xconv.zoo.bodies import without_top

EXACT = 1e-10
WIDE = (65, 79, 3)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Networks are large: what one test has built goes before the next."""
    yield
    keras.backend.clear_session()


def pictures(shape: tuple[int, ...], count: int = 2) -> np.ndarray[Any, Any]:
    """Channels last, in the range of pictures that are scaled; float32, as an Input of Keras takes it, in float64."""
    return np.random.default_rng(0).normal(size=(count, *shape)).astype("float32").astype("float64")


def run(model: Any, images: np.ndarray[Any, Any], *, turned: bool = False) -> np.ndarray[Any, Any]:
    """What a model of either framework makes of pictures, channels last."""
    if turned:
        images = images[:, ::-1, ::-1].copy()
    if isinstance(model, keras.Model):
        return np.asarray(model(images, training=False))
    with torch.no_grad():
        found = model(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()).numpy()
    return np.moveaxis(found, 1, -1)


def error(ours: Any, wanted: Any, images: np.ndarray[Any, Any], *, turned: bool = False) -> float:
    """How far two models are apart on a picture; the second runs on all, which must make a difference to it."""
    expected = run(wanted, images)
    assert np.abs(expected - expected[:1]).max() > 1e-3 * np.abs(expected).max(), "the pictures make no difference"
    found = run(ours, images[:1], turned=turned)
    assert found.shape[1:] == expected.shape[1:]
    return float(np.abs(found - expected[:1]).max() / np.abs(expected[:1]).max())


def keras_model(name: str, shape: tuple[int, int, int] = WIDE, **options: Any) -> Any:
    """A network of keras.applications in float64 with live weights, without what TensorFlow computes in float32."""
    options = {"classifier_activation": None, "seed": 3, "dtype": "float64", "include_preprocessing": False, **options}
    return load(name, framework="keras", weights=None, input_shape=shape, **options)


def torch_model(name: str, source: Any, shape: tuple[int, int, int] = WIDE, **options: Any) -> Any:
    return load(name, source=source, weights=None, input_shape=shape, destination="stock", **{"seed": 3, **options})


# -- files of keras.applications --------------------------------------------------------------------------------------

KERAS_FILES = [
    ("mobilenet_025", (64, 96, 3), {}),
    ("mobilenet_v2_035", WIDE, {}),
    ("mobilenet_v3_small_minimalistic", WIDE, {}),
    ("resnet50", (33, 47, 3), {"include_top": False, "pooling": "max"}),
    ("resnet50_v2", (33, 47, 3), {"include_top": False}),
    ("vgg16", (33, 47, 3), {"include_top": False, "pooling": "avg"}),
    ("densenet121", (33, 47, 3), {"classes": 7}),
    ("inception_v3", (75, 79, 3), {"include_top": False, "pooling": "avg"}),
    ("xception", (71, 77, 3), {"include_top": False}),
    ("nasnet_mobile", (33, 33, 3), {"classes": 5}),
    ("efficientnet_v2_b0", (33, 47, 3), {}),
]


@pytest.mark.parametrize(("name", "shape", "form"), KERAS_FILES, ids=[item[0] for item in KERAS_FILES])
def test_a_file_of_keras_becomes_a_torch_module(
    tmp_path: Path, name: str, shape: tuple[int, int, int], form: dict[str, Any]
) -> None:
    wanted = keras_model(name, shape, **form)
    write_keras(tmp_path / "weights.h5", wanted)
    module = load(
        name,
        weights=tmp_path / "weights.h5",
        input_shape=shape,
        dtype="float64",
        classifier_activation=None,
        include_preprocessing=False,
        **form,
    )
    images = pictures(shape)
    assert not module.training
    assert error(module.double(), wanted, images) < EXACT
    assert origin(module).weights == str(tmp_path / "weights.h5")


def test_convnext_from_a_file(tmp_path: Path) -> None:
    """Its GELU is in float32 in TensorFlow, which verify knows."""
    wanted = keras_model("convnext_tiny", (33, 47, 3), include_top=False)
    write_keras(tmp_path / "weights.h5", wanted)
    form = {"include_top": False, "include_preprocessing": False, "input_shape": (33, 47, 3), "dtype": "float64"}
    assert xconv.verify(wanted, load("convnext_tiny", weights=tmp_path / "weights.h5", **form)).ok


@pytest.mark.parametrize("top", [True, False])
def test_what_keras_publishes_is_fetched_from_its_cache(tmp_path: Path, top: bool) -> None:
    published = find("mobilenet_025").published[-1]
    assert published.size == 128
    form = {"include_top": top, "input_shape": (128, 128, 3)}
    wanted = load("mobilenet", alpha=0.25, framework="keras", weights=None, seed=1, **form)
    file = published.file if top else published.no_top
    with caches(tmp_path), republished(plant(file, "keras", wanted)):
        model = load("mobilenet", alpha=0.25, framework="keras", dtype="float64", **form)
        module = load("mobilenet_025", dtype="float64", **form)
    for one, other in zip(model.weights, wanted.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    assert error(module.double(), model, pictures((128, 128, 3))) < EXACT
    assert (origin(module).weights, origin(module).published) == ("imagenet", True)


def test_an_efficientnet_file_by_its_path_is_scaled_as_keras_scales_it(tmp_path: Path) -> None:
    """The file holds deviations where squares are expected; Keras itself mends that for weights='imagenet' alone."""
    plain = keras_model("efficientnet_b0", (33, 47, 3), classes=5)
    normalization = plain.get_layer(plain.layers[2].name)
    held = {"mean": (0.485, 0.456, 0.406), "variance": (0.229, 0.224, 0.225)}
    for weight in normalization.weights:
        if weight.name in held:
            weight.assign(held[weight.name])
    normalization.finalize_state()
    write_keras(tmp_path / "weights.h5", plain)
    form = {"classes": 5, "classifier_activation": None, "input_shape": (33, 47, 3), "weights": tmp_path / "weights.h5"}
    model = load("efficientnet_b0", framework="keras", dtype="float64", **form)
    assert [type(layer).__name__ for layer in model.layers[1:5]] == [
        "Rescaling",
        "Normalization",
        "Rescaling",
        "ZeroPadding2D",
    ]
    factor = 1 / np.sqrt(np.array(held["variance"]))
    np.testing.assert_allclose(model.layers[3].scale, factor)
    assert "Keras does for weights='imagenet'" in origin(model).notes[0]
    module = load("efficientnet_b0", dtype="float64", **form)
    assert xconv.verify(model, module).ok
    images = pictures((33, 47, 3)) * 60 + 120
    scaled = run(keras.Model(model.input, model.layers[3].output), images)
    expected = (images / 255 - np.array(held["mean"])) * factor**2
    assert np.abs(scaled - expected).max() < 1e-6 * np.abs(expected).max()  # TensorFlow's constants are float32
    behind = keras.Model(plain.layers[3].input, plain.output)
    wanted = run(behind, scaled)
    assert np.abs(run(model, images) - wanted).max() < EXACT * np.abs(wanted).max()


def test_random_weights_are_those_of_the_seed() -> None:
    first, second = (load("mobilenet_025", weights=None, seed=7, input_shape=(32, 32, 3)) for _ in "ab")
    other = load("mobilenet_025", weights=None, seed=8, input_shape=(32, 32, 3))
    key = "conv1.weight"
    assert torch.equal(first.state_dict()[key], second.state_dict()[key])
    assert not torch.equal(first.state_dict()[key], other.state_dict()[key])


# -- stock classes ----------------------------------------------------------------------------------------------------

INTO_TORCH = [
    ("mobilenet_v2_035", "timm", "unchanged", "mobilenetv2_035"),
    ("mobilenet_v2_035", "torchvision", "adapted", "mobilenet_v2"),
    ("mobilenet_v2_035", "torchvision", "rotated", "mobilenet_v2"),
    ("mobilenet_v3_small_minimalistic", "timm", "unchanged", "tf_mobilenetv3_small_minimal_100"),
    ("mobilenet_v3_small", "torchvision", "adapted", "mobilenet_v3_small"),
]


@pytest.mark.parametrize(("name", "library", "geometry", "builder"), INTO_TORCH)
def test_keras_weights_in_a_stock_class(name: str, library: Any, geometry: Any, builder: str) -> None:
    wanted = keras_model(name)
    module = load(
        name,
        weights=wanted,
        destination="stock",
        library=library,
        geometry=geometry,
        input_shape=WIDE,
        classifier_activation=None,
        include_preprocessing=False,
        dtype="float64",
    )
    images = pictures(WIDE)
    assert error(module, wanted, images, turned=geometry == "rotated") < EXACT
    found = origin(module)
    assert (found.library, found.builder, found.geometry) == (library, builder, geometry)
    assert found.verdict.startswith("exact")
    if geometry != "adapted":
        assert not any(isinstance(part, Adapted) for part in module.modules())
    build = {
        "timm": timm.create_model,
        "torchvision": lambda kind, **options: vars(torchvision.models)[kind](**options),
    }
    partner = next(one for one in find(name).partners if (one.library, one.name) == (library, builder))
    fresh = build[library](builder, **partner.options)
    assert {key: value.shape for key, value in module.state_dict().items()} == {
        key: value.shape for key, value in fresh.state_dict().items()
    }


def test_a_headless_stock_class_with_its_own_names() -> None:
    wanted = keras_model("resnet50", (33, 47, 3), include_top=False, pooling="max")
    module = load(
        "resnet50",
        weights=wanted,
        destination="stock",
        include_top=False,
        pooling="max",
        input_shape=(33, 47, 3),
        dtype="float64",
    )
    images = pictures((33, 47, 3))
    assert isinstance(module, torchvision.models.ResNet)
    assert error(module, wanted, images) < EXACT
    names = set(torchvision.models.resnet50().state_dict())
    assert names - set(module.state_dict()) == {"fc.weight", "fc.bias"}
    again = pickle.loads(pickle.dumps(module))  # noqa: S301
    np.testing.assert_allclose(run(again, images), run(module, images), rtol=1e-12, atol=1e-12)


def test_unchanged_is_refused_with_the_reasons() -> None:
    with pytest.raises(Mismatch, match="stride"):
        load(
            "resnet50",
            weights=None,
            destination="stock",
            geometry="unchanged",
            include_top=False,
            input_shape=(32, 32, 3),
        )


INTO_KERAS = [
    ("mobilenet_v2", "torchvision", "adapted", {"include_top": False, "pooling": "avg"}),
    ("mobilenet_v2_035", "timm", "rotated", {"classes": 9}),
    ("tf_mobilenetv3_small_minimal_100", "timm", "unchanged", {}),
    ("tf_efficientnet_b0", "timm", "unchanged", {"classes": 4}),
]


@pytest.mark.parametrize(("name", "source", "geometry", "form"), INTO_KERAS)
def test_torch_weights_in_keras_applications(name: str, source: Any, geometry: Any, form: dict[str, Any]) -> None:
    shape = (33, 47, 3)
    wanted = torch_model(name, source, shape, **form)
    common = {"source": source, "framework": "keras", "weights": wanted.state_dict(), "input_shape": shape, **form}
    stock = load(name, destination="stock", geometry=geometry, dtype="float64", **common)
    images = pictures(shape)
    allowed = 1e-6 if "efficientnet" in name else EXACT  # its Rescaling is float32 in TensorFlow
    assert error(stock, wanted.double(), images, turned=geometry == "rotated") < allowed
    kind = getattr(keras.applications, find(name).keras)
    named = [layer.name for layer in kind(weights=None, input_shape=shape, **find(name).variant, **form).layers]
    own = {layer.name for layer in stock.layers if layer.weights and "normalization" not in layer.name}
    assert own <= set(named)
    assert len(own) > 30
    converted = load(name, **common)
    assert (origin(converted).library, origin(converted).verdict) == (None, "exact")
    np.testing.assert_allclose(run(converted, images), run(wanted, images), rtol=1e-3, atol=1e-3)
    if "efficientnet" in name:
        assert [type(layer).__name__ for layer in stock.layers[1:3]] == ["Rescaling", "Normalization"]
        np.testing.assert_allclose(keras.Model(stock.input, stock.layers[2].output)(images), images, rtol=1e-6)
        assert "undo each other" in origin(stock).notes[-1]
        assert not origin(stock).scaling


def test_from_torchvision_into_timm() -> None:
    wanted = torch_model("mobilenet_v3_small", "torchvision", dtype="float64", classes=6)
    module = load(
        "mobilenetv3_small_100",
        source="torchvision",
        library="timm",
        weights=wanted,
        destination="stock",
        classes=6,
        input_shape=WIDE,
        dtype="float64",
    )
    images = pictures(WIDE)
    assert type(module).__name__ == "MobileNetV3"
    assert error(module, wanted, images) < EXACT


# -- files of torchvision and timm ------------------------------------------------------------------------------------


def test_what_torchvision_and_timm_publish_is_fetched_from_their_caches(tmp_path: Path) -> None:
    theirs = torch_model("mobilenet_v3_small", "torchvision", seed=4)
    twin = torch_model("tf_mobilenetv3_small_minimal_100", "timm", seed=5)
    entry = find("mobilenet_v3_small")
    partner = next(one for one in entry.partners if one.library == "torchvision")
    hub = find("tf_mobilenetv3_small_minimal_100").partners[0].published[0].file
    with caches(tmp_path):
        file = plant(partner.published[0].file, "torchvision", theirs)
        plant(hub, "timm", twin)
        with republished(file):
            named = load("mobilenet_v3_small", source="torchvision", weights="IMAGENET1K_V1")
            same = load("mobilenet_v3_small", source="torchvision", destination="stock")
            from_hub = load("tf_mobilenetv3_small_minimal_100", source="timm")
    for module, wanted in ((named, theirs), (same, theirs), (from_hub, twin)):
        assert all(torch.equal(a, b) for a, b in zip(module.parameters(), wanted.parameters(), strict=True))
    assert [origin(module).weights for module in (named, from_hub)] == ["IMAGENET1K_V1", "in1k"]
    assert origin(from_hub).pixels.by_place().factor == pytest.approx((2 / 255,) * 3)


def test_a_densenet_file_of_torchvision_has_older_names(tmp_path: Path) -> None:
    module = torchvision.models.densenet121()
    older = {}
    for key, value in module.state_dict().items():
        older[re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key)] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in older
    torch.save(older, tmp_path / "densenet121.pth")
    loaded = load("densenet121", source="torchvision", destination="stock", weights=tmp_path / "densenet121.pth")
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), module.parameters(), strict=True))


def test_a_whole_file_gives_the_network_without_its_top(tmp_path: Path) -> None:
    whole = torchvision.models.mobilenet_v3_small(num_classes=9).eval()
    write_torch(tmp_path / "fine_tuned.pth", whole)
    form = {"source": "torchvision", "weights": tmp_path / "fine_tuned.pth", "include_top": False, "pooling": "avg"}
    module = load("mobilenet_v3_small", destination="stock", **form)
    images = torch.randn(2, 3, 65, 79)
    with torch.no_grad():
        torch.testing.assert_close(module(images), whole.features(images).mean((2, 3)))
    assert any("the top" in note for note in origin(module).notes)


@pytest.mark.parametrize("auxiliary", [True, False])
def test_torchvisions_inception_scales_its_input_once_more(auxiliary: bool) -> None:
    given = torchvision.models.inception_v3(aux_logits=auxiliary, init_weights=False, num_classes=3).state_dict()
    common = {"source": "torchvision", "weights": given, "classes": 3, "dtype": "float64"}
    own = load("inception_v3", destination="stock", **common)
    assert own.transform_input
    assert own.aux_logits is auxiliary
    assert str(origin(own).pixels.scaling).endswith("(mode 'torch')")
    other = load("inception_v3", framework="keras", **common, include_top=False, input_shape=(75, 79, 3))
    images = pictures((75, 79, 3), 1)
    mean, deviation = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    wanted = run(without_top(own, None), (images * 0.5 + 0.5 - mean) / deviation)
    assert np.abs(run(other, images) - wanted).max() < EXACT * np.abs(wanted).max()
    assert str(origin(other).pixels.scaling).endswith("(mode 'tf')")


# -- without the top --------------------------------------------------------------------------------------------------

LENGTHS = {
    "resnet50": 2048,
    "resnet50_v2": 2048,
    "mobilenet": 1024,
    "mobilenet_v2_035": 1280,
    "mobilenet_v3_small": 576,
    "vgg16": 512,
    "densenet121": 1024,
    "inception_v3": 2048,
    "xception": 2048,
    "efficientnet_b0": 1280,
    "efficientnet_v2_b0": 1280,
    "convnext_tiny": 768,
}
"""Of the vectors that Keras gives; timm's num_classes=0 gives 1024 for MobileNetV3Small and 4096 for VGG."""


@pytest.mark.parametrize("name", LENGTHS)
def test_vectors_have_the_length_that_keras_gives(name: str) -> None:
    images = torch.randn(1, 3, 97, 75)
    for partner in find(name).partners:
        form = {"source": partner.library, "weights": None, "destination": "stock", "include_top": False}
        with torch.no_grad():
            vector = load(name, **form, pooling="max")(images)
        assert vector.shape == (1, LENGTHS[name])
        assert not any("classifier.3" in key or key.startswith("fc") for key in form)


def test_lengths_are_those_of_keras_itself() -> None:
    for name in ("mobilenet_v3_small", "vgg16"):
        model = getattr(keras.applications, find(name).keras)(weights=None, include_top=False, pooling="avg")
        assert model.output.shape[-1] == LENGTHS[name]


# -- what is refused --------------------------------------------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": "vgg16", "classes": 10}, "1000 classes"),
    ({"name": "vgg16", "input_shape": (192, 192, 3)}, "224 pixels alone"),
    ({"name": "mobilenet", "input_shape": (130, 130, 3)}, "128 or 160 or 192 or 224"),
    ({"name": "resnet50", "input_shape": (31, 64, 3), "include_top": False}, "at least 32 x 32"),
    ({"name": "xception", "input_shape": (64, 64, 3), "include_top": False}, "at least 71 x 71"),
    ({"name": "resnet50", "input_shape": (None, 64, 3), "weights": None}, "fixed size"),
    ({"name": "resnet50", "weights": "imagenet21k"}, "there are: imagenet"),
    ({"name": "resnet50", "pooling": "avg", "weights": None}, "without its top"),
    ({"name": "resnet50", "alpha": 0.5}, "has no alpha"),
    ({"name": "mobilenet_v2", "minimalistic": True}, "has no minimalistic"),
    ({"name": "nasnet_mobile", "source": "timm"}, "converted"),
    ({"name": "resnet50", "source": "jax", "framework": "mxnet"}, "2 problems"),
    ({"name": "resnet50", "library": "timm"}, "destination='stock'"),
    ({"name": "mobilenet_025", "destination": "stock", "weights": None}, "converted"),
    ({"name": "resnet50", "source": "timm", "include_preprocessing": True, "weights": None}, "scaled already"),
    ({"name": "resnet50", "source": "torchvision", "classifier_activation": "softmax", "weights": None}, "logits"),
    ({"name": None}, "None is no name of a network"),
    ({"name": "mobilenet", "alpha": "0.5"}, "give a positive number"),
    ({"name": "mobilenet_025", "alpha": 0.5}, "mobilenet_025 is the form of alpha=0.25"),
    ({"name": "mobilenet_v3_small", "minimalistic": 1}, "give True or False"),
    ({"name": "resnet50", "input_shape": 224}, "224 is no picture; write"),
    ({"name": "resnet50", "input_shape": (3, 224, 200)}, r"channels first; write \(224, 200, 3\)"),
    ({"name": "resnet50", "dtype": "float99"}, "'float99' is no precision; use 'float16'"),
    ({"name": "resnet50", "source": "torchvision", "dtype": torch.float64}, "torch.float64 is no precision"),
    ({"name": "resnet50", "weights": None, "seed": "1"}, "'1' is no seed"),
    ({"name": "mobilenet_v2", "geometry": "rotated"}, "geometry: is for destination='stock'"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED, ids=[item[1] for item in REFUSED])
def test_what_no_constructor_takes_is_refused(call: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        load(**call)


def test_what_keras_refuses_besides_has_its_own_words() -> None:
    with pytest.raises(InvalidInput, match="no_such_function"):
        load("mobilenet_025", weights=None, input_shape=(32, 32, 3), classifier_activation="no_such_function")


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    write_torch(tmp_path / "other.pth", torchvision.models.mobilenet_v3_small())
    with pytest.raises(Mismatch, match="do not fit"):
        load("mobilenet_v2", source="torchvision", weights=tmp_path / "other.pth")
    with pytest.raises(InvalidInput, match="source="):
        load("mobilenet_v2", weights=tmp_path / "other.pth")
    write_keras(tmp_path / "wide.h5", keras_model("mobilenet_025", (32, 32, 3)))
    with pytest.raises(Mismatch):
        load("mobilenet_050", weights=tmp_path / "wide.h5", input_shape=(32, 32, 3))
    with pytest.raises(NotFound):
        load("mobilenet_050", weights=tmp_path / "missing.h5")


# -- what is remembered -----------------------------------------------------------------------------------------------


def test_the_origin_of_a_converted_module_is_copied_with_it() -> None:
    module = load("mobilenet_025", weights=None, input_shape=(32, 32, 3))
    found = origin(module)
    assert origin(copy.deepcopy(module)) == origin(pickle.loads(pickle.dumps(module))) == found  # noqa: S301
    assert (found.network, found.source, found.framework, found.sides) == ("mobilenet_025", "keras", "torch", (32, 32))
    assert found.softmax
    assert found.to_dict()["pixels"]["scaling"]["offset"] == (-1.0, -1.0, -1.0)
    with pytest.raises(InvalidInput, match="not loaded by the zoo"):
        origin(torchvision.models.mobilenet_v3_small())


def test_pixels_are_those_of_whoever_scales_them() -> None:
    shape = (32, 32, 3)
    inside = load("mobilenet_v3_small", weights=None, input_shape=shape)
    outside = load("mobilenet_v3_small", weights=None, input_shape=shape, destination="stock")
    assert (origin(inside).scaling, origin(outside).scaling) == (True, False)
    assert origin(inside).pixels.scaling.factor == (1, 1, 1)
    assert origin(outside).pixels.scaling.factor == (1 / 127.5,) * 3
    assert any("torch.softmax" in note for note in origin(outside).notes)
    assert not origin(outside).softmax


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny"])
def test_pixels_of_a_stock_class_are_scaled_by_the_numbers_that_its_source_holds(name: str) -> None:
    form: dict[str, Any] = {"weights": None, "seed": 1, "input_shape": (33, 47, 3), "classes": 5}
    form |= {"classifier_activation": None, "dtype": "float64"}
    source = load(name, framework="keras", **form)
    stock = load(name, library="timm", destination="stock", **form)
    scaling = origin(stock).pixels.scaling
    images = np.random.default_rng(0).uniform(0, 255, (2, 33, 47, 3))
    scaled = torch.from_numpy(images * scaling.factor + scaling.offset).permute(0, 3, 1, 2)
    wanted, given = run(source, images), stock(scaled).detach().numpy()
    assert np.abs(given - wanted).max() < 1e-5 * np.abs(wanted).max()  # TensorFlow's constants are float32
