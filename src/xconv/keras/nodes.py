"""The calls of a layer as a config records them, in Keras 3's form and in Keras 2's, as `Call`s with `Ref`s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xconv.errors import Unreadable
from xconv.keras.decoded import decode, fields, read_shape, special
from xconv.keras.records import Call, Ref
from xconv.spec import Shape

__all__ = ["Calls", "references"]

_CONSTANT = "_CONSTANT_VALUE"
_TENSORS = 100_000


@dataclass(slots=True)
class Calls:
    """Reads the calls of one model: `counts` is the number of calls of each of its layers.

    A nested model counts its own making as call 0 in some places: always in Keras 2, in Keras 3 only where the
    model's inputs and outputs are listed. `shifts` holds for each nested model what to take off there and here.
    """

    counts: Mapping[str, int]
    shapes: dict[Ref, Shape] = field(default_factory=dict)
    shifts: dict[str, int] = field(default_factory=dict)
    outer_shifts: dict[str, int] = field(default_factory=dict)

    def shift(self, name: str, inner: set[int], outer: set[int], keras2: bool, functional: bool) -> None:
        """Find the shifts of a nested model from the calls of it that arguments and outputs mention.

        Every recorded call is mentioned somewhere, so numbering that starts at 1 shows.
        """
        if keras2:
            self.shifts[name] = self.outer_shifts[name] = int(0 not in inner | outer)
        else:
            self.shifts[name] = int(0 not in inner and self.counts[name] in inner)
            self.outer_shifts[name] = int(functional and 0 not in outer)

    def ref(self, layer: Any, call: Any, tensor: Any, outer: bool = False) -> Ref:
        """A reference, checked against the layers that there are.

        Raises:
            Unreadable: no such layer, or no such call.
        """
        if not isinstance(layer, str) or layer not in self.counts:
            raise Unreadable(f"refers to a layer {layer!r} that is not in the model", remedy="save the model again")
        if type(call) is not int or type(tensor) is not int or not 0 <= tensor < _TENSORS:
            raise Unreadable(f"refers to output {tensor!r} of call {call!r} of {layer!r}")
        place = call - (self.outer_shifts if outer else self.shifts).get(layer, 0)
        if not 0 <= place < self.counts[layer]:
            raise Unreadable(
                f"refers to call {call} of {layer!r}, which is called {self.counts[layer]} times",
                remedy="the file is damaged; save the model again",
            )
        return Ref(layer, place, tensor)

    def node(self, node: Any) -> Call:
        """One call, in either form."""
        if isinstance(node, Mapping) and "args" in node:
            args, kwargs = self.value(node["args"]), self.value(node.get("kwargs") or {})
            if not isinstance(args, (list, tuple)) or not isinstance(kwargs, Mapping):
                raise Unreadable("a call's args are not a list, or its kwargs not an object")
            return Call(tuple(args), kwargs)
        if isinstance(node, (list, tuple, Mapping)):
            return self._keras2(node)
        raise Unreadable(f"a call is recorded as {type(node).__name__}")

    def value(self, value: Any) -> Any:
        """An argument of Keras 3 with a `Ref` for each tensor; notes the tensors' shapes."""
        name = special(value)
        if name == "__keras_tensor__":
            config = fields(value)
            history = config.get("keras_history")
            if not isinstance(history, (list, tuple)) or len(history) != 3:
                raise Unreadable("a tensor has no history of three entries")
            ref = self.ref(*history)
            if config.get("shape") is not None:
                self.shapes[ref] = read_shape(config["shape"])
            return ref
        if name == "__tuple__":
            items = value.get("items", fields(value).get("value", ()))
            return tuple(self.value(item) for item in items)
        if name:
            return decode(value)
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.value(item) for item in value)
        return value

    def structure(self, value: Any, outer: bool = True) -> Any:
        """The model's inputs or outputs: [layer, call, tensor], or lists and objects of them."""
        if _is_triple(value):
            return self.ref(value[0], value[1], value[2], outer)
        if isinstance(value, Mapping):
            return {key: self.structure(item, outer) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.structure(item, outer) for item in value)
        raise Unreadable(f"the model's inputs or outputs hold {value!r}, not [layer, call, tensor]")

    def _keras2(self, node: Sequence[Any] | Mapping[str, Any]) -> Call:
        found: list[Mapping[str, Any]] = []
        tensors = self._tensors(node, found)
        if isinstance(tensors, list) and len(tensors) == 1:
            tensors = tensors[0]
        kwargs = {key: self._argument(item) for key, item in (found[0] if found else {}).items()}
        return Call((tensors,), kwargs)

    def _tensors(self, node: Any, found: list[Mapping[str, Any]]) -> Any:
        if isinstance(node, (list, tuple)) and node and isinstance(node[0], str):
            if len(node) not in (3, 4) or (len(node) == 4 and not isinstance(node[3], Mapping)):
                raise Unreadable(f"a call refers to {node!r}, not [layer, call, tensor, kwargs]")
            found.extend(node[3:])
            return decode(node[2]) if node[0] == _CONSTANT else self.ref(*node[:3])
        if isinstance(node, Mapping):
            return {key: self._tensors(item, found) for key, item in node.items()}
        if isinstance(node, (list, tuple)):
            return [self._tensors(item, found) for item in node]
        raise Unreadable(f"a call refers to {node!r}, not [layer, call, tensor, kwargs]")

    def _argument(self, value: Any) -> Any:
        if _is_triple(value) and value[0] in self.counts:
            return self.ref(*value)
        if special(value):
            return decode(value)
        if isinstance(value, Mapping):
            if set(value) == {"start", "stop", "step"}:
                return slice(*(self._argument(value[key]) for key in ("start", "stop", "step")))
            return {key: self._argument(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._argument(item) for item in value]
        return value


def references(value: Any) -> Iterator[tuple[str, int]]:
    """All (layer, call) that a recorded call, or a model's inputs or outputs, mention."""
    if special(value) == "__keras_tensor__":
        history = fields(value).get("keras_history")
        if isinstance(history, (list, tuple)) and len(history) == 3:
            yield from references(list(history))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, (list, tuple)):
        if len(value) >= 3 and isinstance(value[0], str) and type(value[1]) is int:
            yield value[0], value[1]
        for item in value:
            yield from references(item)


def _is_triple(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 3
        and isinstance(value[0], str)
        and type(value[1]) is int
        and type(value[2]) is int
    )
