"""Which published weights a tag names: 'imagenet' is the default of whoever publishes them."""

from __future__ import annotations

from collections.abc import Sequence

from xconv.errors import InvalidInput
from xconv.frameworks import require
from xconv.zoo.records import File, Network, Partner, Published
from xconv.zoo.wanted import Wanted

__all__ = ["DEFAULT", "choose", "file_of"]

DEFAULT = "imagenet"
"""The tag of Keras, and for all others the word for the weights that they give without a tag."""


def choose(network: Network, partner: Partner | None, tag: str, wanted: Wanted) -> Published:
    """The published weights of a tag.

    Args:
        network: of which network.
        partner: its name in torchvision or timm; None is keras.applications.
        tag: what their owner calls them, or 'imagenet'.
        wanted: the form of the network: where weights were trained for each size, those of this size are taken.

    Raises:
        InvalidInput: there are none of this tag; the error names those that there are.

    >>> from xconv.zoo.catalogue import find
    >>> choose(find("mobilenet"), None, "imagenet", Wanted(input_shape=(128, 128, 3))).file.name
    'mobilenet_1_0_128_tf.h5'
    """
    there = network.published if partner is None else partner.published
    wanted_tag = _default(partner) if tag == DEFAULT and partner is not None else tag
    fitting = [one for one in there if one.tag == wanted_tag]
    if not fitting and tag == DEFAULT:
        fitting = list(there[:1])
    if not fitting:
        owner = f"keras.applications.{network.keras}" if partner is None else f"{partner.library} {partner.name}"
        tags = ", ".join(dict.fromkeys(one.tag for one in there)) or "none"
        remedy = "give the path of a file, or weights=None" if not there else f"there are: {tags}"
        raise InvalidInput(f"has no published weights {tag!r}", place=owner, remedy=remedy)
    return _of_size(fitting, wanted.shape(network))


def file_of(published: Published, wanted: Wanted) -> File:
    """The file of the network with its top or without.

    Raises:
        InvalidInput: none is published.
    """
    found = published.file if wanted.include_top else published.no_top or published.file
    if found is None:
        raise InvalidInput(f"no file of {published.tag} is published", remedy="give the path of a file")
    return found


def _of_size(fitting: Sequence[Published], shape: tuple[int | None, ...]) -> Published:
    """Those of the picture's size; the first, the usual ones, where it is another."""
    height, width, _ = shape
    return next((one for one in fitting if one.size == height == width), fitting[0])


def _default(partner: Partner) -> str:
    """The tag that the library itself takes by default."""
    if partner.library == "timm":
        config = require("timm", "zoo", f"timm's {partner.name}").get_pretrained_cfg(partner.name)
        return str(config.tag) if config is not None else ""
    torchvision = require("torchvision", "zoo", f"torchvision's {partner.name}")
    return str(torchvision.models.get_model_weights(partner.name).DEFAULT.name)
