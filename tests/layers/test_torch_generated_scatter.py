"""Laws 2 and 3 over generated writes: `x[...] = y`, scatter, index_add ..., pools put back; any axes, any sizes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.test_torch_generated import check
from xconv.spec import Slot, TorchExample

few = settings(max_examples=12)
WHOLE = slice(None)
X, Y, Z = Slot(0), Slot(1), Slot(2)

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:index_reduce\(\) is in beta:UserWarning"),
    pytest.mark.filterwarnings("ignore:The reduce argument of torch.scatter with Tensor src:UserWarning"),
]


def function(name: str, shapes: Any, args: Any, kwargs: Any = None, values: str = "normal") -> TorchExample:
    return TorchExample(f"tests.layers.indexing.{name}", tuple(shapes), args=args, kwargs=kwargs or {}, values=values)


@st.composite
def shapes_of(draw: Any, low: int = 1, high: int = 3) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.sampled_from([4, 5, 6]), min_size=low, max_size=high)))


@st.composite
def scatters(draw: Any) -> TorchExample:
    """Numbers for all places along other axes, or for the first of them; the batch; every way in which values meet."""
    shape = draw(shapes_of())
    axis = draw(st.integers(0, len(shape)))
    numbers = tuple(
        draw(st.integers(1, 7)) if place == axis else draw(st.sampled_from([size, size, size - 1]))
        for place, size in enumerate(shape, 1)
    )
    dim = axis if draw(st.booleans()) else axis - len(shape) - 1
    name = draw(st.sampled_from(["scatter", "scatter_add", "scatter_reduce", "scatter_reduce"]))
    fed = "normal places normal"
    args: tuple[Any, ...] = (X, name, dim, Y, Z)
    kwargs: dict[str, Any] = {}
    if name == "scatter_reduce":
        kinds = ["sum", "mean", "amax", "amin"] + ["prod"] * (axis > 0)
        args = (*args, draw(st.sampled_from(kinds)))
        kwargs = {"include_self": draw(st.booleans())}
        fed = draw(st.sampled_from([fed, fed, "integers places integers"]))
    elif name == "scatter" and draw(st.booleans()):
        return function("scatter_like", (shape, numbers), (*args[:-1], draw(NUMBERS)), values="normal places")
    return function("scatter_like", (shape, numbers, numbers), args, kwargs, fed)


NUMBERS = st.sampled_from([0.0, 1.0, -2.5])


@st.composite
def known_places(draw: Any) -> TorchExample:
    """Constant numbers, side by side and apart, from the back and twice; masks; values that are broadcast."""
    shape = draw(shapes_of())
    rank = len(shape)
    over = sorted(draw(st.sets(st.integers(1, rank), min_size=1, max_size=2)))
    count, accumulate = draw(st.integers(1, 4)), draw(st.booleans())
    key: list[Any] = [WHOLE] * (over[-1] + 1)
    for axis in over:
        size = shape[axis - 1]
        low = -size if accumulate else 0  # torch leaves open which of several values in one place stays
        key[axis] = draw(st.lists(st.integers(low, size - 1), min_size=count, max_size=count, unique=not accumulate))
    if len(over) == 1 and draw(st.booleans()):
        key[over[0]] = draw(st.lists(st.booleans(), min_size=shape[over[0] - 1], max_size=shape[over[0] - 1]))
        count = sum(key[over[0]])
    kwargs = {"accumulate": accumulate}
    if draw(st.booleans()):
        return function("put", (shape,), (X, tuple(key), draw(NUMBERS)), kwargs)
    apart = len(over) == 2 and over[1] != over[0] + 1
    rest = [size for axis, size in enumerate(shape, 1) if axis not in over]
    place = over[0] - 1
    values = tuple(rest) if apart else (*rest[:place], count, *rest[place:])  # apart, the places stand before the batch
    values = tuple(size if draw(st.integers(0, 3)) else 1 for size in values)
    return function("put", (shape, values), (X, tuple(key), Y), kwargs)


@st.composite
def rows(draw: Any) -> TorchExample:
    """index_add and its kin by constant numbers, and by computed ones."""
    shape = draw(shapes_of())
    axis = draw(st.integers(1, len(shape)))
    name = draw(st.sampled_from(["index_add", "index_copy", "index_fill", "index_reduce", "index_reduce"]))
    count = draw(st.integers(1, 4 if name == "index_copy" else 6))
    source = tuple(count if place == axis else size for place, size in enumerate(shape, 1))
    computed = draw(st.booleans())
    index: Any = (
        Z
        if computed
        else draw(st.lists(st.integers(0, 3), min_size=count, max_size=count, unique=name == "index_copy"))
    )
    given: tuple[tuple[int, ...], ...] = (shape, source, (count,)) if computed else (shape, source)
    fed = "normal normal places" if computed else "normal"
    if name == "index_fill":
        args: tuple[Any, ...] = (draw(NUMBERS),)
        index = Y if computed else index
        given, fed = ((shape, (count,)), "normal places") if computed else ((shape,), "normal")
    else:
        args = (Y,)
    if name == "index_reduce":
        args = (Y, draw(st.sampled_from(["prod", "mean", "amax", "amin"])))
        return function("at", given, (X, name, axis, index, *args), {"include_self": draw(st.booleans())}, fed)
    kwargs = {"alpha": draw(st.sampled_from([1, -0.5]))} if name == "index_add" else {}
    return function("at", given, (X, name, axis, index, *args), kwargs, fed)


@st.composite
def samples(draw: Any) -> TorchExample:
    """`x[arange, index] = y`: one place of every sample or several, from the back too."""
    shape = draw(shapes_of())
    several = tuple(draw(st.lists(st.integers(1, 4), max_size=2)))
    kwargs = {"accumulate": draw(st.booleans()), "negative": draw(st.booleans())}
    if draw(st.booleans()):
        return function("each_sample", (shape, several), (X, Y, draw(NUMBERS)), kwargs, "normal places")
    given = (shape, several, (*several, *shape[1:]))
    return function("each_sample", given, (X, Y, Z), kwargs, "normal places normal")


@st.composite
def masks(draw: Any) -> TorchExample:
    """`x[mask] = y`: a mask of whole samples or of the first axes, values for the others."""
    shape = draw(shapes_of(low=2))
    covers = draw(st.integers(0, len(shape)))
    if draw(st.booleans()):
        return function("put", (shape, shape[:covers]), (X, Y, draw(NUMBERS)), values="normal boolean")
    wide = tuple(draw(st.sampled_from([size, 1])) for size in shape)
    return TorchExample("torch.masked_scatter", (shape, wide, shape), values="normal boolean normal")


@st.composite
def steps(draw: Any) -> TorchExample:
    """`x[:, a:b:n] = y`."""
    shape = draw(shapes_of())
    axis = draw(st.integers(1, len(shape)))
    size = shape[axis - 1]
    start, step = draw(st.integers(0, size - 1)), draw(st.integers(2, 4))
    end = draw(st.integers(start + 1, size))
    key = (*(WHOLE,) * axis, slice(start, end, step))
    count = len(range(start, end, step))
    values = tuple(count if place == axis else n for place, n in enumerate(shape, 1))
    if draw(st.booleans()):
        return function("put", (shape,), (X, key, draw(NUMBERS)))
    return function("put", (shape, values), (X, key, Y))


@st.composite
def unpools(draw: Any) -> TorchExample:
    """A pool's maxima put back, windows that overlap too."""
    rank = draw(st.integers(1, 3))
    kernel = tuple(draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank)))
    stride = tuple(draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank)))
    sizes = tuple(k + s * draw(st.integers(1, 2)) for k, s in zip(kernel, stride, strict=True))
    config = {"kernel_size": kernel, "stride": stride}
    example = function("unpooled", ((2, *sizes),), (X, rank), config)
    return TorchExample(example.target, example.inputs, args=example.args, kwargs=config, float64=rank < 3)


