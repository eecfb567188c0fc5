"""Networks of torchvision and timm, built as they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xconv.errors import InvalidInput
from xconv.frameworks import require
from xconv.zoo.records import Partner
from xconv.zoo.wanted import AS_SOURCE, Wanted

if TYPE_CHECKING:
    from torch import nn

__all__ = ["torch_network"]


def torch_network(partner: Partner, wanted: Wanted, options: Mapping[str, Any]) -> nn.Module:
    """The network of torchvision or timm with the initial weights of its builder.

    Args:
        partner: which one.
        wanted: its form.
        options: what its builder is told besides.

    Raises:
        InvalidInput: an activation behind the classes, or a scaling of pixels inside, which the builders do not have.
        MissingFramework: the library is not installed.
    """
    where = f"{partner.library} {partner.name}"
    if wanted.classifier_activation not in (AS_SOURCE, None) and wanted.include_top:
        remedy = "leave classifier_activation out, and apply it to what the network returns"
        what = f"it returns logits, not {wanted.classifier_activation!r} of them"
        raise InvalidInput(what, place=where, remedy=remedy)
    if wanted.scaling:
        remedy = "leave include_preprocessing out, and give it the pictures of xconv.preprocessing.of"
        raise InvalidInput("it takes pictures that are scaled already", place=where, remedy=remedy)
    module = _built(partner, wanted, options)
    if wanted.include_top:
        return module
    from xconv.zoo.bodies import without_top

    return without_top(module, wanted.pooling)


def _built(partner: Partner, wanted: Wanted, options: Mapping[str, Any]) -> nn.Module:
    classes = wanted.classes if wanted.include_top else 1
    if partner.library == "timm":
        timm = require("timm", "zoo", f"timm's {partner.name}")
        module: nn.Module = timm.create_model(partner.name, num_classes=classes, **options)
        return module
    torchvision = require("torchvision", "zoo", f"torchvision's {partner.name}")
    found: nn.Module = getattr(torchvision.models, partner.name)(weights=None, num_classes=classes, **options)
    return found
