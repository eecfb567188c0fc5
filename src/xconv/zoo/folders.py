"""A network of timm as a folder in the layout of the Hugging Face hub: `save_folder`.

    config.json           architecture, num_classes, model_args, and the pictures that it takes (`pretrained_cfg`)
    model.safetensors     the state_dict
    README.md             a card

`timm.create_model("local-dir:FOLDER", pretrained=True)` builds the same network from it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xconv.errors import IsDirectory, Mismatch, NotFound, Problem, Unsupported, Unwritable, XConvError
from xconv.frameworks import require
from xconv.preprocessing.value_maps import RGB, Scaling
from xconv.zoo.cards import card
from xconv.zoo.origins import Origin, origin

if TYPE_CHECKING:
    from torch import nn

__all__ = ["save_folder"]

FILES = ("config.json", "model.safetensors", "README.md")
CLOSE = 1e-4
"""Of the largest output: how far two runs in float32 may be apart that differ in nothing but the order of sums."""
IN_TRAINING = ("momentum", "dropout")
TIMM = "load it with destination='stock', library='timm'"
KEPT = ("tag", "fixed_input_size", "pool_size", "first_conv", "classifier", "license", "label_names")
"""What a description of timm says that does not depend on the weights."""


def save_folder(model: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Write a network of timm as a checkpoint folder, whole or not at all.

    It is loaded by timm before it gets its name. An older folder of these files is replaced. Settings that act in
    training alone, such as the momentum of a BatchNorm, are those that timm builds.

    Args:
        model: what `xconv.zoo.load(..., destination='stock', library='timm')` returned. A network that takes BGR
            (Keras's VGG) is written for RGB, the input channels of its first kernels exchanged: timm has no word for
            BGR.
        folder: where to; its parent must exist.

    Raises:
        Unsupported: timm has no class that computes it: a converted network, a class of torchvision, one whose geometry
            was changed, one that takes turned pictures, one without its top.
        Mismatch: timm builds another network from the folder.
        InvalidInput: the zoo did not load it.
        IsDirectory: a folder is there that holds other files.
        NotFound, Unwritable: the parent does not exist; the disk is full, or read-only.
    """
    found = origin(model)
    _refuse(found)
    state = _state(model, found)
    with _replacing_folder(Path(folder)) as temporary:
        config = _config(model, found)
        (temporary / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        _write_state(state, temporary / "model.safetensors")
        (temporary / "README.md").write_text(card(found, config), encoding="utf-8")
        _prove(model, found, state, temporary)


def _refuse(found: Origin) -> None:
    """Raise where timm's class, as it builds it, is not this network."""
    problems = []
    if found.library != "timm":
        whose = f"a class of {found.library}" if found.library else "a converted network, of no class"
        problems.append(Problem("", f"it is {whose}; timm cannot build it", TIMM))
    elif not found.include_top:
        problems.append(Problem("", "without its top it is no class of timm", "load it with its top"))
    if found.rotated:
        problems.append(Problem("", "it takes pictures that are turned by 180 degrees, which timm does not do"))
    changed = [text for text in found.changes if not any(word in text for word in IN_TRAINING)]
    changed.sort(key=lambda text: "eps" in text)
    if changed:
        remedy = "use geometry='unchanged' where that is exact, or save the converted network with xconv.save"
        what = f"{len(changed)} settings of its class were changed, which timm cannot build: {'; '.join(changed[:3])}"
        problems.append(Problem("", what + (" ..." if changed[3:] else ""), remedy))
    if problems:
        raise Unsupported(f"{found.network} has no folder that timm loads", problems=problems)


def _state(model: nn.Module, found: Origin) -> dict[str, Any]:
    """The state_dict, for pictures in RGB."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if found.pixels.order != RGB:
        name = f"{_first(model)}.weight"
        state[name] = state[name][:, list(found.pixels.order)].contiguous()
    return state


def _first(model: nn.Module) -> str:
    described: Any = model
    return str(described.pretrained_cfg["first_conv"])


def _config(model: Any, found: Origin) -> dict[str, Any]:
    """What timm reads: how to build the network, and what pictures it takes."""
    described = dict(model.pretrained_cfg)
    options = _options(found)
    height, width = found.sides
    mean, deviation = _normalization(found.pixels.scaling)
    pictures = {
        "input_size": [3, height, width],
        "mean": mean,
        "std": deviation,
        **_resizing(found, described),
        "num_classes": found.classes,
    }
    kept = {name: described[name] for name in KEPT if described.get(name) is not None}
    if found.source == "keras":
        kept["tag"] = f"keras_{found.weights}" if found.published else "keras"
    return {
        "architecture": found.builder,
        "num_classes": found.classes,
        "num_features": int(model.num_features),
        **({"model_args": options} if options else {}),
        "pretrained_cfg": {**kept, **pictures},
    }


def _options(found: Origin) -> dict[str, Any]:
    """What timm's builder is told."""
    partner = next(one for one in found.entry.partners if (one.library, one.name) == ("timm", found.builder))
    return dict(partner.options if found.source == "keras" else partner.own_options)


def _normalization(scaling: Scaling) -> tuple[list[float], list[float]]:
    """Mean and deviation of pixels in 0..1 that do the same, rounded where that is what they are."""
    deviation = [_plain(1 / (255 * factor)) for factor in scaling.factor]
    mean = [_plain(-offset / (255 * factor)) for offset, factor in zip(scaling.offset, scaling.factor, strict=True)]
    return mean, deviation


def _plain(value: float) -> float:
    """The short decimal number that a computed one stands for."""
    short = float(f"{value:.12g}")
    return short if short else 0.0


def _resizing(found: Origin, described: dict[str, Any]) -> dict[str, Any]:
    """How pictures are brought to size, as the owner of the weights does: Keras's `load_img` squashes them."""
    if found.source == "keras":
        return {"interpolation": "nearest", "crop_pct": 1.0, "crop_mode": "squash"}
    if found.source == "torchvision":
        return _resizing_of_torchvision(found)
    words = ("interpolation", "crop_pct", "crop_mode")
    return {word: described[word] for word in words if described.get(word) is not None}


def _resizing_of_torchvision(found: Origin) -> dict[str, Any]:
    torchvision = require("torchvision", "zoo", f"torchvision's {found.name}")
    members = torchvision.models.get_model_weights(found.name)
    member = members[found.weights] if found.weights in members.__members__ else members.DEFAULT
    transforms = member.transforms()
    crop, size = transforms.crop_size[0], transforms.resize_size[0]
    interpolation = str(transforms.interpolation.value)
    return {"interpolation": interpolation, "crop_pct": crop / size, "crop_mode": "center"}


def _write_state(state: dict[str, Any], path: Path) -> None:
    from safetensors.torch import save_file

    save_file(state, path, metadata={"format": "pt"})


def _prove(model: nn.Module, found: Origin, state: dict[str, Any], folder: Path) -> None:
    """Compare what timm builds from the folder with the network.

    Raises:
        Mismatch: it is another one.
    """
    import torch

    timm = require("timm", "zoo", "a folder for timm")
    loaded = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    held = loaded.state_dict()
    wrong = sorted(held.keys() ^ state.keys())
    wrong += [name for name in held.keys() & state.keys() if not torch.equal(held[name], state[name].to(held[name]))]
    if wrong:
        what = "timm reads other numbers"
        raise Mismatch(what, problems=[Problem(name, what) for name in wrong])
    training = model.training
    height, width = found.sides
    pictures = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        theirs = loaded(pictures).to(dtype)
        ours = model.eval()(pictures[:, list(found.pixels.order)].to(dtype))
    model.train(training)
    if not bool((ours - theirs).abs().max() <= CLOSE * ours.abs().max()):
        raise Mismatch(f"timm's {found.builder} computes something else from the same weights")


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside this one, which takes its place when the block ends; if it raises, nothing is left."""
    if folder.is_dir():
        others = sorted({item.name for item in folder.iterdir()} - set(FILES))
        if others:
            what = f"holds other files: {', '.join(others[:5])}"
            raise IsDirectory(what, place=str(folder), remedy="name a new folder")
    elif folder.exists() or folder.is_symlink():
        raise Unwritable("is no folder", place=str(folder), remedy="name a new folder")
    if not folder.absolute().parent.is_dir():
        raise NotFound(f"the folder {folder.parent} does not exist", place=str(folder), remedy="make it first")
    word = f"tmp-{os.getpid()}-{os.urandom(4).hex()}"
    temporary, older = (folder.absolute().parent / f".{folder.name}.{kind}-{word}" for kind in ("new", "old"))
    try:
        temporary.mkdir()
        yield temporary
        if folder.is_dir():
            folder.rename(older)
        try:
            temporary.rename(folder)
        except OSError:
            if older.exists():
                older.rename(folder)
            raise
    except OSError as error:
        if isinstance(error, XConvError):
            raise
        what = f"cannot be written: {error.strerror or error}"
        raise Unwritable(what, place=str(folder), remedy="check the free space and the permissions") from error
    finally:
        for left in (temporary, older):
            shutil.rmtree(left, ignore_errors=True)
