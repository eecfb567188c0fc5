"""Complex tensors of a program as pairs of real ones, and the real calls that are written for a complex one."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import fx
from torch._dispatch.python import enable_python_dispatcher
from torch.utils import _pytree as pytree

from xconv.spec import AtenCall
from xconv.torch.module_names import OPERATION

__all__ = ["Asked", "Complex", "Operand", "Part", "Writer", "is_complex", "real_dtype"]

REAL = {torch.complex32: torch.float16, torch.complex64: torch.float32, torch.complex128: torch.float64}
"""The type of the parts of complex numbers."""

_aten = torch.ops.aten


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type of the parts; a real type is its own.

    >>> real_dtype(torch.complex64), real_dtype(torch.int32)
    (torch.float32, torch.int32)
    """
    return REAL.get(dtype, dtype)


def is_complex(item: Any) -> bool:
    """Whether it is a complex tensor, or an fx node that stands for one."""
    value = item.meta.get("val") if isinstance(item, fx.Node) else item
    return isinstance(value, torch.Tensor) and value.is_complex()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A real tensor of the program that is being written."""

    writer: Writer
    node: fx.Node

    @property
    def value(self) -> Any:
        """torch's stand-in for the tensor: its shape and its type."""
        return self.node.meta["val"]

    def __add__(self, other: Part | float) -> Part:
        return self.writer.part(_aten.add.Tensor, self, other)

    def __sub__(self, other: Part | float) -> Part:
        return self.writer.part(_aten.sub.Tensor, self, other)

    def __rsub__(self, other: float) -> Part:
        return self.writer.part(_aten.rsub.Scalar, self, other)

    def __mul__(self, other: Part | float) -> Part:
        return self.writer.part(_aten.mul.Tensor, self, other)

    def __truediv__(self, other: Part | float) -> Part:
        return self.writer.part(_aten.div.Tensor, self, other)

    def __neg__(self) -> Part:
        return self.writer.part(_aten.neg.default, self)

    def each(self, target: Any, *args: Any) -> Part:
        """What an operator gives."""
        return self.writer.part(target, self, *args)

    __radd__ = __add__
    __rmul__ = __mul__

    def like(self, number: float) -> Part:
        """One number in the shape and type of the tensor."""
        return self.writer.part(_aten.full_like.default, self, number)


@dataclass(frozen=True, slots=True, eq=False)
class Complex:
    """A complex tensor: its real and its imaginary part, of one shape and type."""

    real: Part
    imaginary: Part

    @classmethod
    def of(cls, real: Part) -> Complex:
        """Real numbers as complex ones."""
        return cls(real, real.like(0))

    def __neg__(self) -> Complex:
        return Complex(-self.real, -self.imaginary)

    def __mul__(self, other: float) -> Complex:
        return self if other == 1 else Complex(self.real * other, self.imaginary * other)

    @property
    def value(self) -> Any:
        """torch's stand-in for each part."""
        return self.real.value

    @property
    def conjugate(self) -> Complex:
        """The same with the other sign of the imaginary part."""
        return Complex(self.real, -self.imaginary)

    @property
    def as_pairs(self) -> Part:
        """The parts as a last axis of two numbers."""
        return self.real.writer.part(_aten.stack.default, [self.real, self.imaginary], -1)

    def each(self, target: Any, *args: Any) -> Complex:
        """What an operator gives for each part."""
        return Complex(self.real.each(target, *args), self.imaginary.each(target, *args))


Operand: TypeAlias = Complex | Part | complex
"""What a complex operator may be called on: complex or real tensors and numbers."""


