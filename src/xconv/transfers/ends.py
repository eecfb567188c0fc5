"""The two ends of a transfer where they are files: which model each belongs to."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xconv.comparison.opened import is_keras
from xconv.errors import InvalidInput, Mismatch, Unsupported
from xconv.keras.checkpoint import arrays_of
from xconv.transfers.checkpoints import Checkpoint, framework_of, open_checkpoint
from xconv.transfers.gaps import Gaps, fitting, gaps_between
from xconv.weights import Arrays

__all__ = [
    "End",
    "is_path",
    "loaded",
    "needed",
    "only_weights",
    "source_end",
    "state_of",
    "target_end",
    "with_ties",
]

_ARCHITECTURE = "give architecture= the live model that the file belongs to, or a file of the whole model"


@dataclass(frozen=True, slots=True)
class End:
    """A model to align, and what was found out while its file was read."""

    model: Any
    notes: tuple[str, ...] = ()
    gaps: Gaps = field(default_factory=Gaps)
    """What the file lacks of its architecture, and has besides."""


def is_path(item: Any) -> bool:
    """Whether it names a file."""
    return isinstance(item, (str, os.PathLike))


def source_end(
    source: Any, architecture: Any = None, target: Any = None, which: str = "", *, strict: bool = True
) -> End:
    """The model that the source is, with the numbers of its file.

    Args:
        source: a model, or a file of a whole model or of weights alone.
        architecture: what weights alone belong to: a live model, or the file of a whole one.
        target: taken for the architecture where none is given and the framework is the same.
        which: for torch files with several sets of weights.
        strict: all arrays of the architecture must be in the file, and no others.

    Raises:
        InvalidInput: a file of weights and no architecture.
        Mismatch: the weights do not fit the architecture; everything in one error.
    """
    if not is_path(source):
        return End(source)
    path = Path(source)
    if path.suffix.lower() == ".pt2":
        return End(path)
    framework = framework_of(path)
    if architecture is None and not only_weights(path, which):
        return End(loaded(path))
    owner = architecture if architecture is not None else _of(target, framework)
    if owner is None:
        raise InvalidInput("holds weights and no model", place=str(path), remedy=_ARCHITECTURE)
    return _keras(path, owner, strict=strict) if framework == "keras" else _torch(path, owner, which, strict=strict)


def target_end(target: Any, architecture: Any) -> Any:
    """The model whose weights a target file holds.

    Raises:
        InvalidInput: no architecture, or one of the other framework.
    """
    if architecture is None:
        raise InvalidInput("is a file to write, of an unknown model", place=str(target), remedy=_ARCHITECTURE)
    framework = framework_of(target)
    model = loaded(architecture)
    if _framework(model) != framework:
        what = f"holds {framework} weights, and the architecture is a {_framework(model)} model"
        raise InvalidInput(what, place=str(target), remedy="use the suffix of a file of the architecture's framework")
    return model


def only_weights(source: str | os.PathLike[str], which: str = "") -> bool:
    """Whether a file holds weights alone, and no model."""
    path = Path(source)
    if framework_of(path) == "keras":
        from xconv.transfers.templates import contents_of

        return path.name.lower().endswith(".weights.h5") or contents_of(path).config is None
    if path.suffix.lower() == ".safetensors" and not which:
        from xconv.torch.tensor_file import TensorFile

        with TensorFile.opened(path) as file:
            return file.text is None
    return True


def _of(target: Any, framework: str) -> Any:
    """The target, where it may be what the file belongs to."""
    return target if target is not None and not is_path(target) and _framework(target) == framework else None


def _framework(model: Any) -> str:
    return "keras" if is_keras(model) else "torch"


def loaded(architecture: Any) -> Any:
    """A torch file of a whole model as its module or program; anything else as it is.

    Raises:
        InvalidInput: a torch file of weights alone.
    """
    if not is_path(architecture):
        return architecture
    from xconv.torch.files import load, read_program

    path = Path(architecture)
    if path.suffix.lower() == ".pt2":
        return read_program(path)[0]
    if path.suffix.lower() == ".safetensors":
        return load(path)
    if framework_of(path) == "torch":
        raise InvalidInput("holds weights and no model", place=str(path), remedy=_ARCHITECTURE)
    return path


def _keras(path: Path, owner: Any, *, strict: bool) -> End:
    """The records of the architecture with the arrays of the file."""
    from xconv.keras.opening import records_from

    if not is_keras(owner):
        raise InvalidInput("holds Keras weights, and the architecture is none of Keras", place=str(path))
    try:
        return End(records_from(path, config=owner))
    except (Unsupported, Mismatch) as error:
        if strict and isinstance(error, Mismatch):
            raise
    # A subclassed model has no configuration, and a part of a model does not fit it: names tell the arrays.
    records = records_from(owner)
    found = Checkpoint(str(path), "keras", arrays_of(path, None, tuple(records.arrays)))
    gaps = gaps_between(found, needed(records.arrays))
    arrays = fitting(found, gaps, records.name, strict=strict)
    return End(replace(records, arrays={**records.arrays, **arrays}), gaps=gaps)


def needed(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays that layers hold, states of random generators apart."""
    found = {}
    for key, array in arrays.items():
        if "seed" not in str(getattr(getattr(array, "variable", None), "path", key)):
            found[key] = tuple(array.shape)
    return found


