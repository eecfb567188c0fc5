"""The public functions; each reads as a sentence of a few calls."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from xconv.collector import paused
from xconv.errors import InvalidInput
from xconv.layout import Layout

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule

    from xconv.graph import Graph
    from xconv.inspection import Inspection
    from xconv.transfers.report import TransferReport

__all__ = [
    "inspect",
    "keras_to_torch",
    "load",
    "load_weights",
    "read_keras",
    "read_torch",
    "save",
    "torch_to_keras",
    "transfer",
]


Route = Literal["direct", "onnx"]


@paused()
def keras_to_torch(
    source: Any,
    *,
    input_layout: Layout = "channels_first",
    weights: Any = None,
    config: Any = None,
    dtype: str | None = None,
    dequantize: bool = False,
    lora: Literal["merge", "keep"] = "merge",
    route: Route = "direct",
) -> GraphModule:
    """The torch module that computes what a Keras model computes.

    Args:
        source: a live keras.Model (Functional, Sequential, subclassed; any backend), a live tf_keras model, or the
            path of a `.keras`, a whole-model `.h5`, or a `.weights.h5` (with `config`).
        input_layout: how images are taken and returned. 'channels_first' is torch's (N, C, H, W); 'channels_last' is
            Keras's (N, H, W, C), taken without a copy. Tensors that no spatial layer touches stay as Keras has them.
        weights: the path of a weights file for a `source` that is a configuration.
        config: for a `source` that holds weights alone, what it belongs to: a live model, whose own weights are not
            used, or a configuration (a path, a mapping or JSON).
        dtype: a dtype policy for all layers in place of their own: 'float32' makes of a model in mixed or half
            precision a plain one. By default the module casts where the model's policies do.
        dequantize: make of quantised layers (int8, int4, float8, GPTQ, AWQ) the float layers that their weights stand
            for; else they are refused.
        lora: what becomes of the matrices of `enable_lora` in a live model: 'merge' adds them to the kernel, 'keep'
            keeps them as parameters that train, and the kernel frozen.
        route: 'onnx' goes through tf2onnx and onnx2torch instead, as most people do. It loses names and BatchNorm and
            is not exact; a warning counts what was lost (`xconv.onnx.losses`).

    Returns:
        A `torch.fx.GraphModule` in training mode. `xconv.record(module)` tells where every weight came from.

    Raises:
        Unreadable, NotFound: the file is not what it should be.
        Unknown, Unsupported: all layers that cannot be converted, in one error.
        Mismatch: weights or shapes that do not fit.
    """
    if _through_onnx(route):
        from xconv.onnx.routes import keras_through_onnx

        if weights is not None or config is not None:
            remedy = "load the weights into the model first"
            raise InvalidInput("weights= and config= belong to the direct route", remedy=remedy)
        if dtype is not None or dequantize or lora != "merge":
            remedy = "leave them out, or take the direct route"
            raise InvalidInput("dtype=, dequantize= and lora= belong to the direct route", remedy=remedy)
        return keras_through_onnx(source, input_layout)
    from xconv.layout import resolve
    from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
    from xconv.torch.write import write

    found = read_keras(source, weights=weights, config=config, dtype=dtype, dequantize=dequantize, lora=lora)
    graph = run(BEFORE_LAYOUT, found)
    return write(run(AFTER_LAYOUT, resolve(graph, "first", input_layout)), input_layout)


@paused()
def torch_to_keras(
    source: Any,
    example_inputs: Any = None,
    *,
    input_shape: Any = None,
    input_layout: Layout = "channels_last",
    route: Route = "direct",
) -> Any:
    """The Keras model that computes what a torch module computes.

    Args:
        source: an nn.Module, an ExportedProgram, or the path of a `.pt2` file. A module is captured by torch.export in
            inference mode; it is not changed.
        example_inputs: a tensor, the tuple of the module's arguments, or a dict of them by name, with the batch first;
            only shapes and dtypes matter. Not needed for a program, nor for a module that xconv made.
        input_shape: instead of `example_inputs`, the shape of the input without the batch, or a list of shapes; None
            leaves a size open: `(3, None, None)`.
        input_layout: how images are taken and returned. 'channels_last' is Keras's (N, H, W, C); 'channels_first' is
            torch's (N, C, H, W), turned at the door. Tensors that no spatial layer touches stay as torch has them.
        route: 'onnx' goes through torch.onnx instead of torch.export; a warning counts what was lost.

    Returns:
        A Functional `keras.Model` made of Keras's own layers and operations: it saves and loads without xconv, on every
        backend. A layer is named after its torch module, `layer1>0>conv1` for `layer1.0.conv1`.

    Raises:
        Unknown, Unsupported: all operators that cannot be converted, in one error; or what torch.export cannot say.
        InvalidInput: inputs that the module does not take, or neither `example_inputs` nor `input_shape`.
        MissingFramework: Keras is not installed.
    """
    if _through_onnx(route):
        from xconv.onnx.routes import torch_through_onnx

        return torch_through_onnx(source, example_inputs, input_shape, input_layout)
    from xconv.keras.build import build
    from xconv.keras.origin import record_of, remember
    from xconv.keras.write import records_of

    graph = for_keras(read_torch(source, example_inputs, input_shape=input_shape), input_layout)
    records = records_of(graph)
    return remember(build(records), record_of(graph, records, input_layout))


def _through_onnx(route: str) -> bool:
    if route not in ("direct", "onnx"):
        raise InvalidInput(f"route={route!r}", remedy="give 'direct' or 'onnx'")
    return route == "onnx"


def for_keras(graph: Graph, input_layout: Layout = "channels_last") -> Graph:
    """A graph as Keras can say it: resolved to channels-last, with every pass.

    Args:
        graph: of a torch or Keras model, as it was read.
        input_layout: how images are taken and returned, as for `torch_to_keras`.

    Raises:
        Unsupported: free weights in a network without an input.
    """
    from xconv.layout import resolve
    from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, FOR_KERAS, run

    resolved = resolve(run(BEFORE_LAYOUT, graph), "last", input_layout)
    return run(FOR_KERAS, run(AFTER_LAYOUT, resolved))


def read_torch(source: Any, example_inputs: Any = None, *, input_shape: Any = None) -> Graph:
    """The graph of a torch module, an ExportedProgram or a `.pt2` file; arguments and errors as in `torch_to_keras`."""
    from xconv.torch.capture import program_of
    from xconv.torch.read import read

    program, name = program_of(source, example_inputs, input_shape)
    return read(program, name)


def inspect(
    source: Any,
    *,
    input_layout: Layout | None = None,
    weights: Any = None,
    config: Any = None,
    example_inputs: Any = None,
    input_shape: Any = None,
) -> Inspection:
    """What a conversion would do with each layer of a Keras or torch model, without carrying it out.

    Args:
        source: a live Keras model or a file, as for `keras_to_torch`; or a torch module, an ExportedProgram or a `.pt2`
            file, as for `torch_to_keras`. A module that xconv made goes to Keras.
        input_layout: how images would be taken; by default as torch takes them on the way to torch, as Keras does on
            the way to Keras.
        weights: the path of a weights file for a `source` that is a configuration.
        config: the configuration for a `source` that holds weights alone.
        example_inputs: of a torch module, as for `torch_to_keras`.
        input_shape: instead of `example_inputs`.

    Returns:
        An `Inspection`: for each layer its class or operators, what it becomes in Keras, its output shape as the source
        writes it, number of weights, and whether it is exact, differs in training (and how), or is unsupported (and
        why); the permutes that would remain. `str()` is a table, `to_dict()` plain data. Layers that cannot be
        converted are listed, not raised.

    Raises:
        Unreadable, NotFound: the file is not what it should be.
        Unsupported: there is no graph: the file of a subclassed model, a module that torch.export cannot say.
        InvalidInput: a torch module without `example_inputs` or `input_shape`.
    """
    from xconv.inspection import inspection_of, inspection_of_torch

    if _is_torch(source):
        from xconv.torch.capture import program_of

        return inspection_of_torch(*program_of(source, example_inputs, input_shape), input_layout or "channels_last")
    from xconv.keras.opening import records_from

    return inspection_of(records_from(source, weights=weights, config=config), input_layout or "channels_first")


def _is_torch(source: Any) -> bool:
    """Whether it is a torch module, an exported program, or the path of one."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source).endswith((".pt2", ".safetensors"))
    kinds = {kind.__module__.partition(".")[0] for kind in type(source).__mro__}
    return "torch" in kinds and "keras" not in kinds


