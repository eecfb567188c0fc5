"""adapt=True for a Keras model: a new model of the same class, layer names and weights, with other settings.

A built Keras model keeps the graph of its calls, so its settings cannot be changed in place: the model is cloned layer
by layer, and pads are put in where a layer cannot say them. The given model stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xconv.comparison.case import Case
from xconv.errors import Problem, Unsupported, XConvError
from xconv.graph import Node
from xconv.layers.activation import Activation
from xconv.layers.conv import Conv
from xconv.layers.pad import Pad
from xconv.layers.pool import Pool
from xconv.padding import Pads, zero_pads
from xconv.spec import Shape, Slot, Spec
from xconv.transfers.changes import Change, Edits
from xconv.transfers.keras_clones import Remade
from xconv.transfers.keras_windows import ignored_layer, ignores_pads, pads_argument, said_pads, zeros_layer
from xconv.transfers.wishes import Put, Setting, Swap, Window, Wish, window_words

__all__ = ["adapted_model"]

FUNCTIONS = ("Activation", "ReLU", "LeakyReLU", "ELU")
"""Layers that are one activation."""
KINDS = {"max": "Max", "average": "Average"}
"""How the classes of pools begin."""


def adapted_model(case: Case, wanted: Sequence[Wish], edits: Edits) -> tuple[Any, list[Problem]]:
    """A model like `case.b`'s with every wish carried out, and what cannot be done.

    Raises:
        Unsupported: a model that cannot be cloned: subclassed, of tf_keras, a file.
    """
    model = case.b.model
    if any(kind.__module__.startswith("tf_keras") for kind in type(model).__mro__):
        remedy = "build it in Keras 3, or take the source over as it is: xconv.torch_to_keras, xconv.keras_to_torch"
        raise Unsupported("adapt=True changes a model of Keras 3, this is a model of tf_keras", remedy=remedy)
    if not hasattr(model, "get_layer"):
        raise Unsupported("adapt=True changes a live model of Keras 3", remedy="load it with keras.models.load_model")
    if not hasattr(model, "_operations_by_depth") and not hasattr(model, "_functional"):
        raise Unsupported("a subclassed model says nothing about its calls", place=model.name)
    windows = {wish.node.layer for wish in wanted if isinstance(wish, Window)}
    plan = _Plan(case, model, edits, windows)
    problems: list[Problem] = []
    for wish in wanted:
        try:
            plan.apply(wish)
        except (XConvError, KeyError, ValueError) as error:
            found = error.problems if isinstance(error, XConvError) else (Problem("", str(error)),)
            problems += [replace(item, place=wish.node.layer or wish.node.name) for item in found]
    if not edits.changes:
        return model, problems
    try:
        return plan.made.model(model), problems
    except ValueError as error:
        remedy = "take the source over as it is: xconv.torch_to_keras"
        problem = Problem(model.name, f"its layers do not fit together any more with these changes: {error}", remedy)
        raise Unsupported("adapt=True cannot change this model", problems=[problem, *problems]) from error


@dataclass(slots=True)
class _Plan:
    """What is to be changed, by layer."""

    case: Case
    model: Any
    edits: Edits
    windows: set[str]
    """Layers that get other windows."""
    made: Remade = field(default_factory=Remade)

    def apply(self, wish: Wish) -> None:
        layer = self._layer(wish.node)
        match wish:
            case Setting():
                self._setting(wish, layer)
            case Window():
                self._window(wish, layer)
            case Swap():
                self._swap(wish, layer)
            case Put():
                kinds = [self._said(spec, wish.node, wish.operand, layer) for spec in wish.specs]
                self.made.before.setdefault((layer.name, wish.operand), []).extend(kinds)
                what = ", ".join(f"{kind}({_arguments(config)})" for kind, config in kinds)
                self._note(wish.node, "nothing", f"{what} before input {wish.operand}", wish.like)

    # ------------------------------------------------------------------ one wish each

    def _setting(self, wish: Setting, layer: Any) -> None:
        name, value = wish.name, wish.value
        if name == "pads":
            crops = type(layer).__name__.startswith("Cropping")
            name, value = ("cropping" if crops else "padding"), tuple((abs(a), abs(b)) for a, b in value)
            if any((size > 0) == crops for pair in wish.value for size in pair if size):
                raise Unsupported(f"{type(layer).__name__} cannot pad by {wish.value}")
        elif name == "momentum":
            value = round(1.0 - value, 12)
        known = layer.get_config()
        if name not in known:
            raise Unsupported(f"{type(layer).__name__} has no {name}")
        self.made.settings.setdefault(layer.name, {})[name] = value
        self._note(wish.node, f"{name} {known[name]}", f"{name} {value}", wish.like)

    def _window(self, wish: Window, layer: Any) -> None:
        spec, shape = wish.spec, wish.shape
        config = layer.get_config()
        changes: dict[str, Any] = {"strides": spec.stride}
        if isinstance(spec, Conv):
            changes["dilation_rate"] = spec.dilation
            if type(layer).__name__.startswith("Depthwise") and len(set(spec.stride)) > 1:
                raise Unsupported(f"strides {spec.stride}: a depthwise convolution of TensorFlow takes equal ones")
        else:
            changes["pool_size"] = spec.kernel
        pads, around = said_pads(wish, shape)
        outer, ignored = self._pad_before(layer), ignores_pads(wish)
        if outer is not None and not self._is_free(outer):
            self._take_off(outer, layer)
            outer = None
        changes["padding"] = "same" if pads is None else "valid"
        if outer is not None:
            zeros = zero_pads(len(spec.kernel)) if ignored or pads is None else pads
            said = self.made.settings.setdefault(outer.name, {}).setdefault("padding", pads_argument(zeros))
            if said != pads_argument(zeros):
                raise Unsupported(f"{outer.name} would have to pad by {said} and by {pads_argument(zeros)}")
        elif around == 0.0 and pads is not None:
            self.made.before.setdefault((layer.name, 0), []).append(zeros_layer(pads, config.get("data_format")))
        if pads is not None and around is not None and ignored:
            self._ignore(pads, layer)
        elif pads is not None and around is None and any(map(any, pads)) and (outer is None or ignored):
            changes["padding"] = "same"
        if isinstance(spec, Pool) and KINDS[spec.kind] not in type(layer).__name__:
            kind = f"{KINDS[spec.kind]}Pooling{len(spec.kernel)}D"
            self.made.classes[layer.name] = kind, {**changes, "data_format": config["data_format"]}
        else:
            self.made.settings.setdefault(layer.name, {}).update(changes)
        self._note(wish.node, *window_words(wish), wish.like)

    def _ignore(self, pads: Pads, layer: Any) -> None:
        """Puts -inf around what goes into a maximum."""
        import keras

        if isinstance(self.model, keras.Sequential):
            what = f"a maximum that ignores its pads, with pads {pads}, has no words in a keras.Sequential"
            raise Unsupported(what, remedy="give a Functional model: keras.Model(model.inputs, model.outputs)")
        said = ignored_layer(pads, layer.get_config().get("data_format"))
        self.made.before.setdefault((layer.name, 0), []).append(said)

    def _swap(self, wish: Swap, layer: Any) -> None:
        """Another activation, as a layer or inside one; nothing in place of a layer."""
        kind = type(layer).__name__
        if wish.spec is None and not isinstance(wish.node.spec, Activation):
            said: tuple[str, dict[str, Any]] = ("Identity", {})
        else:
            said = self._said(wish.spec or Activation("linear"), wish.node, 0, layer)
        if kind in FUNCTIONS or said[0] == "Identity":
            self.made.classes[layer.name] = said
        elif said[0] == "Activation" and "activation" in layer.get_config():
            self.made.settings.setdefault(layer.name, {})["activation"] = said[1]["activation"]
        elif "activation" in layer.get_config():
            self.made.settings.setdefault(layer.name, {})["activation"] = "linear"
            self.made.after[layer.name] = said
        else:
            raise Unsupported(f"{kind} has no activation that could be {said[0]}({_arguments(said[1])})")
        self._note(wish.node, str(wish.node.spec), f"{said[0]}({_arguments(said[1])})", wish.like)

    def _said(self, spec: Spec, node: Node, operand: int, layer: Any) -> tuple[str, dict[str, Any]]:
        """A spec without weights as the class and the config of a Keras layer."""
        shape = self._shape(node, operand)
        if isinstance(spec, Pad):
            return zeros_layer(spec.pads, layer.get_config().get("data_format"))
        if isinstance(spec, Pool):
            last = layer.get_config().get("data_format") != "channels_first"
            spec = replace(spec, axis=-1 if last else 1)
            shape = (shape[0], *shape[2:], shape[1]) if last else shape
        said = spec.to_keras({}, (shape,))
        plain = all(isinstance(item, Slot) for item in said.args)
        if not plain or said.kind.startswith("ops."):
            raise Unsupported(f"{spec} is no layer of Keras by itself")
        return said.kind, dict(said.config)

    # ------------------------------------------------------------------ the live model

    def _layer(self, node: Node) -> Any:
        names = {layer.name for layer in self.model.layers}
        if node.layer not in names:
            raise Unsupported("it is no layer of the model itself: inside a nested model, or an operation in a call")
        return self.model.get_layer(node.layer)

    def _shape(self, node: Node, operand: int) -> Shape:
        value = node.inputs[operand]
        return self.case.nodes_b[value.node].shapes[value.index]

    def _pad_before(self, layer: Any) -> Any:
        """The layer of zeros before it, if there is one."""
        before = [_owner(tensor) for tensor in _tensors(layer._inbound_nodes[0])]
        return before[0] if len(before) == 1 and type(before[0]).__name__.startswith("ZeroPadding") else None

    def _is_free(self, pad: Any) -> bool:
        """Whether a layer of zeros may pad by something else: all layers that take what it makes get other windows."""
        users = [
            other for other in self.model.layers for node in other._inbound_nodes if pad in map(_owner, _tensors(node))
        ]
        return len(users) == 1 or {user.name for user in users} <= self.windows

    def _take_off(self, pad: Any, layer: Any) -> None:
        """Takes zeros away again before one of several layers that share them; the others keep them."""
        widths = pad.padding if isinstance(pad.padding[0], tuple) else (pad.padding,)
        border = tuple((-low, -high) for low, high in widths)
        cropped = zeros_layer(border, layer.get_config().get("data_format"))
        self.made.before.setdefault((layer.name, 0), []).append(cropped)

    def _note(self, node: Node, before: str, after: str, why: str) -> None:
        self.edits.changes.append(Change(node.layer, before, after, why))


def _tensors(node: Any) -> list[Any]:
    return list(node.input_tensors)


def _owner(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _arguments(config: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in config.items())
