"""The order in which Keras lists the calls and layers of a Functional model, from the graph alone.

Files need it: they name the weights of a layer by its place among the layers of its class. Keras lists layers by their
depth, the number of calls between them and the outputs, and those of the same depth as a walk from the outputs meets
them first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from xconv.graph import values_in
from xconv.keras.records import Call, Entry, KerasModel, Ref

__all__ = ["CallKey", "deepest", "ordered", "tensors_in"]

CallKey: TypeAlias = tuple[str, int]
"""A call: the entry's name, and which of its calls."""


def ordered(model: KerasModel) -> tuple[list[Entry], dict[CallKey, int]]:
    """The entries that the outputs depend on, and all inputs, as Keras lists them; and a new number for every call.

    Calls that no output depends on are left out, so those that remain are numbered anew.
    """
    entries = {entry.name: entry for entry in model.entries}
    finished, met, _ = _walked(entries, _outputs(model))
    depths = _depths(entries, finished)
    for ref in values_in(model.inputs):
        if ref.layer not in depths:
            depths[ref.layer], met[ref.layer] = 0, -1
    kept = set(finished) | {(ref.layer, 0) for ref in values_in(model.inputs)}
    names = sorted(depths, key=lambda name: (-depths[name], met[name]))
    numbers: dict[CallKey, int] = {}
    for name in names:
        calls = [(name, index) for index in range(max(len(entries[name].calls), 1)) if (name, index) in kept]
        numbers.update({key: number for number, key in enumerate(calls)})
    return [entries[name] for name in names], numbers


def deepest(model: KerasModel) -> int:
    """How many calls deep Keras goes when it walks the graph from the outputs, each call inside the one before it."""
    return _walked({entry.name: entry for entry in model.entries}, _outputs(model))[2]


def _outputs(model: KerasModel) -> list[Ref]:
    return [ref for ref in _flat(model.outputs) if isinstance(ref, Ref)]


def tensors_in(call: Call) -> list[Ref]:
    """The tensors among the arguments of a call, as Keras flattens them."""
    return [leaf for leaf in _flat((call.args, dict(call.kwargs))) if isinstance(leaf, Ref)]


def _flat(structure: Any) -> Iterator[Any]:
    """The leaves in Keras's order: those of a dict by sorted key."""
    if isinstance(structure, Mapping):
        structure = [structure[key] for key in sorted(structure)]
    if isinstance(structure, (list, tuple)):
        for item in structure:
            yield from _flat(item)
    else:
        yield structure


def _walked(entries: Mapping[str, Entry], outputs: list[Ref]) -> tuple[list[CallKey], dict[str, int], int]:
    """The calls, each after what it needs; the turn in which a walk from the outputs first met each entry; how deep."""
    under_way = deepest = 0
    finished: dict[CallKey, None] = {}
    met: dict[str, int] = {}
    for output in outputs:
        stack = [((output.layer, output.call), False)]
        while stack:
            key, done = stack.pop()
            if key in finished:
                continue
            if done:
                finished[key] = None
                under_way -= 1
                continue
            under_way += 1
            deepest = max(deepest, under_way)
            met.setdefault(key[0], len(met))
            needs = _needs(entries, key)
            stack.append((key, True))
            stack += [(need, False) for need in reversed(needs)]
    return list(finished), met, deepest


def _depths(entries: Mapping[str, Entry], finished: list[CallKey]) -> dict[str, int]:
    """How many calls lie between each entry and the outputs: the most over its calls that were counted so far."""
    calls: dict[CallKey, int] = {}
    depths: dict[str, int] = {}
    for key in reversed(finished):
        depth = max(calls.setdefault(key, 0), depths.get(key[0], 0))
        depths[key[0]] = calls[key] = depth
        for need in _needs(entries, key):
            calls[need] = max(depth + 1, calls.get(need, 0))
    return depths


def _needs(entries: Mapping[str, Entry], key: CallKey) -> list[CallKey]:
    name, index = key
    calls = entries[name].calls
    return [(ref.layer, ref.call) for ref in tensors_in(calls[index])] if calls else []
