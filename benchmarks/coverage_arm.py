"""What becomes of the examples of layer families on every way from Keras to torch: `-m benchmarks.coverage_arm ...`.

python -m benchmarks.coverage_arm SIDE FOLDER FAMILIES START

SIDE is `tensorflow`, or `torch` for what Keras exports from its torch backend. The first leaves Keras's numbers in the
folder, with which the second compares.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.coverage_page import BACKEND
from benchmarks.measure import answer, spent
from tests.loading import torch_first
from xconv.spec import Example

__all__ = ["RELATIVE", "ROUTES", "error_of", "examples_of", "main"]

Row = dict[str, Any]
Arrays = list[Any]

RELATIVE = 1e-4
"""How far an output in float32 may be from Keras's, relative to the largest value."""
BATCH = 3
UNDEFINED = ("ops.EmptyLike",)
"""What gives no numbers that anything is said of: shapes alone are compared."""


def main() -> None:
    """Answers before every item, so that a crash is known to belong to it."""
    side, folder, families, start = sys.argv[1:]
    torch_first()
    began, results = time.perf_counter(), []
    items = [(number, route) for number in range(len(examples_of(families))) for route in ROUTES[side]]
    for place, (number, route) in enumerate(items[int(start) :], int(start)):
        answer({"results": results, "running": place, "item": [number, route]})
        results.append([number, route, *outcome(examples_of(families)[number], route, Path(folder) / f"{number}.npz")])
    answer({"results": results, "done": True, "seconds": spent(began)})


def examples_of(families: str) -> list[Example]:
    """The examples of families, named and joined by commas."""
    from xconv.layers import families as every

    wanted = families.split(",")
    found = {family.__name__: list(family.examples()) for family in every() if family.__name__ in wanted}
    return [example for name in wanted for example in found[name]]


def outcome(example: Example, route: str, path: Path) -> tuple[str, str]:
    """'right', 'wrong' or 'refused', and the error or the reason."""
    from tests.layers.reference import model_of, randomise

    try:
        model = model_of(example.kind, example.config, example.args, example.inputs, example.values, **example.kwargs)
        random = np.random.default_rng(1)
        randomise(model, random)
        arrays = _arrays(example, random)
        expected = _expected(model, arrays, path)
    except Exception as error:  # noqa: BLE001  the reason goes into the row
        return "no reference", _reason(error)
    try:
        found = CONVERT[route](model, arrays)
    except Exception as error:  # noqa: BLE001  the reason goes into the row
        return "refused", _reason(error)
    if example.kind in UNDEFINED:
        found, expected = ([np.zeros_like(output) for output in outputs] for outputs in (found, expected))
    error = error_of(found, expected)
    if error <= RELATIVE:
        return "right", f"{error:.2e}"
    return "wrong", f"{error:.2e}{BACKEND if _is_the_backends(model, arrays, found) else ''}"


def error_of(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """The largest difference of an output over its largest value; infinite where shapes, holes or counts differ.

    >>> error_of([np.array([1.0, 2.5])], [np.array([1.0, 2.0])]), error_of([np.ones(2)], [np.ones(3)])
    (0.25, inf)
    """
    if len(found) != len(expected):
        return float("inf")
    return max((_one_error(np.asarray(a), np.asarray(b)) for a, b in zip(found, expected, strict=True)), default=0.0)


def _one_error(found: Any, expected: Any) -> float:
    if found.shape != expected.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True) or not np.isfinite(found[finite]).all():
        return float("inf")
    largest = np.abs(expected[finite]).max(initial=0.0)
    difference = np.abs(found[finite] - expected[finite]).max(initial=0.0)
    return float(difference / largest if largest else difference)


def _is_the_backends(model: Any, arrays: Arrays, found: Arrays) -> bool:
    """Whether the model itself gives these numbers on a backend other than TensorFlow."""
    import keras

    if keras.backend.backend() == "tensorflow":
        return False
    return error_of(found, _flat(model(arrays, training=False))) <= RELATIVE


def _arrays(example: Example, random: Any) -> Arrays:
    from tests.layers.reference import SIZES, each, noise

    found = []
    for shape, values in zip(example.inputs, each(example.values, example.inputs), strict=True):
        rest = iter(SIZES[0])
        array = noise((BATCH, *(next(rest) if n is None else n for n in shape)), values, random)
        found.append(array.astype("float32") if array.dtype.kind == "f" else array)
    return found


def _expected(model: Any, arrays: Arrays, path: Path) -> Arrays:
    """Keras's outputs on TensorFlow: computed there and left in a file, read elsewhere."""
    import keras

    if keras.backend.backend() == "tensorflow":
        outputs = _flat(model(arrays, training=False))
        np.savez(path, *outputs)
        return outputs
    if not path.exists():
        raise FileNotFoundError("Keras on TensorFlow has no answer")
    with np.load(path) as stored:
        return [stored[name] for name in stored.files]


def _flat(outputs: Any) -> Arrays:
    import keras

    return [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(outputs)]


def _xconv(model: Any, arrays: Arrays) -> Arrays:
    import torch

    import xconv

    module = xconv.keras_to_torch(model, input_layout="channels_last").eval()
    with torch.no_grad():
        outputs = module(*map(torch.from_numpy, arrays))
    return [
        np.transpose(output.numpy(), np.argsort(port.order))
        for output, port in zip(_leaves(outputs), _leaves(xconv.record(module).outputs), strict=True)
    ]


def _onnx(model: Any) -> Any:
    """tf2onnx, as its readme shows for a function."""
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype, name=f"in{i}") for i, tensor in enumerate(model.inputs)]
    function = tf.function(lambda *tensors: tf.nest.flatten(model(list(tensors), training=False)))
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)
    return proto


def _tf2onnx(model: Any, arrays: Arrays) -> Arrays:
    import onnxruntime

    session = onnxruntime.InferenceSession(_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {f"in{i}": array for i, array in enumerate(arrays)}
    return list(session.run(None, {port.name: fed[port.name] for port in session.get_inputs()}))


def _onnx2torch(model: Any, arrays: Arrays) -> Arrays:
    import torch

    converter = importlib.import_module("onnx2torch")
    proto = _onnx(model)
    module = converter.convert(proto).eval()
    fed = {f"in{i}": torch.from_numpy(array) for i, array in enumerate(arrays)}
    with torch.no_grad():
        outputs = module(*(fed[port.name] for port in proto.graph.input))
    return [output.numpy() for output in _leaves(outputs)]


def _keras_export(model: Any, arrays: Arrays) -> Arrays:
    """With the shapes that it is compared with: an export with the batch left out is of a batch of 1."""
    import keras
    import torch

    signature = [[keras.InputSpec(shape=array.shape, dtype=str(array.dtype)) for array in arrays]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt2"
        model.export(path, format="torch", verbose=False, input_signature=signature)
        module = torch.export.load(path).module()
    with torch.no_grad():
        outputs = module([torch.from_numpy(array) for array in arrays])
    return [output.numpy() for output in _leaves(outputs)]


def _leaves(item: Any) -> list[Any]:
    return [leaf for part in item for leaf in _leaves(part)] if isinstance(item, (list, tuple)) else [item]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:200]


CONVERT: dict[str, Callable[[Any, Arrays], Arrays]] = {
    "xconv": _xconv,
    "tf2onnx": _tf2onnx,
    "tf2onnx + onnx2torch": _onnx2torch,
    "Keras's export": _keras_export,
}
ROUTES = {"tensorflow": ("xconv", "tf2onnx", "tf2onnx + onnx2torch"), "torch": ("Keras's export",)}


if __name__ == "__main__":
    main()
