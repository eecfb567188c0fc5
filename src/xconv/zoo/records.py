"""What the zoo knows of a network: its constructor in Keras, its partners, its published files, its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

__all__ = ["EMPTY", "File", "Geometry", "Library", "Mode", "Network", "Partner", "Published"]

Library: TypeAlias = Literal["keras", "torchvision", "timm"]
Geometry: TypeAlias = Literal["unchanged", "adapted", "rotated"]
"""How a stock class takes weights of the other library: as it stands; its settings changed; its image turned by 180
degrees."""
Mode: TypeAlias = Literal["caffe", "tf", "torch", "inside"]
"""What `preprocess_input` does to pixels in 0..255: `inside` is nothing, because the model does it."""

EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class File:
    """A published file of weights, and its name in its owner's cache.

    `digest` is its MD5 or SHA-256 in hexadecimal, or as much of its SHA-256 as its name holds (torchvision); empty
    where its owner gives none. Then `numbers` says how many numbers it holds.
    """

    url: str
    name: str
    digest: str = ""
    numbers: int = 0


@dataclass(frozen=True, slots=True)
class Published:
    """One set of trained weights of a network, as its owner states it.

    `tag` is what the owner calls it: 'imagenet', 'IMAGENET1K_V1', 'tv_in1k'. `accuracy` is top-1 on ImageNet in percent
    at `size` pixels. `file` is of the network with its top, `no_top` of the one without. Networks whose weights were
    trained once for each size (MobileNet V1 and V2) have several of one tag.
    """

    tag: str
    accuracy: float | None = None
    size: int = 224
    file: File | None = None
    no_top: File | None = None


@dataclass(frozen=True, slots=True)
class Partner:
    """The same network in torchvision or timm.

    `options` are given to its builder for Keras's weights, so that it is as near as it can be; `geometry` is what its
    class needs, being built so, to compute what Keras's network computes. `differences` names what differs, by the
    causes of `xconv.diagnose`, those that show in training alone (momentum, dropout) last; `parameters` counts what
    `parameters()` yields, and `surplus` explains the difference from Keras.
    """

    library: Library
    name: str
    geometry: Geometry = "unchanged"
    rotates: bool = False
    """Whether it is exact for an image turned by 180 degrees, unchanged."""
    differences: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: EMPTY, hash=False)
    own_options: Mapping[str, Any] = field(default_factory=lambda: EMPTY, hash=False)
    """Given to its builder for weights of its own: they were not trained with Keras's pads and epsilons."""
    parameters: int = 0
    surplus: str = ""
    published: tuple[Published, ...] = ()


@dataclass(frozen=True, slots=True)
class Network:
    """A network of keras.applications and its partners.

    `name` is what xconv calls it ('mobilenet_v2'), `variant` the arguments that tell it from its siblings
    ({'alpha': 0.5}). `parameters` and `trainable` count Keras's weights with the top.
    """

    name: str
    keras: str
    """The constructor in keras.applications."""
    size: int
    mode: Mode
    parameters: int
    trainable: int
    variant: Mapping[str, Any] = field(default_factory=lambda: EMPTY, hash=False)
    smallest: int = 32
    """The smallest side that Keras's constructor takes without its top."""
    inside: Mapping[str, Any] = field(default_factory=lambda: EMPTY, hash=False)
    """The constructor's arguments that leave out the scaling inside, where there are any."""
    partners: tuple[Partner, ...] = ()
    published: tuple[Published, ...] = ()
