"""Classes of Keras that xconv does not convert, each with its reason: no other framework has what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["REFUSED", "Refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a class is not converted, and what to do instead."""

    reason: str
    remedy: str


_STRINGS = "torch has no tensors of strings"
_FOREIGN = "replace it with layers or operations of Keras, or convert the parts before and after it"

REFUSED: Mapping[str, Refusal] = {
    "Equalization": Refusal(
        "Keras 3.15 leaves it out of every model without a word: its symbolic result is what it is given",
        "remove it, and make histograms even in the data",
    ),
    "FlaxLayer": Refusal("it runs JAX code", _FOREIGN),
    "JaxLayer": Refusal("it runs JAX code", _FOREIGN),
    "Lambda": Refusal("a file holds its Python code, which xconv never runs", "give the live model"),
    "MaxNumBoundingBoxes": Refusal(
        "it takes a dictionary of pictures and boxes and changes the boxes alone",
        "remove it, and pad the boxes in the data",
    ),
    "StringLookup": Refusal(_STRINGS, "look the words up before the model, and let it take their places"),
    "TFSMLayer": Refusal("it runs a TensorFlow SavedModel", _FOREIGN),
    "TextVectorization": Refusal(
        _STRINGS, "call it before the model, and let the model take the numbers that it gives"
    ),
    "TorchModuleWrapper": Refusal("it already wraps a torch module", "take its `module`"),
}
"""Reasons by class name; `ops.` in front for an operation of keras.ops. A class with a rule is not among them."""
