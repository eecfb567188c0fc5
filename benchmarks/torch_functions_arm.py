"""What becomes of torch's own samples of its functions as Keras models: `-m benchmarks.torch_functions_arm ...`.

python -m benchmarks.torch_functions_arm FUNCTIONS SAMPLES START
python -m benchmarks.torch_functions_arm --names

FUNCTIONS are names joined by commas, as `names` gives them; SAMPLES is how many of each are tried.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils import _pytree as pytree

from benchmarks.coverage_arm import error_of
from benchmarks.measure import answer, spent
from xconv.errors import InvalidInput, XConvError
from xconv.frameworks import require
from xconv.torch.tensorflow_constants import TensorflowConstants

__all__ = ["OUTCOMES", "Applied", "Case", "cases_of", "database", "main", "names", "outcome"]

RELATIVE = 1e-10
"""How far an output in float64 may be from torch's, relative to the largest value."""
RELATIVE_FLOAT32 = 4e-6
OUTCOMES = ("right", "wrong", "broken", "refused", "not exportable", "left out")
DATABASE = "torch.testing._internal.common_methods_invocations"
SHAPES_ALONE = ("empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided")
"""What gives no numbers that anything is said of."""
COLOURS = re.compile("\x1b[^m]*m")
NO_KERNEL = "Could not find device for node", "of double is not in the list of allowed values"
"""What TensorFlow says where it has no kernel for a type."""
EXPORT = "torch.export cannot say"
"""How a refusal begins whose reason is torch.export's."""

UNKNOWN_TO_NUMPY = {torch.bfloat16: torch.float32, torch.complex32: torch.complex64}

Row = dict[str, Any]
Tensors = list[torch.Tensor]


def main() -> None:
    """Answers before every item, so that a crash is known to belong to it."""
    if sys.argv[1:] == ["--names"]:
        answer({"names": names()})
        return
    functions, samples, start = sys.argv[1:]
    began, results = time.perf_counter(), []
    items = [(name, place) for name in functions.split(",") for place in range(2 * int(samples))]
    for number, (name, place) in enumerate(items[int(start) :], int(start)):
        answer({"results": results, "running": number, "item": [name, place]})
        cases = cases_of(name, int(samples))
        if place < len(cases):
            results.append([name, cases[place].what, *outcome(cases[place])])
        elif not place:
            results.append([name, "", "left out", reason_of(name)])
    answer({"results": results, "done": True, "seconds": spent(began)})


# ------------------------------------------------------------------------------------------------- the database


@cache
def database() -> dict[str, Any]:
    """The entries of torch's test database by name, a variant after a colon.

    Raises:
        MissingFramework: it needs the package expecttest.
    """
    require("expecttest", "", "torch's test database")
    found: dict[str, Any] = {}
    for entry in require(DATABASE, "", "a list of torch's functions").op_db:
        found.setdefault(f"{entry.name}:{entry.variant_test_name}".rstrip(":"), entry)
    return found


def names() -> list[str]:
    """The names of all functions that torch has samples of."""
    return list(database())


# ------------------------------------------------------------------------------------------------- cases


class Applied(nn.Module):
    """A function of torch's with some of its tensors as arguments; the others are buffers, other arguments constant."""

    def __init__(
        self, function: Callable[..., Any], leaves: Sequence[Any], structure: Any, given: Sequence[int]
    ) -> None:
        super().__init__()
        self.function, self.structure, self.given = function, structure, tuple(given)
        self.others = {place: leaf for place, leaf in enumerate(leaves) if not isinstance(leaf, torch.Tensor)}
        for place, leaf in enumerate(leaves):
            if isinstance(leaf, torch.Tensor) and place not in self.given:
                self.register_buffer(f"held{place}", leaf.detach().clone())

    def forward(self, *tensors: torch.Tensor) -> Any:
        """The function's result."""
        arguments = dict(zip(self.given, tensors, strict=True))
        leaves = [self._leaf(place, arguments) for place in range(self.structure.num_leaves)]
        args, kwargs = pytree.tree_unflatten(leaves, self.structure)
        return self.function(*args, **kwargs)

    def _leaf(self, place: int, arguments: dict[int, torch.Tensor]) -> Any:
        if place in arguments:
            return arguments[place]
        return self.others[place] if place in self.others else getattr(self, f"held{place}")


@dataclass(frozen=True)
class Case:
    """One way to call a function: the module, its arguments, and what the sample is in words."""

    name: str
    what: str
    module: Applied
    tensors: Tensors

    def batches(self) -> Iterator[Tensors]:
        """What is compared: the sample, and more of the same where the function takes it.

        A batch of one is no batch to torch.export, which lets functions do something else with it.
        """
        times = 1 if all(tensor.shape[0] > 1 for tensor in self.tensors) else 3
        first = [torch.cat([tensor] * times) for tensor in self.tensors]
        yield first
        yield [torch.cat([tensor, _moved(tensor.flip(0)), _moved(_moved(tensor))]) for tensor in first]


