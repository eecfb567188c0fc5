"""Modules with another geometry, in place: the same object, parameters and keys, of a subclass of its class.

    adapted(conv, Preceded, before=nn.ZeroPad2d((0, 1, 0, 1)))      a convolution with uneven pads
    altered(block, Alteration("relu", 0, nn.SiLU()))                a function that a block calls, another function

The class of such a module is made when it is needed and cannot be imported by name, so a copy or a pickle names the two
classes that it is made of.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xconv.errors import XConvWarning

__all__ = ["Adapted", "Alteration", "Altered", "Bare", "Offset", "Preceded", "adapted", "altered", "called", "offsets"]


class Adapted:
    """What all have in common: how they are copied and pickled."""

    mixin: type[Adapted]
    base: type[nn.Module]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        whole: Any = super().__reduce_ex__(protocol)
        return _empty, _made_of(type(self)), *whole[2:]

    def within(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What a function gives where it stands for the module's own `forward`."""
        return function(*args, **kwargs)


class Preceded(Adapted):
    """What comes in goes through `before` first; a module without parameters."""

    before: nn.Module

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        return super().forward(self.before(x), *args, **kwargs)  # type: ignore[misc]


class Bare(Adapted):
    """A layer of torch.nn that a subclass made something else of, as torch.nn wrote it."""

    plain: type[nn.Module]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.plain.forward(self, *args, **kwargs)


class Offset(Adapted):
    """What a layer without a bias gives, and an `offset` for each channel, which no state_dict holds.

    A file that xconv wrote holds it under its name, and is loaded with it; where a state_dict lacks it, a warning says
    that it stays as it was.
    """

    offset: Tensor

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*args, **kwargs) + self.offset  # type: ignore[misc]

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        key = f"{prefix}offset"
        given = state_dict.get(key)
        if given is None:
            what = f"{key} is not in this state_dict, and stays as it was; a file that xconv.transfer writes holds it"
            warnings.warn(what, XConvWarning, stacklevel=2)
        elif given.shape != self.offset.shape:
            errors: list[str] = args[-1]
            errors.append(f"{key} has shape {tuple(given.shape)}, {tuple(self.offset.shape)} is needed")
        else:
            with torch.no_grad():
                self.offset.copy_(given)
        others = {name: tensor for name, tensor in state_dict.items() if name != key}
        super()._load_from_state_dict(others, prefix, *args)  # type: ignore[misc]


def offsets(module: Any) -> dict[str, Tensor]:
    """The offsets in a module, by the names under which files hold them."""
    named = module.named_modules() if hasattr(module, "named_modules") else ()
    return {f"{path}.offset" if path else "offset": part.offset for path, part in named if isinstance(part, Offset)}


@dataclass(frozen=True, slots=True)
class Alteration:
    """A function that a forward method calls, changed.

    It is the `index`-th call of the function, counted from 0, that the method makes itself or, where `child` names a
    module inside, that this module makes. Without an `operand` the call becomes `module(its first tensor)`, else that
    operand goes through the module first.
    """

    function: str
    index: int
    module: nn.Module
    operand: int | None = None
    child: str = ""


@dataclass(slots=True)
class Inside:
    """The modules inside an altered one that are running, outermost first."""

    names: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Enter:
    """Notes that a module begins to run; a hook."""

    inside: Inside
    name: str

    def __call__(self, module: nn.Module, args: Any) -> None:
        self.inside.names.append(self.name)


@dataclass(frozen=True, slots=True)
class Leave:
    """Notes that it has run."""

    inside: Inside

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        self.inside.names.pop()


class Altered(Adapted):
    """A forward method in which some calls of functions are others."""

    alterations: tuple[Alteration, ...]
    inside: Inside

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.inside.names.clear()
        with _Altering(self.alterations, self.inside):
            return super().forward(*args, **kwargs)  # type: ignore[misc]

    def _replicate_for_data_parallel(self) -> Any:
        raise RuntimeError("its calls are counted in one thread; use DistributedDataParallel")


class _Altering(TorchFunctionMode):
    """Counts the calls of every function by name, and alters those that it is told to.

    What the modules inside call is counted apart: in training they call more.
    """

    def __init__(self, alterations: Sequence[Alteration], inside: Inside) -> None:
        super().__init__()
        self.alterations = {(item.child, item.function, item.index): item for item in alterations}
        self.inside = inside
        self.counts: dict[tuple[str, str], int] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, child = called(func), self.inside.names[0] if self.inside.names else ""
        index = self.counts.get((child, name), 0)
        self.counts[child, name] = index + 1
        found = self.alterations.get((child, name, index))
        if found is None:
            return func(*args, **(kwargs or {}))
        if found.operand is None:
            return found.module(args[0])
        operands = list(args)
        operands[found.operand] = found.module(operands[found.operand])
        return func(*operands, **(kwargs or {}))


def called(function: Any) -> str:
    """The name under which a call is counted: `add` for `x + y`, `x.add_(y)` and `torch.add(x, y)` alike.

    >>> import torch
    >>> called(torch.add), called(torch.Tensor.add_), called(torch.Tensor.__iadd__)
    ('add', 'add', 'add')
    """
    name = str(getattr(function, "__name__", function)).strip("_")
    return name[1:] if name in IN_PLACE else name


IN_PLACE = frozenset({"iadd", "imul", "isub"})


def adapted(module: nn.Module, mixin: type[Adapted], **attributes: Any) -> None:
    """The module becomes one of a subclass of its own class, in place."""
    module.__class__ = _class_of(mixin, type(module))
    for name, value in attributes.items():
        setattr(module, name, value)


def altered(module: nn.Module, alteration: Alteration) -> None:
    """One more call in the forward method of a module becomes another, in place."""
    if isinstance(module, Altered):
        vars(module)["alterations"] = (*module.alterations, alteration)
        return
    inside = Inside()
    for name, child in module.named_modules():
        if child is not module:
            child.register_forward_pre_hook(Enter(inside, name))
            child.register_forward_hook(Leave(inside))
    adapted(module, Altered, alterations=(alteration,), inside=inside)


CLASSES: dict[tuple[type[Any], type[Any]], type[Any]] = {}
"""Every class that was made, so that two modules of one kind are of one class."""


def _class_of(mixin: type[Any], base: type[Any]) -> type[Any]:
    """The class of modules of `base` with what the mixin adds."""
    if (mixin, base) not in CLASSES:
        inside = {"__module__": mixin.__module__, "__doc__": mixin.__doc__, "mixin": mixin, "base": base}
        CLASSES[mixin, base] = type(f"{mixin.__name__}{base.__name__}", (mixin, base), inside)
    return CLASSES[mixin, base]


def _made_of(kind: type[Any]) -> tuple[type[Any], ...]:
    """The class that it was to begin with, and what was added, in order."""
    if "mixin" not in vars(kind):
        return (kind,)
    return *_made_of(kind.base), kind.mixin


def _empty(base: type[Any], *mixins: type[Any]) -> Any:
    """A module without its state, for copy and pickle."""
    for mixin in mixins:
        base = _class_of(mixin, base)
    return object.__new__(base)
