"""A float32 torch network computed in float64, although its text asks for float32: `x.float()`, `torch.arange(...)`.

A module in float64 keeps such an island in float32, where Keras's precision policy has none. Here the module stays as
it is and believes to compute in float32, but every tensor that it sees stands for one in float64.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from xconv.statistics import Array

__all__ = ["Islands", "Reading", "Widened", "as_array", "like", "outside", "plain"]

WIDE = {
    torch.float32: torch.float64,
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.complex64: torch.complex128,
}
NARROW = {torch.float64: torch.float32, torch.complex128: torch.complex64}


FILLED = frozenset({"empty", "full", "ones", "zeros"})


class Reading(enum.StrEnum):
    """What is computed in float64 of a network whose text asks for float32; the likeliest first."""

    INPUTS_AND_WEIGHTS = "what torch computes from inputs or weights; its other constants are those of float32"
    """As in a conversion that computes constants (masks, places) once, as the network would."""
    WHOLE = "everything that torch computes"
    """Constants that the network makes included."""
    INPUTS = "what torch computes from inputs; what it makes of its weights alone is of float32"
    """As in a conversion that holds a weight as the network computed it."""


class _Shadow(Tensor):
    """A tensor that says float32 and stands for `value`, in float64."""

    value: Tensor
    widened: Widened

    @staticmethod
    def __new__(cls: type[_Shadow], value: Tensor, widened: Widened) -> _Shadow:
        made: _Shadow = Tensor._make_wrapper_subclass(
            cls,
            value.size(),
            strides=value.stride(),
            storage_offset=value.storage_offset(),
            dtype=NARROW.get(value.dtype, value.dtype),
            device=value.device,
        )
        made.value, made.widened = value, widened
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        leaves = pytree.tree_leaves((args, kwargs))
        return next(leaf for leaf in leaves if isinstance(leaf, _Shadow)).widened.computed(func, args, kwargs or {})


class Widened(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, a module in float32 computes in float64 what its `reading` says."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reading = reading
        self.paused = False
        self.batch = -1

    def inputs(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What the module is given for its inputs."""
        self.batch = next((int(tensor.shape[0]) for tensor in tensors if tensor.dim()), -1)
        return list(map(self.shadow, tensors))

    def shadow(self, tensor: Tensor) -> Tensor:
        """What the module is given for a tensor from elsewhere."""
        with self.asleep():
            return tensor if isinstance(tensor, _Shadow) else _Shadow(_wide(tensor), self)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs one operator, in float64 where the reading asks for it."""
        del types
        return self.computed(func, args, kwargs or {})

    def computed(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What the operator gives: of shadows a shadow."""
        leaves = pytree.tree_leaves((args, kwargs))
        if self.paused or not self._is_asked_for(func, args, leaves):
            return func(*args, **kwargs)
        if func is torch.ops.aten._assert_tensor_metadata.default:
            return None
        shadows = {id(leaf.value): leaf for leaf in leaves if isinstance(leaf, _Shadow)}
        given, named = pytree.tree_map(_wide, (args, dict(kwargs)))
        result = func(*given, **named)
        if torch.Tag.inplace_view in func.tags:
            return _turned_alike(func, args, kwargs)
        # What was written in place is the shadow that it was.
        return pytree.tree_map_only(Tensor, lambda value: shadows.get(id(value), self.shadow(value)), result)

    def _is_asked_for(self, func: Any, args: Sequence[Any], leaves: Sequence[Any]) -> bool:
        """Whether the reading has it in float64. What is filled for every example of the batch comes of an input."""
        if self.reading is Reading.WHOLE or any(map(self._is_wide, leaves)):
            return True
        filled = func.overloadpacket.__name__ in FILLED and isinstance(args[0], (tuple, list))
        return filled and list(args[0][:1]) == [self.batch]

    def _is_wide(self, leaf: Any) -> bool:
        if isinstance(leaf, _Shadow):
            return True
        return isinstance(leaf, nn.Parameter) and self.reading is not Reading.INPUTS

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Operators inside run as they are."""
        self.paused, before = True, self.paused
        try:
            yield
        finally:
            self.paused = before


def _turned_alike(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The shadow of a tensor whose axes were changed in place, changed too: it says what sizes it has."""
    with torch._C._DisableTorchDispatch():
        func(*args, **kwargs)
    return args[0]


def _wide(item: Any) -> Any:
    """The tensor behind a shadow, another tensor or a dtype in double precision; anything else as it is."""
    if isinstance(item, _Shadow):
        return item.value
    if isinstance(item, Tensor):
        return item.detach().to(WIDE.get(item.dtype, item.dtype))
    return WIDE.get(item, item) if isinstance(item, torch.dtype) else item


def plain(tensor: Tensor) -> Tensor:
    """The numbers that a tensor stands for."""
    return tensor.value if isinstance(tensor, _Shadow) else tensor


def as_array(tensor: Tensor) -> Array:
    """The same as an array."""
    if not isinstance(tensor, _Shadow):
        plain = tensor.detach().cpu()
        array: Array = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
        return array
    with tensor.widened.asleep():
        return as_array(tensor.value)


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """The tensor as the network would have it where it has the other one: same device and dtype, a shadow for one."""
    held = plain(other)
    moved = tensor.to(held.device, held.dtype)
    return other.widened.shadow(moved) if isinstance(other, _Shadow) else moved


def outside(
    rule: Callable[[Sequence[Any], Mapping[str, Any]], tuple[Any, str] | None],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> tuple[Any, str] | None:
    """What a rule gives for the tensors that shadows stand for, as shadows again."""
    first = next((leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, _Shadow)), None)
    if first is None:
        return rule(args, kwargs)
    with first.widened.asleep():
        found = rule(*pytree.tree_map(_wide, (tuple(args), dict(kwargs))))
    if found is None:
        return None
    return pytree.tree_map_only(Tensor, first.widened.shadow, found[0]), found[1]


class Islands(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes in which layers a network in float64 asks for float32; `layer` is set by the runner."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layer = ""
        self.found: dict[str, None] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs one operator."""
        del types
        result = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) and leaf.dtype in WIDE for leaf in pytree.tree_leaves(result)):
            self.found.setdefault(self.layer or str(func.overloadpacket.__name__))
        return result
