"""How Keras behaves while a call is traced: what would leave the graph unseen is a part of it, or refused."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from xconv.graph import map_structure, values_in
from xconv.keras.open_sizes import open_sizes

__all__ = ["returned", "traced_calls"]


@contextlib.contextmanager
def traced_calls() -> Iterator[list[tuple[Any, Any]]]:
    """Keras while one call is traced; the symbolic tensors that stand for constants, each with its array.

    Sizes may be open. A layer whose shapes Keras cannot say is asked for them by its call. A layer may return None
    among tensors. A layer with weights that is called on constants is a node of the graph, so that its weights stay
    weights. And nobody may read the numbers of a variable: what is computed of them would be a constant.
    """
    import keras

    found: list[tuple[Any, Any]] = []
    layer, variable = keras.layers.Layer, keras.Variable
    calls: Any = sys.modules["keras.src.layers.layer"]
    own_node, own_call, own_symbolic = calls.Node, layer.__call__, layer.symbolic_call
    own_value, holder = variable.value, next(kind for kind in variable.__mro__ if "value" in vars(kind))

    class Node(own_node):  # type: ignore[misc,valid-type]
        def __init__(self, operation: Any, call_args: Any = None, call_kwargs: Any = None, outputs: Any = None) -> None:
            super().__init__(operation, call_args, call_kwargs, _flat(outputs))

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.weights and not _in_shape_inference() and not any(map(_is_symbolic, values_in([args, kwargs]))):
            args, kwargs = map_structure(lambda item: _stand_in(item, found), (args, kwargs))
        return own_call(self, *args, **kwargs)

    def symbolic_call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return own_symbolic(self, *args, **kwargs)
        except TypeError:  # the shape inference of a class that it inherits from takes other arguments than its call
            if type(self).__module__.startswith("keras."):
                raise
            return sys.modules["keras.src.backend"].compute_output_spec(self.call, *args, **kwargs)

    def value(self: Any) -> Any:
        if not _in_shape_inference():
            raise RuntimeError(f"it reads the numbers of {self.path!r}")
        return own_value.fget(self)

    calls.Node, layer.__call__, layer.symbolic_call, holder.value = Node, call, symbolic_call, property(value)
    try:
        with open_sizes():
            yield found
    finally:
        calls.Node, layer.__call__, layer.symbolic_call, holder.value = own_node, own_call, own_symbolic, own_value


def returned(outputs: Any, found: list[tuple[Any, Any]]) -> list[Any]:
    """What a layer inside a model returns, in the order in which its node counts it, constants too."""
    return [_stand_in(item, found) for item in _flat(outputs)]


def _flat(outputs: Any) -> list[Any]:
    """The tensors of a structure as Keras orders them, without None."""
    return [item for item in sys.modules["keras"].tree.flatten(outputs) if item is not None]


def _in_shape_inference() -> bool:
    return bool(sys.modules["keras.src.backend.common.stateless_scope"].in_stateless_scope())


def _is_symbolic(item: Any) -> bool:
    return isinstance(item, sys.modules["keras"].KerasTensor)


def _stand_in(item: Any, found: list[tuple[Any, Any]]) -> Any:
    """A symbolic tensor for a constant one; anything else as it is."""
    keras: Any = sys.modules["keras"]
    if not keras.ops.is_tensor(item):
        return item
    tensor = keras.Input(batch_shape=tuple(item.shape), dtype=keras.backend.standardize_dtype(item.dtype))
    found.append((tensor, item))
    return tensor