def _moved(tensor: torch.Tensor) -> torch.Tensor:
    """A little less than the numbers, so that none are equal that were not: which place they have is not defined."""
    return tensor * 0.97 + 0.001 if tensor.is_floating_point() else tensor


def cases_of(name: str, samples: int) -> list[Case]:
    """At most so many samples of a function, each with all tensors as arguments, and with the first of them alone."""
    return _cases(name, samples)[0]


def reason_of(name: str) -> str:
    """Why there is no case of a function."""
    return _cases(name, 1)[1]


@cache
def _cases(name: str, samples: int) -> tuple[list[Case], str]:
    entry, found, reasons = database()[name], [], []
    function = entry.op
    for args, kwargs in _chosen([*_calls(entry)], samples):
        leaves, structure = pytree.tree_flatten((args, kwargs))
        tensors = [place for place, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        for given in [tensors, tensors[:1]] if len(tensors) > 1 else [tensors]:
            module = Applied(function, leaves, structure, given).double()
            case = Case(name, _what(leaves, given, args, kwargs), module, [leaves[place].detach() for place in given])
            reason = _left_out(case)
            found += [] if reason else [case]
            reasons += [reason] if reason else []
    return found, reasons[0] if reasons else "it has no sample of real numbers"


def _calls(entry: Any) -> Iterator[tuple[Any, Any]]:
    """The arguments of every sample, in float64 where it has that, otherwise in whole numbers or booleans."""
    kinds = [kind for kind in (torch.float64, torch.int64, torch.bool) if kind in entry.dtypes]
    if not kinds:
        return
    torch.manual_seed(0)
    with _seeds_free():
        for sample in entry.sample_inputs("cpu", kinds[0], requires_grad=False):
            yield (sample.input, *sample.args), dict(sample.kwargs)


def _chosen(calls: list[tuple[Any, Any]], samples: int) -> list[tuple[Any, Any]]:
    """Samples from all of the list, those with a batch before the others."""
    with_batch = [call for call in calls if _batch(call) > 1] or [call for call in calls if _batch(call) == 1] or calls
    if len(with_batch) <= samples:
        return with_batch
    return [with_batch[place * len(with_batch) // samples] for place in range(samples)]


def _batch(call: tuple[Any, Any]) -> int:
    """The size of the first axis of the first tensor."""
    tensors = [leaf for leaf in pytree.tree_leaves(call) if isinstance(leaf, torch.Tensor)]
    return tensors[0].shape[0] if tensors and tensors[0].dim() and tensors[0].numel() else 0


def _left_out(case: Case) -> str:
    """Why a case says nothing, if so."""
    if "dropout" in case.name:
        return "it is random"
    if not case.tensors:
        return "it takes no tensor"
    if any(not tensor.dim() or not tensor.numel() for tensor in case.tensors):
        return "a tensor has no axis, or no number"
    with _seeds_free():
        try:
            results = [_leaves(case.module(*(tensor.clone() for tensor in case.tensors))) for _ in range(2)]
        except (AssertionError, RuntimeError, ValueError, TypeError, IndexError) as error:
            return f"torch refuses it: {_line(error)}"
    if not results[0]:
        return "it returns no tensor"
    if any(tensor.layout is not torch.strided for tensor in (*case.module.buffers(), *case.tensors, *results[0])):
        return "it is of sparse tensors"
    if case.name not in SHAPES_ALONE and error_of(*([_real(array) for array in _arrays(one)] for one in results)) > 0:
        return "it is random"
    return ""


@contextmanager
def _seeds_free() -> Iterator[None]:
    """Random functions random: the database has them begin with the same seed every time."""
    modules = [module for key, module in sys.modules.items() if key.startswith("torch.testing._internal")]
    holders = [module for module in modules if hasattr(module, "wrapper_set_seed")]
    kept = [module.wrapper_set_seed for module in holders]
    for module in holders:
        module.wrapper_set_seed = lambda function, *args, **kwargs: function(*args, **kwargs)
    try:
        yield
    finally:
        for module, item in zip(holders, kept, strict=True):
            module.wrapper_set_seed = item


def _what(leaves: Sequence[Any], given: Sequence[int], args: Any, kwargs: Any) -> str:
    """The call in words: shapes of arguments in round brackets, of what is held in square ones."""
    places = iter(range(len(leaves)))

    def said(leaf: Any) -> str:
        place = next(places)
        if not isinstance(leaf, torch.Tensor):
            return repr(leaf)
        shape = tuple(leaf.shape) if place in given else list(leaf.shape)
        return f"{shape}{'' if leaf.dtype == torch.float64 else str(leaf.dtype).removeprefix('torch.')}"

    words = pytree.tree_map(said, (args, kwargs))
    return f"{words[0]} {words[1] or ''}".replace("'", "").strip()[:300]


# ------------------------------------------------------------------------------------------------- outcomes


def outcome(case: Case) -> tuple[str, str]:
    """One of `OUTCOMES`, and the reason or the error.

    Where TensorFlow has no kernel in float64, the same is judged in float32.
    """
    with _seeds_free():
        found = _outcome(case, RELATIVE)
        if found[0] == "wrong" and any(said in found[1] for said in NO_KERNEL):
            tensors = [tensor.float() if tensor.is_floating_point() else tensor for tensor in case.tensors]
            case.module.float()
            found = _outcome(replace(case, tensors=tensors), RELATIVE_FLOAT32)
            case.module.double()
        return found


def _outcome(case: Case, relative: float) -> tuple[str, str]:
    import xconv

    try:
        model = xconv.torch_to_keras(case.module, tuple(case.tensors), input_layout="channels_first")
    except XConvError as error:
        kind = "not exportable" if isinstance(error, InvalidInput) or EXPORT in str(error) else "refused"
        return kind, _reason(error)
    except Exception as error:  # noqa: BLE001  a bug, and the reason goes into the row
        return "broken", f"{type(error).__name__}: {_line(error)}"
    for number, tensors in enumerate(case.batches()):
        try:
            wanted = _answer(case, tensors)
        except (RuntimeError, ValueError, IndexError) as error:
            if number:
                break
            return "left out", f"torch refuses it: {_line(error)}"
        try:
            found = _computed(model, tensors)
        except Exception as error:  # noqa: BLE001  the reason goes into the row
            return "wrong", f"crash: {type(error).__name__}: {_cause(error)}"
        shapes_alone = case.name in SHAPES_ALONE
        said = _difference(found, wanted, relative, shapes_alone=shapes_alone)
        if said.startswith("error"):  # it may be a constant that TensorFlow keeps in float32
            with TensorflowConstants({}):
                said = _difference(found, _answer(case, tensors), relative, shapes_alone=shapes_alone)
        if said:
            return "wrong", f"batch {tensors[0].shape[0]}: {said}"
    return "right", "" if relative == RELATIVE else "in float32"


def _answer(case: Case, tensors: Tensors) -> list[Any]:
    """What torch gives."""
    return _arrays(_leaves(case.module(*(tensor.clone() for tensor in tensors))))


def _computed(model: Any, tensors: Tensors) -> list[Any]:
    import keras

    fed = [keras.ops.convert_to_tensor(np.ascontiguousarray(tensor.numpy())) for tensor in tensors]
    outputs = model(fed if len(fed) > 1 else fed[0], training=False)
    return [_wide(keras.ops.convert_to_numpy(output)) for output in keras.tree.flatten(outputs)]


def _wide(array: Any) -> Any:
    """Numbers of a type that numpy itself does not know as float32."""
    return array.astype(np.float32) if array.dtype.kind == "V" or array.dtype.name == "bfloat16" else array


def _difference(found: list[Any], wanted: list[Any], relative: float, *, shapes_alone: bool) -> str:
    """What is wrong; nothing where all is right."""
    if len(found) != len(wanted):
        return f"{len(found)} outputs, not {len(wanted)}"
    for a, b in zip(found, wanted, strict=True):
        if a.shape != b.shape:
            return f"shape {a.shape}, not {b.shape}"
        if a.dtype.kind != b.dtype.kind:
            return f"{a.dtype}, not {b.dtype}"
    error = 0.0 if shapes_alone else error_of(*([_real(array) for array in arrays] for arrays in (found, wanted)))
    return "" if error <= relative else f"error {error:.1e}"


def _real(array: Any) -> Any:
    return np.stack([array.real, array.imag]) if array.dtype.kind == "c" else array


def _leaves(structure: Any) -> Tensors:
    return [leaf for leaf in pytree.tree_leaves(structure) if isinstance(leaf, torch.Tensor)]


def _arrays(tensors: Tensors) -> list[Any]:
    plain = (tensor.detach().resolve_conj().resolve_neg() for tensor in tensors)
    return [tensor.to(UNKNOWN_TO_NUMPY.get(tensor.dtype, tensor.dtype)).numpy() for tensor in plain]


def _reason(error: XConvError) -> str:
    problem = error.problems[0]
    return f"{type(error).__name__}: {problem.what}; {problem.remedy}"[:300]


def _cause(error: BaseException) -> str:
    """What TensorFlow says, behind Keras's line about the layer."""
    lines = [line.strip() for line in COLOURS.sub("", str(error)).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or "no message"


def _line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else "no message")[:300]


if __name__ == "__main__":
    main()
