"""The variables of a layer, and of the layers it keeps, as `Weight`s; held against what its config asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xconv.errors import Problem, XConvError
from xconv.keras.composites import Owner, Path, is_model, owners
from xconv.keras.entries import EntryReader
from xconv.keras.expected_weights import Role, expected, fits
from xconv.spec import Shape
from xconv.weights import ArraySource, Weight

__all__ = ["WeightReader", "shape_problem"]

_INPUT_KEPT = {
    ("cell",),
    ("forward_layer",),
    ("backward_layer",),
    ("forward_layer", "cell"),
    ("backward_layer", "cell"),
}


class WeightReader:
    """Looks up the variables of every layer; `arrays` holds them by key, `problems` what does not fit."""

    def __init__(self, arrays_of: Callable[[Path], Sequence[ArraySource]] | None) -> None:
        self._arrays_of = arrays_of
        self.arrays: dict[str, ArraySource] = {}
        self.problems: list[Problem] = []
        self.unknown: list[Path] = []
        """Layers of unknown classes: how many variables they should have cannot be said."""

    def read(self, reader: EntryReader, path: Path, entering: Shape | None) -> tuple[Weight, ...]:
        """The layer's variables, then those of the layers it keeps, as `layer.weights` lists them."""
        if self._arrays_of is None or reader.is_op:
            return ()
        try:
            held = list(owners(reader.part, path))
        except XConvError as error:
            raise error.at(reader.name) from error.__cause__
        return tuple(
            weight
            for owner in held
            if not is_model(owner.part)
            for weight in self._own(owner, path, entering, readable=not reader.problem)
        )

    def _own(self, owner: Owner, path: Path, entering: Shape | None, readable: bool) -> list[Weight]:
        found = self._arrays_of(owner.path) if self._arrays_of else ()
        if owner.part.kind == "SpectralNormalization" and readable:
            found = found[-1:]  # Keras lists the wrapped layer's kernel here a second time
        place = "/".join(owner.path)
        inside = owner.path[len(path) :]
        try:
            shape = entering if not inside or inside in _INPUT_KEPT else None
            roles = expected(owner.part, shape) if readable else None
        except XConvError as error:
            raise error.at(place) from error.__cause__
        if roles is None:
            self.unknown.append(owner.path)
        else:
            self._compare(place, owner, roles, found)
        weights = []
        for index, array in enumerate(found):
            key = f"{place}/{index}"
            if key in self.arrays:
                self.problems.append(Problem(place, f"two layers have the key {key!r}", "rename one of the layers"))
            self.arrays[key] = array
            weights.append(Weight.of(key, tuple(array.shape), array.dtype))
        return weights

    def _compare(self, place: str, owner: Owner, roles: tuple[Role, ...], found: Sequence[ArraySource]) -> None:
        if len(found) != len(roles):
            names = ", ".join(role.name for role in roles) or "none"
            shapes = ", ".join(str(tuple(array.shape)) for array in found) or "none"
            what = f"{owner.part.kind} needs {len(roles)} weights ({names}); there are {len(found)} ({shapes})"
            self.problems.append(Problem(place, what, "give the weights that were saved with this configuration"))
            return
        for role, array in zip(roles, found, strict=True):
            if not fits(role, tuple(array.shape)):
                self.problems.append(shape_problem(place, owner.part.kind, role, tuple(array.shape)))


def shape_problem(place: str, kind: str, role: Role, shape: tuple[int, ...]) -> Problem:
    """A variable of the wrong shape, and a guess at how that came about."""
    wanted = role.shape or ()
    shown = f"({', '.join('any' if size is None else str(size) for size in wanted)})"
    remedy = "give the weights that were saved with this configuration"
    if sorted(shape) == sorted(size for size in wanted if size is not None):
        remedy = "the axes are in another order, as torch keeps them; transpose the array"
    elif kind == "Dense" and len(shape) == 2 and shape[0] == wanted[0]:
        remedy = f"the numbers of classes differ: set units={shape[1]}"
    elif kind == "Dense" and role.name == "bias" and len(shape) == 1:
        remedy = f"the numbers of classes differ: set units={shape[0]}"
    return Problem(place, f"{role.name} has shape {shape}, the configuration needs {shown}", remedy)
