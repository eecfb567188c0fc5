"""What the zoo's catalogue states is what Keras, torchvision and timm do themselves."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest
import torch
from keras.src.utils import file_utils

import xconv
from xconv.errors import InvalidInput
from xconv.zoo.catalogue import find, networks, partner_of
from xconv.zoo.records import Network, Partner

timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

KERAS_MODULES = sorted(
    {getattr(keras.applications, one.keras).__module__ for one in networks()} | {"keras.src.applications.resnet"}
)
LAYERS = ("layers", "Functional", "Sequential", "operation_utils", "CustomScaleLayer", "LayerScale", "StochasticDepth")
PARTNERS = [(network, partner) for network in networks() for partner in network.partners]
IN_TIMM = [partner for _, partner in PARTNERS if partner.library == "timm"]
IN_TORCHVISION = [partner for _, partner in PARTNERS if partner.library == "torchvision"]
CONVNEXT_TINY_AT_288 = ("convnext_tiny", "fb_in22k_ft_in1k")


def named(value: Any) -> str | None:
    """What a parameter is called in the name of a test."""
    if isinstance(value, Network):
        return value.name
    return f"{value.library}-{value.name}" if isinstance(value, Partner) else None


class Asked(Exception):
    """What keras.applications would have downloaded: the arguments of `get_file`."""

    def __init__(self, name: str, origin: str, file_hash: str = "", cache_subdir: str = "") -> None:
        super().__init__(name)
        self.facts = (origin, name, file_hash)
        self.folder = cache_subdir


@pytest.fixture
def shapes() -> Iterator[list[tuple[int, ...]]]:
    """keras.applications without layers: constructors run up to their download, in no time. Gives the input shapes."""

    def refused(*arguments: Any, **options: Any) -> None:
        raise Asked(*arguments, **options)

    seen: list[tuple[int, ...]] = []
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(file_utils, "get_file", refused))
        for name in KERAS_MODULES:
            module = importlib.import_module(name)
            for word in LAYERS:
                if hasattr(module, word):
                    stack.enter_context(mock.patch.object(module, word, mock.MagicMock()))
            if hasattr(module, "layers"):
                module.layers.Input.side_effect = lambda shape, **_: seen.append(shape) or mock.MagicMock()
        third = importlib.import_module("keras.src.applications.mobilenet_v3")
        stack.enter_context(mock.patch.object(third, "_depth", return_value=8))
        yield seen


def asked(network: Network, **options: Any) -> Asked:
    """What the constructor of a network would have downloaded."""
    constructor = getattr(keras.applications, network.keras)
    with pytest.raises(Asked) as found:
        constructor(weights="imagenet", **network.variant, **options)
    return found.value


# -- Keras ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined:UserWarning")
@pytest.mark.parametrize("network", networks(), ids=named)
def test_files_are_those_that_keras_would_fetch(network: Network, shapes: list[tuple[int, ...]]) -> None:
    """Address, name in the cache and digest, with the top and without, for every size."""
    assert network.published
    for published in network.published:
        shape = (published.size, published.size, 3)
        for top, file in ((True, published.file), (False, published.no_top)):
            found = asked(network, include_top=top, input_shape=shape)
            assert found.facts == (file.url, file.name, file.digest)
            assert found.folder == "models"
            assert shapes[-1] == shape


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize("alpha", [0.35, 0.5, 0.75, 1.0, 1.3, 1.4])
@pytest.mark.parametrize("keras_name", ["MobileNet", "MobileNetV2", "MobileNetV3Large"])
def test_no_width_is_left_out(keras_name: str, alpha: float) -> None:
    """Where Keras has weights of a width, the catalogue has a network of it; where it has none, Keras refuses."""
    known = {network.variant.get("alpha", 1.0) for network in networks() if network.keras == keras_name}
    expected = Asked if alpha in known else ValueError
    with pytest.raises(expected):
        getattr(keras.applications, keras_name)(alpha=alpha, weights="imagenet", input_shape=(224, 224, 3))


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined:UserWarning")
@pytest.mark.parametrize("network", networks(), ids=named)
def test_sizes_are_those_of_the_constructor(network: Network, shapes: list[tuple[int, ...]]) -> None:
    """The size that it takes by default, and the smallest."""
    asked(network)
    # MobileNetV3 leaves the size open where none is given, and takes the weights of 224 pixels.
    assert shapes[-1] == (
        (None, None, 3) if "V3" in network.keras and "Mobile" in network.keras else (network.size,) * 2 + (3,)
    )
    constructor = getattr(keras.applications, network.keras)
    options = {**network.variant, "include_top": False, "weights": None}
    constructor(input_shape=(network.smallest,) * 2 + (3,), **options)
    with pytest.raises(ValueError, match=r"[Ii]nput size must be at least"):
        constructor(input_shape=(network.smallest - 1,) * 2 + (3,), **options)
    assert network.inside.keys() | network.variant.keys() <= inspect.signature(constructor).parameters.keys()


@pytest.mark.parametrize("network", networks(), ids=named)
def test_the_mode_is_what_preprocess_input_does(network: Network) -> None:
    module = importlib.import_module(getattr(keras.applications, network.keras).__module__)
    pixels = np.array([[[[10.0, 120.0, 250.0]]]])
    expected = {
        "caffe": pixels[..., ::-1] - (103.939, 116.779, 123.68),
        "tf": pixels / 127.5 - 1,
        "torch": (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225),
        "inside": pixels,
    }[network.mode]
    np.testing.assert_allclose(module.preprocess_input(pixels.copy()), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["mobilenet_025", "mobilenet_v2_035", "mobilenet_v3_small_minimalistic"])
def test_parameters_of_keras(name: str) -> None:
    network = find(name)
    model = getattr(keras.applications, network.keras)(weights=None, input_shape=(64, 64, 3), **network.variant)
    assert model.count_params() == network.parameters
    assert sum(int(np.prod(one.shape)) for one in model.trainable_weights) == network.trainable


# -- torchvision and timm ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "partner"), PARTNERS, ids=named)
def test_parameters_of_partners(network: Network, partner: Partner) -> None:
    """What it is built with for Keras's weights; the difference is explained wherever there is one."""
    with torch.device("meta"):
        module = build(partner, partner.options)
    assert sum(one.numel() for one in module.parameters()) == partner.parameters
    assert bool(partner.surplus) == (partner.parameters != network.trainable)
    if partner.surplus:
        assert f"{abs(partner.parameters - network.trainable):,}" in partner.surplus


