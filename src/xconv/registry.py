"""What users teach xconv: rules for their own Keras layers, and the nn.Modules that these become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

from xconv.errors import InvalidInput
from xconv.spec import KerasLayer, Op

__all__ = ["Rule", "module_class", "register", "register_module", "registered", "unregister"]

Rule: TypeAlias = Callable[[KerasLayer], "Op | Sequence[Op]"]
R = TypeVar("R", bound=Rule)

_rules: dict[str, Rule] = {}
_modules: dict[str, type[Any]] = {}


def register(name: str) -> Callable[[R], R]:
    """Teach xconv a custom Keras layer: decorate the function that says what it means.

    Args:
        name: the layer's class name, or its registered name `package>Class` where two classes share a name.

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
        return rule

    return remember


def unregister(name: str) -> None:
    """Forget a rule.

    Raises:
        InvalidInput: there is none of this name.
    """
    if _rules.pop(name, None) is None:
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
