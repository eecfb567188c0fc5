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

__all__ = ["described", "told"]


@torch.library.custom_op("xconv::described", mutates_args=())
def described(tensors: Sequence[Tensor], kind: str, settings: str) -> Tensor:
    """What a module does in inference; `kind` is the class in Keras, `settings` a JSON object of its arguments."""
    module = _made(kind, settings)
    result: Tensor = module(*tensors)
    return result.clone()


def _like(tensors: Sequence[Tensor], kind: str, settings: str) -> Tensor:
    return _made(kind, settings).like(*tensors)


described.register_fake(_like)


def _made(kind: str, settings: str) -> Described:
    """The module again, in inference."""
    found: Described = getattr(modules, kind.removeprefix("ops."))(**json.loads(settings)).eval()
    return found


def told(module: Described) -> Callable[..., Any]:
    """The call that says the module."""
    kind, settings = module.kind(), json.dumps(module.settings)
    return lambda *tensors: described(list(tensors), kind, settings)
