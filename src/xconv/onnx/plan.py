"""An ONNX graph -> steps: operators with their constants, weights in torch's order, and places in a tree of modules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xconv.errors import Problem, Unknown, Unreadable
from xconv.graph import unique
from xconv.onnx.idioms import with_gelu
from xconv.onnx.operators import OPERATORS
from xconv.onnx.operators.recurrent import GATES, recurrent_weights
from xconv.onnx.placing import is_taken, placed
from xconv.onnx.steps import Array, Held, Step

__all__ = ["STATISTICS", "Plan", "plan_of"]

ROLES: Mapping[str, Mapping[int, str]] = {
    "Conv": {1: "weight", 2: "bias"},
    "ConvTranspose": {1: "weight", 2: "bias"},
    "LayerNormalization": {1: "weight", 2: "bias"},
    "InstanceNormalization": {1: "weight", 2: "bias"},
    "GroupNormalization": {1: "weight", 2: "bias"},
    "BatchNormalization": {1: "weight", 2: "bias", 3: "running_mean", 4: "running_var"},
    "PRelu": {1: "weight"},
    "Gather": {0: "weight"},
}
"""What an input of an operator is to a layer; floating initializers elsewhere are free weights."""
STATISTICS = frozenset({"running_mean", "running_var"})
FREE = "weight"
SETTINGS = frozenset({"Resize", "Upsample", "Clip", "Pad", "Range"})
"""Operators whose constants are never weights."""
FILLINGS = frozenset({"Expand", "Where"})
"""Operators whose constants fill something; a weight in them has a name of torch's."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A network: the names of its inputs and outputs, its steps in order, and its constants."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    steps: tuple[Step, ...]
    constants: Mapping[str, Array]
    opset: int
    double: bool = False
    """Whether it computes in float64."""


def plan_of(model: Any, name: str, opset: int) -> Plan:
    """The steps of a checked model.

    Raises:
        Unknown: operators that are not known here, all in one error.
        Unreadable: numbers that cannot be read.
    """
    graph = model.graph
    _check_known(graph)
    arrays = {tensor.name: _array_of(tensor) for tensor in graph.initializer}
    steps = [_step(node) for node in graph.node]
    constants, steps = _constants(steps, arrays)
    steps = with_gelu(steps, {**arrays, **constants}, (item.name for item in graph.output))
    trained = model.producer_name == "pytorch"
    steps = [_with_weights(step, arrays, named=trained) for step in _dense(steps, arrays, graph)]
    given = {name for step in steps for name in step.given if name in arrays} | {item.name for item in graph.output}
    known = {**{key: array for key, array in arrays.items() if key in given}, **constants}
    inputs = tuple(item.name for item in graph.input if item.name not in arrays)
    outputs = tuple(item.name for item in graph.output)
    return Plan(name, inputs, outputs, tuple(placed(steps)), known, opset, _is_double(graph, arrays))


def _is_double(graph: Any, arrays: Mapping[str, Array]) -> bool:
    from onnx import TensorProto

    kinds = {item.type.tensor_type.elem_type for item in (*graph.input, *graph.output)}
    return TensorProto.DOUBLE in kinds or any(array.dtype == np.float64 for array in arrays.values())


def _check_known(graph: Any) -> None:
    found = Counter(
        f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        for node in graph.node
        if node.domain not in ("", "ai.onnx") or node.op_type not in (*OPERATORS, "Constant", "Shape", "Size")
    )
    if found:
        first = {node.op_type: node.name for node in reversed(graph.node)}
        problems = [
            Problem(first.get(kind, kind), f"operator {kind} has no rule ({count} of them)", _remedy(kind))
            for kind, count in found.items()
        ]
        raise Unknown("the ONNX model cannot be read", problems=problems)


def _remedy(kind: str) -> str:
    if kind in ("Loop", "Scan", "If"):
        return "convert the model that it was exported from; a GRU or SimpleRNN of Keras stays a loop in tf2onnx"
    return "export the model without it"


def _array_of(tensor: Any) -> Array:
    from onnx import numpy_helper

    try:
        found: Array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise Unreadable(f"its numbers cannot be read: {error}", place=tensor.name, remedy="save it again") from error
    return found


def _step(node: Any) -> Step:
    from onnx import AttributeProto, helper

    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    tensors = {item.name for item in node.attribute if item.type == AttributeProto.TENSOR}
    attributes = {key: _array_of(value) if key in tensors else value for key, value in values.items()}
    return Step(node.op_type, tuple(node.input), tuple(node.output), attributes, name=node.name or node.output[0])


