"""Modules of classes that the user taught, captured as one call each.

before   Gain()(x) is x * weight in the exported program
after    xconv::custom([x], [weight], "my.Gain 0")
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from xconv.errors import Unsupported
from xconv.registry import keep, kept, names_of, torch_rule

__all__ = ["custom", "custom_call"]

NUMBERS = count()


@torch.library.custom_op("xconv::custom", mutates_args=())
def custom(tensors: Sequence[Tensor], params: Sequence[Tensor], key: str) -> list[Tensor]:
    """What a module of the user's returns for these tensors."""
    return [result.clone() for result in _run(tensors, params, key)]


custom.register_fake(lambda tensors, params, key: [torch.empty_like(item) for item in _run(tensors, params, key)])


def _run(tensors: Sequence[Tensor], params: Sequence[Tensor], key: str) -> list[Tensor]:
    module = kept(key)
    held = dict(zip(names_of(module), params, strict=True))
    result = torch.func.functional_call(module, held, tuple(tensors))
    return [result] if isinstance(result, Tensor) else list(result)


def custom_call(module: nn.Module) -> Callable[..., Any] | None:
    """The call that says the module, where its class has a rule."""
    if torch_rule(type(module)) is None:
        return None
    plain = copy.copy(module)  # its own forward, while the module's is replaced
    key = f"{type(module).__module__}.{type(module).__qualname__} {next(NUMBERS)}"
    keep(key, plain)

    def call(*tensors: Any, **named: Any) -> Any:
        if named or not all(isinstance(item, Tensor) for item in tensors):
            remedy = "call it with tensors in their places, or forget its rule"
            raise Unsupported(f"{type(module).__name__} is called with more than tensors", remedy=remedy)
        found = custom(list(tensors), list(names_of(module).values()), key)
        return found[0] if len(found) == 1 else tuple(found)

    return call
