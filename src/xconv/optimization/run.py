"""`xconv.optimize`: fold, pads, memory format, precision, compiler; each tried, proved, measured, then kept or not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from xconv.errors import InvalidInput, Mismatch, Unsupported
from xconv.frameworks import require
from xconv.graph import Graph, Node
from xconv.layout import resolve
from xconv.optimization.folds import fold_batch_norms
from xconv.optimization.judging import error_of, inputs_of, outputs_of, setting_of
from xconv.optimization.openvino_program import OpenVINOProgram
from xconv.optimization.pads import extended, only, uneven
from xconv.optimization.records import Optimized, Step
from xconv.optimization.serving import Compiled, Lowered
from xconv.optimization.timing import Pair, in_turn
from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT
from xconv.passes import run as run_passes
from xconv.passes.fold_pads import fold_pads
from xconv.statistics import Array
from xconv.torch.capture import program_of
from xconv.torch.precision import in_precision
from xconv.torch.read import read
from xconv.torch.write import write

__all__ = ["Precision", "optimize"]

SAME = 1e-10
"""The relative error in float64 up to which a step is the same function."""
NUDGE = 1e-15
FACTOR = 10.0
"""How many times the original's own float32 error a step may make that only sums in another order."""
LEAST = 1e-6
"""An own float32 error below this counts as this."""

Precision = Literal["float32", "bfloat16", "float16"]


def optimize(
    module: nn.Module,
    example_inputs: Any = None,
    *,
    input_shape: Any = None,
    dtype: Precision = "float32",
    compiled: bool | Literal["openvino"] = True,
    mode: str | None = None,
    dynamic: bool | None = None,
    rounds: int = 15,
) -> Optimized:
    """A module for inference that computes the same faster; every step is proved and measured before it is kept.

    On a CPU call `xconv.keep_memory()` first: without it a large part of the time goes into clearing memory. BatchNorm
    is folded into the layer before it. Uneven pads go into a wider kernel where that is faster than a pad. Weights are
    held channels-last where that is faster. `dtype` lowers the precision. torch.compile makes one program of it, on a
    CPU with its weights frozen. What gains nothing is not kept. The given module is not changed.

    Args:
        module: a network that xconv made, or any other that `torch_to_keras` reads.
        example_inputs: a tensor, or the tuple of the module's arguments: what is measured. Choose the batch that will
            be served, on the module's device.
        input_shape: instead of `example_inputs`, the shape of the input without the batch: one example of noise.
        dtype: 'bfloat16' or 'float16' to compute in; inputs and outputs stay float32. That changes the numbers, by the
            error that is told.
        compiled: whether torch.compile may be tried; on a CPU it needs a C++ compiler and half a minute. 'openvino': a
            program of OpenVINO too, in float32 on a CPU, often the fastest there; `pip install "xconv[openvino]"`.
        mode: for torch.compile, such as 'max-autotune' or 'reduce-overhead'.
        dynamic: for torch.compile: True makes one program for all batches and sizes, False one for each. By default the
            second size that comes makes one for all.
        rounds: how often each variant is measured, in turn with the one before.

    Returns:
        An `Optimized`: `module` in inference mode, and `steps`, each with what it gained and its error. `str()` tells
        them. The figures hold for this machine, this batch and this number of threads.

    Raises:
        Unknown, Unsupported: the module cannot be read.
        InvalidInput: neither `example_inputs` nor `input_shape`, fewer than 3 rounds, another value of
            `compiled`, or OpenVINO elsewhere than in float32 on a CPU.
        MissingFramework: OpenVINO is asked for and not installed.
        Mismatch: a step changed what is computed; it is a fault of xconv.
    """
    if rounds < 3:
        raise InvalidInput(f"rounds={rounds}", remedy="give at least 3, so that there is a median and a spread")
    if compiled not in (True, False, "openvino"):
        raise InvalidInput(f"compiled={compiled!r}", remedy="give True, False or 'openvino'")
    inputs = inputs_of(module, example_inputs, input_shape)
    if compiled == "openvino":
        _check_openvino(inputs, dtype)
    work = _begun(module, inputs, rounds)
    work.fold()
    work.pads()
    work.memory_format()
    if dtype != "float32":
        work.precision(dtype)
    eager = work.current
    if compiled:
        work.compile(mode, dynamic)
    if compiled == "openvino":
        work.on_openvino(eager)
    return work.finished()


