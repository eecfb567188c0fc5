"""Which of the mappings in a torch checkpoint holds the weights, and what its names begin with. It knows no framework.

Trainers save more than a state_dict: optimizers, counters, a second set of averaged (EMA) weights; and they wrap
modules, which puts `module.` or `_orig_mod.` in front of every name. What is taken and what is left is always told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from xconv.errors import InvalidInput, Problem, Unreadable

__all__ = ["EMA", "Chosen", "choose"]

EMA = "ema"
"""The word for averaged weights in `which=`."""

_DEPTH = 4
_USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
"""Under which names trainers keep the weights, the most telling first."""
_AVERAGED = re.compile(r"(^|[._])(ema|shadow|averaged|swa|average)([._]|$)", re.IGNORECASE)
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""What torch puts into the middle of names; no module is called so otherwise."""
_PREFIXES = ("module.", "model.", "backbone.", "encoder_q.", "encoder.", "net.", "network.")
"""What stands in front of names; it is taken off only where all have it, or where the module's own names come out."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The tensors that were taken, by the names of the module that they belong to."""

    tensors: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    """What was taken from where, what was taken off the names, how to ask for another set."""
    left: tuple[str, ...] = ()
    """The entries that hold no weights, and those that were not chosen."""


@dataclass(frozen=True, slots=True)
class _Set:
    """One mapping of names to tensors that lies in a file."""

    path: tuple[str, ...]
    prefix: str
    tensors: Mapping[str, Any]
    others: tuple[str, ...]
    wrapped: str = ""
    """The wrappers that were taken out of the names."""

    @property
    def averaged(self) -> bool:
        """Whether its name says that it holds averages."""
        return bool(_AVERAGED.search(".".join((*self.path, self.prefix))))

    @property
    def said(self) -> str:
        """Where it lies, in words."""
        place = f"the entry {'.'.join(self.path)!r}" if self.path else "the top level"
        return f"{place}, names that begin with {self.prefix!r}" if self.prefix else place

    @property
    def words(self) -> tuple[str, ...]:
        """What `which=` may say to get it, the shortest first."""
        path = ".".join(self.path)
        words = (EMA if self.averaged else "", self.prefix, path, f"{path}.{self.prefix}" if self.prefix else "")
        return tuple(dict.fromkeys(word for word in words if word))


def choose(
    content: Any,
    is_tensor: Callable[[Any], bool],
    *,
    place: str,
    names: Collection[str] = (),
    which: str = "",
) -> Chosen:
    """The weights in what a torch file holds.

    Args:
        content: what `torch.load` gave.
        is_tensor: what counts as a tensor.
        place: the file, for messages.
        names: those of the state_dict that the weights belong to, where they are known.
        which: '' for the plain weights, 'ema' for the averaged ones, or the entry or the prefix to take.

    Raises:
        Unreadable: it holds no tensors by name.
        InvalidInput: several sets, of which none is the usual one; or none that `which` names.

    >>> content = {"epoch": 3, "state_dict": {"module.fc.weight": 1.5}}
    >>> chosen = choose(content, lambda item: isinstance(item, float), place="net.pt")
    >>> dict(chosen.tensors), chosen.left
    ({'fc.weight': 1.5}, ('epoch',))
    """
    found = [_unwrapped(each) for each in _sets(content, is_tensor, ())]
    if not found:
        kind = type(content).__name__
        remedy = "save module.state_dict()"
        raise Unreadable(f"holds no tensors by name, but a {kind}{_entries(content)}", place=place, remedy=remedy)
    telling = [each for each in found if not _counts_only(each)] or found
    sets = [part for each in telling for part in _by_prefix(each, names)]
    chosen = _chosen(sets, which, frozenset(names), place)
    left = (*_left(content, chosen), *chosen.others, *_unused(chosen, found))
    return Chosen(chosen.tensors, tuple(_notes(chosen, sets)), tuple(dict.fromkeys(left)))


def _sets(content: Any, is_tensor: Callable[[Any], bool], path: tuple[str, ...]) -> Iterator[_Set]:
    """Every mapping that holds tensors by name, but for the states of optimizers."""
    if not isinstance(content, Mapping) or len(path) > _DEPTH or "param_groups" in content:
        return
    tensors = {key: item for key, item in content.items() if isinstance(key, str) and is_tensor(item)}
    if tensors:
        nested = (key for key, item in content.items() if key not in tensors and not isinstance(item, Mapping))
        yield _Set(path, "", tensors, tuple(".".join((*path, str(key))) for key in nested))
    for key, item in content.items():
        if isinstance(key, str):
            yield from _sets(item, is_tensor, (*path, key))


def _counts_only(found: _Set) -> bool:
    """Whether its tensors are single numbers: an epoch, a loss."""
    return all(getattr(tensor, "shape", None) == () for tensor in found.tensors.values())


def _unwrapped(found: _Set) -> _Set:
    """Without what torch's wrappers put into the names, as long as names stay apart."""
    present = [word for word in _WRAPPERS if any(word in name.split(".") for name in found.tensors)]
    renamed = {
        ".".join(part for part in name.split(".") if part not in present): tensor
        for name, tensor in found.tensors.items()
    }
    if not present or len(renamed) < len(found.tensors):
        return found
    return replace(found, tensors=renamed, wrapped=" and ".join(f"'{word}.'" for word in present))


