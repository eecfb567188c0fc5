"""The card of a checkpoint folder: what the network is, where its weights come from, how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xconv.preprocessing.value_maps import RGB
from xconv.zoo.origins import Origin

__all__ = ["card"]

CARD = """\
---
tags:
- image-classification
- timm
library_name: timm
---
# {builder}, weights of {owner}

{classes} classes, {parameters} parameters with the top as Keras counts them. Written by xconv.

- **Weights:** {weights}
- **Pictures:** {height} x {width}, mean {mean}, deviation {std}
{notes}
```python
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
```
"""


def card(found: Origin, config: Mapping[str, Any]) -> str:
    """The text of README.md.

    Args:
        found: where the network comes from.
        config: what is written in config.json.
    """
    described = config["pretrained_cfg"]
    notes = []
    if "model_args" in config:
        options = ", ".join(f"{name}={value!r}" for name, value in config["model_args"].items())
        notes.append(f"built with {options}, which config.json says")
    if found.pixels.order != RGB:
        letters = found.pixels.letters
        notes.append(f"its owner's weights take {letters}; here the input channels are exchanged for RGB")
    owner = "keras.applications" if found.source == "keras" else found.source
    height, width = found.sides
    return CARD.format(
        builder=found.builder,
        owner=owner,
        classes=found.classes,
        parameters=f"{found.entry.parameters:,}",
        weights=_weights(found, owner),
        height=height,
        width=width,
        mean=described["mean"],
        std=described["std"],
        notes="".join(f"- **Note:** {note}\n" for note in notes),
    )


def _weights(found: Origin, owner: str) -> str:
    if found.published:
        published = found.entry.published
        if found.source != "keras":
            partners = [one for one in found.entry.partners if (one.library, one.name) == (found.source, found.name)]
            published = partners[0].published if partners else ()
        accuracy = next((one.accuracy for one in published if one.tag == found.weights), None)
        stated = "" if accuracy is None else f", top-1 {accuracy} % on ImageNet as stated there"
        return f"`{found.weights}` of {owner} {found.name}{stated}"
    return "random" if found.weights == "random" else f"given by the user, in the form of {owner} {found.name}"
