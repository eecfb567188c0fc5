"""What a subclassed model or a custom layer does, seen by calling it on symbolic tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from xconv.errors import InvalidInput, Unsupported
from xconv.graph import map_structure, values_in
from xconv.keras.states import keeps_states
from xconv.keras.traced_calls import returned, traced_calls
from xconv.spec import Shape

__all__ = ["InputShapes", "Traced", "input_shapes", "trace", "unbuilt"]

InputShapes: TypeAlias = "Sequence[Shape] | Mapping[str, Shape]"


@dataclass(frozen=True, slots=True)
class Traced:
    """The graph of a call: a `keras.Function`, its inputs, and the symbolic tensors that stand for variables.

    What a layer with weights computes of constants is a part of the graph too: `constants` are the tensors that stand
    for these.
    """

    function: Any
    inputs: Sequence[Any]
    variables: Sequence[tuple[Any, Any]] = ()
    constants: Sequence[tuple[Any, Any]] = ()


def trace(layer: Any, shapes: InputShapes, dtypes: Sequence[str] | None = None, arguments: Any = None) -> Traced:
    """The graph that `layer.call` makes of symbolic tensors, called with `arguments` as the model calls it.

    Raises:
        Unsupported: the call does something that symbolic tensors cannot.
    """
    import keras

    flat = list(shapes.values()) if isinstance(shapes, Mapping) else list(shapes)
    kinds = list(dtypes or ["float32"] * len(flat))
    fixed = keeps_states(layer)  # of as many samples as it was built for
    shaped = [(s[0] if fixed else None, *s[1:]) for s in flat]
    tensors = [keras.Input(batch_shape=s, dtype=d) for s, d in zip(shaped, kinds, strict=True)]
    given = dict(zip(shapes, tensors, strict=True)) if isinstance(shapes, Mapping) else tensors
    try:
        with traced_calls() as constants:
            outputs = _call(layer, given, tensors, arguments)
        symbols: list[tuple[Any, Any]] = []
    except Unsupported:
        with traced_calls() as constants, _symbolic_variables(layer) as symbols:
            outputs = _call(layer, given, tensors, arguments)
    if arguments is not None:
        outputs = returned(outputs, constants)
    stand_ins = [tensor for tensor, _ in (*symbols, *constants)]
    return Traced(keras.Function([*tensors, *stand_ins], outputs), tensors, symbols, constants)


def input_shapes(model: Any) -> InputShapes:
    """The shapes on which a subclassed model was built."""
    stored = getattr(model, "_build_shapes_dict", None)
    if not stored:
        raise unbuilt(model)
    shapes: list[Shape] | dict[str, Shape] = list(stored.values())
    if len(stored) == 1:
        (only,) = stored.values()
        if isinstance(only, Mapping):
            return {key: tuple(shape) for key, shape in only.items()}
        shapes = [tuple(shape) for shape in only] if _is_list_of_shapes(only) else [tuple(only)]
    return shapes


def _is_list_of_shapes(value: Sequence[Any]) -> bool:
    return bool(value) and all(isinstance(item, (tuple, list)) for item in value)


def unbuilt(model: Any) -> InvalidInput:
    """The error for a model that does not know its input."""
    if not list(values_in(getattr(model, "layers", []))):
        return InvalidInput("the model has no layers", place=model.name, remedy="add layers before converting")
    return InvalidInput(
        "the model is not built, so its shapes are unknown",
        place=model.name,
        remedy="call model.build(input_shape), or start it with keras.Input",
    )


def _call(layer: Any, given: Any, tensors: Sequence[Any], arguments: Any) -> Any:
    """`layer.call` on symbolic tensors, as the model calls it."""
    call: Callable[..., Any] = layer.call
    try:
        if arguments is None:
            return call(given if isinstance(given, Mapping) or len(tensors) > 1 else tensors[0])
        symbols = {id(old): new for old, new in zip(arguments.keras_tensors, tensors, strict=True)}
        args, kwargs = arguments.fill_in(symbols)
        return call(*args, **{key: item for key, item in kwargs.items() if item is not None})
    except (TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError, KeyError, IndexError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Unsupported(
            f"its call cannot be traced with symbolic tensors ({first[:160]})",
            place=layer.name,
            remedy=f"teach it with xconv.register({type(layer).__name__!r}), or write its call with keras.ops",
        ) from error


_LISTS = frozenset({"_trainable_variables", "_non_trainable_variables"})
"""Where Keras itself keeps a layer's variables."""


@contextlib.contextmanager
def _symbolic_variables(layer: Any) -> Iterator[list[tuple[Any, Any]]]:
    """The layer with its own variables replaced by symbolic tensors, for calls that put the variable first.

    `self.gain * x` asks the variable to multiply, which needs a real tensor; with a symbolic one it becomes a node.
    """
    import keras

    own = (*layer._trainable_variables, *layer._non_trainable_variables)
    symbols = [(keras.Input(batch_shape=tuple(v.shape), dtype=str(v.dtype)), v) for v in own]
    tensors = {id(variable): tensor for tensor, variable in symbols}
    kept = {name: item for name, item in vars(layer).items() if name not in _LISTS}
    replaced = {name: item for name, item in kept.items() if any(id(leaf) in tensors for leaf in values_in(item))}
    for name, item in replaced.items():
        vars(layer)[name] = map_structure(lambda leaf: tensors.get(id(leaf), leaf), item)
    try:
        yield symbols
    finally:
        vars(layer).update(replaced)
