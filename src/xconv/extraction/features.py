"""`xconv.features`: what the named layers of a model return, as a model of the same framework."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xconv.extraction.names import DataFormat, Pooling, checked, listed
from xconv.extraction.shaping import Shaping

__all__ = ["extracted", "features"]


def features(
    model: Any,
    layers: str | Sequence[str],
    *,
    pooling: Pooling | None = None,
    data_format: DataFormat | None = None,
) -> Any:
    """A model that returns the outputs of the named layers; it shares the layers and their weights with `model`.

    Args:
        model: a live Keras or tf_keras model (Functional or Sequential), any nn.Module, or a converted module.
        layers: a name or several: a Keras layer, `outer/inner` inside a nested model; the path of a submodule, such as
            `layer1.0.conv1`; in a converted module either. A layer that is called several times is asked for as
            `relu:2`, counted from 0.
        pooling: 'avg' or 'max' over all positions of a map; vectors stay as they are.
        data_format: where maps have their channels. By default as Keras's layers say, and first in torch, but for
            timm's models that say `output_fmt`; a torch tensor of three axes is not pooled without it.

    Returns:
        A keras.Model for a Keras model; an nn.Module for a torch module, in its mode. With one name it returns one
        tensor, with several a list. A tensor is what the layer returns: in torch too, where what comes next writes over
        it. Maps are in the layout of their framework.

    Raises:
        InvalidInput: all names that are none, with those that are like them; a subclassed Keras model; layers that
            return several tensors.

    >>> import torch, xconv
    >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ReLU(inplace=True), torch.nn.Flatten())
    >>> xconv.features(network, "0", pooling="avg")(torch.ones(2, 3, 8, 9)).shape
    torch.Size([2, 5])
    """
    checked(pooling, data_format)
    return extracted(model, listed(layers), Shaping(pooling, data_format))


def extracted(model: Any, names: Sequence[str], shaping: Shaping, *, outputs: bool = False) -> Any:
    """The extractor of a model of either framework; with `outputs` it returns the model's own outputs too, behind."""
    if any(kind.__module__.partition(".")[0] in ("keras", "tf_keras") for kind in type(model).__mro__):
        from xconv.extraction.keras_features import keras_features

        return keras_features(model, names, shaping, outputs=outputs)
    from xconv.extraction.torch_features import torch_features

    return torch_features(model, names, shaping, outputs=outputs)