def _torch(path: Path, owner: Any, which: str, *, strict: bool) -> End:
    """A copy of the module with the tensors of the file; the module itself is not changed."""
    import torch

    from xconv.transfers.map_checks import plain

    module = loaded(owner)
    program = isinstance(module, torch.export.ExportedProgram)
    if is_keras(module) or not (program or isinstance(module, torch.nn.Module)):
        remedy = "give architecture= the live nn.Module"
        raise InvalidInput("holds torch weights, and the architecture is no module", place=str(path), remedy=remedy)
    state = state_of(module)
    found = open_checkpoint(path, names=tuple(state), which=which)
    held = Checkpoint(str(path), "torch", with_ties(module, found))
    gaps = gaps_between(held, {key: tuple(tensor.shape) for key, tensor in state.items()})
    arrays = fitting(held, gaps, type(module).__name__, strict=strict)
    tensors = {key: plain(arrays, key) for key in arrays}
    copied = deepcopy(module)
    if not program:
        _widen(copied, tensors)
    with torch.no_grad():
        for key, tensor in state_of(copied).items():
            if key in tensors:
                tensor.copy_(tensors[key])
    left = (f"left in {path.name}: {', '.join(found.left[:8])}",) if found.left else ()
    return End(copied, (*found.notes, *left), gaps)


def state_of(module: Any) -> dict[str, Any]:
    """The tensors of a module or program themselves, by name; also offsets that adapt=True made."""
    from xconv.torch.modules.adapted import offsets

    held = module.state_dict if hasattr(module, "graph_signature") else module.state_dict(keep_vars=True)
    return {**{key: tensor for key, tensor in held.items() if hasattr(tensor, "detach")}, **offsets(module)}


def with_ties(module: Any, found: Checkpoint) -> dict[str, Any]:
    """The arrays of the file with every name of a tensor that has several; some files keep one of them."""
    arrays = dict(found.arrays)
    names: dict[int, list[str]] = {}
    for key, tensor in state_of(module).items():
        names.setdefault(id(tensor), []).append(key)
    for group in names.values():
        held = next((arrays[key] for key in group if key in arrays), None)
        if held is not None:
            arrays.update({key: held for key in group if key not in arrays})
    return arrays


def _widen(module: Any, tensors: dict[str, Any]) -> None:
    """The module in the file's precision where that is the higher one, so that no number is rounded."""
    floating = [tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()]
    widest = max(floating, key=lambda dtype: dtype.itemsize, default=None)
    own = max((p.dtype.itemsize for p in module.parameters() if p.is_floating_point()), default=0)
    if widest is not None and widest.itemsize > own:
        module.to(widest)
