"""A torch module -> ONNX by torch.onnx.export, with BatchNorm kept and every weight under its own name."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.utils import _pytree as pytree

from xconv.errors import InvalidInput, Unsupported
from xconv.frameworks import require
from xconv.inputs import SIZES
from xconv.onnx.files import foreign_operators, open_model, save_model
from xconv.onnx.renaming import renamed
from xconv.torch.capture import check_takes, examples_of, inputs_of
from xconv.torch.exported import TRACED, examples
from xconv.torch.modules.states import keeps_states
from xconv.torch.record import KEY, Record

__all__ = ["OPSET", "module_of", "torch_to_onnx"]

OPSET = 17
"""The newest operator set that all of torch.onnx, tf2onnx, onnx2torch and onnxruntime know whole."""
ROOT = "network"


def torch_to_onnx(
    source: Any,
    example_inputs: Any = None,
    path: str | os.PathLike[str] | None = None,
    *,
    input_shape: Any = None,
    opset: int = OPSET,
    fold_batch_norm: bool = False,
    exporter: Literal["torchscript", "dynamo"] = "torchscript",
) -> Any:
    """The ONNX model that computes what a torch module computes in inference, for any batch.

    Args:
        source: an nn.Module, an ExportedProgram or the path of a `.pt2` or `.safetensors` file. It is not changed.
        example_inputs: a tensor, or the tuple of the module's arguments, with the batch first. Not needed for a module
            that xconv made.
        path: where to write it; an `.onnx` file.
        input_shape: instead of `example_inputs`, the shape of the input without the batch, or a list of shapes; None
            leaves a size open.
        opset: the version of ONNX's operators.
        fold_batch_norm: fold BatchNorm into the convolutions before it, as torch.onnx does by itself. Then neither can
            be trained or checked any more, and weights lose their names.
        exporter: 'torchscript', which needs onnx alone, or 'dynamo', torch's newer exporter, which needs onnxscript.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        Unsupported: torch.onnx cannot say the module; its reason is in the message.
        InvalidInput: inputs that the module does not take, or none.
        MissingFramework: onnx, or onnxscript for `exporter="dynamo"`, is not installed.
    """
    require("onnx", "onnx", "torch_to_onnx")
    module, tensors, opened = _opened(source, example_inputs, input_shape)
    if keeps_states(module):
        what = "stateful layers, and an ONNX model keeps nothing"
        raise Unsupported(
            what, place=type(module).__name__, remedy="give the layers their states as inputs, and return them"
        )
    run = _by_dynamo if exporter == "dynamo" else _by_torchscript
    model, _ = open_model(run(module, tensors, opened, opset, fold=fold_batch_norm))
    results = [item.name for item in model.graph.output]
    several = len(results) > 1
    names = {name: f"output_{place}" if several else "output" for place, name in enumerate(results)}
    renamed(model, names, type(module).__name__)
    if left := foreign_operators(model):
        said = ", ".join(left)
        raise Unsupported(f"torch.onnx left {said}, which ONNX does not know", remedy="replace the layers that need it")
    if path is not None:
        save_model(model, path)
    return model


def _opened(source: Any, example_inputs: Any, input_shape: Any) -> tuple[nn.Module, tuple[Any, ...], list[Any]]:
    """The module, its arguments, and for every tensor in them the axes besides the batch that stay open."""
    module, record = _opened_module(source)
    if record is not None and example_inputs is None and input_shape is None:
        ports = record.inputs
        free = [[port.order.index(a) for a, n in enumerate(port.shape) if n is None and a] for port in ports]
        return module, examples(module, ports, SIZES[3] if any(free) else SIZES[0], TRACED), free
    if (example_inputs is None) == (input_shape is None):
        what = f"{type(module).__name__} needs either example_inputs or input_shape"
        raise InvalidInput(what, remedy="give one of them, such as input_shape=(3, 224, 224)")
    if input_shape is None:
        return module, inputs_of(example_inputs), []
    dtype = next((tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()), torch.float32)
    tensors, opened = examples_of(input_shape, dtype)
    return module, tensors, list(opened)


def module_of(source: Any) -> nn.Module:
    """The module in what holds one; a live one is itself.

    Raises:
        InvalidInput: there is none.
        Unreadable, NotFound: the file is not what it should be.
    """
    return _opened_module(source)[0]


def _opened_module(source: Any) -> tuple[nn.Module, Record | None]:
    if isinstance(source, (str, os.PathLike)):
        from xconv.torch.files import load, read_program

        if Path(source).suffix == ".pt2":
            program, record = read_program(source)
            return program.module(), record
        source = load(source)
    if isinstance(source, torch.export.ExportedProgram):
        return source.module(), None
    if not isinstance(source, nn.Module):
        what = f"a {type(source).__name__} is not a torch module"
        raise InvalidInput(what, remedy="give an nn.Module, an ExportedProgram or the path of a .pt2 file")
    found = getattr(source, "meta", {}).get(KEY)
    return source, found if isinstance(found, Record) else None


class _Root(nn.Module):
    """A module that takes tensors in order and returns them so.

    It says of itself that it trains, which the module inside does not: torch.onnx would otherwise give all weights
    that happen to be equal (biases that are zero) to one another.
    """

    def __init__(self, module: nn.Module, spec: Any) -> None:
        super().__init__()
        self.add_module(ROOT, module)
        self.training, self.spec = True, spec

    def forward(self, *tensors: torch.Tensor) -> Any:
        """The module's outputs, flat."""
        result = self.get_submodule(ROOT)(*pytree.tree_unflatten(list(tensors), self.spec))
        found = [item for item in pytree.tree_leaves(result) if isinstance(item, torch.Tensor)]
        return found[0] if len(found) == 1 else tuple(found)


