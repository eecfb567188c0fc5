"""Methods of a module's parts, replaced for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

__all__ = ["replaced"]


@contextmanager
def replaced(module: nn.Module, choose: Callable[[nn.Module], tuple[str, Callable[..., Any]] | None]) -> Iterator[None]:
    """The module with other methods where `choose` gives a name and a function; as it was afterwards.

    `choose` is asked about the module and each of its submodules. What stands on the instance already is left alone.

    >>> with replaced(relu := nn.ReLU(), lambda child: ("forward", lambda x: x + 1)):
    ...     relu(-1)
    0
    >>> "forward" in vars(relu)
    False
    """
    changed = []
    for child in module.modules():
        chosen = choose(child)
        if chosen is not None and chosen[0] not in vars(child):
            setattr(child, *chosen)
            changed.append((child, chosen[0]))
    try:
        yield
    finally:
        for child, name in changed:
            delattr(child, name)
