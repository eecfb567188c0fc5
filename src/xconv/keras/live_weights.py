"""The variables of a live Keras model: every one a weight under a key, read where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xconv.errors import Unsupported
from xconv.graph import LowRank
from xconv.keras.adapters import Adapter, Merged, Options, adapter_of, float_sources, mode_of
from xconv.keras.composites import Part, owners
from xconv.keras.quantized import DEQUANTIZE
from xconv.keras.records import VariableRef
from xconv.keras.variables import LiveConstant, LiveVariable
from xconv.weights import ArraySource, NumpySource, Weight

__all__ = ["LiveWeights"]


@dataclass(slots=True)
class LiveWeights:
    """The arrays that were found, and the key of every variable."""

    options: Options
    arrays: dict[str, ArraySource] = field(default_factory=dict)
    low_rank: dict[str, LowRank] = field(default_factory=dict)
    keys: dict[int, VariableRef] = field(default_factory=dict)

    def constant(self, array: Any, key: str) -> VariableRef:
        """A tensor of the backend that a call holds, as a variable that does not train."""
        self.arrays[key] = source = LiveConstant(array)
        return VariableRef(Weight.of(key, source.shape, source.dtype), key.rpartition("/")[2], trainable=False)

    def array(self, array: Any, key: str) -> VariableRef:
        """An array that a call computes with, as a variable that does not train."""
        self.arrays[key] = NumpySource(array)
        return VariableRef(Weight.of(key, array.shape, array.dtype.name), key.rpartition("/")[2], trainable=False)

    def foreign(self, variable: Any) -> VariableRef:
        """A variable that no layer of the model owns, or one that is yet to be met: a weight under its own path."""
        array = LiveVariable(variable)
        weight = Weight.of(variable.path, array.shape, array.dtype)
        self.arrays[weight.key] = array
        self.keys[id(variable)] = found = VariableRef(weight, variable.name, bool(variable.trainable))
        return found

    def kept(self, layer: Any, part: Part, place: str) -> tuple[Weight, ...]:
        """The layer's own variables, then those of the layers that it keeps, as `layer.weights` lists them."""
        result = list(self.weights(layer, place))
        if part.kind == "SpectralNormalization":  # it lists the kernel of the layer inside as its own
            result = result[-1:]
        for owner in list(owners(part, ()))[1:]:
            inside = layer
            for name in owner.path:
                inside = inside[int(name)] if name.isdecimal() else _attribute(inside, name)
            result += self.weights(inside, "/".join((place, *owner.path)))
        return tuple(result)

    def weights(self, layer: Any, place: str) -> tuple[Weight, ...]:
        """The layer's own variables in creation order, remembered under `place/index`.

        Raises:
            Unsupported: a quantised layer, where it is not to be read as the float layer that it stands for.
        """
        mode = mode_of(layer)
        if mode is not None:
            return self.dequantized(layer, mode, place)
        own = [*getattr(layer, "_trainable_variables", ()), *getattr(layer, "_non_trainable_variables", ())]
        result = []
        for index, variable in enumerate(own):
            if id(variable) in self.keys:
                result.append(self.keys[id(variable)].weight)
                continue
            key = f"{place}/{index}"
            array = self.arrays[key] = LiveVariable(variable)
            weight = Weight.of(key, array.shape, array.dtype)
            compute = str(layer.compute_dtype) if getattr(variable, "_autocast", False) else ""
            self.keys[id(variable)] = VariableRef(weight, variable.name, bool(variable.trainable), compute)
            result.append(weight)
        adapter = adapter_of(layer)
        return tuple(result) if adapter is None else self.adapted(adapter, result)

    def adapted(self, adapter: Adapter, held: Sequence[Weight]) -> tuple[Weight, ...]:
        """The variables without the matrices of LoRA, which are added to the kernel or kept beside it."""
        base, a, b = (self.keys[id(item)].weight for item in (adapter.variable, adapter.a, adapter.b))
        if self.options.keep_lora:
            self.low_rank[base.key] = LowRank(a, b, adapter.factor)
        elif not isinstance(self.arrays[base.key], Merged):
            first, second = self.arrays.pop(a.key), self.arrays.pop(b.key)
            self.arrays[base.key] = Merged(self.arrays[base.key], first, second, adapter.factor)
        return tuple(weight for weight in held if weight not in (a, b))

    def dequantized(self, layer: Any, mode: str, place: str) -> tuple[Weight, ...]:
        """The weights of the float layer that a quantised one stands for."""
        if not self.options.dequantize:
            raise Unsupported(f"it is quantised in {mode}", remedy=DEQUANTIZE)
        weights = []
        for index, source in enumerate(float_sources(layer, mode)):
            key = f"{place}/{index}"
            self.arrays.setdefault(key, source)
            weights.append(Weight.of(key, tuple(source.shape), source.dtype))
        adapter = adapter_of(layer)
        if adapter is not None:
            first, second = LiveVariable(adapter.a), LiveVariable(adapter.b)
            a, b = (Weight.of(f"{place}/lora_{n}", x.shape, x.dtype) for n, x in (("a", first), ("b", second)))
            if self.options.keep_lora:
                self.low_rank[weights[0].key] = LowRank(a, b, adapter.factor)
                self.arrays.update({a.key: first, b.key: second})
            elif not isinstance(self.arrays[weights[0].key], Merged):
                self.arrays[weights[0].key] = Merged(self.arrays[weights[0].key], first, second, adapter.factor)
        return tuple(weights)


def _attribute(layer: Any, name: str) -> Any:
    """A layer that a layer keeps, under its public name or a private one."""
    return getattr(layer, name) if hasattr(layer, name) else getattr(layer, f"_{name}")