def _by_torchscript(
    module: nn.Module, arguments: Sequence[Any], opened: Sequence[Any], opset: int, *, fold: bool
) -> Any:
    import onnx

    leaves, spec = pytree.tree_flatten(tuple(arguments))
    names = _input_names(module, arguments)
    free = [*opened, *[()] * (len(leaves) - len(opened))]
    open_axes = {
        name: {axis: "batch" if not axis else f"{name}_{axis}" for axis in (0, *places)}
        for name, leaf, places in zip(names, leaves, free, strict=True)
        if leaf.dim()
    }
    modes = torch.onnx.TrainingMode
    file, said = io.BytesIO(), io.StringIO()
    with _plainly(module), warnings.catch_warnings(), contextlib.redirect_stdout(said):
        warnings.simplefilter("ignore")  # torch's own, about its tracer and about the age of this exporter
        try:
            torch.onnx.export(
                _Root(module, spec),
                tuple(leaves),
                file,  # type: ignore[arg-type]  # this exporter writes to open files too
                dynamo=False,
                input_names=names,
                dynamic_axes=open_axes,
                opset_version=opset,
                training=modes.EVAL if fold else modes.PRESERVE,
            )
        except Exception as error:  # torch.onnx lets through whatever the module raises
            raise _refused(module, arguments, error) from error
    return _without_root(onnx.load_model_from_string(file.getvalue()))


def _by_dynamo(module: nn.Module, arguments: Sequence[Any], opened: Sequence[Any], opset: int, *, fold: bool) -> Any:
    require("onnxscript", "", 'exporter="dynamo"')
    leaves, spec = pytree.tree_flatten(tuple(arguments))
    free = [*opened, *[()] * (len(leaves) - len(opened))]
    sizes = [dict.fromkeys((0, *places), torch.export.Dim.DYNAMIC) for places in free]
    said = io.StringIO()
    with _plainly(module), warnings.catch_warnings(), contextlib.redirect_stdout(said):
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                module,
                tuple(arguments),
                input_names=_input_names(module, arguments),
                dynamic_shapes=pytree.tree_unflatten(sizes, spec),
                opset_version=max(opset, 18),
                dynamo=True,
                optimize=fold,
                verbose=False,
            )
        except Exception as error:
            raise _refused(module, arguments, error) from error
    return program.model_proto if program is not None else None


def _input_names(module: nn.Module, arguments: Sequence[Any]) -> list[str]:
    """The names of the module's parameters, with the place behind where one holds several tensors."""
    known = [
        name for name, item in inspect.signature(module.forward).parameters.items() if item.kind < item.KEYWORD_ONLY
    ]
    known += [f"input_{place}" for place in range(len(known), len(arguments))]
    names = []
    for name, argument in zip(known, arguments, strict=False):
        inner = pytree.tree_leaves(argument)
        names += [name] if len(inner) == 1 else [f"{name}_{place}" for place in range(len(inner))]
    return names


@contextlib.contextmanager
def _plainly(module: nn.Module) -> Iterator[None]:
    """Every submodule in inference mode, attention by its plain operators, no graphs on stdout; all as before then.

    A program's module refuses `eval`, so the flags are set. Attention has a kernel of its own that ONNX cannot say.
    """
    modes = [(child, child.training) for child in module.modules()]
    fast, talks = torch.backends.mha.get_fastpath_enabled(), torch._C._jit_is_onnx_log_enabled()
    for child, _ in modes:
        child.training = False
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._jit_set_onnx_log_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._jit_set_onnx_log_enabled(talks)
        for child, training in modes:
            child.training = training


def _without_root(model: Any) -> Any:
    """The model with its names as they are without the module that was put around it."""

    def cut(name: str) -> str:
        return name.removeprefix(f"{ROOT}.") if name.startswith(f"{ROOT}.") else name.replace(f"/{ROOT}/", "/", 1)

    graph = model.graph
    for tensor in (*graph.initializer, *graph.value_info):
        tensor.name = cut(tensor.name)
    for node in graph.node:
        node.name = cut(node.name)
        for names in (node.input, node.output):
            names[:] = [cut(name) for name in names]
    for item in (*graph.input, *graph.output):
        item.name = cut(item.name)
    return model


def _refused(module: nn.Module, arguments: Sequence[Any], error: Exception) -> Unsupported | InvalidInput:
    """torch's own reason: the module does not take these inputs, or torch.onnx cannot say it."""
    try:
        check_takes(module, arguments)
    except InvalidInput as own:
        return own
    what = f"torch.onnx {torch.__version__} cannot say {type(module).__name__}: {_first_line(error)}"
    return Unsupported(what, remedy="convert it without ONNX (xconv.torch_to_keras), or give the part that it can say")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:400] if lines else type(error).__name__