def save(module: torch.nn.Module, path: str | os.PathLike[str]) -> None:
    """Write a converted module; an interrupted run leaves a file that was there as it was.

    Args:
        module: what `xconv.keras_to_torch` or `xconv.load` returned.
        path: the suffix decides what is written.

            - `.safetensors`: weights, graph, record and a SHA-256 of every tensor; `xconv.load` builds it again.
            - `.pt2`: the program of `torch.export` in inference mode, the batch open, and height and width too where
              the source model has None. It is loaded again and compared at batch 1 and 3 before it gets its name.
            - `.pt`: the plain state_dict, for `module.load_state_dict(torch.load(path, weights_only=True))`.

    Raises:
        InvalidInput: another suffix, a module that xconv did not make, or one without data.
        Mismatch: the graph was changed since the conversion (`.safetensors` only).
        Unsupported: torch.export cannot say the module (`.pt2` only).
        Unwritable, IsDirectory, NotFound: the path cannot be written to; a full disk.
    """
    from xconv.torch import files

    files.save(module, path)


def load(
    path: str | os.PathLike[str], module: torch.nn.Module | None = None, *, verify_checksums: bool = True
) -> torch.nn.Module:
    """A module from a file that `save` wrote.

    Nothing in a `.safetensors` or `.pt` file is executed, and it can name nothing but torch's tensor operations and
    layers. A `.pt2` file is read by `torch.export.load`: open only those that you trust.

    Args:
        path: a `.safetensors` or `.pt2` file; a `.pt` file together with `module`.
        module: the module to fill from a `.pt` file, which holds weights and no graph; it is returned.
        verify_checksums: compare the SHA-256 of every tensor of a `.safetensors` file, and the CRC-32 of the members of
            the others.

    Returns:
        From `.safetensors` a `torch.fx.GraphModule` in the mode and with the frozen layers with which it was saved;
        from `.pt2` the exported program as a module in inference mode. `xconv.record` works on both.

    Raises:
        NotFound, IsDirectory, Unreadable: no such file, truncated, damaged, or of another format.
        Mismatch: tensors that are missing, left over or of another shape, all in one error.
        InvalidInput: a `.pt` file without `module`.
    """
    from xconv.torch import files

    return files.load(path, module, verify_checksums=verify_checksums)


