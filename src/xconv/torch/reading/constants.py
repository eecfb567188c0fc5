"""Calls whose result depends on no input: computed while reading, or held as a parameter in another order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import fx

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.graph import values_in
from xconv.policies import LOW
from xconv.spec import Shape
from xconv.torch.arrays import TensorSource, dtype_name
from xconv.torch.reading.draft import Draft
from xconv.torch.reading.meanings import Counted, Filled, Held, Meaning, Meanings, depends
from xconv.torch.reading.operators import (
    FACTORIES,
    FILLS,
    REARRANGED,
    RESHAPES,
    draws,
    made_by_factory,
    operator_of,
)
from xconv.torch.reading.sizes import shape_of
from xconv.weights import Weight

__all__ = ["Constants"]

CASTS = frozenset({"_to_copy", "to"})
"""Operators that give a tensor in another type."""


@dataclass(frozen=True, slots=True)
class Constants:
    """Reads such calls: the tensors go into the draft, what they mean into the meanings."""

    draft: Draft
    meanings: Meanings

    def hold(self, node: fx.Node, key: str, tensor: torch.Tensor, *, learned: bool) -> None:
        """A parameter, buffer or constant of the program."""
        weight = self.draft.hold(key, tensor)
        self.meanings.found[node] = Held(weight, learned, learned and tensor.requires_grad)
        self.meanings.tensors[node] = tensor.detach()

    def read(self, node: fx.Node, name: str, arguments: Mapping[str, Any]) -> bool:
        """Hold the result where it does not depend on the input; learned ones only where they are rearrangements."""
        if name in FACTORIES and self._made(node, name, arguments):
            return True
        if name == "fill" and not operator_of(node.target)[1] and isinstance(arguments["value"], (int, float)):
            self.meanings.found[node] = Filled.like(node.meta["val"], arguments["value"])
            return True
        found = [self.meanings.now(argument) for argument in node.all_input_nodes]
        if found and isinstance(found[0], (Filled, int, float)) and self._refilled(node, name, found):
            return True
        if found and isinstance(found[0], Counted) and (name in RESHAPES or name in REARRANGED):
            again = Counted.like(node.meta["val"])
            if again is not None and name != "select":
                self.meanings.found[node] = again
                return True
        if any(map(depends, found)) or draws(node):
            return False
        if len(found) == 1 and name in CASTS and self._narrowed(node, found[0]):
            return True
        if any(isinstance(item, Held) and item.learned for item in found):
            return len(found) == 1 and self._rearranged(node, name, arguments, found[0])
        return self._computed(node, found)

    def _narrowed(self, node: fx.Node, held: Meaning) -> bool:
        """A parameter in a type of less bits: the same parameter, in a layer of mixed precision."""
        dtype = dtype_name(node.meta["val"].dtype)
        if not isinstance(held, Held) or not held.learned or dtype not in LOW or held.weight.dtype != "float32":
            return False
        self.meanings.found[node] = replace(held, cast=dtype)
        return True

    def copy(self, node: fx.Node, source: fx.Node) -> None:
        """A copy of a learned tensor that is written to later: from then on it is a tensor of its own."""
        tensor = cast("torch.Tensor", self.fold(source)).clone()
        note = f"{node.name} is computed from a parameter; it is held as computed, and trains by itself"
        self.meanings.tensors[node] = tensor
        self.meanings.found[node] = replace(self.draft.constant(node.name, tensor), trains=True, note=note)

    def hold_computed(self, node: fx.Node) -> bool:
        """Hold what a call computes of parameters alone, which no rule says: as it is, trained by itself."""
        results = tuple(values_in(node.meta.get("val")))
        known = all(isinstance(item, torch.Tensor) and None not in shape_of(item) for item in results)
        spoils = draws(node) or operator_of(node.target)[1]
        if not results or not known or spoils or self.meanings.from_input(node):
            return False
        note = f"{node.name} is computed from parameters; it is held as computed, and trains by itself"
        made = [
            replace(self.draft.constant(node.name, item), trains=True, note=note) for item in values_in(self.fold(node))
        ]
        self.meanings.found[node] = made[0] if isinstance(node.meta["val"], torch.Tensor) else made
        return True

    def fold(self, node: Any) -> Any:
        """The value of an fx node that depends on no input, computed by torch."""
        tensors = self.meanings.tensors
        if not isinstance(node, fx.Node):
            return node
        if node not in tensors:
            if node.op == "placeholder":
                return self.meanings.found[node]
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), self.fold)
            shared = self._sharing(node, cast("torch.Tensor", args[0])) if operator_of(node.target)[1] else []
            with torch.no_grad():
                tensors[node] = node.target(*args, **kwargs)  # type: ignore[operator]
            for other in shared:
                self._keep(other, tensors[other], [self.meanings.found.get(other)])
        return tensors[node]

    def number_tensor(self, item: Held | float) -> torch.Tensor:
        """A constant as the tensor that it is."""
        if isinstance(item, Held):
            tensor = cast("torch.Tensor", item.weight.apply(self.draft.arrays[item.weight.key].tensor))
            return tensor.to(getattr(torch, item.cast)) if item.cast else tensor
        return torch.as_tensor(item)

    def _made(self, node: fx.Node, name: str, arguments: Mapping[str, Any]) -> bool:
        """What a factory makes: a tensor where its size is known, otherwise one number of an open size."""
        shape, number = shape_of(node.meta["val"]), FACTORIES[name](arguments)
        if None not in shape:
            self._keep(node, made_by_factory(node, shape, number))
            return True
        found: Meaning = Filled.like(node.meta["val"], number) if number is not None else None
        if name == "arange" and arguments.get("start", 0) in (0, None) and arguments.get("step", 1) in (1, None):
            found = Counted.like(node.meta["val"])
        if found is not None:
            self.meanings.found[node] = found
        return found is not None

    def _refilled(self, node: fx.Node, name: str, found: Sequence[Meaning]) -> bool:
        """One number in other sizes, or another number: what is computed of tensors of one number."""
        is_filled = isinstance(found[0], Filled)
        number = found[0].number if is_filled else found[0]
        if name in RESHAPES or name in REARRANGED:
            if not is_filled and None not in shape_of(node.meta["val"]):
                return False
        elif is_filled and name in FILLS and all(isinstance(item, (Filled, int, float)) for item in found):
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda item: _one(self.meanings.now(item)))
            number = node.target(*args, **kwargs).item()  # type: ignore[operator]
        else:
            return False
        self.meanings.found[node] = Filled.like(node.meta["val"], number)
        return True

    def _rearranged(self, node: fx.Node, name: str, arguments: Mapping[str, Any], held: Held) -> bool:
        """A view of a learned tensor as the same weight in another order, where a weight can say it."""
        if name not in REARRANGED:
            return False
        weight = _rearranged(held.weight, name, arguments, shape_of(node.meta["val"]))
        if weight is not None:
            self.meanings.found[node] = replace(held, weight=weight)
        return weight is not None

    def _computed(self, node: fx.Node, found: Sequence[Meaning]) -> bool:
        """What torch computes of constants, one tensor or several."""
        value = node.meta["val"]
        if isinstance(value, torch.Tensor) and None in shape_of(value):
            return False
        result = self.fold(node)
        if isinstance(result, torch.Tensor):
            self._keep(node, result, found)
        else:
            several = [self.draft.constant(f"{node.name}_{place}", item) for place, item in enumerate(result)]
            self.meanings.found[node] = several
        return True

    def _keep(self, node: fx.Node, tensor: torch.Tensor, made_of: Sequence[Meaning] = ()) -> None:
        """A tensor that was computed while reading; one number counts as a number."""
        self.meanings.tensors[node] = tensor
        if tensor.dim() == 0 and not tensor.is_complex():
            self.meanings.found[node] = tensor.item()
            return
        made = self.draft.constant(node.name, tensor)
        noted = next((item for item in made_of if isinstance(item, Held) and item.note), None)
        self.meanings.found[node] = replace(made, trains=True, note=noted.note) if noted else made

    def _sharing(self, node: fx.Node, target: torch.Tensor) -> list[fx.Node]:
        """The constants that a write changes; who asked for them before keeps them as they were.

        Raises:
            Unsupported: a write into a parameter or buffer: the network would not be the same at its second call.
        """
        memory, tensors = target.untyped_storage().data_ptr(), self.meanings.tensors
        shared = [other for other, held in tensors.items() if held.untyped_storage().data_ptr() == memory]
        for other in shared:
            found = self.meanings.found.get(other)
            if not isinstance(found, Held):
                continue
            key = found.weight.key
            if other.op == "placeholder":
                raise Unsupported(f"{node.name} writes into {key}", remedy="keep running sums out of inference")
            self.draft.arrays[key] = TensorSource(tensors[other].clone())
        return shared


def _one(item: Meaning) -> Meaning:
    """A tensor of one number as one of a single element."""
    if not isinstance(item, Filled):
        return item
    return torch.full((1,), item.number, dtype=getattr(torch, item.dtype))


def _rearranged(weight: Weight, name: str, arguments: Mapping[str, Any], shape: Shape) -> Weight | None:
    """The weight after an operator that only rearranges; None where a weight cannot say it."""
    rank = len(weight.shape)
    try:
        match name:
            case "permute":
                return weight.transpose(tuple(axes.normal(axis, rank) for axis in arguments["dims"]))
            case "transpose" | "swapaxes":
                keys = ("dim0", "dim1") if "dim0" in arguments else ("axis0", "axis1")
                first, second = (axes.normal(arguments[key], rank) for key in keys)
                swap = {first: second, second: first}
                return weight.transpose(tuple(swap.get(axis, axis) for axis in range(rank)))
            case "mT" | "mH" | "adjoint":
                return weight.transpose((*range(rank - 2), rank - 1, rank - 2))
            case "t" | "numpy_T":
                return weight.transpose(tuple(reversed(range(rank))))
            case "movedim":
                return None
        return weight.reshape(tuple(size for size in shape if size is not None))
    except Mismatch:
        return None
