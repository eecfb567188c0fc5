"""One conversion from file to file: asked for, made, and told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xconv
from xconv.cli.options import InputLayout
from xconv.cli.output import warn
from xconv.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from xconv.keras.records import KerasModel
    from xconv.report.records import Report
    from xconv.torch.record import Record

__all__ = ["Done", "Task", "to_keras_file", "to_onnx_file", "to_torch_file"]


@dataclass(frozen=True, slots=True)
class Task:
    """One conversion that is asked for."""

    model: Path
    output: Path
    layout: InputLayout
    verify: bool
    strict: bool
    through_onnx: bool = False
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """What `keras_to_torch` is told of dtypes."""

    def check(self, found: Sequence[Problem]) -> None:
        """Refuse weights that no trained network has, where that is asked for."""
        if self.strict and found:
            raise InvalidInput(f"{self.model} holds weights that no trained network has", problems=found)


@dataclass(frozen=True, slots=True)
class Done:
    """One conversion that was made."""

    source: str
    inputs: tuple[Mapping[str, Any], ...]
    parameters: int
    notes: tuple[str, ...]
    found: tuple[Problem, ...]
    report: Report | None

    @property
    def written(self) -> bool:
        """Whether there is a file: not where the verification failed."""
        return self.report is None or self.report.ok

    def summary(self, output: Path) -> dict[str, Any]:
        """What was written, as plain data."""
        return {
            "output": str(output) if self.written else None,
            "source": self.source,
            "inputs": list(self.inputs),
            "parameters": self.parameters,
            "notes": list(self.notes),
            "weights": [asdict(problem) for problem in self.found],
            "report": None if self.report is None else json.loads(self.report.to_json()),
        }

    def sentence(self, output: Path) -> str:
        """What was written, in one line."""
        if not self.written:
            found = self.report and self.report.verdict
            return f"nothing was written: the result was not found the same as its source ({found})"
        verdict = f"; verified: {self.report.verdict}" if self.report is not None else ""
        return f"{output}: {self.parameters:,} parameters{verdict}"


def to_torch_file(task: Task, weights: Path | None, config: Path | None, step: Callable[[str], None]) -> Done:
    """A Keras file to a torch file."""
    if task.through_onnx or task.model.suffix == ".onnx":
        from xconv.cli.onnx import module_of

        module = module_of(task.model, task.layout.value, through=task.through_onnx)
    else:
        options = {"weights": weights, "config": config, **task.numbers}
        module = xconv.keras_to_torch(task.model, input_layout=task.layout.value, **options)
    found = xconv.weights_report(module)
    task.check(found)
    report = None
    if task.verify:
        step("verifying")
        report = xconv.verify(task.model, module)
    if report is None or report.ok:
        step(f"writing {task.output.name}")
        xconv.save(module, task.output)
    remembered = xconv.record(module)
    count = sum(tensor.numel() for tensor in module.parameters())
    return _done(remembered, count, found, report, remembered.source)


def to_keras_file(task: Task, step: Callable[[str], None]) -> Done:
    """A torch program to a `.keras` file."""
    from xconv.api import for_keras, read_torch
    from xconv.atomic import replacing
    from xconv.keras import write_file
    from xconv.keras.depth import advice
    from xconv.keras.model_order import deepest
    from xconv.keras.origin import record_of
    from xconv.keras.write import records_of
    from xconv.torch.values import findings_in

    source = xconv.load(task.model) if task.model.suffix == ".safetensors" else task.model
    if task.through_onnx or task.model.suffix == ".onnx":
        from xconv.cli.onnx import graph_of

        read = graph_of(task.model, through=task.through_onnx)
    else:
        read = read_torch(source)
    graph = replace(for_keras(read, task.layout.value), name=task.model.stem)
    records = records_of(graph)
    if too_deep := advice(deepest(records)):
        warn(f"warning: {too_deep}")
    found = findings_in(records.arrays)
    task.check(found)
    report = None
    try:
        with replacing(task.output) as temporary:
            step(f"writing {task.output.name}")
            write_file(records, temporary)
            if task.verify:
                step("verifying")
                report = _verified(task.model, temporary)
    except _Differs as differs:
        report = differs.report
    return _done(record_of(graph, records, task.layout.value), _count(records), found, report, str(task.model))


def to_onnx_file(task: Task, layout: InputLayout | None, step: Callable[[str], None]) -> Done:
    """A Keras or torch file to an `.onnx` file."""
    from xconv.cli.onnx import export

    found = export(task.model, task.output, layout and layout.value, step, verify=task.verify)
    return Done(str(task.model), found.inputs, found.parameters, (), (), found.report)


def _done(remembered: Record, count: int, found: tuple[Problem, ...], report: Report | None, source: str) -> Done:
    return Done(source, tuple(map(asdict, remembered.inputs)), count, remembered.notes, found, report)


def _count(records: KerasModel) -> int:
    """The numbers in the weights, statistics included, as Keras counts them."""
    return sum(prod(weight.shape) for entry in records.entries for weight in entry.weights)


class _Differs(Exception):
    """What was written is not the same function, so the file is not kept."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def _verified(model: Path, written: Path) -> Report:
    """The comparison of a torch program with a `.keras` file, which Keras itself loads."""
    from xconv.frameworks import require
    from xconv.keras.depth import loaded

    require("keras", "keras", "--verify")
    report = xconv.verify(model, loaded(written))
    if not report.ok:
        raise _Differs(report)
    return report
