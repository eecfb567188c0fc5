"""Modules that say what they are in Keras's words, captured as one call each.

before   RandomFlip("horizontal")(x) in inference is x, and its place in the exported program is gone
after    xconv::described([x], "RandomFlip", '{"mode": "horizontal"}')
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from xconv.torch import modules
from xconv.torch.modules.described import Described

__all__ = ["described", "spectrum", "told"]


@torch.library.custom_op("xconv::described", mutates_args=())
def described(tensors: Sequence[Tensor], kind: str, settings: str) -> Tensor:
    """What a module does in inference; `kind` is the class in Keras, `settings` a JSON object of its arguments."""
    return _made(kind, settings).compute(*tensors).clone()


def _like(tensors: Sequence[Tensor], kind: str, settings: str) -> Tensor:
    return _made(kind, settings).like(*tensors)


described.register_fake(_like)


@torch.library.custom_op("xconv::described_several", mutates_args=())
def described_several(tensors: Sequence[Tensor], kind: str, settings: str) -> list[Tensor]:
    """The same of a module that gives several tensors."""
    return [item.clone() for item in _made(kind, settings)(*tensors)]


def _several(tensors: Sequence[Tensor], kind: str, settings: str) -> list[Tensor]:
    return [torch.empty_like(item) for item in _made(kind, settings)(*tensors)]


described_several.register_fake(_several)


@torch.library.custom_op("xconv::spectrum", mutates_args=())
def spectrum(given: Sequence[Tensor], kind: str, settings: str) -> list[Tensor]:
    """A Fourier transform in a program of real numbers; unlike a module's, its input may be made of weights alone."""
    return [item.clone() for item in _transformed(given, kind, settings)]


def _transformed(given: Sequence[Tensor], kind: str, settings: str) -> Sequence[Tensor]:
    found = _made(kind, settings)(*given)
    return [found] if isinstance(found, Tensor) else list(found)


@spectrum.register_fake
def _spectrum(given: Sequence[Tensor], kind: str, settings: str) -> list[Tensor]:
    return [torch.empty_like(item) for item in _transformed(given, kind, settings)]


def _made(kind: str, settings: str) -> Described:
    """The module again, in inference."""
    found: Described = getattr(modules, kind.removeprefix("ops."))(**json.loads(settings)).eval()
    return found


def told(module: Described) -> Callable[..., Any]:
    """The call that says the module."""
    kind, settings = module.kind(), json.dumps(module.settings)
    if module.several:
        return lambda *tensors: tuple(described_several(list(tensors), kind, settings))
    return lambda *tensors: described([*tensors, *module.held()], kind, settings)
