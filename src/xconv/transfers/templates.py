"""What a file of weights needs besides the numbers that are transferred: the names, the places, and what is kept."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xconv.errors import InvalidInput, Unsupported
from xconv.keras.model_files import Contents, Opening
from xconv.keras.stored_array import StoredArray
from xconv.keras.zip_window import Limits
from xconv.transfers.checkpoints import Checkpoint, framework_of, open_checkpoint
from xconv.transfers.keras_layout import KerasLayout
from xconv.weights import Arrays

__all__ = ["Template", "contents_of", "template_of"]

_INTO_LIVE = "transfer into the live model, and save it with Keras"


@dataclass(frozen=True, slots=True)
class Template:
    """A file of the target's architecture, as far as a new one is made after it."""

    framework: str
    kept: Arrays = field(default_factory=dict)
    """The arrays of the architecture by key: what is not transferred keeps these numbers."""
    layout: KerasLayout = field(default_factory=KerasLayout)
    others: Mapping[str, StoredArray] = field(default_factory=dict)
    """What a Keras file holds beside the weights, by place: states of random generators."""
    file: Path | None = None
    """The Keras file whose configuration is taken over."""


@contextmanager
def template_of(architecture: Any, target: str | os.PathLike[str], keys: Collection[str] = ()) -> Iterator[Template]:
    """What a file `target` of this architecture is made after; a temporary file where a live Keras model must save one.

    Args:
        architecture: a live model, or a file of it: for `.keras` and `.h5` a file of the same kind, for `.weights.h5`
            a `.weights.h5` or `.keras` file, for torch files any file of its weights.
        target: the file to write.
        keys: the names that are looked for in a file of weights alone.

    Raises:
        InvalidInput: a model or file of the other framework, or of which no such file can be made.
        Unsupported: a subclassed Keras model whose file does not tell its layers.
    """
    where = Path(target)
    if framework_of(where) == "torch":
        yield _torch(architecture, keys)
        return
    if isinstance(architecture, (str, os.PathLike)):
        with _of_kind(Path(architecture), _ending(where)) as file:
            yield _keras(file, where, None, keys)
        return
    if not hasattr(architecture, "save_weights"):
        raise _stranger(architecture, "Keras", where)
    with TemporaryDirectory(prefix="xconv-") as folder:
        saved = Path(folder) / f"template{_ending(where)}"
        (architecture.save_weights if _ending(where) == ".weights.h5" else architecture.save)(saved)
        yield _keras(saved, where, architecture, keys)


@contextmanager
def _of_kind(file: Path, ending: str) -> Iterator[Path]:
    """The file; a whole-model `.h5` is written as `.keras` where that kind of weights is wanted."""
    if file.suffix.lower() != ".h5" or ending == ".h5" or contents_of(file).config is None:
        yield file
        return
    from xconv.keras.opening import records_from
    from xconv.keras.saved import write_file

    with TemporaryDirectory(prefix="xconv-") as folder:
        written = Path(folder) / "template.keras"
        write_file(records_from(file), written)
        yield written


def _ending(path: Path) -> str:
    name = path.name.lower()
    return ".weights.h5" if name.endswith(".weights.h5") else path.suffix.lower()


def _torch(architecture: Any, keys: Collection[str]) -> Template:
    """The state_dict of a module, or of a file."""
    if isinstance(architecture, (str, os.PathLike)):
        found = open_checkpoint(architecture, names=keys)
        if found.framework != "torch":
            raise _stranger(architecture, "torch", Path(architecture))
        return Template("torch", found.arrays)
    if not hasattr(architecture, "state_dict") or hasattr(architecture, "save_weights"):
        raise _stranger(architecture, "torch", None)
    from xconv.torch.arrays import TensorSource
    from xconv.transfers.ends import state_of

    return Template("torch", {name: TensorSource(tensor.detach()) for name, tensor in state_of(architecture).items()})


def _keras(file: Path, target: Path, model: Any, keys: Collection[str]) -> Template:
    contents = contents_of(file)
    modern = contents.tree is not None and contents.base is None
    wanted = _ending(target)
    same = wanted == _ending(file) or (wanted == ".weights.h5" and modern)
    if contents.tree is None or not same:
        remedy = "give the live model, or a file of the kind that is to be written"
        raise InvalidInput(f"no {wanted} file can be made after it", place=str(file), remedy=remedy)
    found = _arrays(file, model if contents.config is None else None, keys)
    layout = KerasLayout.of(contents.tree, found.arrays)
    missing = sorted(set(keys) - found.arrays.keys())
    if missing:
        what = f"its file does not tell which array {missing[0]} is"
        raise Unsupported(what, place=str(getattr(model, "name", file)), remedy=_INTO_LIVE)
    places = set(layout.places.values())
    others = {place: array for place, array in contents.tree.datasets.items() if place not in places}
    return Template("keras", found.arrays, layout, others if modern else {}, file)


def contents_of(file: Path) -> Contents:
    """What a Keras file holds: a configuration, a tree of weights, or both.

    Raises:
        NotFound, Unreadable: no such file, damaged, of another kind.
    """
    from contextlib import ExitStack

    with ExitStack() as stack:
        return Opening(stack, Limits(), verify_crc=False).read(file)


def _arrays(file: Path, model: Any, keys: Collection[str]) -> Checkpoint:
    """The arrays of the file; a subclassed model has no configuration, and its file must tell them by itself."""
    try:
        return open_checkpoint(file, config=model, names=keys)
    except Unsupported:
        if model is None:
            raise
        return open_checkpoint(file, names=keys)


def _stranger(architecture: Any, framework: str, path: Path | None) -> InvalidInput:
    what = f"{architecture if isinstance(architecture, (str, os.PathLike)) else type(architecture).__name__}"
    return InvalidInput(
        f"{what} is no {framework} model",
        place=str(path or ""),
        remedy="give architecture= the model that the file is for, or another suffix",
    )
