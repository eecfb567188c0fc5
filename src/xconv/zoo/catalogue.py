"""All networks that the zoo knows, and how they are found by name."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module

from xconv.errors import InvalidInput
from xconv.zoo.records import Library, Network, Partner

__all__ = ["find", "networks", "partner_of"]

FAMILIES = (
    "resnet",
    "mobilenet",
    "vgg",
    "densenet",
    "inception",
    "xception",
    "nasnet",
    "efficientnet",
    "efficientnet_v2",
    "convnext",
)


@cache
def networks() -> tuple[Network, ...]:
    """Every network, family by family."""
    modules = (import_module(f"xconv.zoo.families.{family}") for family in FAMILIES)
    return tuple(network for module in modules for network in module.NETWORKS)


def find(name: str) -> Network:
    """The network of this name: xconv's own, Keras's, torchvision's or timm's, however its words are joined.

    >>> find("VGG16").name, find("vgg_16").keras
    ('vgg16', 'VGG16')
    >>> find("tf_efficientnet_b0").keras
    'EfficientNetB0'

    Raises:
        InvalidInput: no network has this name; the error says what is like it.
    """
    if not isinstance(name, str):
        raise InvalidInput(f"{name!r} is no name of a network", remedy="xconv zoo list shows all")
    known = _names()
    found = known.get(_plain(name))
    if found is None:
        near = get_close_matches(_plain(name), known, 3)
        remedy = f"did you mean {', '.join(known[one].name for one in near)}?" if near else "xconv zoo list shows all"
        raise InvalidInput(f"the zoo has no network {name!r}", remedy=remedy)
    return found


def partner_of(network: Network, library: Library | None = None, name: str = "") -> Partner:
    """The partner in a library (the first, the nearest, where none is named), or the one of this name.

    Raises:
        InvalidInput: there is none.
    """
    fitting = [one for one in network.partners if library in (None, one.library) and name in ("", one.name)]
    if not fitting:
        there = ", ".join(f"{one.library} {one.name}" for one in network.partners) or "none"
        wanted = " ".join(filter(None, (library, name)))
        raise InvalidInput(f"{network.name} has no partner {wanted}".rstrip(), remedy=f"its partners: {there}")
    return fitting[0]


@cache
def _names() -> dict[str, Network]:
    """By plain name; what comes first keeps a name that two share."""
    found: dict[str, Network] = {}
    for network in networks():
        for name in (network.name, network.keras if not network.variant else ""):
            found.setdefault(_plain(name), network)
    for network in networks():
        for partner in network.partners:
            found.setdefault(_plain(partner.name), network)
    found.pop("", None)
    return found


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
