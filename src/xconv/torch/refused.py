"""Layers of torch.nn that are not converted, refused by name where they are called.

torch.export would tell what in their code it cannot say, or their operators would be refused one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from torch import nn

from xconv.errors import Unsupported
from xconv.layers.refused import Refusal
from xconv.layers.torch_classes import REFUSED_CLASSES
from xconv.torch.replaced import replaced

__all__ = ["refusing"]

_BASE = Refusal("it is the base of recurrent layers and computes nothing", "use LSTM, GRU or RNN")


def refusing(module: nn.Module) -> AbstractContextManager[None]:
    """The module with such layers raising `Unsupported` where they are called; as it was afterwards.

    >>> with refusing(layer := nn.RNNBase("LSTM", 4, 3)):
    ...     layer(None)
    Traceback (most recent call last):
    ...
    xconv.errors.Unsupported: RNNBase: it is the base of recurrent layers and computes nothing; use LSTM, GRU or RNN
    """
    paths = {id(child): path for path, child in module.named_modules()}

    def method(child: nn.Module) -> tuple[str, Callable[..., Any]] | None:
        refusal = _refusal(child)
        place = paths[id(child)] or type(child).__name__
        return None if refusal is None else ("forward", _raising(refusal, place))

    return replaced(module, method)


def _refusal(layer: nn.Module) -> Refusal | None:
    """Why a layer is not converted, by its class or one that it inherits its call from."""
    if type(layer) is nn.RNNBase:
        return _BASE
    owner = next((kind for kind in type(layer).__mro__ if "forward" in vars(kind)), nn.Module)
    return REFUSED_CLASSES.get(owner.__name__) if owner.__module__.startswith("torch.nn.") else None


def _raising(refusal: Refusal, place: str) -> Callable[..., NoReturn]:
    def forward(*_tensors: Any, **_options: Any) -> NoReturn:
        raise Unsupported(refusal.reason, place=place, remedy=refusal.remedy)

    return forward
