"""An ONNX model -> a torch module: by onnx2torch, or through the shared graph."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from xconv.errors import InvalidInput, Mismatch, MissingFramework, Problem, Unsupported, XConvError
from xconv.frameworks import require
from xconv.onnx.files import open_model

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from xconv.layout import Layout

__all__ = ["Reader", "onnx_to_torch"]

Reader = Literal["onnx2torch", "xconv"]
ALLOWED = 1e-3
"""Relative: what float32 may make of a deep network. What onnx2torch gets wrong is far beyond."""


def onnx_to_torch(
    source: Any,
    *,
    reader: Reader = "onnx2torch",
    input_layout: Layout = "channels_first",
    input_shape: Any = None,
    check: bool = True,
) -> GraphModule:
    """The torch module that computes what an ONNX model computes.

    Args:
        source: an onnx.ModelProto, or the path of an `.onnx` file.
        reader: 'onnx2torch' is the package of that name. 'xconv' reads the model into the shared graph and writes it as
            `keras_to_torch` does: plain torch.nn layers under the names of the model, every weight a parameter.
        input_layout: of the images in the result, with `reader="xconv"`: channels_first is as the model has them.
        input_shape: the shape of the input without the batch, with `reader="xconv"`, where the model leaves it open.
        check: with onnx2torch, compare the result with onnxruntime on noise before it is returned.

    Raises:
        NotFound, IsDirectory, Unreadable: the file is not what it should be.
        Unsupported, Unknown: operators that the reader does not know, all in one error.
        Mismatch: what onnx2torch made computes something else.
        MissingFramework: onnx or onnx2torch is not installed.
    """
    if reader == "xconv":
        return _written(source, input_layout, input_shape)
    if reader != "onnx2torch":
        raise InvalidInput(f"reader={reader!r}", remedy="give 'onnx2torch' or 'xconv'")
    if input_layout != "channels_first" or input_shape is not None:
        what = "onnx2torch takes its inputs as the model has them"
        raise InvalidInput(what, remedy='leave out input_layout and input_shape, or give reader="xconv"')
    model, name = open_model(source)
    module = _by_onnx2torch(model, name)
    if check:
        _check(module, model, str(source) if isinstance(source, (str, os.PathLike)) else name)
    return module


def _written(source: Any, input_layout: Layout, input_shape: Any) -> GraphModule:
    from xconv.layout import resolve
    from xconv.onnx.reading import read_onnx
    from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
    from xconv.torch.write import write

    graph = run(BEFORE_LAYOUT, read_onnx(source, input_shape))
    if input_layout == "channels_last":
        what = "images of an ONNX model are returned as it has them"
        raise InvalidInput(what, remedy="leave out input_layout")
    return write(run(AFTER_LAYOUT, resolve(graph, "first", "channels_first")), "channels_first")


def _by_onnx2torch(model: Any, name: str) -> GraphModule:
    onnx2torch = _onnx2torch()
    from xconv.onnx.mended import mend

    _check_known(model, name)
    _check_outputs(model, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about torch.fx's and onnx's own functions
            module: GraphModule = mend(onnx2torch.convert(model))
    except (NotImplementedError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, IndexError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        what = f"{_version()} cannot convert it: {lines[0][:400]}"
        raise Unsupported(what, place=name, remedy=REMEDY) from error
    return module


def _onnx2torch() -> Any:
    """The package, which imports torchvision, which must fit torch.

    Raises:
        MissingFramework: one of both is not installed, or torchvision is one for another torch.
    """
    try:
        return require("onnx2torch", "onnx", "onnx_to_torch")
    except (RuntimeError, ModuleNotFoundError, OSError) as error:
        if isinstance(error, XConvError) or "torchvision" not in str(error):
            raise
        import torch

        what = f"{_version()} imports torchvision, which fails beside torch {torch.__version__}: {error}"
        raise MissingFramework(
            what, remedy=f"install the torchvision that belongs to this torch, or {REMEDY}"
        ) from error


REMEDY = 'read it with xconv.onnx_to_torch(..., reader="xconv")'


def _check_known(model: Any, name: str) -> None:
    """Refuse all operators that onnx2torch has no converter for, in one error."""
    from onnx2torch.node_converters import registry

    versions = {entry.domain: entry.version for entry in model.opset_import}
    missing: Counter[str] = Counter()
    first: dict[str, str] = {}
    for node in model.graph.node:
        try:
            registry.get_converter(domain=node.domain, operation_type=node.op_type, version=versions[node.domain])
        except NotImplementedError:
            missing[node.op_type] += 1
            first.setdefault(node.op_type, node.name)
    if missing:
        opset = versions.get("", versions.get("ai.onnx"))
        problems = [
            Problem(first[kind], f"{_version()} knows no {kind} of opset {opset} ({count} of them)", REMEDY)
            for kind, count in missing.items()
        ]
        raise Unsupported(f"{name} cannot be converted by onnx2torch", problems=problems)


def _check_outputs(model: Any, name: str) -> None:
    """Refuse outputs of which onnx2torch would return others: an input, or one of several results of a node."""
    several = {
        output for node in model.graph.node if sum(map(bool, node.output)) > 1 for output in node.output if output
    }
    made = {output for node in model.graph.node for output in node.output}
    wrong = [item.name for item in model.graph.output if item.name in several or item.name not in made]
    if wrong:
        what = f"{_version()} returns something else for the outputs {', '.join(wrong)}"
        raise Unsupported(what, place=name, remedy=REMEDY)


def _check(module: GraphModule, model: Any, place: str) -> None:
    """Run both once.

    Raises:
        Mismatch: the outputs differ by more than rounding.
    """
    import torch

    from xconv.inputs import SIZES, noise, sized
    from xconv.onnx.runtime import OnnxSide
    from xconv.statistics import compare

    side = OnnxSide(model, place)
    arrays = noise(sized(side.feeds(), SIZES[3], 2))
    wanted = side.outputs(arrays, side.dtype)
    arrays = tuple(array.astype(side.dtype) if array.dtype.kind == "f" else array for array in arrays)
    modes = [(child, child.training) for child in module.modules()]
    try:
        with torch.no_grad():
            found = module.eval()(*map(torch.from_numpy, arrays))
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        what = f"what {_version()} makes of it does not run: {str(error).strip().partition(chr(10))[0]}"
        raise Unsupported(what, place=place, remedy=REMEDY) from error
    finally:
        for child, training in modes:
            child.training = training
    results = list(found) if isinstance(found, (list, tuple)) else [found]
    for tensor, output in zip(results, wanted, strict=True):
        error_ = compare(tensor.numpy(), output.value)
        if error_.max_rel > ALLOWED or error_.nonfinite:
            what = f"{_version()} computes something else than onnxruntime: relative error {error_.max_rel:.2g}"
            raise Mismatch(what, place=f"{place}: {output.name}", remedy=REMEDY)


def _version() -> str:
    from importlib.metadata import version

    return f"onnx2torch {version('onnx2torch')}"
