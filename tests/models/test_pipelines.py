"""Every pipeline makes the pixels of its owner's own function: by NumPy, as a transform of torch, as a Keras layer."""

from __future__ import annotations

import copy
import importlib.util
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xconv.errors import InvalidInput, XConvWarning
from xconv.preprocessing import (
    Preprocessing,
    interpolate,
    load_img,
    pixels,
    resizing,
    smart_resize,
    tf_resize,
    timm,
    torchvision,
)
from xconv.preprocessing.pictures import scene

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
Image = pytest.importorskip("PIL.Image")
v2 = pytest.importorskip("torchvision.transforms.v2")
Mode = pytest.importorskip("torchvision.transforms").InterpolationMode

SIZES = [(97, 113), (65, 179), (140, 61), (40, 43)]
"""Broad and high, larger and smaller than the results."""
SIZE, LARGE = (64, 51), (151, 173)
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
FLOAT = 1e-5
"""Of the range: what a resize in float32 may be off by."""
MODES = {
    "nearest": Mode.NEAREST,
    "nearest-exact": Mode.NEAREST_EXACT,
    "bilinear": Mode.BILINEAR,
    "bicubic": Mode.BICUBIC,
    "lanczos": Mode.LANCZOS,
    "box": Mode.BOX,
    "hamming": Mode.HAMMING,
}
Owner = Callable[[Any], Any]


def pillow(picture: Any) -> Any:
    return Image.fromarray(picture)


def tensor(picture: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, -1, 0)))


def file(picture: Any, kind: str = "PNG") -> io.BytesIO:
    """The picture as a file."""
    result = io.BytesIO()
    pillow(picture).save(result, kind)
    result.seek(0)
    return result


def loaded(mode: str | None = None, **options: Any) -> Owner:
    """Keras's own function, and the preprocess_input of a family that has this mode."""
    families = {"caffe": "vgg16", "tf": "mobilenet", "torch": "densenet", "inside": "efficientnet"}
    finish = getattr(keras.applications, families[mode]).preprocess_input if mode else lambda x: x

    def owner(picture: Any) -> Any:
        return finish(keras.utils.img_to_array(keras.utils.load_img(file(picture), **options)))

    return owner


def by_torchvision(resize: Any, crop: Any, mode: str, given: Any = pillow, **options: Any) -> Owner:
    crops = [v2.CenterCrop(crop)] if crop is not None else []

    def owner(picture: Any) -> Any:
        made = v2.Compose([v2.Resize(resize, MODES[mode], **options), *crops])(given(picture))
        return v2.functional.normalize(
            v2.functional.pil_to_tensor(made) / 255 if given is pillow else made / 255, MEAN, STD
        )

    return owner


def by_timm(size: tuple[int, int], mode: str, pct: float) -> Owner:
    factory = pytest.importorskip("timm.data.transforms_factory")
    transform = factory.transforms_imagenet_eval(size, crop_pct=pct, crop_mode=mode, interpolation="bicubic")
    return lambda picture: transform(pillow(picture))


INTEGER: dict[str, tuple[Preprocessing, Owner]] = {}
for name in ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"):
    for keep in (False, True):
        options: dict[str, Any] = {"interpolation": name, "keep_aspect_ratio": keep}
        INTEGER[f"load_img {name} {keep}"] = (
            load_img(SIZE, mode="caffe", **options),
            loaded("caffe", target_size=SIZE, **options),
        )
    INTEGER[f"load_img {name}, enlarged"] = load_img(LARGE, name), loaded(target_size=LARGE, interpolation=name)
for mode in ("tf", "torch", "inside"):
    INTEGER[f"mode {mode}"] = load_img(SIZE, mode=mode), loaded(mode, target_size=SIZE)
for name in MODES:
    INTEGER[f"torchvision {name}"] = torchvision(72, (90, 64), name), by_torchvision(72, (90, 64), name)
    if name not in ("box", "hamming"):
        INTEGER[f"torchvision {name}, tensor"] = (
            torchvision((61, 83), None, name, given="uint8 tensor"),
            by_torchvision((61, 83), None, name, tensor),
        )
INTEGER["torchvision max_size"] = torchvision(60, 48, max_size=70), by_torchvision(60, 48, "bilinear", max_size=70)
INTEGER["torchvision longer"] = torchvision(max_size=70), by_torchvision(None, None, "bilinear", max_size=70)
for name in ("bilinear", "bicubic"):
    INTEGER[f"torchvision {name}, tensor, plain"] = (
        torchvision(72, 64, name, antialias=False, given="uint8 tensor"),
        by_torchvision(72, 64, name, tensor, antialias=False),
    )
