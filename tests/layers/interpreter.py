"""Runs a `TorchCall` by itself, without the writer: what one record means."""

import importlib
from typing import Any

import torch
from torch import nn

from xconv.spec import Slot, TorchCall

__all__ = ["Interpreted"]


class Interpreted(nn.Module):
    """A `TorchCall`, with its modules built and their tensors filled from `arrays` by key."""

    def __init__(self, call: TorchCall, arrays: dict[str, Any]) -> None:
        super().__init__()
        self.call = call
        self.parts = nn.ModuleDict()
        self._build(call, arrays)

    def _build(self, call: TorchCall, arrays: dict[str, Any]) -> None:
        if call.is_module:
            module = _lookup(call.target)(**call.config).double()
            state = {}
            for name, weight in call.tensors.items():
                state[name] = torch.as_tensor(
                    weight.constant * torch.ones(weight.shape, dtype=torch.float64)
                    if weight.constant is not None
                    else weight.apply(torch.as_tensor(arrays[weight.key]))
                )
            missing, unexpected = module.load_state_dict(state, strict=False)
            assert not unexpected, unexpected
            assert not [name for name in missing if not name.endswith("num_batches_tracked")], missing
            self.parts[str(id(call))] = module
        else:
            assert not call.tensors
        for item in _nested(call):
            self._build(item, arrays)

    def forward(self, *inputs: Any) -> Any:
        return self._value(self.call, inputs)

    def _value(self, item: Any, inputs: Any) -> Any:
        if isinstance(item, Slot):
            return inputs[item.index]
        if isinstance(item, (list, tuple)):
            return type(item)(self._value(entry, inputs) for entry in item)
        if not isinstance(item, TorchCall):
            return item
        args = [self._value(entry, inputs) for entry in item.args]
        if item.is_module:
            return self.parts[str(id(item))](*args)
        kwargs = {key: self._value(entry, inputs) for key, entry in item.kwargs.items()}
        if item.target.startswith("Tensor."):
            return getattr(args[0], item.target.removeprefix("Tensor."))(*args[1:], **kwargs)
        return _lookup(item.target)(*args, **kwargs)


def _nested(call: TorchCall) -> list[TorchCall]:
    found: list[TorchCall] = []

    def walk(item: Any) -> None:
        if isinstance(item, TorchCall):
            found.append(item)
        elif isinstance(item, (list, tuple)):
            for entry in item:
                walk(entry)

    for item in (*call.args, *call.kwargs.values()):
        walk(item)
    return found


def _lookup(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)
