"""The arguments of a call as its rule takes them: a slot for every tensor that is computed, a weight for one held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import fx

from xconv.errors import Unsupported
from xconv.graph import Value
from xconv.spec import Slot, Spec
from xconv.torch.reading.constants import Constants
from xconv.torch.reading.fillings import Fillings
from xconv.torch.reading.indexing import FEW, picked, stands_apart
from xconv.torch.reading.meanings import Counted, Filled, Held, Meaning
from xconv.torch.reading.open_numbers import OpenNumbers, is_open
from xconv.torch.reading.operators import NO_EFFECT, arguments_of
from xconv.torch.reading.sizes import exact, opened, shape_of
from xconv.torch.reading.writing import MASKS, WRITES, written_at
from xconv.weights import Weight

__all__ = ["Arguments"]

UNUSED = NO_EFFECT | {"output_size"}
"""Arguments that say nothing that the others do not say."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call: what its rule is given, the values behind the slots, what is behind the weights."""

    node: fx.Node
    constants: Constants
    fillings: Fillings
    sizes: OpenNumbers
    given: dict[str, Any] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    def take(self, name: str, arguments: Mapping[str, Any], family: type[Spec]) -> None:
        """Fill in the arguments, by name, as the family of the operator asks for them."""
        if name in ("index", "index_select"):
            arguments = self._indices(name, arguments)
        elif name in WRITES:
            arguments = written_at(self.node, name, arguments, self.constants, self.fillings)
        size = opened(self.node, name)
        if size is not None:
            arguments = {**arguments, "zeros": self.fillings.zeros(self.node, size)}
        sources = arguments_of(self.node)
        for key, item in arguments.items():
            source = sources.get(key)
            if key in family.holds:
                self.given[key] = self._weight(item, source, key, f"{self.node.name}_{key}")
            elif is_open(source) and key not in UNUSED:
                self.given[key] = self._input(self._size(name, source, key, family))
            else:
                found = _without_zeros(item) if key in family.spares_zeros else item
                self.given[key] = self._input(self._tensor(found, source) if key in family.as_tensors else found)

    def _input(self, item: Meaning) -> Any:
        """An argument with a slot for every tensor in it."""
        if isinstance(item, (list, tuple)):
            return type(item)(map(self._input, item))
        if isinstance(item, Held):
            item = self.constants.draft.variable(item)
        elif isinstance(item, Filled):
            item = self.fillings.whole(self.node, item)
        elif isinstance(item, Counted):
            item = self.fillings.counted(self.node, item)
        if not isinstance(item, Value):
            return item
        self.values.append(item)
        return Slot(len(self.values) - 1)

    def _size(self, name: str, source: fx.Node, key: str, family: type[Spec]) -> Value:
        """A number that is known only at run time; in a record it would count as left out.

        Raises:
            Unsupported: the rule does not take it.
        """
        if key in family.takes_sizes:
            return self.sizes.tensor(self.node, source)
        what = f"{name} with {key} = {source.meta['val']}, which is known only at run time"
        raise Unsupported(what, remedy="give known sizes")

    def _tensor(self, item: Meaning, source: Any) -> Meaning:
        """A number as the tensor that it is in the program; anything else as it is."""
        if not isinstance(item, (int, float)) or not isinstance(source, fx.Node):
            return item
        tensor = torch.tensor(item, dtype=source.meta["val"].dtype)
        return self.constants.draft.constant(f"{self.node.name}_{source.name}", tensor)

    def _weight(self, item: Meaning, source: Any, key: str, name: str) -> Any:
        """An argument with a weight for every tensor in it that depends on no input, and slots for the others."""
        if isinstance(item, (list, tuple)):
            sources = source if isinstance(source, (list, tuple)) else [None] * len(item)
            pairs = enumerate(zip(item, sources, strict=True))
            return type(item)(self._weight(part, origin, key, f"{name}_{place}") for place, (part, origin) in pairs)
        if isinstance(item, Held):
            return self._held(item)
        computed = isinstance(item, (Value, Filled)) and isinstance(source, fx.Node)
        if not computed or self.constants.meanings.from_input(source):
            return self._input(item)
        note = f"its {key} is computed from other parameters; it is held as computed, and trains by itself"
        made = self.constants.draft.constant(name, self.constants.fold(source))
        return self._held(replace(made, trains=True, note=note))

    def _held(self, held: Held) -> Weight:
        self.held.append(held)
        return held.weight

    def _indices(self, name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments of `x[...]`: the axes that are indexed, and a list of numbers or a tensor that is computed."""
        if name == "index":
            given = list(arguments["indices"])
        else:
            given = [*(None,) * (arguments["dim"] % self.node.meta["val"].dim()), arguments["index"]]
        given = [self.fillings.whole(self.node, item) if isinstance(item, Filled) else item for item in given]
        if self._is_whole(given):
            given = [None, *given[1:]]
        elif self._is_one_each(given):
            return {"self": arguments["self"], "over": (1,), "index": given[1], "each": True}
        else:
            given = [self.fillings.counted(self.node, item) if isinstance(item, Counted) else item for item in given]
        asked = [item for item in given if item is not None]
        if any(isinstance(item, Value) and self.constants.draft.dtype_of(item) in MASKS for item in asked):
            raise Unsupported("as many results as a computed mask says", remedy="keep all places, and use torch.where")
        if not any(isinstance(item, Value) for item in asked):
            return {"self": arguments["self"], **self._places(given)}
        if len(asked) > 1:
            raise Unsupported("several axes by indices that the network computes", remedy="use torch.gather")
        return {"self": arguments["self"], "over": (given.index(asked[0]),), "index": asked[0]}

    def _is_whole(self, given: list[Meaning]) -> bool:
        """Whether the first index counts the whole batch along an axis that no other index has: `x[arange, [2, 0]]`."""
        first, others = given[0], [item for item in given[1:] if item is not None]
        if not isinstance(first, Counted) or not others or not all(isinstance(item, Held) for item in others):
            return False
        over = [axis for axis, item in enumerate(given) if item is not None]
        size = exact(self.node.all_input_nodes[0].meta["val"])[0]
        apart = stands_apart(first.shape, [item.weight.shape for item in others], over)
        return apart and self.constants.meanings.same_size(first.size, size)

    def _is_one_each(self, given: list[Meaning]) -> bool:
        """Whether every sample is asked for one place of its own: `x[arange, numbers]`."""
        if len(given) != 2 or not isinstance(given[0], Counted) or not isinstance(given[1], Value):
            return False
        size = exact(self.node.all_input_nodes[0].meta["val"])[0]
        flat = len(given[0].shape) == len(self.constants.draft.shape_of(given[1])) == 1
        return flat and self.constants.meanings.same_size(given[0].size, size)

    def _places(self, given: list[Meaning]) -> dict[str, Any]:
        """The axes and places that constants name: few are numbers of the call, many a tensor that it holds."""
        shape = shape_of(self.node.all_input_nodes[0].meta["val"])
        result = picked(shape, [None if item is None else self.constants.number_tensor(item) for item in given])
        places = result.places.flatten()
        few = len(places) <= FEW
        index = places.tolist() if few else self.constants.draft.constant(f"{self.node.name}_places", places)
        return {"over": result.over, "index": index}


def _without_zeros(item: Meaning) -> Meaning:
    """None in the place of a tensor of zeros."""
    if isinstance(item, (list, tuple)):
        return type(item)(map(_without_zeros, item))
    return None if isinstance(item, Filled) and item.number == 0 else item