@dataclass(slots=True)
class _Work:
    """The module on its way, the original's outputs in float64, and the steps so far."""

    original: nn.Module
    current: nn.Module
    graph: Graph
    inputs: tuple[torch.Tensor, ...]
    truth: Sequence[Array]
    own_error: float
    rounds: int
    lowered: bool = False
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self.inputs[0].device

    def fold(self) -> None:
        """BatchNorm into the layers before it."""
        graph, names = fold_batch_norms(self.graph)
        if names and self._graph_step("fold", f"{len(names)} normalisations folded into the layers before them", graph):
            self.graph = graph

    def pads(self) -> None:
        """Uneven pads inside wider kernels, for the layers that are faster so by themselves."""
        graph, names = self._widened(lambda before, after, node: self._alone(before, after, node.name) > 1)
        if names and self._graph_step("pads", f"uneven pads inside the kernels of {', '.join(names)}", graph):
            self.graph = graph

    def _widened(self, wanted: Callable[[Graph, Graph, Node], bool]) -> tuple[Graph, list[str]]:
        """The graph with the uneven pads inside the kernels of the layers where that is wanted, and their names."""
        graph, names = fold_pads(self.graph, uneven=True), []
        for node in uneven(graph):
            wider = extended(graph, node)
            if wanted(graph, wider, node):
                graph = wider
                names.append(node.name)
        return graph, names

    def memory_format(self) -> None:
        """Weights channels-last: the results of convolutions then are too."""
        if any(tensor.dim() == 4 for tensor in self.current.parameters()):
            candidate = copy.deepcopy(self.current)
            candidate.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._rounding_step("channels_last", "weights and maps are held channels-last", candidate)

    def precision(self, dtype: str) -> None:
        """The wish of the caller, whatever it gains."""
        candidate = Lowered(copy.deepcopy(self.current), getattr(torch, dtype))
        error = error_of(outputs_of(candidate, self.inputs), self.truth)
        times = self._times(candidate)
        self.steps.append(Step("dtype", f"computed in {dtype}", True, times, error, "as asked for"))
        self.current, self.lowered = candidate, True

    def compile(self, mode: str | None, dynamic: bool | None) -> None:
        """One program, and what may be faster as a program though it was not call by call; the fastest is kept.

        With a lower precision the error is that of the precision.
        """
        what = "one program of torch.compile" + (f", {mode}" if mode else "")
        eager = self.current
        programs = [(what, eager)]
        if self.device.type == "cpu":
            wider, names = self._widened(lambda *_: True)
            if names and not self.lowered:
                inside = f"{what}, with all uneven pads inside kernels"
                programs.append((inside, self._proved("compile", inside, wider)[0]))
        else:
            programs += self._other_format(what, eager)
        fastest = eager
        for said, module in programs:
            compiled = Compiled(copy.deepcopy(module), mode, self.device, dynamic=dynamic)
            if self._rounding_step("compile", said, compiled):
                fastest = module
        if self.device.type == "cpu":
            direct = Compiled(copy.deepcopy(fastest), mode, self.device, dynamic=dynamic, direct=True)
            self._rounding_step("compile", f"{what}, called from C++", direct)

    def on_openvino(self, eager: nn.Module) -> None:
        """A program of OpenVINO, made of the module before it was compiled."""
        candidate = OpenVINOProgram(copy.deepcopy(eager))
        try:
            self._rounding_step("openvino", "one program of OpenVINO", candidate)
        except Unsupported as error:
            self.notes.append(str(error))

    def _other_format(self, what: str, eager: nn.Module) -> list[tuple[str, nn.Module]]:
        """The memory format that was not the faster one. A CPU's frozen weights are packed anew from either."""
        kept = [step.kept for step in self.steps if step.name == "channels_last"]
        if not kept:
            return []
        other = torch.contiguous_format if kept[0] else torch.channels_last
        turned = copy.deepcopy(eager).to(memory_format=other)  # type: ignore[call-overload]
        return [(f"{what}, channels {'first' if kept[0] else 'last'}", turned)]

    def finished(self) -> Optimized:
        """Original and result, measured in turn once more."""
        times = self._times(self.current, self.original)
        error = error_of(outputs_of(self.current, self.inputs), self.truth)
        setting = setting_of(self.inputs)
        return Optimized(self.current, tuple(self.steps), times, error, self.own_error, setting, tuple(self.notes))

    def _graph_step(self, name: str, what: str, graph: Graph) -> bool:
        """A step that must mean the same in float64."""
        candidate, error = self._proved(name, what, graph)
        times = self._times(candidate)
        kept = times.gain > 1
        self.steps.append(Step(name, what, kept, times, error))
        if kept:
            self.current = candidate
        return kept

    def _proved(self, name: str, what: str, graph: Graph) -> tuple[nn.Module, float]:
        """The graph as a module in float32, and its error in float64, which is none.

        Raises:
            Mismatch: it computes something else.
        """
        exact = write(graph, "channels_first").eval().to(self.device)
        error = error_of(outputs_of(in_precision(exact, "float64"), self.inputs, "float64"), self.truth)
        if error > SAME and error > (floor := self._floor()):
            said = f"{what} changes the outputs by {error:.2g}, the network's own noise is {floor:.2g}"
            raise Mismatch(said, place=name, remedy="report it, with the network")
        return in_precision(exact, "float32"), error

    def _rounding_step(self, name: str, what: str, candidate: nn.Module) -> bool:
        """A step that may sum in another order."""
        known = error_of(outputs_of(self.current, self.inputs), self.truth) if self.lowered else self.own_error
        error = error_of(outputs_of(candidate, self.inputs), self.truth)
        times = self._times(candidate)
        fine = error <= FACTOR * max(known, LEAST)
        note = "" if fine else f"refused: its error is not rounding, which is {known:.2g} here"
        kept = fine and times.gain > 1
        self.steps.append(Step(name, what, kept, times, error, note))
        if kept:
            self.current = candidate
        return kept

    def _times(self, candidate: nn.Module, against: nn.Module | None = None) -> Pair:
        """The module so far, or another, and the candidate."""
        return self._measured(against or self.current, candidate, self.inputs)

    def _alone(self, graph: Graph, changed: Graph, name: str) -> float:
        """The gain of one changed layer by itself, on noise of the size that it is given here."""
        modules = [in_precision(write(only(one, name), "channels_first").eval(), "float32") for one in (graph, changed)]
        shape = graph.shape(graph.by_name()[name].inputs[0])
        if None in shape[1:]:
            return 0.0
        sizes = (self.inputs[0].shape[0], *(size for size in shape[1:] if size is not None))
        noise = torch.randn(sizes, generator=torch.Generator().manual_seed(0)).to(self.device)
        return self._measured(modules[0].to(self.device), modules[1].to(self.device), (noise,)).gain

    def _measured(self, before: nn.Module, after: nn.Module, inputs: Sequence[torch.Tensor]) -> Pair:
        with torch.no_grad():  # a program that was compiled under inference_mode would be compiled again for others
            return in_turn(lambda: before(*inputs), lambda: after(*inputs), self.rounds, self.device)

    def _floor(self) -> float:
        """How far the outputs move when the inputs move by a few units in the last place of float64."""
        moved = tuple(item.double() * (1 + NUDGE) if item.is_floating_point() else item for item in self.inputs)
        return error_of(outputs_of(in_precision(self.original, "float64"), moved, "float64"), self.truth)


def _check_openvino(inputs: Sequence[torch.Tensor], dtype: str) -> None:
    """Refuses what xconv makes no program of OpenVINO for, before anything is measured."""
    require("openvino", "openvino", "compiled='openvino'")
    if dtype != "float32" or inputs[0].device.type != "cpu":
        what = f"compiled='openvino' with {dtype} on {inputs[0].device.type}"
        raise InvalidInput(what, remedy="give compiled=True, or compute in float32 on a CPU")


def _begun(module: nn.Module, inputs: tuple[torch.Tensor, ...], rounds: int) -> _Work:
    original = in_precision(module, "float32")
    graph = read(*program_of(original, inputs, None))
    graph = run_passes(AFTER_LAYOUT, resolve(run_passes(BEFORE_LAYOUT, graph), "first", "channels_first"))
    truth = outputs_of(in_precision(original, "float64"), inputs, "float64")
    own = error_of(outputs_of(original, inputs), truth)
    return _Work(original, original, graph, inputs, truth, own, rounds)
