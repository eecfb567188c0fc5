"""A Keras model made again with other settings: same class, layer names and weights, and layers put in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

__all__ = ["Layer", "Remade"]

Layer: TypeAlias = tuple[str, dict[str, Any]]
"""The class and the config of a layer of Keras; or `ops.` with the name and arguments of an operation."""


@dataclass(frozen=True, slots=True)
class Remade:
    """What is other than in the model that is given, by the names of its layers."""

    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Entries of a layer's config."""
    classes: dict[str, Layer] = field(default_factory=dict)
    """Layers without weights that become one of another class."""
    before: dict[tuple[str, int], list[Layer]] = field(default_factory=dict)
    """Layers that one of a layer's inputs goes through first."""
    after: dict[str, Layer] = field(default_factory=dict)
    """An activation that a layer cannot hold inside."""

    def model(self, given: Any) -> Any:
        """The new model, with the weights of the given one."""
        import keras

        if isinstance(given, keras.Sequential):
            new = self._sequence(given)
        else:
            new = keras.models.clone_model(given, clone_function=self._clone, call_function=self._call)
        for layer in given.layers:
            if layer.weights:
                new.get_layer(layer.name).set_weights(layer.get_weights())
        return new

    def _clone(self, layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in self.classes:
            kind, changes = self.classes[layer.name]
            return _layer((kind, {**changes, "dtype": config["dtype"]}), layer.name)
        return type(layer).from_config({**config, **self.settings.get(layer.name, {})})

    def _call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        first, *others = args
        several = isinstance(first, (list, tuple))
        parts = list(first) if several else [first]
        for place in range(len(parts)):
            for inserted in self._inserted(layer, place):
                parts[place] = inserted(parts[place])
        made = layer(parts if several else parts[0], *others, **kwargs)
        for behind in self._following(layer):
            made = behind(made)
        return made

    def _sequence(self, given: Any) -> Any:
        import keras

        layers = []
        for layer in given.layers:
            layers += [*self._inserted(layer, 0), self._clone(layer), *self._following(layer)]
        return keras.Sequential([keras.Input(batch_shape=given.input_shape), *layers], name=given.name)

    def _inserted(self, layer: Any, operand: int) -> list[Any]:
        found = enumerate(self.before.get((layer.name, operand), []))
        return [_beside(layer, said, f"{said[0].lower()}_{number}_{operand}") for number, said in found]

    def _following(self, layer: Any) -> list[Any]:
        return [_beside(layer, said, said[0].lower()) for said in (self.after.get(layer.name),) if said]


def _beside(layer: Any, said: Layer, name: str) -> Any:
    """A layer with the dtype policy of the one beside which it stands."""
    kind, config = said
    return _layer((kind, {"dtype": layer.dtype_policy, **config}), f"{layer.name}_{name}")


def _layer(said: Layer, name: str) -> Any:
    import keras

    kind, config = said
    if kind.startswith("ops."):
        arguments = {key: item for key, item in config.items() if key != "dtype"}
        return partial(getattr(keras.ops, kind.removeprefix("ops.")), **arguments)
    return getattr(keras.layers, kind)(**config, name=name)
