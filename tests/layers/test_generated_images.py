"""Law 3 over generated pictures: resizes, histograms, patches, categories of numbers, spectrograms.

Where TensorFlow computes in float32 whatever it is given, both sides do.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.comparison import assert_same
from tests.layers.reference import assert_same_numbers
from xconv.spec import Example, Slot
from xconv.torch import modules
from xconv.torch.modules.hashes import buckets, crossed
from xconv.torch.modules.warps import homography, projected

few = settings(max_examples=25, deadline=None)
kernels = st.sampled_from(["nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5"])
ONE = (Slot(0),)


@st.composite
def pictures(draw: Any, least: int = 1, most: int = 12, channels: int | None = None) -> tuple[int, ...]:
    sides = (draw(st.integers(least, most)) for _ in range(2))
    return (*sides, channels or draw(st.integers(1, 3)))


@st.composite
def resizings(draw: Any) -> Example:
    kernel, keeps = draw(kernels), draw(st.sampled_from(["", "crop", "pad"]))
    config: dict[str, Any] = {"interpolation": kernel, "antialias": draw(st.booleans())}
    if keeps:
        config |= {f"{keeps}_to_aspect_ratio": True, "fill_value": draw(st.sampled_from([0.0, 0.5, -2.0]))}
    height, width = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    if draw(st.booleans()):
        layer = {"height": height, "width": width}
        return Example("Resizing", (draw(pictures()),), {**config, **layer}, float64=kernel == "nearest")
    return Example("ops.Resize", (draw(pictures()),), {**config, "size": (height, width)}, args=ONE, float64=False)


@st.composite
def upsamplings(draw: Any) -> Example:
    kernel, factors = draw(kernels.filter(lambda word: word != "area")), st.integers(1, 4)
    config = {"size": (draw(factors), draw(factors)), "interpolation": kernel}
    return Example("UpSampling2D", (draw(pictures()),), config, float64=kernel == "nearest")


@st.composite
def centre_crops(draw: Any) -> Example:
    height, width = (draw(st.integers(1, 12)) for _ in range(2))
    return Example("CenterCrop", (draw(pictures()),), {"height": height, "width": width}, float64=False)


@st.composite
def frames(draw: Any) -> Example:
    """Crops that leave a pixel, and pads; two of three numbers along each axis."""
    shape, crops = draw(pictures(5, 9)), draw(st.booleans())
    word = "cropping" if crops else "padding"
    config: dict[str, int] = {}
    for size, target, sides in zip(
        shape, ("target_height", "target_width"), (("top", "bottom"), ("left", "right")), strict=False
    ):
        first, last = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        given = {f"{sides[0]}_{word}": first, f"{sides[1]}_{word}": last}
        given[target] = size - first - last if crops else size + first + last
        missing = draw(st.sampled_from(list(given)))
        config |= {key: number for key, number in given.items() if key != missing}
    return Example(f"ops.{'Crop' if crops else 'Pad'}Images", (shape,), config, args=ONE)


@st.composite
def contrasts(draw: Any) -> Example:
    low = draw(st.sampled_from([0, -3.0]))
    config: dict[str, Any] = {"value_range": (low, draw(st.sampled_from([2.0, 255])))}
    if draw(st.booleans()):
        return Example("AutoContrast", (draw(pictures(3)),), config, float64=False)
    config |= {"tile_grid_size": (draw(st.integers(1, 3)), draw(st.integers(1, 3)))}
    config |= {"clip_limit": draw(st.sampled_from([0.0, 1.5, 4.0]))}
    kind = "ContrastLimitedAdaptiveHistogramEqualization"
    return Example(kind, (draw(pictures(3)),), config, float64=False)


@st.composite
def patches(draw: Any) -> Example:
    size = tuple(draw(st.integers(1, 3)) for _ in range(2))
    strided = draw(st.booleans())
    config = {"size": size, "strides": tuple(draw(st.integers(1, 3)) for _ in range(2)) if strided else 1}
    config |= {
        "dilation_rate": 1 if strided else draw(st.integers(1, 2)),
        "padding": draw(st.sampled_from(["valid", "same"])),
    }
    return Example("ops.ExtractPatches", (draw(pictures(6, 9)),), config, args=ONE)


@st.composite
def blurs(draw: Any) -> Example:
    odd, width = st.sampled_from([1, 3, 5]), st.floats(0.3, 3.0)
    config = {"kernel_size": (draw(odd), draw(odd)), "sigma": (draw(width), draw(width))}
    return Example("ops.GaussianBlur", (draw(pictures()),), config, args=ONE)


@st.composite
def colours(draw: Any) -> Example:
    kind = draw(st.sampled_from(["ops.RGBToHSV", "ops.HSVToRGB", "ops.RGBToGrayscale", "ops.SobelEdges"]))
    values = {"ops.RGBToHSV": "positive", "ops.HSVToRGB": "unit"}.get(kind, "normal")
    exact = kind != "ops.RGBToGrayscale"
    return Example(kind, (draw(pictures(3, 8, 3)),), args=ONE, values=values, float64=exact)


@st.composite
def transforms(draw: Any) -> Example:
    modes, words = st.sampled_from(["constant", "nearest", "wrap", "reflect"]), st.sampled_from(["nearest", "bilinear"])
    config = {"fill_mode": draw(modes), "interpolation": draw(words), "fill_value": draw(st.sampled_from([0.0, 1.5]))}
    return Example("ops.AffineTransform", (draw(pictures(2, 7)), (8,)), config, float64=False)


@st.composite
def likenesses(draw: Any) -> Example:
    shape, size = draw(pictures(6, 10)), draw(st.integers(1, 6))
    config = {"filter_size": size, "filter_sigma": draw(st.sampled_from([0.7, 1.5])), "max_val": 2.0}
    return Example("ops.SSIM", (shape, shape), config)


@st.composite
def bins(draw: Any) -> Example:
    edges = sorted(draw(st.lists(st.floats(-2, 2), min_size=1, max_size=5, unique=True)))
    mode = draw(st.sampled_from(["int", "one_hot", "multi_hot", "count"]))
    shape = tuple(draw(st.lists(st.integers(2, 4), min_size=1, max_size=2)))
    return Example("Discretization", (shape,), {"bin_boundaries": edges, "output_mode": mode})


@st.composite
def categories(draw: Any) -> Example:
    mode, size = draw(st.sampled_from(["one_hot", "multi_hot", "count"])), draw(st.integers(1, 5))
    config = {"num_tokens": draw(st.integers(4, 9)), "output_mode": mode}
    return Example("CategoryEncoding", ((size,),), config, values="integers")


@st.composite
def hashings(draw: Any) -> Example:
    mode = draw(st.sampled_from(["int", "multi_hot", "count"]))
    config = {"num_bins": draw(st.integers(2, 50)), "output_mode": mode}
    config |= {"mask_value": draw(st.none() | st.integers(0, 3))}
    config |= {"salt": draw(st.none() | st.tuples(st.integers(1, 999), st.integers(1, 999)))}
    return Example("Hashing", ((draw(st.integers(2, 5)),),), config, values="integers")


@st.composite
def lookups(draw: Any) -> Example:
    words = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True))
    mode = draw(st.sampled_from(["int", "one_hot", "multi_hot", "count"]))
    config: dict[str, Any] = {"vocabulary": words, "output_mode": mode, "num_oov_indices": draw(st.integers(1, 3))}
    config |= {
        "mask_token": draw(st.sampled_from([None, 11, 12])),
        "oov_method": draw(st.sampled_from(["floormod", "farmhash"])),
    }
    if draw(st.booleans()):
        config |= {"max_tokens": 20, "pad_to_max_tokens": draw(st.booleans())}
    if mode == "int":
        config["invert"] = draw(st.booleans())
    return Example("IntegerLookup", ((draw(st.integers(2, 5)),),), config, values="integers")


@st.composite
def transformed_sounds(draw: Any) -> Example:
    """Without a window by name and a scaling, for which Keras asks for SciPy."""
    mode = draw(st.sampled_from(["real", "imag", "log", "magnitude", "psd", "angle", "stft"]))
    frame, size = draw(st.integers(2, 9)), draw(st.sampled_from([16, 32]))
    config = {"mode": mode, "frame_length": frame, "frame_step": draw(st.integers(1, frame)), "fft_length": size}
    config |= {"padding": draw(st.sampled_from(["valid", "same"])), "expand_dims": draw(st.booleans())}
    kernels = ((frame, 1, size // 2 + 1),) * (1 if mode in ("real", "imag") else 2)
    config |= {"window": None, "scaling": None}
    return Example("STFTSpectrogram", ((draw(st.integers(frame, 25)), draw(st.integers(1, 3))),), config, kernels)


@st.composite
def mel_sounds(draw: Any) -> Example:
    """Lengths for which the number of frames that Keras states is the one that it gives."""
    size, step = draw(st.integers(6, 20)), draw(st.integers(2, 8))
    length = draw(
        st.integers(size, 40).filter(lambda n: 1 + (n + 2 * (size // 2) - size) // step == (n + step + 1) // step)
    )
    config = {"fft_length": size, "sequence_stride": step, "sequence_length": draw(st.integers(2, size))}
    config |= {"num_mel_bins": draw(st.integers(1, 5)), "window": draw(st.sampled_from(["hann", "hamming", None]))}
    config |= {"power_to_db": draw(st.booleans()), "mag_exp": draw(st.sampled_from([1.0, 2.0])), "min_freq": 100.0}
    config["min_power"] = 0.1  # the logarithm of less makes float32 rounding large
    return Example("MelSpectrogram", ((length,),), config, float64=False)


@few
@given(resizings())
def test_resizings(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(upsamplings())
def test_upsamplings(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(centre_crops())
def test_centre_crops(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(frames())
def test_crops_and_pads(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(contrasts())
def test_contrasts(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(patches())
def test_patches(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(blurs())
def test_blurs(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(colours())
def test_colours(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(transforms())
def test_transforms(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(likenesses())
def test_likenesses(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(bins())
def test_bins(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(categories())
def test_categories(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(hashings())
def test_hashings(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(lookups())
def test_lookups(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(transformed_sounds())
def test_transformed_sounds(example: Example) -> None:
    assert_same_numbers(example)


@few
@given(mel_sounds())
def test_mel_sounds(example: Example) -> None:
    assert_same_numbers(example)


# ------------------------------------------------------------------------------- what no Functional model of Keras runs


def test_hashes_of_numbers_of_every_length() -> None:
    random = np.random.default_rng(0)
    ends = [0, 1, -1, 9, 10, -10, 2**63 - 1, -(2**63), 10**18, -(10**18)]
    x = np.concatenate([ends, *(random.integers(-(10**k), 10**k, 30) for k in range(1, 19))]).astype("int64")
    for count in (7, 1000003, 2**31 - 1):
        text = tf.as_string(x)
        np.testing.assert_array_equal(buckets(torch.tensor(x), count), tf.strings.to_hash_bucket_fast(text, count))
        for salt in ((1, 2), (2**40, -5)):
            expected = tf.strings.to_hash_bucket_strong(text, count, key=list(salt))
            np.testing.assert_array_equal(buckets(torch.tensor(x), count, salt), expected)
        columns = np.split(x[: len(x) // 3 * 3, None], 3)
        expected = tf.sparse.to_dense(tf.sparse.cross_hashed([tf.constant(c) for c in columns], count))
        np.testing.assert_array_equal(crossed([torch.tensor(c) for c in columns], count), expected)


def test_perspectives() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(5, 7, 9, 3)).astype("float32")
    start = np.tile(np.array([[0, 0], [8, 0], [0, 6], [8, 6]], "float32"), (5, 1, 1))
    end = (start + start * random.uniform(-0.3, 0.3, start.shape)).astype("float32")
    expected = keras.ops.image.perspective_transform(x, start, end, fill_value=0.3, data_format="channels_last")
    rows = homography(torch.tensor(start), torch.tensor(end))
    got = projected(torch.tensor(x).permute(0, 3, 1, 2), rows, "bilinear", "constant", 0.3).permute(0, 2, 3, 1)
    assert_same(got, expected, relative=2e-5)


def test_sound_with_its_channels_first() -> None:
    """TensorFlow has no such convolution on a CPU; it is that of the turned sound."""
    options = {"frame_length": 6, "frame_step": 4, "fft_length": 8, "mode": "stft"}
    for expanded in (False, True):
        both = [
            modules.STFTSpectrogram(**options, expand_dims=expanded, data_format=layout)
            for layout in ("channels_first", "channels_last")
        ]
        with torch.no_grad():
            for kernel in both[0].parameters():
                kernel.normal_()
        both[1].load_state_dict(both[0].state_dict())
        x = torch.randn(2, 3, 21)
        turned = both[1](x.transpose(1, 2))
        assert_same(
            both[0](x), turned.transpose(1, 3).transpose(2, 3) if expanded else turned.transpose(1, 2), relative=1e-6
        )
