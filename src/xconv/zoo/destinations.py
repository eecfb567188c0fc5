"""Where the weights go: a converted model, or the class of a library with its own names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from xconv.errors import InvalidInput, Mismatch
from xconv.zoo.records import Geometry, Network, Partner
from xconv.zoo.wanted import AS_SOURCE, Wanted

if TYPE_CHECKING:
    from xconv.transfers.report import TransferReport

__all__ = ["Arrived", "converted_to_keras", "converted_to_torch", "into_keras", "into_torch"]

HOW: Mapping[Geometry, Mapping[str, bool]] = MappingProxyType(
    {
        "unchanged": {"inference_only": True},
        "adapted": {"adapt": True},
        "rotated": {"rotate": True, "inference_only": True},
    }
)
"""What `xconv.transfer` is told. A class that is not changed takes up another epsilon in its variances."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A model, and how the weights came into it."""

    model: Any
    report: TransferReport | None = None
    notes: tuple[str, ...] = ()


def converted_to_torch(model: Any) -> Arrived:
    """A Keras model as the torch module with its layers' names, in inference mode."""
    from xconv.api import keras_to_torch

    module = keras_to_torch(model).eval()
    return Arrived(module, notes=module.meta["xconv"].notes)


def converted_to_keras(module: Any, shape: tuple[int | None, ...]) -> Arrived:
    """A torch module as the Keras model with its modules' names; `shape` is of a picture, channels first."""
    from xconv.api import torch_to_keras
    from xconv.torch.record import record

    model = torch_to_keras(module, input_shape=shape)
    return Arrived(model, notes=record(model).notes)


def into_torch(
    source: Any, network: Network, partner: Partner, wanted: Wanted, geometry: Geometry, dtype: str | None
) -> Arrived:
    """The weights of a model in the class of torchvision or timm, in inference mode.

    Args:
        source: a Keras model or a torch module.
        network: what it is.
        partner: the class.
        wanted: its form; no class has a softmax or a scaling of pixels.
        geometry: how it takes the weights.
        dtype: the precision of its parameters; what is folded is rounded once to it.

    Raises:
        Mismatch: the class is not the same function; every place and its cause.
    """
    import torch

    from xconv.comparison.opened import is_keras
    from xconv.zoo.torch_networks import torch_network

    plain = replace(wanted, classifier_activation=AS_SOURCE, scaling=None)
    options = partner.options if is_keras(source) else partner.own_options
    module = torch_network(partner, plain, options).eval()
    if dtype is not None:
        module = module.to(getattr(torch, dtype))
    shape = None if is_keras(source) else wanted.channels_first(network)
    report = _moved(source, module, geometry, shape)
    return Arrived(module.eval(), report)


def into_keras(
    source: Any, network: Network, wanted: Wanted, geometry: Geometry, dtype: str | None, *, stands: bool
) -> Arrived:
    """The weights of a torch module in the network of keras.applications, or in a copy with another geometry.

    It takes what the module takes: scaling inside is left out, or does nothing. `stands` says that the network needs no
    other geometry: adapted, it would be a copy for the sake of settings that act in training alone.

    Raises:
        Mismatch: the network is not the same function; every place and its cause.
    """
    from xconv.zoo.keras_networks import keras_network, neutral_scaling, without_scaling

    activation = None if wanted.classifier_activation == AS_SOURCE else wanted.classifier_activation
    plain = replace(wanted, scaling=False, classifier_activation=activation)
    model = keras_network(network, plain, dtype=dtype)
    behind = without_scaling(model)
    how: Geometry = "unchanged" if stands and geometry == "adapted" else geometry
    report = _moved(source, behind, how, wanted.channels_first(network))
    if behind is model or report.target is not behind:
        return Arrived(report.target, report)
    what = neutral_scaling(model)
    for layer in behind.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return Arrived(model, report, (what,))


def _moved(source: Any, target: Any, geometry: Geometry, shape: Any) -> TransferReport:
    """The transfer; what is exact in inference alone only where it is not to be had otherwise."""
    from xconv.api import transfer

    if geometry not in HOW:
        raise InvalidInput(f"geometry={geometry!r}", remedy=f"use {', '.join(map(repr, HOW))}")
    how: dict[str, Any] = dict(HOW[geometry])
    try:
        return transfer(source, target, input_shape=shape, **how)
    except Mismatch as error:
        if "inference_only" in how or not any("inference_only" in each.remedy for each in error.problems):
            raise
    return transfer(source, target, input_shape=shape, inference_only=True, **how)
