"""Networks of torchvision and timm without their top: the map before the last pool, or its mean or maximum.

A module becomes one of a subclass of its own class, in place: its parameters, their names and its blocks stay. What it
gives is equal in length and order to what Keras's `include_top=False` gives. That is not always what timm's
`num_classes=0` gives: its MobileNetV3 has a hidden layer behind the pool, its VGG two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xconv.torch.modules.adapted import Adapted, adapted
from xconv.zoo.wanted import Pooling

__all__ = ["Headless", "without_auxiliary", "without_top"]

HEADS = ("avgpool", "global_pool", "dropout", "head_drop", "fc", "classifier", "classif", "last_linear", "head")
"""Under which names a network holds what comes behind its map."""
HIDDEN = {"VGG": ("pre_logits",), "MobileNetV3": ("conv_head", "norm_head", "act2")}
"""By class, the hidden layers behind the pool."""


class Headless(Adapted):
    """What a network has before its last pool; with `pooling` the mean or the maximum of every channel.

    ConvNeXt's last normalisation belongs to it, as in Keras: it comes behind the pool where there is one.
    """

    pooling: Pooling

    def forward(self, x: Tensor) -> Tensor:
        """The map, or its vector."""
        module: Any = self
        found = _map(module, x)
        norm = _norm(module)
        if self.pooling is None:
            return found if norm is None else norm(found)
        pooled = found.mean((2, 3)) if self.pooling == "avg" else torch.amax(found, (2, 3))
        if norm is None:
            return pooled
        return functional.layer_norm(pooled, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def without_top(module: nn.Module, pooling: Pooling) -> nn.Module:
    """The module without its top, in place; what stood behind its map is gone, parameters and all."""
    norm = _norm(module)
    for name in (*HEADS, *HIDDEN.get(type(module).__name__, ())):
        if isinstance(getattr(module, name, None), nn.Module):
            _drop(module, name, norm)
    without_auxiliary(module)
    adapted(module, Headless, pooling=pooling)
    return module


def without_auxiliary(module: nn.Module) -> None:
    """Take the second classifier of an Inception away, in place; it is used in training alone."""
    if getattr(module, "AuxLogits", None) is not None:
        module.register_module("AuxLogits", None)
        vars(module)["aux_logits"] = False


def _drop(module: nn.Module, name: str, norm: nn.Module | None) -> None:
    """Nothing in the place of a part of the top, the normalisation apart, which stays where it is."""
    part = getattr(module, name)
    if norm is None or norm not in part.children():
        setattr(module, name, nn.Identity())
        return
    for inner, child in list(part.named_children()):
        if child is not norm:
            setattr(part, inner, nn.Identity())


def _norm(module: Any) -> Any:
    """The normalisation that ConvNeXt has behind its pool: `head.norm` in timm, `classifier.0` in torchvision."""
    top = getattr(module, "head", None) or getattr(module, "classifier", None)
    children = top.children() if isinstance(top, nn.Module) else ()
    return next((child for child in children if isinstance(child, nn.LayerNorm)), None)


def _map(module: Any, x: Tensor) -> Tensor:
    """The map before the last pool."""
    if hasattr(module, "forward_features"):
        return module.forward_features(x)  # type: ignore[no-any-return]
    if hasattr(module, "features"):
        found = module.features(x)
        return functional.relu(found) if hasattr(module.features, "norm5") else found
    if hasattr(module, "_transform_input"):
        x = module._transform_input(x)
    for name, child in module.named_children():
        if name == "avgpool":
            break
        x = child(x)
    return x