def _by_prefix(found: _Set, names: Collection[str]) -> list[_Set]:
    """The set with what stands before its names taken off: by the module's names, or where all have the same."""
    if names:
        known = set(names)
        before = dict.fromkeys(["", *_before(found.tensors, known)])
        parts = [_with_prefix(found, prefix) for prefix in before]
        most = max(len(known & part.tensors.keys()) for part in parts)
        whole = [part for part in parts if len(known & part.tensors.keys()) == most]
        return [_without(part, known, {other.prefix for other in whole}) for part in whole]
    prefix = ""
    while True:
        inner = [name.removeprefix(prefix) for name in found.tensors if name != "n_averaged"]
        more = next((word for word in _PREFIXES if all(name.startswith(word) for name in inner)), "")
        if not more or not inner:
            return [_with_prefix(found, prefix)]
        prefix += more


def _before(tensors: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    """What stands before one of the known names; the longest of them tells most."""
    telling = max(known, key=len)
    for name in tensors:
        if name.endswith(f".{telling}"):
            yield name.removesuffix(telling)
    for word in _PREFIXES:
        if any(name.startswith(word) and name.removeprefix(word) in known for name in tensors):
            yield word


def _with_prefix(found: _Set, prefix: str) -> _Set:
    if not prefix:
        return found
    held = {name.removeprefix(prefix): item for name, item in found.tensors.items() if name.startswith(prefix)}
    return replace(found, prefix=prefix, tensors=held)


def _without(found: _Set, known: set[str], prefixes: Collection[str]) -> _Set:
    """The set that stands under the module's own names, without those of a second set beside it."""
    if found.prefix or len(prefixes) == 1:
        return found
    other = tuple(prefix for prefix in prefixes if prefix)
    held = {name: item for name, item in found.tensors.items() if name in known or not name.startswith(other)}
    return replace(found, tensors=held)


def _chosen(sets: list[_Set], which: str, names: frozenset[str], place: str) -> _Set:
    """The one set that is wanted."""
    if which:
        wanted = [each for each in sets if which in each.words]
        if len(wanted) != 1:
            what = f"holds {'several sets' if wanted else 'no set'} of weights named {which!r}"
            problems = [Problem(place, what), *_listed(sets, place)]
            raise InvalidInput(f"which={which!r} names no set of weights in {place}", problems=problems)
        return wanted[0]
    plain = [each for each in sets if not each.averaged] or sets
    ranked = sorted(plain, key=lambda each: _rank(each, names))
    if len(ranked) > 1 and _rank(ranked[0], names) == _rank(ranked[1], names):
        raise InvalidInput(f"{place} holds several sets of weights", problems=_listed(ranked, place))
    return ranked[0]


def _rank(found: _Set, names: frozenset[str]) -> tuple[int, ...]:
    """The lower, the better: how many of the module's names it lacks; then how usual its place is."""
    missing = len(names - found.tensors.keys())
    surplus = len(found.tensors.keys() - names) if names else 0
    last = found.path[-1] if found.path else ""
    usual = _USUAL.index(last) if last in _USUAL else len(_USUAL) + bool(last)
    words = [place for place, word in enumerate(_PREFIXES) if f".{found.prefix}".endswith(f".{word}")]
    prefix = min(words, default=len(_PREFIXES)) if found.prefix else -1
    return (missing, surplus, usual, len(found.path), prefix)


def _listed(sets: list[_Set], place: str) -> list[Problem]:
    what = "{} tensors in {}"
    return [Problem(place, what.format(len(s.tensors), s.said), f"say which={_name(s, sets)!r}") for s in sets]


def _name(found: _Set, sets: list[_Set]) -> str:
    """What `which=` says to get this one and no other."""
    others = [word for other in sets if other is not found for word in other.words]
    return next((word for word in found.words if word not in others), "")


def _notes(chosen: _Set, sets: list[_Set]) -> Iterator[str]:
    if chosen.path:
        kind = "averaged (EMA) weights" if chosen.averaged else "weights"
        yield f"the {kind} are those of the entry {'.'.join(chosen.path)!r}"
    elif chosen.averaged:
        yield "the weights are averaged (EMA)"
    if chosen.wrapped:
        yield f"{chosen.wrapped} was taken out of the names"
    if chosen.prefix:
        yield f"{chosen.prefix!r} was taken off the names"
    for other in sets:
        if other.averaged and not chosen.averaged and len(other.tensors) > 1:
            yield f"averaged (EMA) weights lie there too, in {other.said}; which={_name(other, sets)!r} takes them"


def _left(content: Any, chosen: _Set) -> Iterator[str]:
    """Everything beside the chosen set on the way to it."""
    before: tuple[str, ...] = ()
    for step in chosen.path:
        yield from (".".join((*before, str(key))) for key in content if key != step)
        before, content = (*before, step), content[step]
    yield from (".".join((*before, str(key))) for key, item in content.items() if isinstance(item, Mapping))


def _unused(chosen: _Set, found: list[_Set]) -> Iterator[str]:
    """The names of the same mapping that the chosen prefix does not cover."""
    whole = next(each for each in found if each.path == chosen.path)
    taken = {chosen.prefix + name for name in chosen.tensors}
    yield from (".".join((*chosen.path, name)) for name in whole.tensors if name not in taken)


def _entries(content: Any) -> str:
    if not isinstance(content, Mapping) or not content:
        return ""
    names = ", ".join(str(key) for key in list(content)[:8])
    return f" of {names}{' ...' if len(content) > 8 else ''}"