@dataclass(slots=True)
class Writer:
    """Writes calls into a graph, with what torch says about their results."""

    graph: fx.Graph
    stored: Mapping[str, torch.Tensor]
    """The buffers and constants of the program, by the names of their placeholders."""
    mode: Any = None
    """torch's mode in which stand-ins are computed with."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """What is known of the call for which others are written: its module, its operator."""
    written: list[fx.Node] = field(default_factory=list)

    def call_for(self, node: fx.Node, name: str) -> None:
        """Write calls for this one from now on."""
        said = {key: item for key, item in node.meta.items() if key != "val"}
        self.meta = {**said, OPERATION: name}

    def __call__(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        """One more call: a Part for each tensor that it gives, the fx node of a size."""
        args, kwargs = pytree.tree_map(_node, (args, kwargs))
        values, named = fx.map_arg((args, kwargs), lambda item: item.meta["val"])
        with torch.no_grad(), enable_python_dispatcher(), self.mode or nullcontext():
            result = target(*values, **named)
        return self._of(self._append(target, args, kwargs, result))

    def again(self, target: Any, given: Mapping[str, Any]) -> Any:
        """One more call of an operator with its arguments by name; a view may need memory of its own here."""
        target = _aten.reshape.default if target in (_aten.view.default, _aten._unsafe_view.default) else target
        if target is _aten.reshape.default:
            given = {"self": given["self"], "shape": given.get("shape", given.get("size"))}
        schema = target._schema.arguments
        asked = [item for item in schema if not (item.has_default_value() and given[item.name] == item.default_value)]
        last = max((place for place, item in enumerate(schema) if item in asked and not item.kwarg_only), default=-1)
        named = {item.name: given[item.name] for item in asked if item.kwarg_only}
        return self(target, *(given[item.name] for item in schema[: last + 1]), **named)

    def part(self, target: Any, *args: Any, **kwargs: Any) -> Part:
        """One more call that gives one tensor."""
        result: Part = self(target, *args, **kwargs)
        return result

    def several(self, target: Any, *args: Any, **kwargs: Any) -> list[Part]:
        """One more call that gives several tensors."""
        result: list[Part] = self(target, *args, **kwargs)
        return result

    def numbers(self, item: Part | fx.Node) -> torch.Tensor | None:
        """The tensor that an fx node stands for, where it depends on buffers and constants alone."""
        node = item.node if isinstance(item, Part) else item
        if node.op == "placeholder":
            return self.stored.get(node.name)
        name = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
        taken = node.all_input_nodes[: 1 if name == "type_as" else None]
        known = {other: self.numbers(other) for other in taken}
        if node.op != "call_function" or any(tensor is None for tensor in known.values()):
            return None
        if name == "type_as":
            return known[taken[0]].to(node.meta["val"].dtype)  # type: ignore[union-attr]
        args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), known.__getitem__)
        with torch.no_grad():
            result: torch.Tensor = node.target(*args, **kwargs)  # type: ignore[operator]
        return result

    def standing_in(self, target: Any, values: tuple[Any, ...], meta: Mapping[str, Any]) -> list[Part]:
        """Tensors of which nothing but these shapes and types is known."""
        node = self._append(target, (), {}, values)
        node.meta.update(meta)
        self.written.remove(node)
        parts: list[Part] = self._of(node)
        return parts

    def without_unused(self) -> None:
        """Take out what was written and nobody takes."""
        for node in reversed(self.written):
            if not node.users:
                self.graph.erase_node(node)
        self.written.clear()

    def _append(self, target: Any, args: Any, kwargs: Any, value: Any) -> fx.Node:
        node = self.graph.call_function(target, tuple(args), kwargs)
        node.meta = {**self.meta, "val": value}
        self.written.append(node)
        return node

    def _of(self, node: fx.Node) -> Any:
        value = node.meta["val"]
        if isinstance(value, torch.Tensor):
            return Part(self, node)
        if not isinstance(value, (list, tuple)):
            return node
        items = enumerate(value)
        return [Part(self, self._append(operator.getitem, (node, place), {}, item)) for place, item in items]


def _node(item: Any) -> Any:
    """What an argument is in the graph."""
    if isinstance(item, Part):
        return item.node
    return real_dtype(item) if isinstance(item, torch.dtype) else item


@dataclass(frozen=True, slots=True)
class Asked(AtenCall):
    """A call of a program that has to do with complex numbers: its arguments are Complex, Part and plain data."""

    target: Any = field(kw_only=True)
    """The operator with its overload."""
    writer: Writer = field(kw_only=True)
    result: Any = field(kw_only=True)
    """What torch says of the result: a tensor's stand-in, or several."""
