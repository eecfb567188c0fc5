"""An ONNX model as an nn.Module that torch.export reads: one module an operator, at the path that its name tells."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from xconv.errors import InvalidInput, Unsupported, XConvError
from xconv.onnx.call import Call, as_tensor
from xconv.onnx.host import on_host
from xconv.onnx.operators import OPERATORS
from xconv.onnx.plan import STATISTICS, Plan
from xconv.onnx.steps import Held, Step

__all__ = ["Network", "Operator"]


class Operator(nn.Module):
    """One operator with its weights, called on what the graph brings to it."""

    def __init__(self, step: Step, plan: Plan) -> None:
        super().__init__()
        self.step, self.opset, self.is_double = step, plan.opset, plan.double
        self.places = {held.place: role for role, held in step.held.items() if held.place is not None}

    def forward(self, *given: Any) -> Any:
        """The results: tensors, or arrays where they are known without the network's input."""
        inputs = list(given)
        for place, role in self.places.items():
            inputs[place] = getattr(self, role)
        weights = {role: getattr(self, role) for role in self.step.held}
        count = max((place + 1 for place, name in enumerate(self.step.outputs) if name), default=1)
        call = Call(self.step.kind, inputs, self.step.attributes, self.opset, count, weights, self.is_double)
        result = on_host(call)
        if result is None:
            result = OPERATORS[call.kind](call)
        if call.unread:
            said = ", ".join(f"{name}={call.attributes[name]!r}" for name in sorted(call.unread))
            raise Unsupported(f"{call.kind} with {said}", remedy="export the model without it")
        return result


class Network(nn.Module):
    """What an ONNX model computes, in torch. Weights that it shares are shared here."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self._fill: dict[str, Any] = {}
        shared: dict[str, nn.Parameter] = {}
        for step in plan.steps:
            if step.path not in self._fill:
                self._fill[step.path] = _operator(self, step, plan, shared)

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The outputs, in order: one tensor, or a tuple of them."""
        values: dict[str, Any] = {"": None, **self.plan.constants, **dict(zip(self.plan.inputs, inputs, strict=True))}
        for step in self.plan.steps:
            try:
                result = self.get_submodule(step.path)(*[values[name] for name in step.given])
            except XConvError as error:
                raise error.at(step.name) from error
            results = result if isinstance(result, tuple) else (result,)
            values.update({name: item for name, item in zip(step.outputs, results, strict=False) if name})
        missing = [name for name in self.plan.outputs if name not in values]
        if missing:
            raise InvalidInput(f"nothing computes the output {', '.join(missing)}", remedy="export the model again")
        found = tuple(as_tensor(values[name]) for name in self.plan.outputs)
        return found[0] if len(found) == 1 else found


def _operator(root: nn.Module, step: Step, plan: Plan, shared: dict[str, nn.Parameter]) -> Operator:
    """The operator of a step, put at its path, below modules that are there or are made."""
    *above, last = step.path.split(".")
    parent = root
    for name in above:
        child = parent._modules.get(name)
        if child is None:
            child = nn.Module()
            parent.add_module(name, child)
        parent = child
    made = Operator(step, plan)
    for name, inner in (parent._modules.pop(last, None) or nn.Module()).named_children():
        made.add_module(name, inner)
    parent.add_module(last, made)
    for role, held in step.held.items():
        _hold(made, role, held, shared)
    return made


def _hold(operator: Operator, role: str, held: Held, shared: dict[str, nn.Parameter]) -> None:
    """Register a weight: a parameter, or a buffer where it is a statistic."""
    form = f"{held.key}:{held.turned}"
    if role in STATISTICS:
        operator.register_buffer(role, torch.from_numpy(np.array(held.array)))
        return
    if form not in shared:
        shared[form] = nn.Parameter(torch.from_numpy(np.array(held.array)))
    operator.register_parameter(role, shared[form])
