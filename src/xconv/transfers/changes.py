"""What adapt=True does to a target: one `Change` a place, and how all of it is taken back (`Edits`)."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Change", "Edits"]


@dataclass(frozen=True, slots=True)
class Change:
    """One setting of the target that was changed.

    >>> print(Change("layer2.0.conv1", "stride (1, 1)", "stride (2, 2)", "as conv3_block1_1_conv"))
    layer2.0.conv1: stride (1, 1) -> stride (2, 2); as conv3_block1_1_conv
    """

    place: str
    """The layer, by the target's own name."""
    before: str
    after: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.before} -> {self.after}; {self.why}"

    def to_dict(self) -> dict[str, str]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(slots=True)
class Edits:
    """Changes as they are made, each with the way back."""

    changes: list[Change] = field(default_factory=list)
    back: list[Callable[[], None]] = field(default_factory=list)

    def undo(self) -> None:
        """The target as it was, the last change first."""
        while self.back:
            self.back.pop()()
        self.changes.clear()

    def attributes(self, thing: Any, **values: Any) -> None:
        """Sets attributes of a live object."""
        for name, value in values.items():
            before = getattr(thing, name)
            self.back.append(lambda name=name, before=before: setattr(thing, name, before))  # type: ignore[misc]
            setattr(thing, name, value)

    def whole(self, thing: Any) -> None:
        """Remembers the class of an object and all that it holds."""
        kind, held = type(thing), dict(thing.__dict__)
        inner = {key: copy(value) for key, value in held.items() if key in HELD}

        def back() -> None:
            thing.__class__ = kind
            thing.__dict__.clear()
            thing.__dict__.update(held)
            for key, value in inner.items():
                held[key].clear()
                held[key].update(value)

        self.back.append(back)


HELD = frozenset(
    {"_modules", "_buffers", "_parameters", "_forward_hooks", "_forward_pre_hooks", "_non_persistent_buffers_set"}
)
"""Where a torch module holds its own, which is changed in place."""
