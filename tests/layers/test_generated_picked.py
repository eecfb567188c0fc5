"""Laws 2 and 3 over generated picks and products: take_along_axis, x[...], addcmul, addcdiv."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layers.reference import assert_same_numbers
from tests.layers.test_torch_generated import check
from xconv.spec import Example, Slot, TorchExample

few = settings(max_examples=25)
sizes = st.integers(1, 6)


@st.composite
def taken_along(draw: Any) -> Example:
    """Numbers for every place, or the same along some axes; tensors of two to four axes."""
    rank = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(4, 6)) for _ in range(rank))
    axis = draw(st.integers(1, rank))
    numbers = tuple(
        draw(sizes) if place + 1 == axis else draw(st.sampled_from([1, size])) for place, size in enumerate(shape)
    )
    given_axis = draw(st.sampled_from([axis, axis - rank - 1]))
    args = (Slot(0), Slot(1))
    return Example("ops.TakeAlongAxis", (shape, numbers), {"axis": given_axis}, args=args, values="integers")


@st.composite
def picked(draw: Any) -> TorchExample:
    """Lists of numbers along one axis or several, side by side or apart, negative ones too."""
    shape = tuple(draw(st.integers(2, 5)) for _ in range(3))
    over = sorted(draw(st.sets(st.integers(0, 2), min_size=1, max_size=3)))
    count = draw(st.integers(1, 4))
    key: list[Any] = [slice(None)]
    for place in range(over[-1] + 1):
        size = shape[place]
        numbers = draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count))
        key.append(numbers if place in over else slice(None))
    return TorchExample("operator.getitem", (shape,), args=(Slot(0), tuple(key)))


@st.composite
def products(draw: Any) -> TorchExample:
    """Tensors of one shape, or with axes of size 1 that are spread.

    No axis is as long as the batch of 3: keras.ops.add on TensorFlow takes (batch, 1) for a bias where the batch is as
    large as an axis of the other tensor, and adds it along that axis.
    """
    shape = tuple(draw(st.sampled_from([2, 4, 5, 7])) for _ in range(draw(st.integers(1, 3))))
    others = [tuple(draw(st.sampled_from([1, size])) for size in shape) for _ in range(2)]
    value = draw(st.sampled_from([1, -0.5, 2.25]))
    target = draw(st.sampled_from(["torch.addcmul", "torch.addcdiv"]))
    return TorchExample(target, (shape, *others), kwargs={"value": value}, values="positive")


@few
@given(taken_along())
def test_taken_along(example: Example) -> None:
    assert_same_numbers(example, training=False)


@few
@given(picked())
def test_picked(example: TorchExample) -> None:
    check(example)


@few
@given(products())
def test_products(example: TorchExample) -> None:
    check(example)
