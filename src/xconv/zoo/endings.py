"""What a network ends in: scores as they are, or probabilities that a softmax or a sigmoid made of them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from xconv.comparison.opened import open_model
from xconv.graph import Graph, Value
from xconv.layers.activation import Activation
from xconv.layers.reshape import Flatten, Reshape
from xconv.layers.softmax import Softmax

__all__ = ["Ending", "ending_of_keras", "run_with_ending"]

Ending: TypeAlias = Literal["logits", "softmax", "log_softmax", "sigmoid"]

OPERATORS: dict[str, Ending] = {
    "aten::_softmax": "softmax",
    "aten::softmax": "softmax",
    "aten::_log_softmax": "log_softmax",
    "aten::log_softmax": "log_softmax",
    "aten::sigmoid": "sigmoid",
    "aten::sigmoid_": "sigmoid",
}


def ending_of_keras(model: Any) -> Ending:
    """What the graph of a Keras model with one output ends in.

    Raises:
        XConvError: the model cannot be read.
    """
    graph = open_model(model).graph
    return _ending(graph, graph.output_values()[0])


def _ending(graph: Graph, value: Value) -> Ending:
    node = graph.by_name()[value.node]
    if isinstance(node.spec, (Reshape, Flatten)):
        return _ending(graph, node.inputs[0])
    if isinstance(node.spec, Softmax):
        return "log_softmax" if node.spec.log else "softmax"
    return "sigmoid" if isinstance(node.spec, Activation) and node.spec.name == "sigmoid" else "logits"


def run_with_ending(module: nn.Module, image: Tensor) -> tuple[Any, Ending]:
    """What a module returns in inference, and which operator wrote it; modes are left as they were."""
    modes = [(child, child.training) for child in module.modules()]
    noted = _Noted()
    module.eval()
    try:
        with torch.no_grad(), noted:
            result = module(image)
    finally:
        for child, training in modes:
            child.training = training
    return result, noted.ending(result) if isinstance(result, Tensor) else "logits"


class _Noted(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what every softmax and sigmoid returns, and so sees which of them a result is."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made: list[tuple[Tensor, Ending]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        ending = OPERATORS.get(func._schema.name)
        if ending is not None:
            self.made.append((result, ending))
        return result

    def ending(self, result: Tensor) -> Ending:
        """Which of them the memory of a result belongs to."""
        place = result.untyped_storage().data_ptr()
        return next((said for made, said in self.made if made.untyped_storage().data_ptr() == place), "logits")
