"""One side of a verification: what every runner offers, whatever it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from xconv.errors import XConvError
from xconv.inputs import Feed
from xconv.keras.walk import Key
from xconv.statistics import Array

__all__ = ["OWN", "Named", "NoKernel", "Side", "Whole"]

OWN = "own"
"""Instead of a dtype: the precision that the model itself is in."""


class NoKernel(XConvError):
    """The framework cannot run this model in this precision; the verification falls back to float32."""


@dataclass(frozen=True, slots=True)
class Named:
    """One output tensor with its name, in the source's written layout."""

    name: str
    value: Array


class Side(Protocol):
    """A model that can be run: Keras, torch or a callable."""

    name: str
    framework: str
    """'keras', 'torch' or 'callable'."""
    notes: list[str]
    """What the reader of the report should know about how it was run."""

    def feeds(self) -> tuple[Feed, ...]:
        """The inputs that it asks for; empty where it cannot tell."""
        ...

    def outputs(self, inputs: Sequence[Array], dtype: str) -> tuple[Named, ...]:
        """Its outputs in inference mode, for flat inputs in written layout, computed in `dtype`, which may be `OWN`."""
        ...

    def layers(self, inputs: Sequence[Array], dtype: str) -> Iterator[tuple[Key, Array]]:
        """Every layer's output as it is computed; nothing where it has no layers that could be named."""
        ...

    def kinds(self) -> dict[str, str]:
        """The class name of every layer, by path."""
        ...

    def is_fresh(self) -> bool:
        """Whether every BatchNorm still has the statistics that it was made with."""
        ...

    def release(self) -> None:
        """Drops the copies that it made in other precisions."""
        ...


class Whole:
    """What a side says of its layers where it is run as a whole: that it knows of none."""

    def layers(self, inputs: Sequence[Array], dtype: str) -> Iterator[tuple[Key, Array]]:
        """Nothing: it is run as a whole."""
        del inputs, dtype
        return iter(())

    def kinds(self) -> dict[str, str]:
        """Nothing."""
        return {}

    def is_fresh(self) -> bool:
        """Unknown, hence False."""
        return False

    def release(self) -> None:
        """Nothing to drop."""