@st.composite
def indices(draw: Any) -> TorchExample:
    """The places of a pool's maxima: pads, ceil_mode, dilation."""
    rank = draw(st.integers(1, 3))
    numbers = st.lists(st.integers(1, 3), min_size=rank, max_size=rank).map(tuple)
    config: dict[str, Any] = {"kernel_size": draw(numbers), "stride": draw(numbers), "return_indices": True}
    config["dilation"] = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    config["padding"] = tuple(draw(st.integers(0, k // 2)) for k in config["kernel_size"])
    config["ceil_mode"] = draw(st.booleans())
    sizes = tuple(draw(st.integers(6, 9)) for _ in range(rank))
    return TorchExample(f"torch.nn.MaxPool{rank}d", ((2, *sizes),), config, float64=rank < 3)


@few
@given(scatters())
def test_scatter(example: TorchExample) -> None:
    check(example)


@few
@given(known_places())
def test_known_places(example: TorchExample) -> None:
    check(example)


@few
@given(rows())
def test_rows(example: TorchExample) -> None:
    check(example)


@few
@given(samples())
def test_one_place_of_every_sample(example: TorchExample) -> None:
    check(example)


@few
@given(masks())
def test_masks(example: TorchExample) -> None:
    check(example)


@few
@given(steps())
def test_every_nth_place(example: TorchExample) -> None:
    check(example)


@few
@given(unpools())
def test_pools_put_back(example: TorchExample) -> None:
    check(example)


@few
@given(indices())
def test_places_of_maxima(example: TorchExample) -> None:
    check(example)
