"""The order in which the calls of a Keras model are read: each after what it needs."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from xconv.errors import Unreadable
from xconv.graph import values_in
from xconv.keras.records import Entry, KerasModel, Ref

__all__ = ["sequence"]


def sequence(model: KerasModel, entries: Mapping[str, Entry], prefix: str) -> Iterator[tuple[str, int]]:
    """The calls in an order in which each comes after what it needs; ties in the order of the model."""
    rank = {entry.name: number for number, entry in enumerate(model.entries)}
    sorter: TopologicalSorter[tuple[str, int]] = TopologicalSorter()
    wanted = [
        (ref.layer, ref.call) for ref in (*values_in(model.inputs), *values_in(model.outputs)) if isinstance(ref, Ref)
    ]
    seen: set[tuple[str, int]] = set()
    while wanted:
        key = wanted.pop()
        if key in seen:
            continue
        seen.add(key)
        needs = _needs(key, entries, prefix)
        sorter.add(key, *needs)
        wanted += needs
    try:
        sorter.prepare()
    except CycleError as error:
        names = " -> ".join(name for name, _ in error.args[1])
        raise Unreadable(f"the graph has a cycle: {names}", place=prefix.rstrip("/")) from error
    ready: list[tuple[int, int, str]] = []
    while sorter.is_active():
        for name, index in sorter.get_ready():
            heapq.heappush(ready, (rank[name], index, name))
        _, index, name = heapq.heappop(ready)
        yield name, index
        sorter.done((name, index))


def _needs(key: tuple[str, int], entries: Mapping[str, Entry], prefix: str) -> list[tuple[str, int]]:
    """The calls whose results a call takes."""
    name, index = key
    if name not in entries:
        raise Unreadable(f"the graph refers to a layer {name!r} that is not there", place=prefix.rstrip("/"))
    calls = entries[name].calls
    if index > 0 and index >= len(calls):
        raise Unreadable(f"the graph refers to call {index}, there are {len(calls)}", place=f"{prefix}{name}")
    if not calls:
        return []
    call = calls[index]
    leaves = (*values_in(call.args), *values_in(call.kwargs))
    return [(leaf.layer, leaf.call) for leaf in leaves if isinstance(leaf, Ref)]
