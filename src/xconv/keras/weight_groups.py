"""The variables in a `.weights.h5` tree by the paths of the layers that own them.

The tree names a layer by its class and a counter, not by its name: `layers/conv2d_1/vars/0`. Files since 2024 note the
layer's name beside the variables; where those are the names of the configuration, they decide.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from xconv.errors import Unreadable
from xconv.keras.composites import Owner, Part, Path, is_model, is_operation, is_sequence, name_of, owners, part_of
from xconv.keras.hdf5 import Tree
from xconv.keras.hdf5_text import text_of
from xconv.keras.stored_array import StoredArray

__all__ = ["WeightGroups", "group_of", "kept_groups", "snake_case"]

_CONTAINERS = "layers", "_layer_checkpoint_dependencies"
_PRIVATE = {"GroupQueryAttention": "GroupedQueryAttention"}
"""Classes whose name in Python is another than their public one."""
_APART = re.compile(r"(^|/)(seed_generator(_\d+)?|optimizer|metrics)(/|$)")


def snake_case(name: str) -> str:
    """The class name as Keras writes it in weight files.

    >>> snake_case("DepthwiseConv2D"), snake_case("PReLU")
    ('depthwise_conv2d', 'p_re_lu')
    """
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


class WeightGroups:
    """Finds each layer's group in the tree; remembers which arrays were asked for."""

    def __init__(self, tree: Tree, model: Part) -> None:
        self._tree = tree
        self._groups: dict[Path, str] = {}
        self._taken: set[str] = set()
        self._assign_model(model, "", ())

    def own(self, path: Path) -> Sequence[StoredArray]:
        """The variables that the object at `path` owns itself, in the order of their creation."""
        group = self._groups.get(path)
        if group is None:
            return ()
        inside = f"{group}/vars"
        names = [name for name in self._tree.groups.get(inside, ()) if name.isdecimal()]
        keys = [f"{inside}/{index}" for index in range(len(names))]
        missing = [key for key in keys if key not in self._tree.datasets]
        if missing:
            raise Unreadable(f"the variables of {inside} are not numbered from 0 on: {', '.join(sorted(names)[:9])}")
        self._taken.update(keys)
        return [self._tree.datasets[key] for key in keys]

    def left(self, unknown: Sequence[Path]) -> list[tuple[str, StoredArray]]:
        """The arrays that no layer asked for, save states of optimizers, metrics and random generators."""
        own = tuple(f"{self._groups[path]}/" for path in unknown if path in self._groups)
        return [
            (name, array)
            for name, array in self._tree.datasets.items()
            if name not in self._taken and not _APART.search(name) and not name.startswith(own or "\0")
        ]

    def _assign_model(self, model: Part, group: str, path: Path) -> None:
        prefix = f"{group}/" if group else ""
        container = next((prefix + name for name in _CONTAINERS if prefix + name in self._tree.groups), "")
        parts = [(name_of(raw), part_of(raw, name_of(raw))) for raw in model.config["layers"]]
        parts = [(name, part) for name, part in parts if not is_operation(part)]
        named = self._named(container)
        if not named.keys() >= {name for name, part in parts if part.kind != "InputLayer"}:
            named = _counted(parts, is_sequence(model), container)
        for name, part in parts:
            if name in named:
                self._assign(part, named[name], (*path, name))

    def _named(self, container: str) -> dict[str, str]:
        found = {}
        for child in self._tree.groups.get(container, ()):
            attributes = self._tree.attributes.get(f"{container}/{child}/vars", {})
            if "name" in attributes:
                found[text_of(attributes["name"])] = f"{container}/{child}"
        return found

    def _assign(self, part: Part, group: str, path: Path) -> None:
        self._groups[path] = group
        if is_model(part):
            self._assign_model(part, group, path)
            return
        for owner, inside in kept_groups(part, group, path, self._attribute):
            self._groups[owner.path] = inside
            if is_model(owner.part):
                self._assign_model(owner.part, inside, owner.path)

    def _attribute(self, group: str, name: str) -> str:
        """A public attribute wins over its private twin, under which older files store the same layer."""
        public, private = f"{group}/{name}", f"{group}/_{name}"
        return private if public not in self._tree.groups and private in self._tree.groups else public


def kept_groups(
    part: Part, group: str, path: Path, attribute: Callable[[str, str], str]
) -> Iterator[tuple[Owner, str]]:
    """The groups of the layers that a layer at `group` keeps; `attribute` gives that of an attribute of a group."""
    groups = {path: group}
    used: Counter[tuple[Path, str]] = Counter()
    for owner in list(owners(part, path))[1:]:
        *above, last = owner.path
        if last.isdecimal():
            list_path = tuple(above)
            inside = (
                f"{groups[list_path[:-1]]}/{list_path[-1]}/{_numbered(snake_case(owner.part.kind), used, list_path)}"
            )
        else:
            inside = attribute(groups[tuple(above)], last)
        groups[owner.path] = inside
        yield owner, inside


def group_of(kind: str, used: Counter[tuple[Path, str]]) -> str:
    """The name of the next layer of a class in a model: `conv2d`, `conv2d_1` ...; counts in `used`."""
    return _numbered(snake_case(_PRIVATE.get(kind, kind)), used, ())


def _numbered(name: str, used: Counter[tuple[Path, str]], container: Path) -> str:
    """The name with the number of its earlier uses in the container."""
    place = used[container, name]
    used[container, name] += 1
    return f"{name}_{place}" if place else name


def _counted(parts: list[tuple[str, Part]], sequential: bool, container: str) -> dict[str, str]:
    used: Counter[tuple[Path, str]] = Counter()
    counted = [(name, part) for name, part in parts if not (sequential and part.kind == "InputLayer")]
    return {name: f"{container}/{group_of(part.kind, used)}" for name, part in counted}
