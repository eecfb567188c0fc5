"""The arrays of a checkpoint by `layer/index`, without its graph: a live model, a file, a mapping of arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from xconv.errors import InvalidInput, Unreadable
from xconv.keras.archive import read_file
from xconv.keras.hdf5 import Tree, strings, text_of
from xconv.keras.keras2 import is_keras2_model, read_keras2
from xconv.keras.live import is_keras_model, read_live
from xconv.keras.model_files import Opening
from xconv.keras.zip_window import Limits
from xconv.weights import Arrays, ArraySource, NumpySource

__all__ = ["arrays_of"]

_CONTAINERS = "layers", "_layer_checkpoint_dependencies"
_NO_WEIGHTS = "vars", "seed_generator", "optimizer", "optimizer_weights", "metrics"
_UNNAMED = "\0"
_GIVE_CONFIG = "pass config= the model's .json, .keras or .h5 file"


def arrays_of(source: Any, config: Any = None, known: Sequence[str] = ()) -> Arrays:
    """The arrays that `source` holds, by `layer/index`; numbers are read when they are used.

    Args:
        source: a live model, the path of a .keras, .h5 or .weights.h5 file, or a mapping of NumPy arrays.
        config: the configuration for a file that holds weights alone and does not name its layers.
        known: the keys that are looked for; they tell the names of nested models, which such files leave out.

    Raises:
        Unreadable: the file is not what it should be, or does not say which layers its arrays belong to.
        InvalidInput: `source` is something else.
    """
    if isinstance(source, Mapping):
        return {str(key): NumpySource(np.asarray(array)) for key, array in source.items()}
    if isinstance(source, (str, os.PathLike)):
        return _in_file(Path(source), config, known)
    if is_keras_model(source):
        return read_live(source).arrays
    if is_keras2_model(source):
        return read_keras2(source).arrays
    raise InvalidInput(
        f"a {type(source).__name__} holds no Keras weights",
        remedy="give a keras.Model, the path of a .keras, .h5 or .weights.h5 file, or a mapping of arrays",
    )


def _in_file(path: Path, config: Any, known: Sequence[str]) -> Arrays:
    with ExitStack() as stack:
        found = Opening(stack, Limits(), verify_crc=False).read(path)
    if config is not None or found.config is not None or found.tree is None:
        return read_file(path, config=config).arrays
    pairs = _modern(found.tree, "", ()) if found.base is None else _legacy(found.tree, found.base)
    arrays: dict[str, ArraySource] = {}
    for stored, array in pairs:
        key = _named(stored, known)
        if key in arrays or _UNNAMED in key.split("/"):
            what = f"it does not say which layer {stored.replace(_UNNAMED, '...')} belongs to"
            raise Unreadable(what, place=str(path), remedy=_GIVE_CONFIG)
        arrays[key] = array
    return arrays


def _named(stored: str, known: Sequence[str]) -> str:
    """The only known key that a key with unnamed parts can be; the key itself where there is none, or several."""
    parts = stored.split("/")
    if _UNNAMED not in parts:
        return stored
    fits = {key for key in known if _fits(parts, key.split("/"))}
    return fits.pop() if len(fits) == 1 else stored


def _fits(parts: Sequence[str], names: Sequence[str]) -> bool:
    return len(parts) == len(names) and all(a in (_UNNAMED, b) for a, b in zip(parts, names, strict=True))


def _modern(tree: Tree, group: str, path: tuple[str, ...]) -> Iterator[tuple[str, ArraySource]]:
    """The arrays of a `.weights.h5` tree, whose groups have noted their layers' names since 2024."""
    for child in tree.groups.get(group, ()):
        inside = f"{group}/{child}" if group else child
        if child == "vars":
            for index in sorted(tree.groups[inside], key=lambda name: int(name) if name.isdecimal() else 0):
                yield "/".join((*path, index)), tree.datasets[f"{inside}/{index}"]
        elif child in _CONTAINERS:
            for layer in tree.groups[inside]:
                name = tree.attributes.get(f"{inside}/{layer}/vars", {}).get("name")
                yield from _modern(tree, f"{inside}/{layer}", (*path, _UNNAMED if name is None else text_of(name)))
        elif inside in tree.groups and not child.startswith(_NO_WEIGHTS):
            yield from _modern(tree, inside, (*path, child))


def _legacy(tree: Tree, base: str) -> Iterator[tuple[str, ArraySource]]:
    """The arrays of an old `.h5` file, which lists each layer's in the order of their creation."""
    prefix = f"{base}/" if base else ""
    for layer in strings(tree.attributes.get(base, {}), "layer_names"):
        for index, name in enumerate(strings(tree.attributes.get(prefix + layer, {}), "weight_names")):
            dataset = tree.datasets.get(f"{prefix}{layer}/{name}")
            if dataset is None:
                raise Unreadable(f"lists a weight {name!r} that is not there", place=layer)
            yield f"{layer}/{index}", dataset
