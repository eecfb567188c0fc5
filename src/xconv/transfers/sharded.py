"""A torch checkpoint in several files, and the index that lists them: `model.safetensors.index.json` and its like."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from xconv.errors import Problem, Unreadable
from xconv.keras import json_text
from xconv.torch.tensor_file import readable
from xconv.transfers.state_dicts import Chosen, choose
from xconv.transfers.torch_checkpoint import named_tensors
from xconv.weights import ArraySource

__all__ = ["read_index"]

_BYTES = 64 << 20
_SHOWN = 20


def read_index(path: Path, *, names: Collection[str] = (), which: str = "") -> tuple[dict[str, ArraySource], Chosen]:
    """The weights in all shards of an index; arguments as for `choose`.

    Raises:
        NotFound, IsDirectory, Unreadable: no such file, no index, shards that are missing, damaged or not where plain
            file names lead, tensors that a shard lacks or the index does not list.
        Unsupported, InvalidInput: as for one file.
    """
    readable(path)
    listed = _listed(path)
    shards = sorted(set(listed.values()))
    problems = [Problem(name, said) for name in shards if (said := _unsafe(path.parent / name, name))]
    if problems:
        what = f"{path} lists shards that cannot be read"
        raise Unreadable(what, problems=problems[:_SHOWN])
    sources: dict[str, ArraySource] = {}
    for shard in shards:
        found = named_tensors(path.parent / shard)
        problems += _unlike({name for name, file in listed.items() if file == shard}, found, shard)
        sources.update(found)
    if problems:
        raise Unreadable(f"{path} and its shards do not agree", problems=problems[:_SHOWN])
    chosen = choose(sources, lambda item: hasattr(item, "blocks"), place=str(path), names=names, which=which)
    return dict(chosen.tensors), chosen


def _listed(path: Path) -> Mapping[str, str]:
    """The shard of every tensor."""
    size = path.stat().st_size
    if size > _BYTES:
        raise Unreadable(f"is {size} bytes; at most {_BYTES} are read", place=str(path))
    listed = json_text.load(path.read_bytes(), str(path)).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(file, str) for file in listed.values()):
        remedy = "give the index that was written beside the shards"
        raise Unreadable("has no weight_map with a file for every tensor", place=str(path), remedy=remedy)
    return listed


def _unsafe(file: Path, name: str) -> str:
    """Why a shard is not read; empty where it can be."""
    if Path(name).name != name or "\\" in name or "\0" in name or name in ("", ".", "..") or file.is_symlink():
        return "is not a plain file name: shards lie beside their index"
    if not file.is_file():
        return "is not there; fetch all shards into the folder of the index"
    return ""


def _unlike(wanted: Collection[str], found: Mapping[str, Any], shard: str) -> Iterator[Problem]:
    yield from (
        Problem(shard, f"lacks {name}, which the index says it holds") for name in sorted({*wanted} - found.keys())
    )
    yield from (
        Problem(shard, f"holds {name}, which the index says it does not") for name in found if name not in wanted
    )
