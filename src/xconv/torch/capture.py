"""A module, an ExportedProgram or a .pt2 file -> an ExportedProgram: torch.export, not decomposed, the batch open."""

from __future__ import annotations

import inspect
import math
import os
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from xconv import axes
from xconv.errors import InvalidInput, Unsupported, XConvError
from xconv.inputs import SIZES
from xconv.torch.any_batch import check_any_batch
from xconv.torch.bags import plain_bags
from xconv.torch.causal_hints import no_causal_hints
from xconv.torch.exported import TRACED, examples
from xconv.torch.kept import kept
from xconv.torch.labels import label_inputs, labelled
from xconv.torch.record import KEY, Record
from xconv.torch.refused import refusing
from xconv.torch.whole import whole

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OPEN_SIZE", "arguments_of", "capture", "check_takes", "examples_of", "inputs_of", "program_of"]

OPEN_SIZE = 224
"""The size that an axis which stays open has in the example that is traced."""


def capture(
    module: nn.Module,
    examples: Sequence[Any],
    open_axes: Sequence[Sequence[int]] = (),
    keywords: Mapping[str, Any] | None = None,
) -> Any:
    """The exported program of a module in inference mode; modes and parameters are left as they were.

    Args:
        module: any module that torch.export can say.
        examples: its arguments, each a tensor or a structure of tensors, with the batch first.
        open_axes: for every tensor in them, the axes besides the batch that stay open.
        keywords: arguments that are given by name, likewise.

    Raises:
        InvalidInput: the module does not take these arguments.
        Unsupported: torch.export cannot say the module, with torch's own reason; or it does something else at other
            sizes of the batch.
    """
    leaves, spec = pytree.tree_flatten((tuple(examples), dict(keywords or {})))
    opened = [*open_axes, *[()] * (len(leaves) - len(open_axes))]
    tensors = _enough(leaves)
    _check_dense(module)
    free = [_dynamic(leaf, places) for leaf, places in zip(tensors, opened, strict=True)]
    record = _record_of(module)
    with (
        _in_inference(module),
        kept(module),
        whole(module),
        no_causal_hints(),
        plain_bags(module),
        refusing(module),
        labelled(module, record),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # torch's own deprecations, about its own code

        def called(function: Callable[..., Any], given: list[torch.Tensor]) -> Any:
            positional, by_name = pytree.tree_unflatten(given, spec)
            return function(*positional, **by_name)

        try:
            arguments, named = pytree.tree_unflatten(tensors, spec)
            shapes = _by_parameter(module, *pytree.tree_unflatten(free, spec))
            program = torch.export.export(module, arguments, named, dynamic_shapes=shapes)
            if record is None:
                check_any_batch(program, module, tensors, called)
        except XConvError:
            raise
        except Exception as error:  # torch.export lets through whatever the module raises
            check_takes(module, examples, keywords)
            raise _refused(module, error) from error
    if record is not None:
        label_inputs(program, record)
    return program


def program_of(source: Any, example_inputs: Any = None, input_shape: Any = None) -> tuple[Any, str]:
    """The exported program of whatever holds one, and a name for the network.

    Raises:
        InvalidInput: a module without `example_inputs` or `input_shape`, both at once, or something else.
        Unreadable, NotFound: the file is not what it should be.
    """
    if isinstance(source, (str, os.PathLike)):
        from xconv.torch.files import load, read_program

        if os.fspath(source).endswith(".safetensors"):
            return program_of(load(source), example_inputs, input_shape)
        return read_program(source)[0], Path(source).stem
    if isinstance(source, torch.export.ExportedProgram):
        return source, "model"
    if not isinstance(source, nn.Module):
        what = f"a {type(source).__name__} is not a torch module"
        raise InvalidInput(what, remedy="give an nn.Module, an ExportedProgram or the path of a .pt2 file")
    record = _record_of(source)
    if record is not None and example_inputs is None and input_shape is None:
        return _captured_again(source, record), record.source
    if (example_inputs is None) == (input_shape is None):
        what = f"{type(source).__name__} needs either example_inputs or input_shape"
        raise InvalidInput(what, remedy="give one of them, such as input_shape=(3, 224, 224)")
    if input_shape is None:
        arguments, keywords = arguments_of(source, example_inputs)
        return capture(source, arguments, (), keywords), type(source).__name__
    dtype = next((tensor.dtype for tensor in source.parameters() if tensor.is_floating_point()), torch.float32)
    tensors, open_axes = examples_of(input_shape, dtype)
    return capture(source, tensors, open_axes), type(source).__name__


def _record_of(module: nn.Module) -> Record | None:
    """The record of a module that xconv made."""
    found = getattr(module, "meta", {}).get(KEY)
    return found if isinstance(found, Record) else None


def _captured_again(module: nn.Module, record: Record) -> Any:
    """The program of a module whose record tells its inputs; sizes that the source left open stay open."""
    free = [
        [axis for axis, size in enumerate(axes.apply(port.shape, port.order)) if size is None and axis]
        for port in record.inputs
    ]
    failed: Unsupported | InvalidInput | None = None
    for size in SIZES if any(free) else SIZES[:1]:
        try:
            return capture(module, examples(module, record.inputs, size, TRACED), free)
        except (Unsupported, InvalidInput) as error:
            failed = failed or error
    raise failed or Unsupported("no size fits")


def examples_of(input_shape: Any, dtype: torch.dtype) -> tuple[tuple[torch.Tensor, ...], list[tuple[int, ...]]]:
    """Noise of the given shapes without the batch, and the axes that are open in each (None).

    >>> tensors, free = examples_of((3, None, 8), torch.float32)
    >>> tuple(tensors[0].shape), free
    ((6, 3, 224, 8), [(2,)])

    Raises:
        InvalidInput: not a shape, or a sequence of shapes.
    """
    several = input_shape if isinstance(input_shape, (tuple, list)) else ()
    shapes = [input_shape] if _is_shape(input_shape) else list(several)
    if not shapes or not all(map(_is_shape, shapes)):
        raise InvalidInput(
            f"input_shape={input_shape!r}", remedy="give sizes without the batch, such as (3, 224, 224), or a list"
        )
    generator = torch.Generator().manual_seed(0)
    known = [[OPEN_SIZE if size is None else size for size in shape] for shape in shapes]
    tensors = tuple(torch.randn(TRACED, *shape, generator=generator, dtype=dtype) for shape in known)
    return tensors, [tuple(i + 1 for i, size in enumerate(shape) if size is None) for shape in shapes]


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list, torch.Size)) and all(
        size is None or (isinstance(size, int) and size > 0) for size in value
    )