def load_weights(module: torch.nn.Module, source: Any, *, config: Any = None) -> None:
    """Replay the module's mapping on another checkpoint of the same architecture: all weights are replaced, or none.

    Parameters stay the same objects and keep their dtype, device and memory format. No graph is read or built.

    Args:
        module: what `keras_to_torch` or `load` returned.
        source: a live Keras model, a `.keras`, `.h5` or `.weights.h5` file, or a mapping of arrays by `layer/index`
            such as `export_weights` returns. Layers are found by their names.
        config: the configuration, for a `.weights.h5` file that does not name its layers (before September 2024).

    Raises:
        Mismatch: arrays that are missing, left over or of another shape, all in one error.
        Unreadable, NotFound: the file is not what it should be.
        InvalidInput: the module has no record, or no data.

    Warns:
        XConvWarning: NaN, infinities or negative variances; numbers that the module's dtype cannot hold.
    """
    from xconv.keras.checkpoint import arrays_of
    from xconv.torch.mapping import fill_from
    from xconv.torch.record import record

    known = [mapped.weight.key for mapped in record(module).weights]
    name = source if isinstance(source, (str, os.PathLike)) else f"the {type(source).__name__}"
    fill_from(module, arrays_of(source, config, known), str(name))


def transfer(  # noqa: PLR0913 - every option has a name of its own
    source: Any,
    target: Any,
    *,
    adapt: bool = False,
    strict: bool = True,
    inference_only: bool = False,
    rotate: bool = False,
    swap_channels: bool = False,
    input_shape: Any = None,
    architecture: Any = None,
    which: str = "",
) -> TransferReport:
    """Weights and statistics of one model into another existing model: Keras or torch, on either side.

    Both models are read and aligned by what they compute, not by names. Layouts fall out by themselves. Where a
    parameter has no place it is folded, exactly: the bias of a convolution goes into the mean of the BatchNorm behind
    it. All weights are moved, or the target stays as it was.

    Args:
        source: a live Keras or tf_keras model, a torch module, an ExportedProgram, or a file: of a whole model, or of
            weights alone (`.weights.h5`, `.h5`, `.keras`, `.safetensors`, `.pt`, `.pth`, `.bin`, `.ckpt`, or the
            `.weights.json` or `.index.json` that lists the files of one).
        target: a live Keras model or a torch module, whose parameters stay the same objects in their dtype and device;
            or the file of weights to write (`.safetensors`, `.pt`, `.pth`, `.weights.h5`, `.h5`, `.keras`).
        adapt: change the target's settings (strides, padding, epsilon, pooling, activations) where the two are not the
            same. A torch module is changed in place and keeps its class and the keys of its state_dict; of a Keras
            model a changed copy is made, the report's `target`. Where something is left, nothing is changed.
        strict: refuse where the two are not the same function, or a file is not of all of its architecture, with
            every place and its cause. False moves all that can be moved, and lists the rest.
        inference_only: also fold what is exact in inference alone: another epsilon into the variance of a BatchNorm,
            a gamma that the target lacks into the layer before.
        rotate: turn every kernel by 180 degrees, so that 'same' padding is exact in a model with symmetric padding. The
            target then wants its image turned by 180 degrees.
        swap_channels: for a target that takes BGR where the source takes RGB, or the other way round: all weights that
            see single channels of the image are turned round.
        input_shape: the shape of the input without the batch, channels-first, where neither model tells it.
        architecture: what a file of weights belongs to: a live model, which is not changed, or the file of a whole one.
            The target's where that is a file, else the source's; a pair (source's, target's) where both are files.
            A source of weights alone that fits the live target needs none.
        which: for a torch file with several sets of weights: 'ema', or the entry or prefix to take.

    Returns:
        A `TransferReport`: the verdict, every fold, every weight of the source that was not moved and every weight of
        the target that was not filled, each with its reason; NaN, infinities and overflows by layer.

    Raises:
        Mismatch: the two are not the same function (strict), or weights do not fit; everything in one error.
        InvalidInput: neither model tells its input shape; a target that cannot be written to.
        Unreadable, Unknown, Unsupported: a model that cannot be read.
    """
    from xconv.transfers.mapping import transferred_between
    from xconv.transfers.planning import Options

    return transferred_between(
        source,
        target,
        Options(inference_only, rotate, swap_channels),
        architecture=architecture,
        which=which,
        adapt=adapt,
        strict=strict,
        input_shape=input_shape,
    )


def read_keras(
    source: Any,
    *,
    weights: Any = None,
    config: Any = None,
    dtype: str | None = None,
    dequantize: bool = False,
    lora: Literal["merge", "keep"] = "merge",
) -> Graph:
    """The graph of a Keras model, live or from a file; arguments and errors as in `keras_to_torch`."""
    from xconv.keras.adapters import Options
    from xconv.keras.opening import records_from
    from xconv.keras.read import read

    if lora not in ("merge", "keep"):
        raise InvalidInput(f"lora={lora!r}", remedy="give 'merge' or 'keep'")
    options = Options(dtype, dequantize, lora == "keep")
    return read(records_from(source, weights=weights, config=config, options=options))
