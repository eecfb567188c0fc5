"""Writes docs/layers.md: every Keras class that xconv reads, from the families themselves. Run it after adding a layer."""

from __future__ import annotations

from pathlib import Path

from xconv.layers import families
from xconv.spec import Spec

PAGE = Path(__file__).with_name("layers.md")

INTRODUCTION = """# Layers

Every Keras layer and operation that xconv reads, by family. Generated from the families by `python docs/layers_page.py`.
What is refused is refused by name, with the reason; a layer that is not here can be taught with `xconv.register`.

| family | Keras layers | operations of keras.ops | training |
|---|---|---|---|
"""


def page() -> str:
    """The page as it should be."""
    rows = sorted(families(), key=lambda family: family.__name__)
    return INTRODUCTION + "".join(map(_row, rows))


def _row(family: type[Spec]) -> str:
    layers = [kind for kind in family.keras_kinds if not kind.startswith("ops.")]
    operations = [kind.removeprefix("ops.") for kind in family.keras_kinds if kind.startswith("ops.")]
    training = family.training or "the same"
    return f"| {family.__name__} | {', '.join(sorted(layers))} | {', '.join(sorted(operations))} | {training} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
