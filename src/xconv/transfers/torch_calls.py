"""Which call of a function in a running module a node of its graph is (`Calls`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from xconv.errors import Unsupported
from xconv.graph import Graph, Node
from xconv.layers.activation import Activation
from xconv.layers.concat import Concat
from xconv.layers.elementwise import Elementwise
from xconv.layers.pool import Pool
from xconv.torch.modules.adapted import called

__all__ = ["Calls", "function_of"]

ARITHMETIC = {"add": "add", "multiply": "mul", "subtract": "sub"}
ACTIVATIONS = {
    "elu": "elu",
    "gelu": "gelu",
    "hard_sigmoid": "hardsigmoid",
    "hard_silu": "hardswish",
    "leaky_relu": "leaky_relu",
    "relu": "relu",
    "relu6": "relu6",
    "sigmoid": "sigmoid",
    "silu": "silu",
    "tanh": "tanh",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function: the module in whose own forward it stands, and its number within each module around."""

    function: str
    owner: int
    numbers: Mapping[int, tuple[str, int]]
    """For every module that was running (by id): which module inside it made the call (none: itself), and how many
    calls of this function that one had made before."""
    runs: Mapping[int, int]
    """For every such module, the how-manieth run it was."""


class Calls:
    """The calls that a module makes in one run in inference mode."""

    def __init__(self, root: nn.Module, graph: Graph, inputs: Sequence[Any]) -> None:
        self.root, self.graph = root, graph
        self.found = _recorded(root, inputs)

    def place(self, node: Node, inside: nn.Module) -> tuple[str, str, int]:
        """The function that a node is, which module inside `inside` calls it (none: itself), and which call that is.

        Raises:
            Unsupported: it cannot be told, or `inside` runs several times.
        """
        function = function_of(node)
        owner = self.root.get_submodule(node.layer)
        own = [call for call in self.found if call.function == function and call.owner == id(owner)]
        alike = [other for other in self.graph.nodes if other.layer == node.layer and function_of(other) == function]
        places = [number for number, other in enumerate(alike) if other.name == node.name]
        if not function or len(own) != len(alike) or not places:
            raise Unsupported(f"it cannot be told which call of {function or type(node.spec).__name__} this is")
        call = own[places[0]]
        if id(inside) not in call.numbers or any(other.runs.get(id(inside)) for other in self.found):
            raise Unsupported(f"{type(inside).__name__} runs several times, and each run calls {function}")
        return function, *call.numbers[id(inside)]


def function_of(node: Node) -> str:
    """The name under which torch's function for a node is called; empty where it is not known."""
    spec = node.spec
    if isinstance(spec, Pool):
        return f"{'max' if spec.kind == 'max' else 'avg'}_pool{len(spec.kernel)}d"
    if isinstance(spec, Elementwise):
        return ARITHMETIC.get(spec.name, "")
    if isinstance(spec, Activation):
        return ACTIVATIONS.get(spec.name, "")
    return "cat" if isinstance(spec, Concat) else ""


class _Recorder(TorchFunctionMode):
    """Notes every call of a function with the modules that are running."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Call] = []
        self.stack: list[tuple[nn.Module, dict[tuple[str, str], int], int]] = []
        self.paths: dict[int, dict[int, str]] = {}
        self.runs: dict[int, int] = {}

    def enter(self, module: nn.Module, _: Any) -> None:
        number = self.runs.get(id(module), 0)
        self.runs[id(module)] = number + 1
        self.stack.append((module, {}, number))
        if id(module) not in self.paths:
            self.paths[id(module)] = {id(child): path for path, child in module.named_modules()}

    def leave(self, *_: Any) -> None:
        self.stack.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = called(func)
        numbers: dict[int, tuple[str, int]] = {}
        for place, (module, counts, _) in enumerate(self.stack):
            following = self.stack[place + 1][0] if place + 1 < len(self.stack) else module
            child = self.paths[id(module)].get(id(following), "")
            numbers[id(module)] = child, counts.get((child, name), 0)
            counts[child, name] = counts.get((child, name), 0) + 1
        if self.stack:
            runs = {id(module): run for module, _, run in self.stack}
            self.found.append(Call(name, id(self.stack[-1][0]), numbers, runs))
        return func(*args, **(kwargs or {}))


def _recorded(root: nn.Module, inputs: Sequence[Any]) -> list[Call]:
    recorder = _Recorder()
    handles = [register_module_forward_pre_hook(recorder.enter), register_module_forward_hook(recorder.leave)]
    try:
        with _in_inference(root), torch.no_grad(), recorder:
            root(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return recorder.found


@contextmanager
def _in_inference(root: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in root.modules()]
    root.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
