"""The variables in a whole-model `.h5` file by the paths of the layers that own them.

Each top-level layer is one group that lists all trainable variables inside it, then all others; a nested model's
batch normalisation is thus torn in two.
"""

from __future__ import annotations

from collections.abc import Sequence

from xconv.errors import Mismatch, Problem, Unreadable
from xconv.keras.composites import Owner, Part, Path, leaves, name_of, part_of
from xconv.keras.expected_weights import expected
from xconv.keras.hdf5 import Tree
from xconv.keras.hdf5_text import strings
from xconv.keras.stored_array import StoredArray

__all__ = ["LegacyWeights"]

_Named = list[tuple[str, StoredArray]]


class LegacyWeights:
    """Deals out the arrays of each group to the layers inside it; `base` is the group that lists the layers."""

    def __init__(self, tree: Tree, base: str, model: Part) -> None:
        self._tree, self._base = tree, f"{base}/" if base else ""
        self._own: dict[Path, list[StoredArray]] = {}
        self._unclaimed: _Named = []
        held = {name: self._arrays(name) for name in strings(tree.attributes.get(base, {}), "layer_names")}
        held = {name: arrays for name, arrays in held.items() if arrays}
        layers = {name_of(raw): part_of(raw, name_of(raw)) for raw in model.config["layers"]}
        for name, stored in _paired(layers, held).items():
            self._deal(name, layers.get(name), held[stored])

    def own(self, path: Path) -> Sequence[StoredArray]:
        """The variables that the object at `path` owns itself, in the order of their creation."""
        return self._own.get(path, ())

    def left(self, unknown: Sequence[Path]) -> list[tuple[str, StoredArray]]:
        """The arrays that belong to no layer of the configuration."""
        return self._unclaimed

    def _arrays(self, layer: str) -> _Named:
        group = self._base + layer
        if group not in self._tree.groups:
            raise Unreadable(f"lists the layer {layer!r} but holds no group for it", remedy="save the model again")
        names = strings(self._tree.attributes.get(group, {}), "weight_names")
        missing = [name for name in names if f"{group}/{name}" not in self._tree.datasets]
        if missing:
            raise Unreadable(f"the layer {layer!r} lists weights that are not there: {', '.join(missing[:5])}")
        return [(name, self._tree.datasets[f"{group}/{name}"]) for name in names]

    def _deal(self, name: str, part: Part | None, arrays: _Named) -> None:
        if part is None:
            self._unclaimed += [(f"{name}/{key}", array) for key, array in arrays]
            return
        held = list(leaves(part, (name,)))
        dealt = _by_role(held, arrays) or _by_name(held, arrays)
        for path, found in dealt.items():
            self._own.setdefault(path, []).extend(found)


def _paired(layers: dict[str, Part], held: dict[str, _Named]) -> dict[str, str]:
    """For each layer of the configuration the group in the file: by name, else by the order of those with weights."""
    if held.keys() <= layers.keys():
        return {name: name for name in held}
    weighted = [name for name, part in layers.items() if any(_count(owner) for owner in leaves(part, (name,)))]
    if len(weighted) == len(held):
        return dict(zip(weighted, held, strict=True))
    problems = [Problem(name, "is in the file, but not in the configuration") for name in held if name not in layers]
    problems += [Problem(name, "needs weights that the file lacks") for name in weighted if name not in held]
    raise Mismatch(
        f"the file holds weights of {len(held)} layers, the configuration needs {len(weighted)}", problems=problems
    )


def _count(owner: Owner) -> int:
    roles = expected(owner.part, None)
    return 1 if roles is None else len(roles)


def _by_role(held: list[Owner], arrays: _Named) -> dict[Path, list[StoredArray]]:
    """Keras' own order: what is trained, layer by layer, then what is not. Empty where the counts do not agree."""
    roles = [(owner, expected(owner.part, None)) for owner in held]
    slots = [
        (owner, place, role.trained and owner.trainable)
        for owner, each in roles
        for place, role in enumerate(each or ())
    ]
    if len(slots) != len(arrays) or any(each is None for _, each in roles):
        return {}
    order = [slot for slot in slots if slot[2]] + [slot for slot in slots if not slot[2]]
    dealt = {(owner.path, place): array for (owner, place, _), (_, array) in zip(order, arrays, strict=True)}
    return {owner.path: [dealt[owner.path, place] for place in range(len(each or ()))] for owner, each in roles}


def _by_name(held: list[Owner], arrays: _Named) -> dict[Path, list[StoredArray]]:
    """Where a class is unknown: arrays with the same prefix belong together, to the layer whose name is in it."""
    groups: dict[str, list[StoredArray]] = {}
    for name, array in arrays:
        groups.setdefault(name.rpartition("/")[0], []).append(array)
    dealt: dict[Path, list[StoredArray]] = {}
    for prefix, found in groups.items():
        words = prefix.split("/")
        owner = next(
            (each for each in reversed(held) if {each.path[-1], str(each.part.config.get("name"))} & {*words}), held[0]
        )
        dealt.setdefault(owner.path, []).extend(found)
    return dealt