for mode in ("center", "squash", "border"):
    for size in (SIZE, (56, 56)):
        INTEGER[f"timm {mode} {size}"] = timm(size, crop_mode=mode, crop_pct=0.9), by_timm(size, mode, 0.9)

FLOATS: dict[str, tuple[Preprocessing, Owner]] = {}


def by_tensorflow(size: tuple[int, int], **options: Any) -> Owner:
    return lambda picture: tf.image.resize(picture.astype("f4"), size, **options)


def by_resizing(**options: Any) -> Owner:
    layer = keras.layers.Resizing(*SIZE, **options)
    return lambda picture: keras.ops.convert_to_numpy(layer(picture.astype("f4")))


def by_interpolate(size: tuple[int, int], **options: Any) -> Owner:
    return lambda picture: torch.nn.functional.interpolate(tensor(picture)[None].float(), size, **options)[0]


for name in ("nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"):
    for antialias in (False, True):
        for size in (SIZE, LARGE):
            FLOATS[f"tf {name} {antialias} {size}"] = (
                tf_resize(size, name, antialias=antialias),
                by_tensorflow(size, method=name, antialias=antialias),
            )
for name in ("nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5"):
    FLOATS[f"smart_resize {name}"] = (
        smart_resize(SIZE, name),
        lambda x, name=name: keras.preprocessing.image.smart_resize(x.astype("f4"), SIZE, name),
    )
for options in (
    {},
    {"crop_to_aspect_ratio": True},
    {"pad_to_aspect_ratio": True, "fill_value": 9.0},
    {"antialias": True},
):
    FLOATS[f"Resizing {options}"] = (
        resizing(SIZE, "bicubic", **options),
        by_resizing(interpolation="bicubic", **options),
    )
for name in ("nearest", "nearest-exact", "bilinear", "bicubic", "area"):
    for options in [{}, *([{"align_corners": True}, {"antialias": True}] if name in ("bilinear", "bicubic") else [])]:
        for size in (SIZE, LARGE):
            FLOATS[f"interpolate {name} {options} {size}"] = (
                interpolate(size, name, **options),
                by_interpolate(size, mode=name, **options),
            )
FLOATS["torchvision, float tensor"] = (
    torchvision(72, 64, "bicubic", given="float tensor"),
    by_torchvision(72, 64, "bicubic", lambda picture: tensor(picture).float()),
)
ALL = INTEGER | FLOATS


@pytest.mark.parametrize("name", INTEGER)
def test_an_integer_path_is_the_owners_to_the_bit(name: str) -> None:
    if ", tensor" in name and not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        pytest.skip("torch resizes uint8 tensors in another way without these instructions")
    description, owner = INTEGER[name]
    for seed, size in enumerate(SIZES):
        picture = scene(size, seed)
        made = description(picture)
        assert made.dtype == np.float32
        np.testing.assert_array_equal(made, np.asarray(owner(picture)), f"{name}, {size}")


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"])
@pytest.mark.parametrize(("size", "wanted"), [((1, 3), (3, 87)), ((55, 2), (82, 1)), ((40, 30), (1, 60))])
def test_a_picture_too_thin_for_its_part_is_resized_as_load_img_does(
    interpolation: str, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    """Not a pixel has the aspect ratio; Pillow takes the empty part all the same."""
    options: dict[str, Any] = {"interpolation": interpolation, "keep_aspect_ratio": True}
    picture = scene(size)
    description, expected = load_img(wanted, **options), loaded(target_size=wanted, **options)(picture)
    np.testing.assert_array_equal(description(picture), expected)
    np.testing.assert_array_equal(description.to_torch("channels_last")(tensor(picture)).numpy(), expected)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(description.to_keras()(picture)), expected)


