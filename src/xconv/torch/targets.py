"""Full names <-> torch classes, functions and tensor methods; a saved file can name nothing else.

A file is data: what it names is looked up among the operations on tensors and the layers, so that no name leads to
a function that opens files, imports or runs code.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch

from xconv.errors import Mismatch, Unsupported
from xconv.registry import module_class

__all__ = ["method_name", "resolve_target"]

OPERATORS = frozenset(
    {"add", "eq", "floordiv", "ge", "getitem", "gt", "iadd", "le", "lt", "mod", "mul", "ne", "neg", "pow", "sub"}
)

METHODS = frozenset(
    {
        "bfloat16",
        "bool",
        "byte",
        "char",
        "contiguous",
        "double",
        "expand",
        "float",
        "half",
        "int",
        "long",
        "new_full",
        "repeat",
        "short",
        "size",
        "to",
        "type_as",
        "view",
    }
)
"""Methods of tensors that are no functions of torch too."""

SYMBOLIC = frozenset({"sym_float", "sym_int", "sym_max", "sym_min"})

NOT_OPERATIONS = frozenset({"from_file", "frombuffer"})
"""What stands among torch's operations but reaches outside."""


def resolve_target(target: str) -> Any:
    """The function or module class that a target names.

    Raises:
        Unsupported: a name outside torch's operations and layers, xconv's own modules and the classes that were
            registered in this process; nothing else is imported.
        Mismatch: this version of torch has no such name.

    >>> resolve_target("torch.nn.Identity")
    <class 'torch.nn.modules.linear.Identity'>
    >>> resolve_target("torch.hub.load")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    xconv.errors.Unsupported: torch.hub.load is no operation on tensors, and no layer of torch or xconv; ...
    """
    module_name, _, name = target.rpartition(".")
    home = _HOMES.get(module_name)
    registered = module_class(target)
    if registered is not None:
        return registered
    if home is None or name.startswith("_"):
        raise _foreign(target)
    found = getattr(importlib.import_module(module_name), name, None)
    if found is None:
        raise Mismatch(f"torch {torch.__version__} has no {target}", remedy="update torch or xconv")
    if not home(name, found):
        raise _foreign(target)
    return found


def _foreign(target: str) -> Unsupported:
    return Unsupported(
        f"{target} is no operation on tensors, and no layer of torch or xconv",
        remedy="call xconv.registry.register_module on the class, if it is yours, before loading",
    )


def method_name(target: str) -> str:
    """The name of the tensor method that `Tensor.name` names.

    Raises:
        Unsupported: it is not one of those that compute a tensor.
    """
    name = target.removeprefix("Tensor.")
    if name in METHODS or _is_operation(name, getattr(torch.Tensor, name, None)):
        return name
    raise Unsupported(f"{target} is no operation on tensors")


def _is_operation(name: str, found: Any) -> bool:
    """Whether it is one of torch's operations: those of the C++ core, and the Python ones of torch.functional."""
    core = name in dir(torch._C._VariableFunctions) and name not in NOT_OPERATIONS and not name.startswith("_")
    return callable(found) and (core or name in SYMBOLIC or name in torch.functional.__all__)


def _is_functional(found: Any) -> bool:
    """Whether it is defined in torch.nn.functional, which also holds what it imports."""
    homes = ("torch", "torch.nn.functional", "torch._C._nn")
    return inspect.isroutine(found) and (inspect.isbuiltin(found) or found.__module__ in homes)


def _is_module_of(found: Any, package: str) -> bool:
    """Whether it is a module class that is defined in the package."""
    return inspect.isclass(found) and issubclass(found, torch.nn.Module) and found.__module__.startswith(package)


_HOMES: dict[str, Callable[[str, Any], bool]] = {
    "torch": _is_operation,
    "torch.linalg": lambda name, found: inspect.isbuiltin(found),
    "torch.special": lambda name, found: name in torch.special.__all__,
    "torch.nn.functional": lambda name, found: _is_functional(found),
    "torch.nn": lambda name, found: _is_module_of(found, "torch.nn.modules."),
    "xconv.torch.modules": lambda name, found: _is_module_of(found, "xconv.torch.modules."),
    "operator": lambda name, found: name in OPERATORS,
}
