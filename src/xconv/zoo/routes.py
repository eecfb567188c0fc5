"""From whose weights to whose class: the names that a caller gives, resolved and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from xconv.errors import InvalidInput, Problem
from xconv.zoo.catalogue import find, networks
from xconv.zoo.origins import Destination, Framework
from xconv.zoo.records import EMPTY, Geometry, Library, Network, Partner

__all__ = ["Route", "route_of", "variant_of"]

WORDS: Mapping[str, tuple[str, ...]] = {
    "source": get_args(Library),
    "framework": get_args(Framework),
    "destination": get_args(Destination),
    "geometry": get_args(Geometry),
}


@dataclass(frozen=True, slots=True)
class Route:
    """Where the weights come from and where they go.

    `theirs` is the network in the library that the weights are of, `ours` the class that gets them; None stands for
    keras.applications on the one side, for it or for a converted model on the other.
    """

    network: Network
    source: Library
    framework: Framework
    destination: Destination
    geometry: Geometry
    theirs: Partner | None
    ours: Partner | None

    @property
    def stays(self) -> bool:
        """Whether the model is returned as its own library builds it."""
        if self.framework == "keras":
            return self.theirs is None
        own = self.theirs is not None and self.ours is not None
        return own and (self.theirs.library, self.theirs.name) == (self.ours.library, self.ours.name)  # type: ignore[union-attr]

    @property
    def stands(self) -> bool:
        """Whether the network of keras.applications is the same function, as it stands."""
        theirs = self.theirs
        return (
            theirs is not None and theirs.geometry == "unchanged" and dict(theirs.options) == dict(theirs.own_options)
        )

    @property
    def library(self) -> Library | None:
        """Whose class the result is."""
        if self.ours is not None:
            return self.ours.library
        return "keras" if self.framework == "keras" and (self.stays or self.destination == "stock") else None


def route_of(
    name: str, words: Mapping[str, Any], library: Any = None, *, alpha: Any = None, minimalistic: Any = None
) -> Route:
    """The route that a call of `xconv.zoo.load` means.

    Args:
        name: of the network; the name of one class in torchvision or timm means this class.
        words: source, framework, destination and geometry.
        library: whose class it becomes.
        alpha: see `variant_of`.
        minimalistic: see `variant_of`.

    Raises:
        InvalidInput: words that mean nothing, a library of the other framework, a network that a library lacks.

    >>> words = {"source": "keras", "framework": "torch", "destination": "stock", "geometry": "adapted"}
    >>> route_of("mobilenet_v2", words).ours.name, route_of("mobilenet_v2", words, "torchvision").ours.name
    ('mobilenetv2_100', 'mobilenet_v2')
    """
    problems = [
        Problem(word, f"{words[word]!r} is none", f"use {', '.join(map(repr, known))}")
        for word, known in WORDS.items()
        if words[word] not in known
    ]
    source, framework, destination = words["source"], words["framework"], words["destination"]
    into = ("keras",) if framework == "keras" else ("torchvision", "timm")
    if library is not None and library not in into:
        problems.append(Problem("library", f"{library!r} has no {framework} classes", f"use {' or '.join(into)}"))
    if library is not None and destination == "converted" and source != library:
        problems.append(Problem("library", "is for destination='stock'", "leave it out"))
    if destination == "converted" and words["geometry"] not in ("adapted", *[word.place for word in problems]):
        problems.append(Problem("geometry", "is for destination='stock'", "leave it out"))
    if problems:
        raise InvalidInput("there is no such way", problems=problems)
    network = variant_of(find(name), alpha, minimalistic)
    theirs = None if source == "keras" else _named(network, name, source)
    same = framework == "torch" and theirs is not None
    if framework == "keras" or (destination == "converted" and not same):
        ours = None
    elif same and library in (None, source):
        ours = theirs
    else:
        ours = _named(network, name, library)
    return Route(network, source, framework, destination, words["geometry"], theirs, ours)


def variant_of(network: Network, alpha: Any, minimalistic: Any) -> Network:
    """The network of another width, or the plain form of a MobileNetV3.

    A width that nothing is published of is built by Keras alone.

    Raises:
        InvalidInput: a network that has one form.

    >>> variant_of(find("mobilenet_v2"), 0.5, None).name
    'mobilenet_v2_050'
    >>> variant_of(find("mobilenet_v3_small"), 1.0, True).name
    'mobilenet_v3_small_minimalistic'
    """
    wanted = dict(network.variant)
    usual = {"alpha": 1.0, "minimalistic": False}
    for word, value in (("alpha", alpha), ("minimalistic", minimalistic)):
        if value is not None:
            _refuse_variant(network, word, value)
            wanted[word] = value
    plain = {word: value for word, value in wanted.items() if value != usual[word]}
    found = next((one for one in networks() if one.keras == network.keras and dict(one.variant) == plain), None)
    return found or replace(network, variant=plain or EMPTY, partners=(), published=())


def _refuse_variant(network: Network, word: str, value: Any) -> None:
    takes = network.keras.startswith("MobileNet" if word == "alpha" else "MobileNetV3")
    if not takes:
        what = f"{network.keras} has no {word}"
        raise InvalidInput(what, place=f"{word}={value}", remedy="leave it out")
    named = network.variant.get(word, value)
    if named != value:
        what = f"{network.name} is the form of {word}={named!r}"
        raise InvalidInput(what, place=f"{word}={value!r}", remedy="leave it out, or name the plain network")
    if word == "minimalistic":
        right, remedy = isinstance(value, bool), "give True or False"
    else:
        right, remedy = _is_width(value), "give a positive number"
    if not right:
        raise InvalidInput("is no such argument of Keras", place=f"{word}={value!r}", remedy=remedy)


def _is_width(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")


def _named(network: Network, name: str, library: Library | None) -> Partner:
    """The partner of this very name, else the nearest one of the library; without a library, of all.

    The zoo's own name of a network means the nearest where no library is named, though one may call its class so too.

    Raises:
        InvalidInput: the library has no such network.
    """
    fitting = [one for one in network.partners if library in (None, one.library)]
    general = library is None and _plain(name) in (_plain(network.name), _plain(network.keras))
    exact = [one for one in fitting if not general and _plain(one.name) == _plain(name)]
    if not fitting:
        there = ", ".join(dict.fromkeys(one.library for one in network.partners))
        remedy = f"there it is in {there}" if there else "its graph is converted: use destination='converted'"
        where = library or "torchvision or timm"
        raise InvalidInput(f"{where} has no {network.name}", remedy=remedy)
    return (exact or fitting)[0]


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
