"""A network of the zoo into a file or a folder, as its suffix says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from xconv.atomic import replacing
from xconv.errors import InvalidInput
from xconv.zoo.origins import origin

__all__ = ["write"]

KERAS = (".keras", ".weights.h5", ".h5")
STATES = (".safetensors", ".pt", ".pth")


def write(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a network that the zoo loaded; whole, or not at all.

    Args:
        model: what `xconv.zoo.load` returned.
        path: of a Keras model `.keras`, `.h5` or `.weights.h5`. Of a converted torch module what `xconv.save` takes; of
            a stock class `.safetensors`, `.pt` or `.pth` for its state_dict. Without a suffix it is a folder for timm.

    Raises:
        InvalidInput: another suffix.
        Unsupported: a network that timm has no class for.
        Unwritable, IsDirectory, NotFound: the path cannot be written to.
    """
    found, where = origin(model), Path(path)
    if found.framework == "keras":
        _refuse_suffix(where, KERAS)
        with replacing(where) as temporary:
            _as_keras(model, temporary, where.name)
    elif not where.suffix:
        from xconv.zoo.folders import save_folder

        save_folder(model, where)
    elif found.library is None:
        from xconv.api import save

        save(model, where)
    else:
        _refuse_suffix(where, STATES)
        with replacing(where) as temporary:
            _as_state(model, temporary)


def _refuse_suffix(path: Path, known: tuple[str, ...]) -> None:
    if not path.name.endswith(known):
        what = f"the suffix {path.suffix!r} names no format for this model"
        raise InvalidInput(what, place=str(path), remedy=f"use {', '.join(known)}")


def _as_keras(model: Any, temporary: Path, name: str) -> None:
    """As the name asks for; Keras tells the format by the suffix, and the temporary name has only the last."""
    if not name.endswith(".weights.h5"):
        model.save(temporary)
        return
    written = temporary.with_name(f"{temporary.stem}.weights.h5")
    try:
        model.save_weights(written)
        written.replace(temporary)
    finally:
        written.unlink(missing_ok=True)


def _as_state(model: Any, temporary: Path) -> None:
    import torch
    from safetensors.torch import save_file

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if temporary.suffix == ".safetensors":
        save_file(state, temporary, metadata={"format": "pt"})
    else:
        torch.save(state, temporary)
