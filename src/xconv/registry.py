"""What users teach xconv: rules for their own Keras layers and torch modules, in both directions.

    register("Gain")           a Keras layer  -> what it means     its `back` says the layer again
    register_torch(Gain)       an nn.Module   -> what it means, kept whole and not traced through
    register_module(Gain)      an nn.Module that a rule may name as the torch side of a layer

What it means is an `Op`, or several: Specs of `xconv.layers`, a Spec of the user's own, or
`xconv.layers.custom.Custom`, which pairs a class of one framework with a class of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from xconv.errors import InvalidInput, Unsupported
from xconv.spec import KerasLayer, Op, Shape, Weights

__all__ = [
    "Back",
    "Rule",
    "TorchModule",
    "TorchRule",
    "back_of",
    "keep",
    "kept",
    "module_class",
    "register",
    "register_module",
    "register_torch",
    "registered",
    "torch_rule",
    "unregister",
]


@dataclass(frozen=True, slots=True)
class TorchModule:
    """One call of a user's nn.Module as its rule reads it.

    `module` is the module itself, for its settings. `weights` are its parameters and buffers under the names of its
    state_dict; a `Weight` is a way to an array, and no numbers. `inputs` and `outputs` are shapes, the batch None.
    """

    module: Any
    weights: Weights
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]


Rule: TypeAlias = Callable[[KerasLayer], "Op | Sequence[Op]"]
TorchRule: TypeAlias = Callable[[TorchModule], "Op | Sequence[Op]"]
Back: TypeAlias = Callable[[KerasLayer], KerasLayer]
R = TypeVar("R", bound=Rule)
T = TypeVar("T", bound=TorchRule)

_rules: dict[str, Rule] = {}
_backs: dict[str, Back] = {}
_modules: dict[str, type[Any]] = {}
_torch_rules: dict[type[Any], TorchRule] = {}
_kept: dict[str, Any] = {}


def register(name: str, *, back: Back | None = None) -> Callable[[R], R]:
    """Teach xconv a custom Keras layer: decorate the function that says what it means.

    Args:
        name: the layer's class name, or its registered name `package>Class` where two classes share a name.
        back: for the way back from torch: makes of the layer of Keras that would be written, as a `KerasLayer`, the
            custom one. Its `kind` is the registered name `package>Class`. Without it the way back gives Keras's own.

    The function takes a `KerasLayer` (`config`, `weights` in creation order, `inputs` shapes) and returns an `Op`, or
    several that are applied one after the other, made of the Specs in `xconv.layers`. Every config entry must be read.
    A layer made only of known layers needs no rule: it is opened by itself from a live model.

    >>> from xconv.layers.activation import Activation
    >>> @register("Leaky10")
    ... def leaky(layer):
    ...     return Op(Activation("leaky_relu", (("negative_slope", layer["slope"]),)))
    >>> unregister("Leaky10")

    Raises:
        InvalidInput: the name is taken by a layer of Keras itself.
    """
    from xconv.layers import RULES

    if name in RULES:
        raise InvalidInput(f"{name!r} is a layer of Keras's own", remedy="register under 'package>Class'")

    def remember(rule: R) -> R:
        _rules[name] = rule
        if back is not None:
            _backs[name] = back
        return rule

    return remember


def register_torch(cls: type[Any]) -> Callable[[T], T]:
    """Teach xconv an nn.Module class of yours: decorate the function that says what it means.

    The module is then kept whole on the way to Keras: one layer and not what its `forward` calls. The function takes a
    `TorchModule` and returns an `Op` or several, as for `register`. Subclasses are not meant.
    """

    def remember(rule: T) -> T:
        _torch_rules[cls] = rule
        register_module(cls)
        return rule

    return remember


def unregister(name: str | type[Any]) -> None:
    """Forget the rule of a Keras class name or of an nn.Module class.

    Raises:
        InvalidInput: there is none.
    """
    found = _rules.pop(name, None) if isinstance(name, str) else _torch_rules.pop(name, None)
    if isinstance(name, str):
        _backs.pop(name, None)
    if found is None:
        raise InvalidInput(f"no rule is registered for {name!r}")


def register_module(cls: type[Any]) -> type[Any]:
    """Let a `TorchCall` name your own nn.Module class, as `module.QualifiedName`; use it as a decorator.

    Files that hold such a module are loaded only where the class is registered: nothing in a file is ever imported.
    """
    _modules[f"{cls.__module__}.{cls.__qualname__}"] = cls
    return cls


def module_class(target: str) -> type[Any] | None:
    """The registered nn.Module class of a target."""
    return _modules.get(target)


def registered(kind: str, full_name: str | None = None) -> Rule | None:
    """The rule for a custom class, by its registered name or its class name."""
    return _rules.get(full_name or "") or _rules.get(kind)


def back_of(kind: str) -> Back | None:
    """What makes a layer of a custom class again, by its class name."""
    named = (name for name in _backs if name == kind or name.endswith(f">{kind}"))
    return _backs.get(next(named, ""))


def torch_rule(cls: type[Any]) -> TorchRule | None:
    """The rule for an nn.Module class."""
    return _torch_rules.get(cls)


def keep(key: str, module: Any) -> None:
    """Remember a module that a program holds as one call, under the key that the call has."""
    _kept[key] = module


def kept(key: str) -> Any:
    """The module behind such a call.

    Raises:
        Unsupported: it was captured in another process.
    """
    if key not in _kept:
        remedy = "capture the module again, where its class is registered"
        raise Unsupported(
            f"a module of the class {key.partition(' ')[0]}, which this program only names", remedy=remedy
        )
    return _kept[key]


def names_of(module: Any) -> Mapping[str, Any]:
    """The parameters and buffers of a module that is kept whole, under the names of its state_dict."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
