"""One description of a preprocessing: what it says, refuses, writes as JSON, and computes in NumPy."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xconv.errors import InvalidInput, NotFound, Unreadable, Unsupported, XConvWarning
from xconv.preprocessing import (
    Frame,
    Kernel,
    Preprocessing,
    Step,
    interpolate,
    load_img,
    normalise,
    pixels,
    resizing,
    smart_resize,
    tf_resize,
    timm,
    torchvision,
)
from xconv.preprocessing.arithmetic import PILLOW, PILLOW_13, TORCH, blocks, passes, resized
from xconv.preprocessing.digits import LARGEST, bands, digits
from xconv.preprocessing.pictures import scene

DESCRIPTIONS = {
    "load_img": load_img((61, 47), "bicubic", mode="caffe"),
    "keep_aspect_ratio": load_img((61, 47), "lanczos", keep_aspect_ratio=True, mode="torch"),
    "smart_resize": smart_resize(53, "area", mode="tf"),
    "tf.image.resize": tf_resize((61, 47), "gaussian", antialias=True),
    "Resizing": resizing((61, 47), pad_to_aspect_ratio=True, fill_value=9.0, integers=True),
    "torchvision": torchvision(72, (80, 64), "bicubic", max_size=90, given="uint8 tensor"),
    "longer side": torchvision(None, None, max_size=70),
    "interpolate": interpolate((61, 47), "bicubic", align_corners=True),
    "timm": timm((61, 47), crop_mode="border", crop_pct=0.9),
    "no resize": pixels("caffe"),
}


@pytest.fixture(params=DESCRIPTIONS)
def description(request: pytest.FixtureRequest) -> Preprocessing:
    return DESCRIPTIONS[request.param]


def test_a_description_survives_json(description: Preprocessing) -> None:
    text = json.dumps(description.to_dict())
    assert Preprocessing.from_dict(json.loads(text)) == description
    assert hash(Preprocessing.from_dict(json.loads(text))) == hash(description)


def test_descriptions_differ_where_one_setting_does(description: Preprocessing) -> None:
    assert len({*DESCRIPTIONS.values()}) == len(DESCRIPTIONS)
    assert description != description.then([Step.of("add", 1)])


def test_what_is_given_stays_as_it_is(description: Preprocessing) -> None:
    picture = scene((97, 113))
    kept = picture.copy()
    first, second = description(picture), description(picture)
    assert np.array_equal(picture, kept)
    assert np.array_equal(first, second)
    first += 1
    assert np.array_equal(description(picture), second)


def test_pictures_in_floating_point_stay_as_they_are_too() -> None:
    for p in (pixels("caffe"), tf_resize((31, 47), "bicubic", mode="torch")):
        picture = scene((40, 51)).astype(np.float32)
        kept = picture.copy()
        made = p(picture)
        assert np.array_equal(picture, kept)
        assert not np.shares_memory(made, picture)
        assert np.array_equal(made, p(kept.astype(np.uint8)))


def test_channels_first_are_the_same_numbers(description: Preprocessing) -> None:
    picture = scene((97, 113), 3)
    last = description.with_layout("channels_last")(picture)
    first = description.with_layout("channels_first")(picture)
    assert first.flags.c_contiguous
    assert np.array_equal(np.moveaxis(first, 0, -1), last)


def test_it_is_said_in_lines() -> None:
    lines = str(load_img((61, 47), "bicubic", mode="caffe")).splitlines()
    assert len(lines) == 5
    assert lines[1].startswith("resize to 61x47: bicubic (a=-0.5), antialiased, in 8 bits")
    assert lines[2:4] == ["channels: BGR", "numbers: - (103.939, 116.779, 123.68), each in float32"]
    assert "borders of (124, 116, 104)" in str(timm(224, crop_mode="border"))


def test_sizes_are_known_or_follow_the_picture() -> None:
    assert load_img((61, 47)).size == (61, 47)
    assert torchvision(256, 224).size == (224, 224)
    assert torchvision(256).size is None
    assert [torchvision(None, None, max_size=70)(scene(size)).shape for size in ((80, 100), (100, 80))] == [
        (3, 56, 70),
        (3, 70, 56),
    ]
    assert torchvision(60, max_size=70)(scene((80, 200))).shape == (3, 28, 70)


def test_a_batch_has_an_axis_more_and_one_size() -> None:
    p = load_img((31, 47))
    pictures = [scene((40, 51)), scene((97, 33))]
    assert np.array_equal(p.batch(pictures), np.stack([p(one) for one in pictures]))
    assert np.array_equal(p(pictures), p.batch(pictures))
    with pytest.raises(InvalidInput, match="no batch; resize or crop"):
        pixels().batch(pictures)
    with pytest.raises(InvalidInput, match="no pictures"):
        p.batch([])


# -- what is given ----------------------------------------------------------------------------------------------------


def test_grey_arrays_become_three_channels() -> None:
    grey = scene((40, 51))[..., 0]
    for given in (grey, grey[..., None]):
        made = pixels()(given)
        assert made.shape == (40, 51, 3)
        assert all(np.array_equal(made[..., channel], grey) for channel in range(3))


def test_transparency_is_dropped_with_a_warning() -> None:
    picture = np.dstack([scene((40, 51)), np.full((40, 51), 255, np.uint8)])
    assert np.array_equal(pixels()(picture), picture[..., :3])
    picture[3, 4, 3] = 7
    with pytest.warns(XConvWarning, match="transparent in places"):
        assert np.array_equal(pixels()(picture), picture[..., :3])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((4, 5, 3), np.uint16), "uint16 divided by 257"),
        (np.zeros((4, 5, 3), np.int64), "dtype int64"),
        (np.zeros((4, 5, 2), np.uint8), r"shape \(4, 5, 2\)"),
        (np.zeros((2, 4, 5, 3), np.uint8), r"shape \(2, 4, 5, 3\)"),
        (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\)"),
        (np.full((4, 5, 3), np.nan, np.float32), "not finite"),
        ("no such file.png", "there is no file"),
        (io.BytesIO(b"\x89PNG but no picture"), "cannot be read as a picture"),
        (object(), "shape"),
    ],
)
def test_what_is_no_picture_is_refused(given: Any, said: str) -> None:
    with pytest.raises((InvalidInput, NotFound, Unreadable), match=said):
        pixels()(given)


def test_floats_are_refused_where_pixels_are_rounded_to_8_bits() -> None:
    picture = scene((40, 51)).astype(np.float32)
    for p in (load_img(31, "bilinear"), resizing(31, integers=True), torchvision(31, given="uint8 tensor")):
        with pytest.raises(InvalidInput, match="give uint8"):
            p(picture)


# -- what a description must be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arithmetic": "roughly"}, "arithmetic: 'roughly' is not known"),
        ({"channels": "GRB"}, "channels: 'GRB' is not known"),
        ({"layout": "NCHW"}, "layout: 'NCHW'"),
        ({"dtype": "int8"}, "dtype: 'int8'"),
        ({"orientation": "sideways"}, "orientation: 'sideways'"),
        ({"kernel": None}, "without a kernel"),
        ({"kernel": Kernel("bilinaer", True)}, "interpolation: 'bilinaer'"),
        ({"kernel": Kernel("bicubic", True)}, "variant: ''"),
        ({"kernel": Kernel("area", True)}, "nobody resizes by area"),
        ({"kernel": Kernel("bilinear", True, "corners"), "arithmetic": "in floating point"}, "corners are aligned"),
        ({"frame": Frame("keep")}, "a kernel resizes nothing"),
        ({"frame": Frame("direct")}, "size: the rule 'direct' with size None"),
        ({"frame": Frame("direct", (0, 3))}, "size: .0, 3. is no size"),
        ({"frame": Frame("stretch", (3, 3))}, "rule: 'stretch'"),
        ({"frame": Frame("shorter", (30, 30), limit=30)}, "limit: a longer side of at most 30"),
        ({"frame": Frame("fraction", (3, 3), fraction=1.5)}, "fraction: 1.5"),
        ({"frame": Frame("direct", (3, 3), (2, 2), offset="left")}, "offset: 'left'"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(changes: dict[str, Any], said: str) -> None:
    base = load_img((61, 47), "bicubic")
    with pytest.raises(InvalidInput, match=said):
        replace(base, **changes)


def test_several_mistakes_are_one_error() -> None:
    with pytest.raises(InvalidInput) as raised:
        Preprocessing(Frame("direct", (0, 3)), channels="GRB", layout="NCHW")
    assert {problem.place for problem in raised.value.problems} >= {"channels", "layout", "size", "kernel"}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"sizes": 3}, "preprocessing: 'sizes' is unknown"),
        ({"frame": {"rule": "keep", "zoom": 2}}, "frame: 'zoom' is unknown"),
        ({"frame": "keep"}, "frame: 'keep' is no object"),
        ({"frame": {}}, "frame: an entry is missing"),
        ({"steps": {"add": 1}}, "give a list"),
        ({"steps": [{"operation": "root", "numbers": [1, 2, 3]}]}, r"steps\[0\]: 'root'"),
        ({"steps": [{"operation": "add", "numbers": [1, 2]}]}, r"steps\[0\]: 'add'"),
        ({"steps": [{"operation": "add", "numbers": ["1", 2, 3]}]}, r"steps\[0\]: 'add'"),
        ({"steps": [{"operation": "divide", "numbers": [1, 0, 3]}]}, "no 0 to divide by"),
        ({"frame": {"rule": "shorter", "size": "ab", "limit": "x"}}, "size: 'ab' is no size"),
    ],
)
def test_a_record_of_something_else_is_refused(record: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Preprocessing.from_dict(record)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: load_img(224, "bicubik"),
        lambda: load_img((224, 0)),
        lambda: load_img((224, 224, 3)),  # type: ignore[arg-type]
        lambda: pixels("imagenet"),
        lambda: smart_resize(224, "gaussian"),
        lambda: tf_resize(224, "lanczos"),
        lambda: resizing(224, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
        lambda: torchvision(224, interpolation="area"),
        lambda: torchvision((224, 200), max_size=300),
        lambda: torchvision(224, given="array"),
        lambda: torchvision(224, mean=None),
        lambda: torchvision(224, interpolation="lanczos", antialias=False, given="float tensor"),
        lambda: interpolate(224, "nearest", align_corners=True),
        lambda: interpolate(224, "bilinear", align_corners=True, antialias=True),
        lambda: timm(224, crop_mode="middle"),
    ],
)
def test_what_the_owner_refuses_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        wrong()


# -- the numbers ------------------------------------------------------------------------------------------------------


def test_steps_are_computed_in_turn_in_float32() -> None:
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    levels = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, axis=2)
    expected = (levels.astype(np.float32) / np.float32(255) - mean) / std
    made = pixels("torch")(levels)
    assert made.dtype == np.float32
    assert np.array_equal(made, expected)
    multiplied = Preprocessing(steps=(Step.of("multiply", 1 / 255), *normalise(mean, std)))(levels)
    assert 0 < np.abs(multiplied - made).max() < 1e-6


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch", "inside", None])
def test_the_map_of_the_numbers_is_that_of_the_steps(mode: str | None) -> None:
    p = replace(pixels(mode), dtype="float64")
    picture = scene((9, 7))
    assert np.abs(p(picture) - p.values.made(picture.astype(float))).max() < 1e-12


def test_caffe_means_belong_to_blue_green_red() -> None:
    made = pixels("caffe")(np.uint8([[[10, 20, 30]]]))
    assert made[0, 0] == pytest.approx([30 - 103.939, 20 - 116.779, 10 - 123.68], abs=1e-4)


def test_other_dtypes() -> None:
    picture = scene((9, 7))
    single, double, half = (replace(pixels("torch"), dtype=name)(picture) for name in ("float32", "float64", "float16"))
    assert (single.dtype, double.dtype, half.dtype) == (np.float32, np.float64, np.float16)
    assert np.array_equal(half, single.astype(np.float16))
    assert 0 < np.abs(double - single).max() < 1e-6


# -- the resize -------------------------------------------------------------------------------------------------------


def test_whole_weights_are_their_digits() -> None:
    for one in passes((970, 1130), (61, 47), Kernel("bicubic", True, variant="a=-0.5"), PILLOW_13):
        bits, parts = digits(one.weights)
        assert np.array_equal(
            sum(part.astype(np.float64) * 2.0 ** (bits * place) for place, part in enumerate(parts)), one.weights
        )
        assert max(np.abs(part).sum(axis=1).max() for part in parts) * 255 <= LARGEST
        assert all(np.abs(part).max() <= 128 for part in parts)


def test_digits_get_smaller_as_more_pixels_are_added_up() -> None:
    kernel = Kernel("bilinear", True)
    for before in (50, 5000, 20000):
        (one, *_) = passes((before, 4), (3, 4), kernel, PILLOW)
        lines = np.random.default_rng(0).integers(0, 256, before).astype(np.float32)
        total = np.zeros(3, np.int64)
        for band in bands(one):
            for place, part in enumerate(band.parts):
                total += (part @ lines[band.first : band.last]).astype(np.int64) * 2 ** (band.bits * place)
        assert np.array_equal(total, one.weights.astype(np.int64) @ lines.astype(np.int64))
    with pytest.raises(Unsupported, match="two steps"):
        digits(np.ones((1, 40000)))


def test_bands_are_the_whole_matrix() -> None:
    (one, _) = passes((900, 5), (301, 5), Kernel("lanczos3", True), "in floating point")[::-1]
    made = np.zeros_like(one.weights)
    row = 0
    for first, last, band in blocks(one.weights):
        made[row : row + len(band), first:last] = band
        row += len(band)
    assert row == 301
    assert np.array_equal(made, one.weights)


@pytest.mark.parametrize(
    ("size", "wanted", "axes"),
    [
        ((90, 40), (19, 5), (0, 1)),
        ((90, 40), (20, 5), (1, 0)),
        ((60, 60), (17, 39), (0, 1)),
        ((60, 60), (18, 39), (1, 0)),
        ((40, 90), (39, 120), (0, 1)),
        ((40, 90), (41, 120), (1, 0)),
        ((40, 90), (40, 20), (1,)),
        ((40, 90), (20, 90), (0,)),
        ((40, 90), (40, 90), ()),
    ],
)
def test_pillow_13_begins_with_the_height_where_it_shrinks_by_far_more(
    size: tuple[int, int], wanted: tuple[int, int], axes: tuple[int, ...]
) -> None:
    kernel = Kernel("bilinear", True)
    assert tuple(one.axis for one in passes(size, wanted, kernel, PILLOW_13)) == axes
    assert tuple(one.axis for one in passes(size, wanted, kernel, PILLOW)) in ((1, 0), axes)


def test_one_size_is_no_resize() -> None:
    picture = scene((40, 51)).astype(float)
    for kernel in (Kernel("gaussian", True), Kernel("bilinear", True), Kernel("nearest", False)):
        assert np.array_equal(resized(picture, (40, 51), kernel), picture)


def test_a_crop_over_the_border_is_filled() -> None:
    made = torchvision(None, (7, 6), mean=None, std=None)(np.full((4, 9, 3), 255, np.uint8))
    assert made.shape == (3, 7, 6)
    assert made[0].tolist() == [[0] * 6] + [[1] * 6] * 4 + [[0] * 6] * 2
    made = Preprocessing(Frame("keep", crop=(3, 3), colour=(1.0, 2.0, 3.0)))(np.zeros((1, 1, 3), np.uint8))
    assert made[0, 0].tolist() == [1, 2, 3]
    assert made[1, 1].tolist() == [0, 0, 0]


def test_sizes_round_as_the_owner_rounds() -> None:
    picture = (97, 143)
    assert Frame("shorter", (64, 64)).resized(picture) == (64, 94)
    assert Frame("shorter", (64, 64), long="rounded").resized(picture) == (64, 94)
    assert Frame("shorter", (65, 65), long="rounded").resized(picture) == (65, 96)
    assert Frame("longer", (64, 64)).resized(picture) == (43, 64)
    assert Frame("inside", (64, 64)).resized(picture) == (43, 64)
    assert Frame("cover", (64, 64)).resized(picture) == (64, 94)


@pytest.mark.parametrize("size", [0, -1, True, 2.0, float("nan"), "224", (3,) * 3, None])
def test_what_is_no_size_is_refused(size: Any) -> None:
    with pytest.raises(InvalidInput, match="is no size; give the height and the width"):
        tf_resize(size)


def test_sizes_of_numpy_are_sizes() -> None:
    assert load_img(np.int64(31)) == load_img((np.int32(31), 31)) == load_img(31)


@pytest.mark.parametrize("part", [0, 0.0, -0.5, float("nan"), 300.0])
def test_what_is_no_part_is_refused(part: float) -> None:
    with pytest.raises(InvalidInput, match=r"crop_pct=.* is no part of a picture; give a number above 0"):
        timm(224, crop_pct=part)


def test_describing_and_running_loads_no_framework() -> None:
    code = """
        import sys, numpy as np
        from xconv.preprocessing import load_img, torchvision
        load_img(31, "bicubic", mode="caffe")(np.zeros((40, 51, 3), "u1")), torchvision(31)
        print(sorted({"torch", "keras", "tensorflow", "PIL", "torchvision"} & set(sys.modules)))
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


def test_torch_rounds_16_bits() -> None:
    """With as many places after the point as the largest weight leaves."""
    (one, _) = passes((40, 51), (80, 97), Kernel("bilinear", False), TORCH)
    assert one.bits == 14
    assert np.abs(one.weights).max() < 2**15
