"""What exporters spell out because their operator set has no word for it, as one operator again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from xconv.onnx.call import as_number
from xconv.onnx.steps import Array, Step

__all__ = ["with_gelu"]


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps by what they make, how often each value is used, and the constants."""

    made: Mapping[str, Step]
    uses: Mapping[str, int]
    constants: Mapping[str, Array]

    def number(self, name: str) -> float | None:
        """The constant of one element of this name."""
        array = self.constants.get(name)
        return float(as_number(array)) if array is not None and array.size == 1 and array.dtype.kind == "f" else None

    def alone(self, name: str, kind: str) -> Step | None:
        """The step of this kind that makes the value, where nothing else uses it."""
        step = self.made.get(name)
        return step if step is not None and step.kind == kind and self.uses[name] == 1 else None

    def beside(self, step: Step, number: float) -> str:
        """The other input of a step one of whose inputs is this number; '' where it is not."""
        for one, other in (step.inputs, step.inputs[::-1]):
            if self.number(other) == number:
                return one
        return ""


def with_gelu(steps: Sequence[Step], constants: Mapping[str, Array], outputs: Iterable[str]) -> list[Step]:
    """The steps with GELU, which operator sets before 20 lack, as one: x / sqrt(2), erf, + 1, times x, times 0.5."""
    uses = Counter(name for step in steps for name in step.inputs)
    uses.update(outputs)
    known = _Steps({name: step for step in steps for name in step.outputs}, uses, constants)
    gone: set[str] = set()
    found: dict[str, Step] = {}
    for step in steps:
        if step.kind == "Mul" and len(step.inputs) == 2 and (parts := _parts(step, known)):
            source, inner = parts
            scope = step.name.rpartition("/")[0]
            found[step.outputs[0]] = Step("Gelu", (source,), step.outputs, name=f"{scope}/Gelu")
            gone |= {part.outputs[0] for part in inner}
    return [found.get(step.outputs[0], step) for step in steps if step.outputs[0] not in gone]


def _parts(last: Step, known: _Steps) -> tuple[str, tuple[Step, ...]] | None:
    """What a GELU that ends in this step is of, and the steps before it."""
    product = known.alone(known.beside(last, 0.5), "Mul")
    if product is None:
        return None
    for source, factor in (product.inputs, product.inputs[::-1]):
        added = known.alone(factor, "Add")
        erf = known.alone(known.beside(added, 1.0), "Erf") if added is not None else None
        divided = known.alone(erf.inputs[0], "Div") if erf is not None else None
        if added is None or erf is None or divided is None:
            continue
        if divided.inputs[0] == source and known.number(divided.inputs[1]) == math.sqrt(2):
            return source, (product, added, erf, divided)
    return None
