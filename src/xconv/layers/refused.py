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


_FOREIGN = "replace it with layers or operations of Keras, or convert the parts before and after it"

REFUSED: Mapping[str, Refusal] = {
    "FlaxLayer": Refusal("it runs JAX code", _FOREIGN),
    "JaxLayer": Refusal("it runs JAX code", _FOREIGN),
    "Lambda": Refusal("a file holds its Python code, which xconv never runs", "give the live model"),
    "TFSMLayer": Refusal("it runs a TensorFlow SavedModel", _FOREIGN),
    "TorchModuleWrapper": Refusal("it already wraps a torch module", "take its `module`"),
}
"""Reasons by class name; `ops.` in front for an operation of keras.ops. A class with a rule is not among them."""