def _enough(leaves: Sequence[Any]) -> list[torch.Tensor]:
    """The examples with a batch that is large enough: all as many times as often, so that what they share stays.

    torch.export takes a size of one for a constant, so what is left of a batch that is cut must be more than one.
    """
    for place, leaf in enumerate(leaves):
        if not isinstance(leaf, torch.Tensor):
            what = f"example input {place} is a {type(leaf).__name__}"
            raise InvalidInput(what, remedy="give tensors; bind other arguments in a small wrapping module")
        if leaf.layout is not torch.strided:
            raise InvalidInput(f"example input {place} is sparse", remedy="give a dense tensor: x.to_dense()")
    fewest = min((leaf.shape[0] for leaf in leaves if leaf.dim()), default=TRACED)
    times = math.ceil(TRACED / max(fewest, 1))
    return [torch.cat([leaf] * times) if leaf.dim() and times > 1 else leaf for leaf in leaves]


def _check_dense(module: nn.Module) -> None:
    """Refuse parameters and buffers that are sparse: Keras holds no such weight."""
    for path, tensor in (*module.named_parameters(), *module.named_buffers()):
        if tensor.layout is not torch.strided:
            raise Unsupported("it is sparse", place=path, remedy="hold it as a dense tensor: x.to_dense()")


def _dynamic(leaf: torch.Tensor, open_axes: Sequence[int]) -> dict[int, Any]:
    places = (0, *open_axes) if leaf.dim() else ()
    return dict.fromkeys(places, torch.export.Dim.DYNAMIC)


