"""Takes the preprocessing that a network begins with out of it: what it does, and the network without it."""

from __future__ import annotations

import sys
from typing import Any

from xconv.errors import InvalidInput
from xconv.preprocessing.description import Preprocessing

__all__ = ["split_preprocessing"]


def split_preprocessing(model: Any) -> tuple[Preprocessing, Any]:
    """The preprocessing inside a network, and the network without it.

    Both, one after the other, are the whole. The network without it has the same layers under the same names, with the
    same weights: they are shared, not copied, and the model that was given stays as it is.

    Args:
        model: a Keras model whose first layers are Rescaling, Normalization, Resizing or xconv's own; what
            `xconv.keras_to_torch` made of one; or an nn.Sequential that begins with torchvision's Normalize.

    Raises:
        InvalidInput: it does not begin with preprocessing; the error names what it begins with.
    """
    keras, torch = (sys.modules.get(name) for name in ("keras", "torch"))
    if keras is not None and isinstance(model, keras.Model):
        from xconv.preprocessing.splitting_keras import split as of_keras

        return of_keras(model)
    if torch is not None and isinstance(model, torch.nn.Module):
        from xconv.preprocessing.splitting_torch import split as of_torch

        return of_torch(model)
    said = f"{type(model).__module__}.{type(model).__name__} is no model of Keras or torch"
    raise InvalidInput(said, remedy="give a live keras.Model or an nn.Module; load a file first")