@pytest.mark.parametrize("name", FLOATS)
def test_a_float_path_is_the_owners_within_float32(name: str) -> None:
    description, owner = FLOATS[name]
    for seed, size in enumerate(SIZES[:2]):
        picture = scene(size, seed)
        expected = np.asarray(owner(picture))
        made = description(picture)
        assert made.shape == expected.shape
        assert np.abs(made - expected).max() <= FLOAT * np.abs(expected).max()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_width_of_one_pixel_is_resized_as_torch_resizes_a_height_of_one(mode: str) -> None:
    """To a width of one, antialiased, torch repeats its first row; to a height of one it does not."""
    picture = scene((80, 26))
    turned = tensor(picture)[None].float().mT
    expected = torch.nn.functional.interpolate(turned, (1, 3), mode=mode, antialias=True).mT[0].numpy()
    made = interpolate((3, 1), mode, antialias=True)(picture)
    assert np.abs(made - expected).max() <= FLOAT * np.abs(expected).max()
    assert np.ptp(made[0]) > 1


def test_integers_of_a_resizing_layer() -> None:
    """Rounded to whole levels, as the layer rounds what it is given as integers."""
    for antialias in (False, True):
        layer = keras.layers.Resizing(*SIZE, interpolation="bicubic", antialias=antialias)
        p = resizing(SIZE, "bicubic", antialias=antialias, integers=True)
        for seed, size in enumerate(SIZES):
            picture = scene(size, seed)
            off = np.abs(p(picture) - keras.ops.convert_to_numpy(layer(picture)))
            assert off.max() <= 1
            assert (off > 0).mean() < 1e-3  # a level on the border of two


@pytest.mark.parametrize(
    "name", ["load_img bicubic False", "load_img lanczos True", "torchvision bilinear", *list(INTEGER)[-6:]]
)
def test_torch_and_keras_make_the_same_pixels(name: str) -> None:
    description = INTEGER[name][0]
    transform, layer = description.to_torch(), description.to_keras()
    for seed, size in enumerate(SIZES):
        picture = scene(size, seed)
        kept, given = picture.copy(), tensor(picture)
        last = description.with_layout("channels_last")(picture)
        first = np.moveaxis(last, -1, 0)
        for made in (transform(given), transform(pillow(picture))):
            np.testing.assert_array_equal(made.numpy(), first, f"{name}, {size}")
        for made in (layer(picture), layer(picture[None])[0], layer(picture.astype("f4"))):
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(made), last, f"{name}, {size}")
        assert np.array_equal(picture, kept)
        assert torch.equal(given, tensor(kept))


@pytest.mark.parametrize(
    "name",
    [
        "tf bicubic False (64, 51)",
        "tf area True (151, 173)",
        "Resizing {'pad_to_aspect_ratio': True, 'fill_value': 9.0}",
        "interpolate bicubic {'align_corners': True} (64, 51)",
        "smart_resize nearest",
    ],
)
def test_torch_and_keras_make_the_same_pixels_in_floating_point(name: str) -> None:
    description = FLOATS[name][0]
    transform, layer = description.to_torch("channels_last"), description.to_keras()
    description = description.with_layout("channels_last")
    picture = scene((97, 113))
    expected = description(picture)
    tolerance = 1e-6 * np.abs(expected).max()
    assert np.abs(transform(tensor(picture)).numpy() - expected).max() <= tolerance
    assert np.abs(transform(tensor(picture).float()).numpy() - expected).max() <= tolerance
    assert np.abs(keras.ops.convert_to_numpy(layer(picture[None]))[0] - expected).max() <= tolerance


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_modes_alone(mode: str) -> None:
    """Of pictures that are already of the right size, in all three realisations and both layouts."""
    family = {"caffe": "resnet50", "tf": "xception", "torch": "densenet"}[mode]
    picture = scene((40, 51)).astype(np.float32)
    expected = getattr(keras.applications, family).preprocess_input(picture.copy())
    p = pixels(mode)
    assert np.array_equal(p(picture), expected)
    assert np.array_equal(p.to_torch("channels_last")(tensor(picture)).numpy(), expected)
    assert np.array_equal(keras.ops.convert_to_numpy(p.to_keras()(picture[None]))[0], expected)
    first = keras.ops.convert_to_numpy(p.to_keras("channels_first")(picture))
    assert np.array_equal(first, np.moveaxis(expected, -1, 0))


# -- files ------------------------------------------------------------------------------------------------------------


