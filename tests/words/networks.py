"""Small networks as records: a chain of layers is a few lines, and no framework is loaded."""

from typing import Any

from xconv.graph import Graph
from xconv.keras.defaults import DEFAULTS
from xconv.keras.read import read
from xconv.keras.records import Call, Entry, KerasModel, Ref
from xconv.spec import Shape
from xconv.weights import Weight

__all__ = ["chain", "image", "layer", "network", "operation"]


def network(*entries: Entry, outputs: Any, inputs: tuple[str, ...] = ("x",)) -> Graph:
    """The graph of a model made of these entries."""
    return read(KerasModel("net", entries, [Ref(name) for name in inputs], outputs))


def image(name: str = "x", *size: int | None) -> Entry:
    """An input of this size, (9, 8, 3) where none is given."""
    return Entry(name, "InputLayer", config={"batch_shape": (None, *(size or (9, 8, 3))), "dtype": "float32"})


def layer(name: str, kind: str, *sources: str, weights: tuple[Shape, ...] = (), **config: Any) -> Entry:
    """A layer called once, on the outputs of other entries."""
    refs = [Ref(source) for source in sources]
    arrays = tuple(Weight.of(f"{name}/{i}", shape) for i, shape in enumerate(weights))
    args = (refs[0],) if len(refs) == 1 else (refs,)
    return Entry(name, kind, config={**DEFAULTS.get(kind, {}), **config}, calls=(Call(args),), weights=arrays)


def operation(name: str, kind: str, *args: Any, **config: Any) -> Entry:
    """An operation of keras.ops; a string argument names the entry whose output it takes."""
    call = Call(tuple(Ref(arg) if isinstance(arg, str) else arg for arg in args))
    return Entry(name, kind, "keras.src.ops.numpy", is_op=True, config=config, calls=(call,))


def chain(*entries: Entry) -> Graph:
    """An image through one layer after the other; each names its predecessor itself."""
    return network(image(), *entries, outputs=Ref(entries[-1].name))
