"""The preprocessing of published weights is what their library does with a picture."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from xconv.errors import InvalidInput, Unsupported
from xconv.preprocessing import of, resizing
from xconv.preprocessing.pictures import scene
from xconv.preprocessing.steps import value_map
from xconv.probing import diagnose_preprocessing
from xconv.zoo.catalogue import networks
from xconv.zoo.pixels import inside_scaling

Image = pytest.importorskip("PIL.Image")
models = pytest.importorskip("torchvision.models")
timm = pytest.importorskip("timm")
data = pytest.importorskip("timm.data")
keras = pytest.importorskip("keras")

PICTURE = scene((290, 381))


@pytest.mark.parametrize(
    "name",
    [
        "ResNet50_Weights.IMAGENET1K_V1",
        "ResNet50_Weights.IMAGENET1K_V2",
        "EfficientNet_B0_Weights.IMAGENET1K_V1",
        "Inception_V3_Weights.IMAGENET1K_V1",
        "ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
        "VGG16_Weights.IMAGENET1K_FEATURES",
        "DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1",
        "FasterRCNN_ResNet50_FPN_Weights.COCO_V1",
    ],
)
def test_of_torchvision(name: str) -> None:
    weights = models.get_weight(name)
    expected = weights.transforms()(Image.fromarray(PICTURE)).numpy()
    np.testing.assert_array_equal(of(weights)(PICTURE), expected)
    np.testing.assert_array_equal(of(weights).to_torch()(Image.fromarray(PICTURE)).numpy(), expected)


def test_of_torchvision_by_name() -> None:
    v1, v2 = models.ResNet50_Weights.IMAGENET1K_V1, models.ResNet50_Weights.IMAGENET1K_V2
    assert of("resnet50", "torchvision", weights="IMAGENET1K_V1") == of(v1)
    assert of("ResNet50", "torchvision") == of(v2) != of(v1)
    assert of("efficientnet_v2_s", "torchvision").size == (384, 384)
    picture = np.moveaxis(PICTURE, -1, 0).copy()
    off = np.abs(of(v1, given="uint8 tensor in float32")(PICTURE) - v1.transforms()(torch.from_numpy(picture)).numpy())
    assert off.max() < 1.01 / (255 * 0.224)
    assert (off > 1e-5).mean() < 1e-3  # a level on the border of two
    floats = (
        of(v1, given="float tensor")(PICTURE) - v1.transforms()(torch.from_numpy(picture / np.float32(255))).numpy()
    )
    assert np.abs(floats).max() < 3e-5


@pytest.mark.parametrize(
    "name",
    [
        "resnet50.a1_in1k",
        "resnet50.tv2_in1k",
        "tf_efficientnet_b0.ns_jft_in1k",
        "inception_v3.tf_in1k",
        "dm_nfnet_f0.dm_in1k",
        "legacy_xception.tf_in1k",
    ],
)
def test_of_timm(name: str) -> None:
    config = data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    expected = data.create_transform(**config)(Image.fromarray(PICTURE)).numpy()
    np.testing.assert_array_equal(of(name, "timm")(PICTURE), expected)


def test_of_a_model_of_timm() -> None:
    assert of(timm.create_model("resnet18", pretrained=False)) == of("resnet18", "timm")


@pytest.mark.parametrize("name", ["resnet50", "mobilenet_v2", "densenet121", "inception_v3", "efficientnet_b1"])
def test_of_keras(name: str) -> None:
    """As the pages of Keras show it: load_img, img_to_array, preprocess_input."""
    p = of(name, "keras")
    assert p.size is not None
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "PNG")
    loaded = keras.utils.img_to_array(keras.utils.load_img(file, target_size=p.size))
    module = {"mobilenet_v2": "mobilenet_v2", "efficientnet_b1": "efficientnet", "densenet121": "densenet"}.get(
        name, name
    )
    expected = getattr(keras.applications, module).preprocess_input(loaded)
    np.testing.assert_array_equal(p(PICTURE), expected)


@pytest.mark.parametrize("way", ["smart_resize", "Resizing", "tf.image.resize"])
def test_other_ways_of_keras(way: str) -> None:
    p = of("vgg16", "keras", resize=way, size=(61, 47), interpolation="bicubic")
    array = PICTURE.astype("f4")
    made: Any = {
        "smart_resize": lambda: keras.preprocessing.image.smart_resize(array, (61, 47), "bicubic"),
        "Resizing": lambda: keras.layers.Resizing(61, 47, interpolation="bicubic")(array),
        "tf.image.resize": lambda: pytest.importorskip("tensorflow").image.resize(array, (61, 47), "bicubic"),
    }[way]()
    expected = keras.applications.vgg16.preprocess_input(np.array(keras.ops.convert_to_numpy(made)))
    assert np.abs(p(PICTURE) - expected).max() <= 1e-5 * np.abs(expected).max()
    assert of("vgg16", "keras", resize=None).size is None


def test_every_network_of_the_zoo_has_one() -> None:
    for network in networks():
        p = of(network.name, "keras")
        assert p.size == (network.size, network.size)
        for partner in network.partners:
            if partner.published:
                assert of(partner.name, partner.library, weights=partner.published[0].tag).size is not None


def test_what_a_model_leaves_out_is_done_before_it() -> None:
    inside = [network for network in networks() if network.inside]
    assert {network.keras for network in inside} >= {"EfficientNetV2S", "EfficientNetV2B0", "ConvNeXtBase"}
    for network in inside:
        steps = of(network.name, "keras", include_preprocessing=False).steps
        assert value_map("RGB", steps).scaling.near(inside_scaling(network)), network.name
        assert not of(network.name, "keras").steps


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("resnet50",), "give library="),
        (("resnet50", "jax"), "give library="),
        (("resnet5", "keras"), "did you mean"),
        (("resnet50", "keras", {"weights": "IMAGENET1K_V1"}), "leave weights out"),
        (("resnet50", "keras", {"resize": "thumbnail"}), "does not resize by 'thumbnail'"),
        (("resnet50", "keras", {"resize": None, "size": 3}), "without a resize"),
        (("resnet50", "keras", {"size": 0}), "0 is no size"),
        ((None, "keras"), "NoneType does not say"),
        (("resnet50", "torchvision", {"weights": "IMAGENET1K_V9"}), "it has IMAGENET1K_V1, IMAGENET1K_V2"),
        (("resnet50", "torchvision", {"size": 99}), "describes any size"),
        (("resnet50", "timm", {"weights": "b9_in1k"}), "a1_in1k"),
        (("efficientnet_b0", "keras", {"include_preprocessing": False}), "split_preprocessing"),
        ((3,), "int does not say"),
    ],
)
def test_what_there_is_not_is_refused(arguments: Any, said: str) -> None:
    options = arguments[-1] if isinstance(arguments[-1], dict) else {}
    with pytest.raises(InvalidInput, match=said):
        of(*[one for one in arguments if not isinstance(one, dict)], **options)


def test_transforms_of_videos_are_refused() -> None:
    with pytest.raises(Unsupported, match="VideoClassification"):
        of(pytest.importorskip("torchvision.models.video").R3D_18_Weights.DEFAULT)


def test_two_descriptions_are_compared() -> None:
    """`xconv.diagnose` reads a description as it reads any function, and finds nothing between its realisations."""
    p = of("mobilenet_v2", "keras", size=(46, 61), resize="Resizing")
    found = diagnose_preprocessing(p, resizing((46, 61), "bicubic", mode="tf"), image=scene((150, 203)))
    assert [one.cause for one in found.findings] == ["interpolation"]
    assert found.a.startswith("Preprocessing (resize to 46x61)")
    for same in (p.to_keras(), p.to_torch("channels_last")):
        assert not diagnose_preprocessing(p, same, image=scene((150, 203))).findings