def _constants(steps: list[Step], arrays: dict[str, Array]) -> tuple[dict[str, Array], list[Step]]:
    """The numbers that are steps of their own, and the other steps; the same initializer by another name is one."""
    constants: dict[str, Array] = {}
    aliases: dict[str, str] = {}
    kept = []
    for step in steps:
        moved = replace(step, inputs=tuple(aliases.get(name, name) for name in step.inputs))
        if step.kind == "Constant":
            constants[step.outputs[0]] = _constant(step)
        elif step.kind == "Identity" and moved.inputs[0] in arrays:
            aliases[step.outputs[0]] = moved.inputs[0]
        else:
            kept.append(moved)
    return constants, kept


def _constant(step: Step) -> Array:
    types = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    (key, value), *_ = step.attributes.items()
    return value if isinstance(value, np.ndarray) else np.asarray(value, dtype=types.get(key))


def _dense(steps: list[Step], arrays: Mapping[str, Array], graph: Any) -> Iterator[Step]:
    """The steps with products by a weight, and the bias that is added alone to one of them, as Dense layers."""
    uses = Counter(name for step in steps for name in step.inputs)
    uses.update(item.name for item in graph.output)
    made = {name: step for step in steps for name in step.outputs}
    biased: dict[str, tuple[Step, str]] = {}
    for step in steps:
        if step.kind == "Add" and len(step.inputs) == 2:
            for product, bias in (step.inputs, step.inputs[::-1]):
                source = made.get(product)
                fits = bias in arrays and source is not None and source.kind == "MatMul" and uses[product] == 1
                if fits and source is not None and _matrix(source, arrays) is not None:
                    width = arrays[source.inputs[1]].shape[1]
                    if arrays[bias].shape == (width,):
                        biased[product] = (step, bias)
    absorbed = {id(step) for step, _ in biased.values()}
    for step in steps:
        if id(step) in absorbed:
            continue
        found = _matrix(step, arrays)
        if found is None:
            yield step
            continue
        outer, bias = biased.get(step.outputs[0], (step, step.inputs[2] if len(step.inputs) > 2 else ""))
        name = step.inputs[1]
        turned = found is not arrays[name]
        held = {"weight": Held(name, found, turned=turned)} | ({"bias": Held(bias, arrays[bias])} if bias else {})
        yield Step("Dense", step.inputs[:1], outer.outputs, {}, held, step.name)


def _matrix(step: Step, arrays: Mapping[str, Array]) -> Array | None:
    """The weight of a product as torch's Linear holds it, (outputs, inputs); None where it is no Dense layer."""
    weight = arrays.get(step.inputs[1]) if step.kind in ("Gemm", "MatMul") else None
    if weight is None or weight.ndim != 2 or step.inputs[0] in arrays:
        return None
    if step.kind == "MatMul":
        return weight.T
    said, bias = step.attributes, step.inputs[2] if len(step.inputs) > 2 else ""
    plain = said.get("alpha", 1.0) == 1.0 and said.get("beta", 1.0) == 1.0 and not said.get("transA", 0)
    turned = weight if said.get("transB", 0) else weight.T
    fits = not bias or (bias in arrays and arrays[bias].shape == turned.shape[:1])
    return turned if plain and fits else None


def _with_weights(step: Step, arrays: Mapping[str, Array], *, named: bool) -> Step:
    """The step with the initializers that it takes as weights of its own."""
    if step.kind in GATES and step.inputs[1] in arrays and step.inputs[2] in arrays:
        names = [name for name in step.inputs[1:4] if name in arrays]
        made = recurrent_weights(step.kind, [arrays[name] for name in names])
        key = "+".join(names)
        held = {role: Held(f"{key}:{role}", array) for role, array in made.items()}
        return replace(step, inputs=(step.inputs[0], "", "", "", *step.inputs[4:]), held=held)
    roles = ROLES.get(step.kind, {})
    held = dict(step.held)
    for place, name in enumerate(step.inputs):
        array = arrays.get(name)
        if array is None or array.dtype.kind != "f" or step.kind == "Dense":
            continue
        own = named and not name.startswith("onnx::") and bool(array.ndim)
        free = step.kind not in SETTINGS and (own or (array.size > 1 and step.kind not in FILLINGS))
        if place in roles or free:
            role = roles.get(place) or unique(_role(name), held)
            held[role] = Held(name, array, place)
    return replace(step, held=held)


def _role(name: str) -> str:
    """The last part of a name such as torch gives to a parameter, where it is one that a module can have."""
    last = name.rpartition(".")[2]
    return last if last.isidentifier() and not is_taken(last) else FREE
