"""What can go wrong, as one family.

    XConvError                      every error that xconv raises on purpose
    |-- Unreadable                  the file is not what it claims to be: truncated, wrong magic, corrupt, unsafe
    |   |-- NotFound                there is no such file; also a FileNotFoundError
    |   `-- IsDirectory             a directory where a file is needed; also an IsADirectoryError
    |-- Unsupported                 understood, but it cannot be said exactly on the other side
    |   `-- Unknown                 a class that no rule knows: custom, Lambda, misspelt
    |-- Unwritable                  the file cannot be written: disk full, read-only folder; also an OSError
    |-- Mismatch                    two things that must agree do not: shapes, names, counts of weights
    |-- InvalidInput                an argument of the call, or a tensor given to a model, is not usable
    `-- MissingFramework            a package is needed that is not installed; names the `pip install` line

A rule says what is wrong, its caller adds where. A message has four parts: the place, what it says, what
cannot be done, what to try. Errors are collected: nine unsupported layers are one error with nine `problems`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "InvalidInput",
    "IsDirectory",
    "Mismatch",
    "MissingFramework",
    "NotFound",
    "Problem",
    "Unknown",
    "Unreadable",
    "Unsupported",
    "Unwritable",
    "XConvError",
    "XConvWarning",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what to try.

    >>> print(Problem("conv1", "Conv2D has filters=-3", "give a positive number of filters"))
    conv1: Conv2D has filters=-3; give a positive number of filters
    """

    place: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.what}" if self.place else self.what
        return f"{text}; {self.remedy}" if self.remedy else text


class XConvError(Exception):
    """The parent of every error that xconv raises on purpose; `problems` lists what is wrong."""

    def __init__(self, what: str, *, place: str = "", remedy: str = "", problems: Iterable[Problem] = ()) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems) or (Problem(place, what, remedy),)
        self.summary = what
        super().__init__(what)

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        return "\n  - ".join([f"{self.summary} ({len(self.problems)} problems)", *map(str, self.problems)])

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.summary, self.problems)

    def at(self, place: str) -> XConvError:
        """The same error, with the place put in front of every problem's own place.

        >>> str(Unsupported("padding='odd'").at("conv1"))
        "conv1: padding='odd'"
        """
        moved = (Problem(f"{place}/{p.place}" if p.place else place, p.what, p.remedy) for p in self.problems)
        return type(self)(self.summary, problems=moved)


def _rebuild(kind: type[XConvError], summary: str, problems: tuple[Problem, ...]) -> XConvError:
    return kind(summary, problems=problems)


class Unreadable(XConvError):
    """The file is not what it claims to be: truncated, wrong magic, corrupt or unsafe."""


class NotFound(Unreadable, FileNotFoundError):
    """There is no such file."""


class IsDirectory(Unreadable, IsADirectoryError):
    """A directory stands where a file is needed."""


class Unwritable(XConvError, OSError):
    """A file cannot be written: the disk is full, or the folder read-only."""


class Unsupported(XConvError):
    """Understood, but it cannot be said exactly on the other side."""


class Unknown(Unsupported):
    """A class that no rule knows: a custom layer, a Lambda, a misspelt name."""


class Mismatch(XConvError):
    """Two things that must agree do not: shapes, names, counts of weights."""


class InvalidInput(XConvError):
    """An argument of the call, or a tensor given to a model, cannot be used."""


class MissingFramework(XConvError, ImportError):
    """A package is needed that is not installed; the message holds the `pip install` line."""


class XConvWarning(UserWarning):
    """Something that does not stop the work, but that its user should know."""
