"""One call of a network carried out by itself, in inference mode and in float64: no module of the whole is built.

For networks that are run once, or changed in a few places and run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn

from xconv.spec import Slot, TorchCall
from xconv.torch.modules.states import Stateful
from xconv.torch.precision import recast
from xconv.torch.targets import method_name, resolve_target
from xconv.torch.write import Reader, check_floating, empty_module

__all__ = ["Layer", "layer_of"]

Taken: TypeAlias = Callable[[Sequence[torch.Tensor]], Any]
"""What an argument is, given the tensors that the node takes."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What a node computes of the tensors that it takes, and the modules that do it."""

    compute: Taken
    modules: tuple[nn.Module, ...]


def layer_of(call: TorchCall, read: Reader) -> Layer:
    """The layer of a call; `read(name, weight)` gives the numbers of each weight.

    >>> layer_of(TorchCall("torch.mul", (Slot(0), TorchCall("torch.nn.ReLU", (Slot(1),)))), read=None).compute(
    ...     [torch.tensor(2.0), torch.tensor(3.0)]
    ... )
    tensor(6.)

    Raises:
        XConvError: a name that stands for no operation, numbers that a layer does not take.
    """
    maker = _Maker(read)
    return Layer(maker.call(call), tuple(maker.modules))


def _from_zeros(module: Stateful) -> Callable[..., Any]:
    """Every call of a layer that keeps states as if it were the first."""

    def call(*args: torch.Tensor) -> Any:
        module.reset_state()
        return module(*args)

    return call


class _Maker:
    """Makes functions of calls; keeps the modules that it makes."""

    def __init__(self, read: Reader) -> None:
        self.read = read
        self.modules: list[nn.Module] = []

    def call(self, call: TorchCall) -> Taken:
        """The function that carries the call out."""
        target = self.target(call)
        args = [self.argument(item) for item in call.args]
        kwargs = {key: self.argument(item) for key, item in call.kwargs.items()}

        def compute(tensors: Sequence[torch.Tensor]) -> Any:
            return target(*(take(tensors) for take in args), **{key: take(tensors) for key, take in kwargs.items()})

        return compute

    def argument(self, item: Any) -> Taken:
        """What an argument is: a tensor, the result of another call, or what it says."""
        if isinstance(item, Slot):
            return lambda tensors: tensors[item.index]
        if isinstance(item, TorchCall):
            return self.call(item)
        if isinstance(item, slice):
            bounds = [self.argument(part) for part in (item.start, item.stop, item.step)]
            return lambda tensors: slice(*(take(tensors) for take in bounds))
        if isinstance(item, (tuple, list)):
            kind, parts = type(item), [self.argument(part) for part in item]
            return lambda tensors: kind(take(tensors) for take in parts)
        return lambda tensors: item

    def target(self, call: TorchCall) -> Callable[..., Any]:
        """What is called."""
        if call.target == "Tensor":
            ((role, weight),) = call.tensors.items()
            tensor = _wide(self.read(role, weight))
            return lambda *_: tensor
        if call.is_module:
            module = self.module(call)
            return _from_zeros(module) if isinstance(module, Stateful) else module
        if call.target.startswith("Tensor."):
            name = method_name(call.target)
            return lambda tensor, *args, **kwargs: getattr(tensor, name)(*args, **kwargs)
        function: Callable[..., Any] = resolve_target(call.target)
        return function

    def module(self, call: TorchCall) -> nn.Module:
        """The module of a call, its weights filled in."""
        module = empty_module(call)
        for name, weight in call.tensors.items():
            tensor = self.read(name, weight)
            if name in module._parameters:
                check_floating(name, weight, tensor)
                parameter = nn.Parameter(_wide(tensor), requires_grad=False)
                setattr(module, name, parameter)  # nn.LSTM keeps a list of them too
            else:
                module._buffers[name] = tensor
        made = recast(module.eval(), "float64")
        self.modules.append(made)
        return made


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
