"""What is done to the numbers of pixels, operation by operation, as their owner computes it in float32."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from xconv.errors import InvalidInput
from xconv.preprocessing.value_maps import IMAGENET_MEAN, IMAGENET_STD, Scaling, ValueMap

__all__ = ["BGR", "MODES_OF_KERAS", "OPERATIONS", "RGB", "Step", "apply", "mode_steps", "normalise", "value_map"]

Channels: TypeAlias = tuple[float, float, float]
Operation: TypeAlias = Literal["add", "subtract", "multiply", "divide"]
OPERATIONS = ("add", "subtract", "multiply", "divide")
RGB, BGR = "RGB", "BGR"
CAFFE_BGR = (103.939, 116.779, 123.68)
SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


@dataclass(frozen=True, slots=True)
class Step:
    """One operation with a number for each channel of the result.

    `x / 255` and `x * (1 / 255)` are two steps, because they differ in the last bit.

    >>> print(Step.of("divide", 255), Step("subtract", (1.0, 2.0, 3.0)))
    / 255 - (1, 2, 3)
    """

    operation: Operation
    numbers: Channels

    def __post_init__(self) -> None:
        given: Any = self.numbers
        numbers = isinstance(given, tuple) and all(isinstance(one, (int, float)) for one in given)
        if self.operation not in OPERATIONS or not numbers or len(self.numbers) != 3:
            said = f"{self.operation!r} with {self.numbers} is no step"
            raise InvalidInput(said, remedy=f"give one of {', '.join(OPERATIONS)} and three numbers")
        if not np.isfinite(self.numbers).all() or (self.operation == "divide" and 0 in self.numbers):
            raise InvalidInput(f"{self} gives no finite numbers", remedy="give finite numbers, and no 0 to divide by")

    @classmethod
    def of(cls, operation: Operation, number: float | Iterable[float]) -> Step:
        """The step with one number for all channels, or one for each."""
        if isinstance(number, Iterable):
            return cls(operation, tuple(map(float, number)))  # type: ignore[arg-type]  # __post_init__ counts them
        return cls(operation, (float(number),) * 3)

    @property
    def scaling(self) -> Scaling:
        """The same as a factor and an offset, told by place."""
        numbers = self.numbers
        if self.operation in ("add", "subtract"):
            sign = 1 if self.operation == "add" else -1
            return Scaling((1.0,) * 3, (sign * numbers[0], sign * numbers[1], sign * numbers[2]))
        factor = numbers if self.operation == "multiply" else (1 / numbers[0], 1 / numbers[1], 1 / numbers[2])
        return Scaling(factor, (0.0,) * 3)

    def __str__(self) -> str:
        numbers = [f"{number:g}" for number in self.numbers]
        return f"{SIGNS[self.operation]} {numbers[0] if len(set(numbers)) == 1 else '(' + ', '.join(numbers) + ')'}"


def normalise(mean: Iterable[float] | float, std: Iterable[float] | float) -> tuple[Step, Step]:
    """Minus the mean, then divided by the deviation."""
    return Step.of("subtract", mean), Step.of("divide", std)


MODES_OF_KERAS: dict[str, tuple[str, tuple[Step, ...]]] = {
    "caffe": (BGR, (Step("subtract", CAFFE_BGR),)),
    "tf": (RGB, (Step.of("divide", 127.5), Step.of("subtract", 1))),
    "torch": (RGB, (Step.of("divide", 255), *normalise(IMAGENET_MEAN, IMAGENET_STD))),
    "inside": (RGB, ()),
}
"""The channels and steps of `preprocess_input`, by the names that keras.applications gives them."""


def mode_steps(mode: str | None) -> tuple[str, tuple[Step, ...]]:
    """The channels and the steps of a mode; none for None.

    Raises:
        InvalidInput: there is no such mode.
    """
    if mode is None:
        return RGB, ()
    if mode not in MODES_OF_KERAS:
        raise InvalidInput(f"there is no mode {mode!r}", remedy=f"give one of {', '.join(MODES_OF_KERAS)}, or None")
    return MODES_OF_KERAS[mode]


def apply(steps: Iterable[Step], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A new array with the steps done to the last axis, in its own floating point.

    >>> apply([Step.of("divide", 2), Step.of("add", 1)], np.float32([[2, 4, 6]])).tolist()
    [[2.0, 3.0, 4.0]]
    """
    for step in steps:
        numbers = np.asarray(step.numbers, values.dtype)
        values = getattr(np, step.operation)(values, numbers)
    return values


def value_map(channels: str, steps: Iterable[Step]) -> ValueMap:
    """The same as one factor and one offset for red, green and blue."""
    by_place = Scaling((1.0,) * 3, (0.0,) * 3)
    for step in steps:
        by_place = step.scaling.after(by_place)
    order = tuple(RGB.index(letter) for letter in channels)
    return ValueMap((order[0], order[1], order[2]), by_place if channels == RGB else by_place.reversed())
