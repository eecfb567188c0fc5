"""Where the operators of an ONNX graph stand in a tree of modules: at the paths that their names tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import nn

from xconv.graph import unique
from xconv.onnx.steps import Step

__all__ = ["is_taken", "placed"]


def placed(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps with their paths: where their weights are named after a module, there; else by the step's own name."""
    scopes = Counter(_scope(step.name) for step in steps)
    taken: dict[str, Step] = {}
    for step in steps:
        scope = _scope(step.name)
        alone = scope and scopes[scope] == 1
        base = _owner(step) or (scope if alone else _legal(f"{scope}.{_last(step.name)}".strip(".")))
        path = base if base in taken and taken[base].same_layer(step) else unique(base, taken)
        taken.setdefault(path, step)
        yield replace(step, path=path)


def _owner(step: Step) -> str:
    """The module that torch's exporter named the weights after: `layer1.0.conv1` of `layer1.0.conv1.weight`."""
    keys = [held.key for held in step.held.values()]
    found = {key.rpartition(".")[0] for key in keys if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", key)}
    return found.pop() if len(found) == 1 else ""


def _scope(name: str) -> str:
    """The path of the module in a step's name.

    >>> _scope("/layer1/layer1.0/conv1/Conv"), _scope("/features/features.0/features.0.2/Relu"), _scope("Add_3")
    ('layer1.0.conv1', 'features.0.2', '')
    """
    levels: list[str] = []
    for level in name.strip("/").split("/")[:-1]:
        # torch's exporter writes the child of a Sequential with its parent's name in front
        if levels and level.startswith(f"{levels[-1]}."):
            levels.pop()
        levels.append(level)
    return _legal(".".join(levels)) if levels else ""


def _last(name: str) -> str:
    return name.strip("/").rpartition("/")[2].replace(".", "_")


def _legal(path: str) -> str:
    """A path whose levels are names that modules can have."""
    levels = (re.sub(r"[^0-9A-Za-z_]+", "_", level).strip("_") for level in path.split("."))
    return ".".join(f"{level}_" if is_taken(level) else level for level in levels if level) or "step_"


def is_taken(name: str) -> bool:
    """Whether every module has something of this name."""
    return hasattr(_BARE, name) or name in ("step", "opset", "places", "is_double", "plan")


_BARE = nn.Module()
