"""The network whose weights are wanted, as its own library builds it, with these weights."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from xconv.zoo.chosen import choose, file_of
from xconv.zoo.filling import fill_keras, fill_torch, is_file
from xconv.zoo.records import Network, Partner
from xconv.zoo.wanted import AS_SOURCE, Wanted, refuse_published

if TYPE_CHECKING:
    from xconv.preprocessing.value_maps import ValueMap

__all__ = ["Given", "keras_source", "torch_source"]

SETTLED = 96
"""The side of the pictures that random weights are settled on."""


@dataclass(frozen=True, slots=True)
class Given:
    """A live model, and what it is."""

    model: Any
    weights: str
    """The tag, the path, 'random' or 'given'."""
    pixels: ValueMap
    scaling: bool = False
    """Whether it scales pixels itself."""
    softmax: bool = False
    published: bool = False
    notes: tuple[str, ...] = ()


def keras_source(network: Network, wanted: Wanted, weights: Any, seed: int | None, dtype: str | None) -> Given:
    """A network of keras.applications with the weights that are asked for.

    Raises:
        InvalidInput, Mismatch, Unreadable: what cannot be built, fetched or filled.
    """
    from xconv.randomization import randomize
    from xconv.zoo.keras_networks import keras_network, with_scaling_of_file
    from xconv.zoo.pixels import pixels_for_keras

    weights, tag, published = _looked_up(network, None, wanted, weights)
    model = keras_network(network, wanted, dtype=dtype)
    notes: tuple[str, ...] = ()
    if weights is not None:
        notes = fill_keras(model, weights)
    elif seed is not None:
        randomize(model, seed)
    model, mended = with_scaling_of_file(model)
    scaling = network.mode == "inside" and not (wanted.scaling is False and network.inside)
    return Given(
        model,
        tag,
        pixels_for_keras(network, inside=scaling),
        scaling=scaling,
        softmax=wanted.include_top and wanted.classifier_activation in (AS_SOURCE, "softmax"),
        published=published,
        notes=(*notes, *([mended] if mended else [])),
    )


def torch_source(
    network: Network, partner: Partner, wanted: Wanted, weights: Any, seed: int | None, dtype: str | None, *, own: bool
) -> Given:
    """A network of torchvision or timm with the weights that are asked for, in inference mode.

    Args:
        network: which network.
        partner: its name in the library.
        wanted: its form.
        weights: see `xconv.zoo.load`.
        seed: for random ones.
        dtype: the precision of its parameters.
        own: whether it is returned as it is: torchvision's Inception then scales its input once more, as its library
            builds it, which no class of another library does.

    Raises:
        InvalidInput, Mismatch, Unreadable: what cannot be built, fetched or filled.
    """
    from xconv.zoo.bodies import without_top
    from xconv.zoo.pixels import pixels_for_torch
    from xconv.zoo.torch_networks import torch_network

    weights, tag, published = _looked_up(network, partner, wanted, weights)
    options = dict(partner.own_options)
    if not own and "transform_input" in options:
        options["transform_input"] = False
    classes = wanted.classes if wanted.include_top else 1000
    module = torch_network(partner, replace(wanted, include_top=True, classes=classes), options).eval()
    top = tuple(module.state_dict())
    if not wanted.include_top:
        module = without_top(module, wanted.pooling)
    if dtype is not None:
        module = module.to(_torch_dtype(dtype))
    notes: tuple[str, ...] = ()
    if weights is not None:
        notes = fill_torch(module, weights, top=() if wanted.include_top else top)
    elif seed is not None:
        _randomize(module, network, seed)
    transforms = bool(options.get("transform_input", True))
    pixels = pixels_for_torch(partner, tag if published else "", transforms_input=transforms)
    return Given(module.eval(), tag, pixels, published=published, notes=notes)


def _looked_up(network: Network, partner: Partner | None, wanted: Wanted, weights: Any) -> tuple[Any, str, bool]:
    """The weights themselves or their file, what they are called, and whether they are published ones."""
    if weights is None:
        return None, "random", False
    if not isinstance(weights, str) or is_file(weights):
        return weights, os.fspath(weights) if isinstance(weights, (str, os.PathLike)) else "given", False
    found = choose(network, partner, weights, wanted)
    refuse_published(wanted, network, found, keras=partner is None)
    from xconv.zoo.fetch import fetch

    return fetch(file_of(found, wanted), "keras" if partner is None else partner.library), found.tag, True


def _randomize(module: Any, network: Network, seed: int) -> None:
    import torch

    from xconv.randomization import randomize

    side = max(SETTLED, network.smallest)
    dtype = next(module.parameters()).dtype
    generator = torch.Generator().manual_seed(seed)
    randomize(module, seed, inputs=torch.randn(8, 3, side, side, generator=generator, dtype=dtype))


def _torch_dtype(dtype: str) -> Any:
    import torch

    return getattr(torch, dtype)