def _by_parameter(module: nn.Module, free: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """One entry for each parameter of `forward`, by name where some are; those that `*args` takes belong together."""
    if named:
        return {**dict(zip(inspect.signature(module.forward).parameters, free, strict=False)), **named}
    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return free
    place = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*free[:place], free[place:]) if len(free) > place else free


@contextmanager
def _in_inference(module: nn.Module) -> Iterator[None]:
    """The module in eval mode, every submodule back in its own mode afterwards."""
    modes = [(child, child.training) for child in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for child, training in modes:
            child.training = training


def check_takes(module: nn.Module, arguments: Sequence[Any], keywords: Mapping[str, Any] | None = None) -> None:
    """Run the module itself on the example.

    Raises:
        InvalidInput: it refuses it, with its own reason.
    """
    try:
        with torch.no_grad():
            module(*arguments, **(keywords or {}))
    except Exception as error:  # its own code: whatever it raises on the example is the reason to give
        tensors = pytree.tree_leaves((tuple(arguments), dict(keywords or {})))
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        what = f"{type(module).__name__} does not take example inputs of shape {shapes}: {_first_line(error)}"
        raise InvalidInput(what, remedy="give example_inputs, or input_shape without the batch") from error


def _refused(module: nn.Module, error: Exception) -> Unsupported:
    """torch.export's own reason, under the path of the innermost module that was running, and what to try."""
    paths = {id(child): path for path, child in module.named_modules()}
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    running = [paths[id(frame.f_locals["self"])] for frame in frames if id(frame.f_locals.get("self")) in paths]
    place = running[-1] if running else ""
    if any(_packs(frame) for frame in frames):
        what = "it packs sequences of several lengths, which neither torch.export nor Keras can say"
        remedy = "give the recurrent layer the padded sequences, and mask or pick its outputs afterwards"
        return Unsupported(what, place=place or type(module).__name__, remedy=remedy)
    what = f"torch.export cannot say {type(module).__name__}: {_first_line(error)}"
    remedy = "remove Python control flow that depends on values, or give the part that torch.export can say"
    if "Constraints violated" in what:
        remedy = "give every input with the batch first, and let no size in the code depend on it"
    return Unsupported(what, place=place, remedy=remedy)


def _packs(frame: FrameType) -> bool:
    """Whether a function that was running packs sequences of several lengths, or holds some."""
    packed = any(isinstance(item, nn.utils.rnn.PackedSequence) for item in frame.f_locals.values())
    return packed or frame.f_code.co_name in ("pack_padded_sequence", "pack_sequence")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def arguments_of(module: nn.Module, example_inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments in order and by name that `example_inputs` stands for.

    A mapping whose keys are all parameters of `forward` is a call by name; any other is one argument.

    >>> def forward(ids, mask=None): ...
    >>> module = nn.Identity()
    >>> module.forward = forward
    >>> arguments_of(module, {"ids": torch.ones(1)}), arguments_of(module, {"a": torch.ones(1)})
    (((), {'ids': tensor([1.])}), (({'a': tensor([1.])},), {}))
    """
    if isinstance(example_inputs, Mapping) and example_inputs:
        known = inspect.signature(module.forward).parameters
        named = {key for key, item in known.items() if item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)}
        if named.issuperset(example_inputs):
            return (), dict(example_inputs)
    return inputs_of(example_inputs), {}


def inputs_of(example_inputs: Any) -> tuple[Any, ...]:
    """The arguments that `example_inputs` stands for: a tensor, or a sequence or mapping of them.

    Raises:
        InvalidInput: none of these.
    """
    if isinstance(example_inputs, (tuple, list)):
        return tuple(example_inputs)
    if isinstance(example_inputs, (torch.Tensor, Mapping)):
        return (example_inputs,)
    what = f"example_inputs is a {type(example_inputs).__name__}"
    raise InvalidInput(what, remedy="give a tensor, or a tuple of the module's arguments")