def build(partner: Partner, options: Any) -> torch.nn.Module:
    """The stock class."""
    if partner.library == "timm":
        return timm.create_model(partner.name, **options)
    return torchvision.models.get_model(partner.name, weights=None, **options)


@pytest.mark.parametrize("partner", IN_TORCHVISION, ids=named)
def test_weights_of_torchvision(partner: Partner) -> None:
    """Every member of the enum whose accuracy is known, and the accuracy that it states."""
    members = torchvision.models.get_model_weights(partner.name)
    found = {published.tag: published for published in partner.published}
    if not partner.own_options.keys() & {"width_mult"}:
        # VGG16's other member holds no classifier.
        assert found.keys() == {member.name for member in members} - {"IMAGENET1K_FEATURES"}
    for tag, published in found.items():
        member = members[tag]
        assert (published.file.url, published.accuracy) == (member.url, member.meta["_metrics"]["ImageNet-1K"]["acc@1"])
        assert published.size == member.transforms.keywords["crop_size"]
        assert published.file.name == member.url.rpartition("/")[2]
        assert published.file.name == f"{published.file.name.rpartition('-')[0]}-{published.file.digest}.pth"


@pytest.mark.parametrize("partner", IN_TIMM, ids=named)
def test_weights_of_timm(partner: Partner) -> None:
    """Every tag is published, at this address, with 1,000 classes and pictures of this size."""
    assert timm.is_model(partner.name)
    known = set(timm.list_pretrained(f"{partner.name}.*"))
    assert bool(known) == bool(partner.published)
    for published in partner.published:
        name = f"{partner.name}.{published.tag}"
        assert name in known
        config = timm.models.get_pretrained_cfg(name)
        assert config.num_classes == 1000
        if config.hf_hub_id:
            assert published.file.url == f"https://huggingface.co/{config.hf_hub_id}/resolve/main/model.safetensors"
        else:
            assert published.file.url == config.url
        trained = 288 if (partner.name, published.tag) == CONVNEXT_TINY_AT_288 else config.input_size[1]
        assert published.size == trained


@pytest.mark.parametrize(
    ("name", "library"),
    [("mobilenet", "timm"), ("mobilenet_v2_035", "torchvision"), ("mobilenet_v3_small_minimalistic", "timm")],
)
def test_differences_are_those_that_are_diagnosed(name: str, library: Any) -> None:
    """With Keras's weights in the class that is built for them, as far as they go."""
    network = find(name)
    partner = partner_of(network, library)
    constructor = getattr(keras.applications, network.keras)
    options = {**network.variant, **network.inside, "weights": None, "classifier_activation": None}
    model = xconv.randomize(constructor(input_shape=(64, 64, 3), **options))
    module = build(partner, partner.options).double().eval()
    xconv.transfer(model, module, strict=False, input_shape=(3, 64, 64))
    found = xconv.diagnose(model, module, input_shape=(3, 64, 64))
    assert {one.cause for one in found.findings} == set(partner.differences)
    assert xconv.verify(model, module).ok == (partner.geometry == "unchanged")


# -- names ------------------------------------------------------------------------------------------------------------


def test_every_constructor_of_keras_is_there() -> None:
    constructors = {name for name, value in vars(keras.applications).items() if inspect.isfunction(value)}
    assert constructors == {network.keras for network in networks()}


def test_every_name_leads_to_its_network() -> None:
    """Names of its own, Keras's for the plain network, and partners' where no other network is called so."""
    names = [network.name for network in networks()]
    assert len(set(names)) == len(names)
    for network in networks():
        assert find(network.name) is network
        assert find(network.keras).keras == network.keras
        assert not find(network.keras).variant
    assert find("mobilenetv2_050").variant == {"alpha": 0.5}
    assert find("tf_mobilenetv3_large_minimal_100").variant == {"minimalistic": True}
    assert find("ResNet-50 V2") is find("resnetv2_50") is find("resnet50_v2")
    assert hash(find("mobilenetv2_050")) != hash(find("mobilenet_v2"))


def test_an_unknown_name_is_refused_with_what_is_like_it() -> None:
    with pytest.raises(InvalidInput, match="did you mean resnet50"):
        find("resnet51")
    with pytest.raises(InvalidInput, match="its partners: torchvision resnet50, timm resnet50"):
        partner_of(find("resnet50"), "timm", "resnet101")
    assert partner_of(find("efficientnet_b0")).name == "tf_efficientnet_b0"
    assert partner_of(find("efficientnet_b0"), "torchvision").rotates
