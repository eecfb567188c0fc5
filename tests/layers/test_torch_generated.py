"""Laws 2 and 3 over generated torch layers: geometry that no table would list.

Sizes are guarded: a window fits into what it slides over, and no result is empty.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.closure import assert_read_back_from_keras
from tests.layers.torch_reference import assert_same_answers, case_of, convert
from xconv.padding import effective
from xconv.spec import Slot, TorchExample

few = settings(max_examples=15)
sides = st.integers(1, 4)


def one_for_each(rank: int, numbers: Any) -> Any:
    return st.lists(numbers, min_size=rank, max_size=rank).map(tuple)


def check(example: TorchExample) -> None:
    """Numbers in inference and training, and what is written in Keras is read back."""
    case = case_of(example)
    found = convert(case.captured, "float64" if example.float64 else "float32")
    assert_same_answers(case, found, training=False)
    if example.trains:
        assert_same_answers(case, found, training=True)
    assert_read_back_from_keras(case)


@st.composite
def convolutions(draw: Any) -> TorchExample:
    """TensorFlow has no grouped three-dimensional kernels, and none that are strided and dilated at once."""
    rank = draw(st.integers(1, 3))
    kernel = draw(one_for_each(rank, st.integers(1, 3)))
    dilation = draw(one_for_each(rank, st.integers(1, 2)))
    padding = draw(st.one_of(st.sampled_from(["same", "valid"]), one_for_each(rank, st.integers(0, 3))))
    stride = (1,) * rank if isinstance(padding, str) else draw(one_for_each(rank, st.integers(1, 3)))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    mode = draw(st.sampled_from(["zeros", "zeros", "zeros", "reflect", "replicate", "circular"]))
    sizes = tuple(
        draw(st.integers(effective(k, d) + 3, effective(k, d) + 6)) for k, d in zip(kernel, dilation, strict=True)
    )
    config = {
        "in_channels": 2 * groups,
        "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
        "padding_mode": mode,
    }
    return TorchExample(f"torch.nn.Conv{rank}d", ((2 * groups, *sizes),), config)


@st.composite
def transposed(draw: Any) -> TorchExample:
    """The output padding is less than the stride or the dilation; the crop leaves something.

    TensorFlow has no kernel on a CPU for dilation alone, without strides or groups.
    """
    rank, groups = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2]))
    kernel, stride = draw(one_for_each(rank, st.integers(1, 3))), draw(one_for_each(rank, st.integers(1, 3)))
    alone = groups == 1 and max(stride) == 1
    dilation = (1,) * rank if alone else draw(one_for_each(rank, st.integers(1, 2)))
    sizes = tuple(draw(st.integers(3, 5)) for _ in range(rank))
    padding = tuple(draw(st.integers(0, effective(k, d) - 1)) for k, d in zip(kernel, dilation, strict=True))
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    config = {
        "in_channels": 2 * groups,
        "out_channels": groups,
        "kernel_size": kernel,
        "stride": stride,
        "padding": tuple(min(p, 1) for p in padding),
        "output_padding": extra,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    return TorchExample(f"torch.nn.ConvTranspose{rank}d", ((2 * groups, *sizes),), config)


@st.composite
def poolings(draw: Any) -> TorchExample:
    """Pads of at most half the window, as torch asks; TensorFlow has no three-dimensional pooling in float64."""
    rank, kind = draw(st.integers(1, 3)), draw(st.sampled_from(["Max", "Avg"]))
    window = draw(one_for_each(rank, sides))
    stride = draw(st.none() | one_for_each(rank, st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, k // 2)) for k in window)
    config: dict[str, Any] = {"kernel_size": window, "stride": stride, "padding": padding}
    config["ceil_mode"] = draw(st.booleans())
    dilation = (1,) * rank
    if kind == "Max":
        config["dilation"] = dilation = draw(one_for_each(rank, st.integers(1, 2)))
    else:
        config["count_include_pad"] = draw(st.booleans())
    sizes = (draw(st.integers(effective(k, d), effective(k, d) + 5)) for k, d in zip(window, dilation, strict=True))
    return TorchExample(f"torch.nn.{kind}Pool{rank}d", ((2, *sizes),), config, float64=rank < 3)


@st.composite
def pads(draw: Any) -> TorchExample:
    """Every mode; reflections are shorter than the axis, and a constant may crop."""
    rank = draw(st.integers(1, 3))
    mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    low = -1 if mode == "constant" else 0
    amounts = draw(st.lists(st.integers(low, 2), min_size=2 * rank, max_size=2 * rank))
    sizes = tuple(draw(st.integers(4, 6)) for _ in range(rank))
    kwargs: dict[str, Any] = {"pad": tuple(amounts), "mode": mode}
    if mode == "constant":
        kwargs["value"] = draw(st.sampled_from([0.0, 1.5]))
    return TorchExample("torch.nn.functional.pad", ((2, *sizes),), args=(Slot(0),), kwargs=kwargs)


@st.composite
def norms(draw: Any) -> TorchExample:
    rank, channels = draw(st.integers(1, 3)), 6
    shape = (channels, *(draw(st.integers(2, 5)) for _ in range(rank)))
    epsilon = draw(st.sampled_from([1e-5, 1e-3, 0.25]))
    match draw(st.sampled_from(["batch", "group", "layer", "instance"])):
        case "batch":
            config = {"num_features": channels, "eps": epsilon, "affine": draw(st.booleans())}
            config["momentum"] = draw(st.floats(0.05, 0.5))
            return TorchExample(f"torch.nn.BatchNorm{rank}d", (shape,), config)
        case "group":
            config = {"num_channels": channels, "num_groups": draw(st.sampled_from([1, 2, 3, 6])), "eps": epsilon}
            return TorchExample("torch.nn.GroupNorm", (shape,), config)
        case "layer":
            axes = draw(st.integers(1, rank + 1))
            config = {"normalized_shape": shape[-axes:], "eps": epsilon, "elementwise_affine": draw(st.booleans())}
            return TorchExample("torch.nn.LayerNorm", (shape,), config)
    config = {"num_features": channels, "eps": epsilon, "affine": draw(st.booleans())}
    return TorchExample(f"torch.nn.InstanceNorm{rank}d", (shape,), config)


@st.composite
def linears(draw: Any) -> TorchExample:
    shape = tuple(draw(st.lists(sides, min_size=1, max_size=3)))
    config = {"in_features": shape[-1], "out_features": draw(st.integers(1, 4)), "bias": draw(st.booleans())}
    return TorchExample("torch.nn.Linear", (shape,), config)


@st.composite
def rearrangements(draw: Any) -> TorchExample:
    """Reshapes that keep the batch, permutes, slices."""
    shape = tuple(draw(st.lists(st.sampled_from([2, 3, 4, 6]), min_size=2, max_size=3)))
    rank = len(shape) + 1
    match draw(st.sampled_from(["flatten", "join", "split", "permute", "slice", "transpose"])):
        case "flatten":
            start = draw(st.integers(1, rank - 1))
            end = draw(st.integers(start, rank - 1))
            return TorchExample("torch.flatten", (shape,), args=(Slot(0), start, end))
        case "join":
            return TorchExample("Tensor.reshape", (shape,), args=(Slot(0), -1, *shape[::-1]))
        case "split":
            place = draw(st.integers(0, len(shape) - 1))
            first = draw(st.sampled_from([n for n in (1, 2, 3, 6) if shape[place] % n == 0]))
            parts = (first, shape[place] // first)
            return TorchExample("torch.unflatten", (shape,), args=(Slot(0), place + 1, parts))
        case "permute":
            order = (0, *draw(st.permutations(range(1, rank))))
            return TorchExample("torch.permute", (shape,), args=(Slot(0), order))
        case "slice":
            place = draw(st.integers(1, rank - 1))
            start = draw(st.integers(0, shape[place - 1] - 1))
            length = draw(st.integers(1, shape[place - 1] - start))
            return TorchExample("torch.narrow", (shape,), args=(Slot(0), place, start, length))
    pair = draw(st.lists(st.integers(1, rank - 1), min_size=2, max_size=2))
    return TorchExample("torch.transpose", (shape,), args=(Slot(0), *pair))


@few
@given(convolutions())
def test_convolutions(example: TorchExample) -> None:
    check(example)


@few
@given(transposed())
def test_transposed_convolutions(example: TorchExample) -> None:
    check(example)


@few
@given(poolings())
def test_pooling(example: TorchExample) -> None:
    check(example)


@few
@given(pads())
def test_padding(example: TorchExample) -> None:
    check(example)


@few
@given(norms())
def test_normalisation(example: TorchExample) -> None:
    check(example)


@few
@given(linears())
def test_linear(example: TorchExample) -> None:
    check(example)


@few
@given(rearrangements())
def test_rearranging(example: TorchExample) -> None:
    check(example)
