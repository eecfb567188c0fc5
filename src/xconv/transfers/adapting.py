"""adapt=True: the target's geometry changed so that it computes what the source does, all of it or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from xconv.alignment import align
from xconv.comparison.case import Case
from xconv.comparison.opened import Opened, is_keras, open_model
from xconv.errors import Problem, Unsupported
from xconv.transfers.changes import Change, Edits
from xconv.transfers.wishes import wishes

__all__ = ["Adaptation", "adapt"]


@dataclass(frozen=True, slots=True)
class Adaptation:
    """A target whose geometry was changed: `case` is read from it anew."""

    case: Case
    edits: Edits
    problems: tuple[Problem, ...] = ()
    """What could not be changed, and why."""
    new: bool = False
    """Whether the target is another object than the one that was given."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """Everything that was changed, in order."""
        return tuple(self.edits.changes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a caller should know."""
        found = []
        if self.changes:
            found.append(f"the weights are for {self.case.b.name} with {len(self.changes)} settings changed first")
        if self.new:
            found.append("the given model is as it was: report.target is a new one, not compiled")
        sizes = [shape[2:] for shape, _ in self.case.a.inputs if len(shape) > len("NC")]
        if any("padding" in item.after for item in self.changes) and sizes and None not in sizes[0]:
            found.append(f"the pads are those of the source for inputs of {' x '.join(map(str, sizes[0]))}")
        return tuple(found)

    @property
    def target(self) -> Any:
        """The model that has the new geometry: the given torch module, or a new Keras model."""
        return self.case.b.model


def adapt(case: Case, input_shape: Any = None) -> Adaptation:
    """The target of a case changed, read again and aligned again.

    A torch module is changed in place, and `edits.undo()` takes it back; of a Keras model a changed copy is made.

    Args:
        case: the source as `a`, the target as `b`.
        input_shape: as it was given to open them.

    Raises:
        Unsupported: a target that is no live model.
        XConvError: the changed target cannot be read; it is as it was.
    """
    edits = Edits()
    if is_keras(case.b.model):
        return _keras(case, edits, input_shape)
    return _torch(case, edits, input_shape)


def _torch(case: Case, edits: Edits, input_shape: Any) -> Adaptation:
    from torch import fx, nn

    from xconv.transfers.adapt_torch import adapt_module, offset_layers

    if not isinstance(case.b.model, nn.Module) or isinstance(case.b.model, fx.GraphModule):
        what = f"a {type(case.b.model).__name__} has no layers whose settings can be changed"
        raise Unsupported(what, remedy="give the module itself")
    try:
        problems = adapt_module(case, wishes(case), edits)
        case = _again(case, case.b.model, input_shape)
        before = len(edits.changes)
        offset_layers(case, edits)
        if len(edits.changes) > before:
            case = _again(case, case.b.model, input_shape)
    except BaseException:
        edits.undo()
        raise
    return Adaptation(case, edits, tuple(problems))


def _keras(case: Case, edits: Edits, input_shape: Any) -> Adaptation:
    from xconv.transfers.adapt_keras import adapted_model

    model, problems = adapted_model(case, wishes(case), edits)
    new = model is not case.b.model
    return Adaptation(_again(case, model, input_shape), edits, tuple(problems), new)


def _again(case: Case, model: Any, input_shape: Any) -> Case:
    """The case with its target read from this model."""
    target: Opened = open_model(model, input_shape=input_shape, like=case.a)
    return replace(case, b=target, alignment=align(case.a.graph, target.graph), memory={})
