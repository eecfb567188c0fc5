"""Two preprocessings compared: every planted difference is found under its name, alone or with others, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xconv.errors import InvalidInput, NotFound, Unreadable
from xconv.kernels import CATALOGUE, Kernel
from xconv.preprocessing.pictures import scene
from xconv.probing import diagnose_preprocessing, is_preprocessing

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
Image = pytest.importorskip("PIL.Image")
BLUR = pytest.importorskip("PIL.ImageFilter").GaussianBlur(2)

PICTURE = scene((150, 203))
MEAN, STD = np.array((0.485, 0.456, 0.406), "f4"), np.array((0.229, 0.224, 0.225), "f4")
RESAMPLING = Image.Resampling


def prepared(
    *,
    size: tuple[int, int] = (46, 61),
    shorter: int = 0,
    crop: tuple[int, int] | None = None,
    offset: Callable[[float], int] = round,
    kernel: Any = RESAMPLING.BILINEAR,
    floats: Any = None,
    bgr: bool = False,
    scale: Callable[[Any], Any] = lambda x: (x / 255 - MEAN) / STD,
    first: bool = False,
    last: Callable[[Any], Any] = lambda x: x,
) -> Callable[[Any], Any]:
    """A preprocessing as people write it, with Pillow or, by `floats`, with TensorFlow or torch."""

    def run(image: Any) -> Any:
        width, height = image.size
        if shorter:
            ratio = shorter / min(width, height)
            target = (shorter, int(width * ratio + 1e-9)) if height <= width else (int(height * ratio + 1e-9), shorter)
        else:
            target = size
        x = np.asarray(image.resize(target[::-1], kernel) if floats is None else floats(np.asarray(image), target))
        x = x.astype(np.float32)
        if crop is not None:
            top, left = (offset((before - after) / 2) for before, after in zip(x.shape, crop, strict=False))
            x = x[top : top + crop[0], left : left + crop[1]]
        x = scale(x)
        x = x[..., ::-1] if bgr else x
        x = np.moveaxis(x, -1, 0) if first else x
        return last(np.ascontiguousarray(x))

    return run


def by_tensorflow(**options: Any) -> Callable[[Any, tuple[int, int]], Any]:
    return lambda array, size: tf.image.resize(array.astype("f4"), size, **options).numpy()


def by_torch(**options: Any) -> Callable[[Any, tuple[int, int]], Any]:
    def resize(array: Any, size: tuple[int, int]) -> Any:
        tensor = torch.from_numpy(np.moveaxis(array, -1, 0).astype("f4"))[None]
        return np.moveaxis(torch.nn.functional.interpolate(tensor, size, **options)[0].numpy(), 0, -1)

    return resize


CAFFE = np.array((123.68, 116.779, 103.939), "f4")
ANTIALIASED = by_tensorflow(antialias=True)
PLANTED: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "size": ({}, {"size": (48, 64)}, {"size"}),
    "size of the crop": ({"shorter": 56, "crop": (41, 41)}, {"shorter": 56, "crop": (45, 45)}, {"size"}),
    "height and width": ({}, {"size": (61, 46)}, {"height_and_width"}),
    "turned": ({}, {"last": lambda x: x.swapaxes(0, 1)}, {"height_and_width"}),
    "mirrored": ({}, {"last": lambda x: x[:, ::-1]}, {"mirrored"}),
    "shorter side": ({"shorter": 52, "crop": (46, 46)}, {"size": (46, 46)}, {"resize"}),
    "before the crop": ({"shorter": 52, "crop": (45, 45)}, {"shorter": 49, "crop": (45, 45)}, {"resize_size"}),
    "crop offset": (
        {"shorter": 52, "crop": (45, 45)},
        {"shorter": 52, "crop": (45, 45), "offset": int},
        {"crop_offset"},
    ),
    "bicubic": ({}, {"kernel": RESAMPLING.BICUBIC}, {"interpolation"}),
    "lanczos": ({"kernel": RESAMPLING.LANCZOS}, {"kernel": RESAMPLING.BICUBIC}, {"interpolation"}),
    "nearest": ({}, {"kernel": RESAMPLING.NEAREST}, {"interpolation"}),
    "box": ({"kernel": RESAMPLING.BOX}, {"kernel": RESAMPLING.HAMMING}, {"interpolation"}),
    "antialias": ({"floats": ANTIALIASED}, {"floats": by_tensorflow()}, {"antialias"}),
    "two bicubics": (
        {"floats": by_tensorflow(method="bicubic")},
        {"floats": by_torch(mode="bicubic")},
        {"interpolation"},
    ),
    "area": ({"floats": by_tensorflow(method="area")}, {"floats": by_torch(mode="area")}, {"interpolation"}),
    "grid": (
        {"floats": by_torch(mode="bilinear")},
        {"floats": by_torch(mode="bilinear", align_corners=True)},
        {"grid"},
    ),
    "nearest grid": (
        {"floats": by_tensorflow(method="nearest")},
        {"floats": by_torch(mode="nearest")},
        {"grid"},
    ),
    "rounding": ({"floats": ANTIALIASED}, {}, {"rounding"}),
    "cut off": (
        {"floats": ANTIALIASED},
        {"floats": lambda array, size: ANTIALIASED(array, size).astype("u1")},
        {"rounding"},
    ),
    "layout": ({}, {"first": True}, {"layout"}),
    "reshape": ({"first": True}, {"last": lambda x: x.reshape(3, *x.shape[:2])}, {"layout"}),
    "batch": ({}, {"last": lambda x: x[None]}, {"batch_axis"}),
    "dtype": ({}, {"last": lambda x: x.astype("f2")}, {"dtype"}),
    "whole numbers": (
        {"scale": lambda x: x - CAFFE},
        {"scale": lambda x: x - CAFFE, "last": lambda x: x.astype("i2")},
        {"dtype"},
    ),
    "order": ({}, {"bgr": True}, {"channel_order"}),
    "order under the means": (
        {},
        {"scale": lambda x: (x[..., ::-1] / 255 - MEAN) / STD},
        {"channel_order"},
    ),
    "means in reverse": ({}, {"scale": lambda x: (x / 255 - MEAN[::-1]) / STD[::-1]}, {"scaling"}),
    "tf": ({}, {"scale": lambda x: x / 127.5 - 1}, {"scaling"}),
    "none": ({}, {"scale": lambda x: x}, {"scaling"}),
    "by 255": ({"scale": lambda x: x / 127.5 - 1}, {"scale": lambda x: x / 255}, {"scaling"}),
    "twice": ({}, {"scale": lambda x: (x / 255 / 255 - MEAN) / STD}, {"scaling"}),
    "own means": ({}, {"scale": lambda x: (x / 255 - (0.5, 0.4, 0.3)) / (0.2, 0.25, 0.3)}, {"scaling", "dtype"}),
    "caffe": ({}, {"scale": lambda x: x - CAFFE, "bgr": True}, {"scaling", "channel_order"}),
    "two": ({}, {"kernel": RESAMPLING.BICUBIC, "first": True}, {"interpolation", "layout"}),
    "rule and size": ({"shorter": 52, "crop": (46, 46)}, {"size": (41, 41)}, {"resize", "size"}),
    "size by the picture": ({"shorter": 46}, {"size": (46, 46)}, {"resize"}),
    "no resize": ({}, {"shorter": 150, "floats": lambda array, size: array}, {"resize"}),
    "kernel and antialias": (
        {"floats": by_tensorflow()},
        {"floats": by_tensorflow(method="bicubic", antialias=True)},
        {"interpolation", "antialias"},
    ),
    "bfloat16": ({}, {"last": lambda x: tf.cast(x, tf.bfloat16)}, {"dtype"}),
    "fraction": (
        {"floats": lambda array, size: ANTIALIASED(tf.image.central_crop(array, 0.875).numpy(), size)},
        {"floats": ANTIALIASED},
        {"resize"},
    ),
    "three": (
        {"shorter": 52, "crop": (46, 46)},
        {"size": (46, 46), "floats": by_tensorflow(), "scale": lambda x: x / 127.5 - 1},
        {"resize", "antialias", "rounding", "scaling"},
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found_and_nothing_else(name: str) -> None:
    mine, others, causes = PLANTED[name]
    found = diagnose_preprocessing(prepared(**mine), prepared(**others), PICTURE)
    assert {finding.cause for finding in found.findings} == causes, found
    assert len(found.findings) == len(causes)
    assert not found.agree
    assert found.explained, found
    assert not found.unexplained
    for finding in found.findings:
        assert finding.alone
        assert finding.remedy
        assert finding.places[0].a_says != finding.places[0].b_says
    if len(causes) == 1 and causes & {"layout", "batch_axis"} == set():
        assert found.findings[0].alone == pytest.approx(found.error, rel=1e-3)
        assert found.findings[0].after <= found.tolerance
    json.loads(found.to_json())


SAME: list[tuple[Any, Any]] = [
    (prepared(), prepared()),
    (prepared(floats=by_torch(mode="bilinear")), prepared(floats=by_tensorflow())),
    (
        prepared(floats=by_torch(mode="bicubic", antialias=True)),
        prepared(floats=by_tensorflow(method="bicubic", antialias=True)),
    ),
    (prepared(scale=lambda x: x / 127.5 - 1), prepared(scale=lambda x: (x / 255 - np.float32(0.5)) / np.float32(0.5))),
    (prepared(shorter=52, crop=(46, 46)), prepared(shorter=52, crop=(46, 46))),
    (keras.layers.Resizing(45, 50), lambda image: keras.layers.Resizing(45, 50)(np.asarray(image))),
]


@pytest.mark.parametrize("pair", SAME, ids=range(len(SAME)))
def test_equal_pipelines_give_no_finding(pair: tuple[Any, Any]) -> None:
    found = diagnose_preprocessing(*pair, PICTURE)
    assert not found.findings, found
    assert found.agree
    assert not found.unexplained


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda image: np.asarray(image.rotate(5)), "borders"),
        (lambda image: np.asarray(image.convert("L").convert("RGB")), "numbers"),
        (lambda image: np.asarray(image) + np.random.default_rng().normal(0, 1, (*image.size[::-1], 3)), "random"),
        (lambda image: np.asarray(image) / (1.0 + np.asarray(image).max()), "whole picture"),
        (lambda image: np.asarray(image.filter(BLUR).resize((61, 46), RESAMPLING.BILINEAR)), "nearest hypothesis"),
    ],
)
def test_what_is_not_recognised_is_said_and_never_guessed(other: Any, said: str) -> None:
    found = diagnose_preprocessing(prepared(scale=lambda x: x), other, PICTURE)
    assert said in found.unexplained
    assert {finding.cause for finding in found.findings} <= {"dtype", "channel_order", "scaling"}
    assert not found.explained
    effects = {finding.cause: finding.alone for finding in found.findings}
    assert effects.get("dtype", 0.0) < 0.01  # not what the unknown part does


def test_a_difference_on_other_pictures_is_told_with_its_effect_on_this_one() -> None:
    """A direct resize and one with a crop are the same for a picture that has the aspect ratio already."""
    square = np.ascontiguousarray(PICTURE[:150, :150])
    found = diagnose_preprocessing(prepared(shorter=46, crop=(46, 46)), prepared(size=(46, 46)), square)
    assert [finding.cause for finding in found.findings] == ["resize"]
    assert found.agree
    assert found.findings[0].alone == 0


@pytest.mark.parametrize("kernel", [kernel for kernel in CATALOGUE if kernel.interpolation != "nearest"], ids=str)
def test_kernels_sum_to_one(kernel: Kernel) -> None:
    from xconv.kernel_matrices import matrix

    for before, after in ((97, 41), (41, 97), (50, 50)):
        np.testing.assert_allclose(matrix(kernel, before, after).sum(axis=1), 1, atol=1e-12)


def test_the_remedy_can_be_run() -> None:
    """Every line of code that mends the numbers and the axes does, put behind or in place of what it names."""
    found = diagnose_preprocessing(prepared(first=True), prepared(bgr=True), PICTURE)
    remedies = {finding.cause: finding.remedy for finding in found.findings}
    space = {"x": prepared(bgr=True)(Image.fromarray(PICTURE))}
    exec(remedies["channel_order"], space)  # noqa: S102 - what is tested
    exec(remedies["layout"], space)  # noqa: S102
    np.testing.assert_array_equal(space["x"], prepared(first=True)(Image.fromarray(PICTURE)))


def test_the_remedy_of_a_scaling_can_be_run() -> None:
    found = diagnose_preprocessing(prepared(), prepared(scale=lambda x: x), PICTURE)
    space = {"x": prepared(scale=lambda x: x)(Image.fromarray(PICTURE)), "numpy": np}
    exec(found.findings[0].remedy, space)  # noqa: S102
    np.testing.assert_allclose(space["x"], prepared()(Image.fromarray(PICTURE)), atol=1e-5)


def test_named_preprocessings() -> None:
    found = diagnose_preprocessing("keras.applications.vgg16", "resnet50 (keras)", PICTURE)
    assert found.agree
    assert not found.findings
    found = diagnose_preprocessing(
        "keras.applications.vgg16 at 45x52", "mobilenet_v2 (keras) at 45x52 by Resizing", PICTURE
    )
    assert {finding.cause for finding in found.findings} == {"interpolation", "channel_order", "scaling"}
    assert found.explained


def test_the_names_of_torchvision_and_its_objects() -> None:
    models = pytest.importorskip("torchvision.models")
    preset = pytest.importorskip("torchvision.transforms._presets").ImageClassification
    found = diagnose_preprocessing(preset(crop_size=46, resize_size=52), prepared(shorter=52, crop=(46, 46)), PICTURE)
    assert {finding.cause for finding in found.findings} == {"layout"}, found
    assert found.explained
    assert is_preprocessing(preset(crop_size=46))
    assert is_preprocessing(models.ResNet50_Weights.IMAGENET1K_V1)


def test_what_is_a_preprocessing() -> None:
    for name in ("keras.applications.resnet50", "resnet50 (keras)", "torchvision ResNet50_Weights.IMAGENET1K_V2"):
        assert is_preprocessing(name)
    assert is_preprocessing(keras.Sequential([keras.layers.Resizing(4, 4), keras.layers.Rescaling(2.0)]))
    for other in ("resnet50.keras", "model.pt", 3, torch.nn.ReLU(), keras.layers.Dense(2), keras.layers.Dense):
        assert not is_preprocessing(other)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"keras\.applications has no 'resnet5'"):
        diagnose_preprocessing("resnet5 (keras)", "resnet50 (keras)")
    with pytest.raises(InvalidInput, match="no single picture"):
        diagnose_preprocessing(prepared(), lambda image: 3)
    with pytest.raises(NotFound):
        diagnose_preprocessing(prepared(), prepared(), tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(Unreadable):
        diagnose_preprocessing(prepared(), prepared(), tmp_path / "text.png")
    with pytest.raises(InvalidInput, match="uint8"):
        diagnose_preprocessing(prepared(), prepared(), np.zeros((4, 4, 3)))


def test_a_picture_of_a_file(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "picture.png")
    found = diagnose_preprocessing(prepared(), prepared(bgr=True), tmp_path / "picture.png")
    assert found.error == diagnose_preprocessing(prepared(), prepared(bgr=True), PICTURE).error
