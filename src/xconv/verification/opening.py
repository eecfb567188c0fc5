"""Anything that can be verified, opened as a `Side`: live models, files, exported programs, callables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from xconv.errors import InvalidInput
from xconv.frameworks import before_tensorflow
from xconv.inputs import Feed, leaves
from xconv.sides import Named, Side, Whole
from xconv.statistics import Array

__all__ = ["CallableSide", "open_side"]

KERAS_FILES = (".keras", ".h5", ".hdf5")
TORCH_FILES = (".pt2", ".safetensors", ".pt", ".pth")


def open_side(source: Any) -> Side:
    """The runner for a Keras or torch model, a file of either, an ExportedProgram or a callable.

    Raises:
        InvalidInput: none of these, or a file of another kind.
        Unreadable: the file cannot be read.
    """
    if isinstance(source, (str, Path)):
        return _open_file(Path(source))
    kinds = {kind.__module__.partition(".")[0] for kind in type(source).__mro__}
    if kinds & {"keras", "tf_keras"}:
        return _keras_side(source)
    if type(source).__name__ == "ModelProto":
        return _onnx_side(source)
    if "torch" in kinds:
        from xconv.torch.run import TorchSide

        return TorchSide(source)
    if callable(source):
        return CallableSide(source)
    raise InvalidInput(
        f"cannot run a {type(source).__name__}",
        remedy="give a Keras model, a torch module, an ExportedProgram, the path of one of their files, or a callable",
    )


def _onnx_side(source: Any) -> Side:
    from xconv.onnx.runtime import OnnxSide

    return OnnxSide(source, source.name if isinstance(source, Path) else "")


def _keras_side(model: Any) -> Side:
    from xconv.keras.run import KerasSide

    return KerasSide(model)


def _open_file(path: Path) -> Side:
    if not path.exists():
        raise InvalidInput("no such file", place=str(path), remedy="check the path")
    suffix = path.suffix.lower()
    if path.name.endswith(".weights.h5"):
        raise InvalidInput("it holds weights without a network", place=str(path), remedy="load them into a model first")
    if suffix in KERAS_FILES:
        return _open_keras_file(path)
    if suffix in TORCH_FILES:
        return _open_torch_file(path)
    if suffix == ".onnx":
        return _onnx_side(path)
    raise InvalidInput(
        f"{suffix or 'no'} is not an extension that xconv knows",
        place=str(path),
        remedy=f"give one of {', '.join((*KERAS_FILES, *TORCH_FILES, '.onnx'))}",
    )


def _open_torch_file(path: Path) -> Side:
    from xconv.torch.files import load, read_program
    from xconv.torch.run import TorchSide

    if path.suffix.lower() != ".pt2":
        return TorchSide(load(path), path.name)
    program, record = read_program(path)
    return TorchSide(program, path.name, record)


def _open_keras_file(path: Path) -> Side:
    """The file in Keras, in safe mode; converted by xconv where Keras is absent or cannot load it."""
    reason = "Keras is not installed"
    if find_spec("keras") is not None and find_spec("tensorflow") is not None:
        before_tensorflow()
        import keras

        from xconv.keras.depth import loaded

        try:
            side = _keras_side(loaded(path))
        except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OSError) as error:
            reason = f"Keras {keras.__version__} cannot load it ({str(error).strip().partition(chr(10))[0][:120]})"
        else:
            side.name = path.name
            return side
    from xconv.api import keras_to_torch
    from xconv.torch.run import TorchSide

    converted = TorchSide(keras_to_torch(path), path.name)
    converted.notes.append(f"{path.name} was converted by xconv and run in torch: {reason}")
    return converted


class CallableSide(Whole):
    """A plain function: it is given the flat inputs in the dtype of the run and returns any structure of arrays."""

    framework = "callable"

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.notes: list[str] = []

    def feeds(self) -> tuple[Feed, ...]:
        """Nothing: a function does not say what it takes."""
        return ()

    def outputs(self, inputs: Sequence[Array], dtype: str) -> tuple[Named, ...]:
        """What the function returns, as arrays."""
        del dtype
        found = leaves(self.function(*inputs))
        return tuple(Named(path or "output", _array(value)) for path, value in found)


def _array(value: Any) -> Array:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