def saved(folder: Path, name: str, image: Any, **options: Any) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Photographs, as they lie about: JPEG and PNG, grey, with transparency, turned by EXIF, of a palette."""
    folder = tmp_path_factory.mktemp("pictures")
    picture = scene((97, 143))
    image = pillow(picture)
    turned = Image.Exif()
    turned[0x0112] = 6
    alpha = np.dstack([picture, np.linspace(0, 255, 97 * 143).reshape(97, 143).astype(np.uint8)])
    return {
        "jpeg": saved(folder, "a.jpg", image, quality=87),
        "turned": saved(folder, "b.jpg", image, exif=turned, quality=90),
        "cmyk": saved(folder, "c.jpg", image.convert("CMYK"), quality=90),
        "grey jpeg": saved(folder, "d.jpg", image.convert("L")),
        "png": saved(folder, "e.png", image),
        "grey": saved(folder, "f.png", image.convert("L")),
        "palette": saved(folder, "g.png", image.convert("P")),
        "black and white": saved(folder, "h.png", image.convert("1")),
        "rgba": saved(folder, "i.png", pillow(alpha)),
        "la": saved(folder, "j.png", pillow(alpha).convert("LA")),
        "palette, some transparent": saved(
            folder,
            "l.png",
            image.convert("P", palette=Image.Palette.ADAPTIVE, colors=16),
            transparency=bytes(range(16)),
        ),
        "a transparent colour": saved(folder, "m.png", image, transparency=tuple(map(int, picture[0, 0]))),
        "a transparent grey": saved(
            folder, "n.png", image.convert("L"), transparency=int(image.convert("L").getpixel((0, 0)))
        ),
        "16 bits": saved(folder, "k.png", Image.fromarray(picture[..., 0].astype(np.uint16) * 257)),
    }


KINDS = ("jpeg", "turned", "cmyk", "grey jpeg", "png", "grey", "palette", "black and white", "rgba", "la", "16 bits")
KEYED = ("palette, some transparent", "a transparent colour", "a transparent grey")
LOSSY = {"rgba": "transparent", "la": "transparent", "16 bits": "cuts them off", **dict.fromkeys(KEYED, "transparent")}


@pytest.mark.parametrize("kind", [*KINDS, *KEYED])
@pytest.mark.filterwarnings("ignore:Palette images with Transparency expressed in bytes:UserWarning")  # of the owners
def test_files_are_opened_as_their_owners_open_them(kind: str, files: dict[str, Path]) -> None:
    path = files[kind]
    p = load_img(SIZE, "bicubic", mode="tf")
    q = torchvision(72, 64)
    by_keras = keras.utils.img_to_array(keras.utils.load_img(path, target_size=SIZE, interpolation="bicubic"))
    transform = pytest.importorskip("torchvision.transforms._presets").ImageClassification(crop_size=64, resize_size=72)
    by_torch = transform(pytest.importorskip("torchvision.datasets.folder").default_loader(str(path))).numpy()
    if kind in LOSSY:
        with pytest.warns(XConvWarning, match=LOSSY[kind]):
            made = p(path), q(str(path))
    else:
        made = p(path), q(str(path))
    np.testing.assert_array_equal(made[0], keras.applications.mobilenet.preprocess_input(by_keras))
    np.testing.assert_array_equal(made[1], by_torch)
    if kind not in LOSSY:
        with Image.open(path) as image:
            np.testing.assert_array_equal(p(image), made[0])
            np.testing.assert_array_equal(q.to_torch()(image).numpy(), made[1])


def test_only_transparency_is_told_as_such() -> None:
    """The second A of LAB is a colour; a palette all of whose colours are seen loses nothing."""
    image = pillow(scene((31, 43)))
    palette = image.convert("P")
    wholes = image.convert("LAB"), image.convert("RGBA"), palette
    expected = [np.asarray(whole.convert("RGB")) for whole in wholes]
    palette.info["transparency"] = b"\xff" * 256
    for whole, pixel in zip(wholes, expected, strict=True):
        np.testing.assert_array_equal(pixels()(whole), pixel)
    keyed = pillow(np.zeros((3, 4, 3), np.uint8))
    keyed.info["transparency"] = (0, 0, 0)
    with pytest.warns(XConvWarning, match="transparent"):
        pixels()(keyed)
    assert keyed.info["transparency"] == (0, 0, 0)


def test_numbers_in_0_to_1_are_told() -> None:
    picture = scene((31, 43)) / 255
    with pytest.warns(XConvWarning, match="all but black; multiply it by 255"):
        made = pixels("tf")(picture)
    assert made.max() < -0.99
    pixels("tf")(np.zeros((3, 4, 3)))


def test_exif_is_followed_where_it_is_asked_for(files: dict[str, Path]) -> None:
    upright = Preprocessing(orientation="upright")
    turned, plain = upright(files["turned"]), Preprocessing()(files["turned"])
    assert plain.shape == (97, 143, 3)
    np.testing.assert_array_equal(turned, np.rot90(plain, -1))
    np.testing.assert_array_equal(upright.to_torch("channels_last")(Image.open(files["turned"])).numpy(), turned)
    np.testing.assert_array_equal(upright(files["jpeg"]), Preprocessing()(files["jpeg"]))


def test_modes_that_pillow_does_not_convert() -> None:
    with pytest.raises(InvalidInput, match="does not convert mode 'La'"):
        Preprocessing()(Image.new("La", (3, 4)))


def test_16_bits_that_fit_into_8_are_not_warned_about() -> None:
    picture = scene((9, 7))[..., 0]
    np.testing.assert_array_equal(Preprocessing()(Image.fromarray(picture.astype(np.uint16)))[..., 0], picture)


# -- torch ------------------------------------------------------------------------------------------------------------

P = load_img((31, 47), "bicubic", mode="caffe")


def test_a_transform_in_a_compose_of_torchvision() -> None:
    tv = pytest.importorskip("torchvision.tv_tensors")
    picture = scene((97, 113))
    p = torchvision(56, None, "bicubic", mean=None, std=None)
    made = v2.Compose([p.to_torch(), v2.CenterCrop(48), v2.Normalize(MEAN, STD)])(tv.Image(tensor(picture)))
    assert type(made) is tv.Image
    np.testing.assert_array_equal(made.numpy(), torchvision(56, 48, "bicubic")(picture))
    image, label = v2.Compose([p.to_torch(), v2.CenterCrop(48)])(pillow(picture), 3)
    assert (image.shape, label) == ((3, 48, 48), 3)
    sample = p.to_torch()({"image": tv.Image(tensor(picture)), "label": torch.tensor(3), "name": "a"})
    np.testing.assert_array_equal(sample["image"].numpy(), p(picture))
    assert (sample["label"], sample["name"]) == (3, "a")


def test_a_transform_refuses_what_it_would_leave_behind() -> None:
    tv = pytest.importorskip("torchvision.tv_tensors")
    boxes = tv.BoundingBoxes(torch.tensor([[1, 2, 3, 4]]), format="XYXY", canvas_size=(40, 51))
    with pytest.raises(InvalidInput, match="BoundingBoxes"):
        P.to_torch()(tv.Image(tensor(scene((40, 51)))), boxes)
    with pytest.raises(InvalidInput, match="no picture in str"):
        P.to_torch()("picture.png")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.zeros(3, 40, 51), "the resize works on 8 bits"),
        (torch.zeros(40, 51, 3, dtype=torch.uint8), "give red, green and blue"),
        (torch.zeros(1, 40, 51, dtype=torch.uint8), "give red, green and blue"),
        (torch.zeros(3, 40, dtype=torch.uint8), "shape"),
        (torch.zeros(3, 40, 51, dtype=torch.int32), "give uint8"),
    ],
)
def test_tensors_that_are_no_pictures(given: torch.Tensor, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        P.to_torch()(given)


def test_a_transform_of_a_batch_under_autocast_copied_and_pickled() -> None:
    pictures = np.stack([scene((97, 113), seed) for seed in range(6)]).reshape(2, 3, 97, 113, 3)
    expected = np.moveaxis(P.batch(pictures.reshape(-1, 97, 113, 3)), -1, 1).reshape(2, 3, 3, 31, 47)
    given = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pictures, -1, 2)))
    transform = P.to_torch()
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(transform(given).numpy(), expected)
    for same in (copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):  # noqa: S301
        np.testing.assert_array_equal(same(given).numpy(), expected)
    assert "bicubic" in repr(transform)


def test_a_transform_is_exported_for_one_size() -> None:
    picture = scene((97, 113))
    for p in (
        P,
        torchvision((61, 83), (70, 70), given="uint8 tensor"),
        tf_resize((31, 47), "area"),
        load_img((31, 47)),
    ):
        transform = p.to_torch()
        program = torch.export.export(transform, (tensor(picture),))
        made = program.module()(tensor(picture)).numpy()
        np.testing.assert_array_equal(made, p.with_layout("channels_first")(picture))
        np.testing.assert_array_equal(transform(tensor(picture)).numpy(), made)  # nothing of the export is left behind


# -- Keras ------------------------------------------------------------------------------------------------------------


def test_a_model_with_the_layer_is_saved_and_loaded(tmp_path: Path) -> None:
    picture = scene((97, 113))
    for name, p in {"a": P, "b": torchvision(40, (31, 47)), "c": resizing((31, 47), pad_to_aspect_ratio=True)}.items():
        inputs = keras.Input((97, 113, 3))
        outputs = p.to_keras()(inputs)
        assert outputs.shape == (None, 31, 47, 3)
        model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(outputs))
        model.save(tmp_path / f"{name}.keras")
        again = keras.models.load_model(tmp_path / f"{name}.keras")
        assert again.layers[1].preprocessing == p.with_layout("channels_last")
        expected = model.predict(picture[None], verbose=0)
        assert np.abs(again.predict(picture[None], verbose=0) - expected).max() <= 1e-6 * np.abs(expected).max()


def test_in_tf_data_with_and_without_known_sizes() -> None:
    pictures = [scene((97, 113)), scene((65, 79), 1)]
    for p in (P, torchvision(40, (31, 47)), torchvision(40, given="float tensor")):
        layer = p.to_keras(p.layout)
        known = tf.data.Dataset.from_tensor_slices(np.stack(pictures[:1])).batch(1).map(layer)
        for made in known:
            assert np.abs(made.numpy()[0] - p(pictures[0])).max() <= 1e-5
        signature = tf.TensorSpec((None, None, 3), tf.uint8)
        unknown = tf.data.Dataset.from_generator(lambda: iter(pictures), output_signature=signature).map(layer)
        assert unknown.element_spec.shape == (p(pictures[0]).shape if p.size else unknown.element_spec.shape)
        for made, picture in zip(unknown, pictures, strict=True):
            np.testing.assert_array_equal(made.numpy(), p(picture))


def test_kerass_own_layers_where_they_say_it() -> None:
    picture = scene((40, 51))
    for steps in ([("multiply", 1 / 255)], [("multiply", 1 / 128), ("add", -1), ("multiply", 3)]):
        scaled = Preprocessing().then(resteps(steps))
        layer = scaled.to_keras()
        assert {type(one).__name__ for one in getattr(layer, "layers", [layer])} == {"Rescaling"}
        for made in (layer(picture[None])[0], layer(picture)):
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(made), scaled(picture))
    resized = load_img((31, 47)).then(resteps([("multiply", 1 / 127.5), ("add", -1)]))
    names = [type(one).__name__ for one in resized.to_keras().layers]
    assert names == ["Preprocess", "Rescaling"]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(resized.to_keras()(picture)), resized(picture))
    assert type(pixels("tf").to_keras()).__name__ == "Preprocess"


def resteps(steps: list[tuple[Any, float]]) -> Any:
    from xconv.preprocessing import Step

    return [Step.of(operation, number) for operation, number in steps]


def test_the_layer_refuses_what_is_no_picture() -> None:
    for shape in ((40, 51), (40, 51, 4), (2, 3, 40, 51, 3)):
        with pytest.raises(InvalidInput, match="pictures have shape"):
            P.to_keras()(np.zeros(shape, np.uint8))


ON_ANOTHER_BACKEND = """
import torch
import json
import keras
import numpy as np
from xconv.preprocessing import load_img, resizing, torchvision
from xconv.preprocessing.pictures import scene

pictures = np.stack([scene((97, 113)), scene((97, 113), 1)])
off = {}
for name, p in {
    "pillow": load_img((31, 47), "bicubic", mode="caffe"),
    "tensor": torchvision(40, (50, 31), given="uint8 tensor"),
    "floats": resizing((31, 47), "bicubic", pad_to_aspect_ratio=True, fill_value=9.0, mode="torch"),
}.items():
    layer = p.to_keras(p.layout)
    expected = p.batch(pictures)
    off[name] = float(np.abs(keras.ops.convert_to_numpy(layer(pictures)) - expected).max() / np.abs(expected).max())
    import tensorflow as tf

    made = next(iter(tf.data.Dataset.from_tensor_slices(pictures).map(layer)))
    off[f"{name} in tf.data"] = float(np.abs(made.numpy() - expected[0]).max() / np.abs(expected).max())
print(json.dumps(off))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_the_layer_on_another_backend(backend: str) -> None:
    """Each backend needs a process of its own."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", ON_ANOTHER_BACKEND]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(error == 0 for name, error in found.items() if not name.startswith("floats"))
    assert all(error < 1e-6 for error in found.values())
