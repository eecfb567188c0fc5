"""What the zoo remembers of a model that it loaded: `origin(model)`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

from xconv.errors import InvalidInput
from xconv.preprocessing.value_maps import MODES, RGB, ValueMap
from xconv.zoo.catalogue import find
from xconv.zoo.records import Geometry, Library, Network
from xconv.zoo.wanted import Pooling

__all__ = ["Destination", "Framework", "Origin", "origin", "remember"]

Framework: TypeAlias = Literal["torch", "keras"]
Destination: TypeAlias = Literal["converted", "stock"]

NOTHING = ValueMap(RGB, MODES["no scaling (0..255)"])
KEY = "xconv_zoo"
"""Under which a converted module keeps it in its `meta`, so that it survives copying."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model of the zoo comes from, and what it takes.

    `network` is its name in the zoo, `source` the library whose weights it has, `name` what that library calls it,
    `weights` their tag ('imagenet', 'IMAGENET1K_V1'), else 'random', 'given', or the path of a file. `verdict` is that
    of the transfer, 'exact' where nothing had to be moved.
    """

    network: str
    source: Library
    name: str
    weights: str
    framework: Framework
    destination: Destination
    library: Library | None = None
    """Whose class it is; None for a converted model."""
    builder: str = ""
    """What that library calls the class's builder."""
    geometry: Geometry = "unchanged"
    verdict: str = "exact"
    include_top: bool = True
    pooling: Pooling = None
    classes: int = 1000
    input_shape: tuple[int | None, ...] = (224, 224, 3)
    """Of a picture, channels last."""
    softmax: bool = False
    """Whether it ends in a softmax."""
    scaling: bool = False
    """Whether it scales pixels in 0..255 itself."""
    pixels: ValueMap = NOTHING
    """What is done to the pixels of a picture, 0..255, before the model takes them; nothing where it does so itself."""
    published: bool = False
    """Whether the weights are its owner's own, so that its accuracy is theirs."""
    notes: tuple[str, ...] = ()
    """What its caller should know: what was folded or changed, what is to be done outside."""
    changes: tuple[str, ...] = field(default=(), repr=False)
    """What was changed in the settings of a stock class."""

    @property
    def entry(self) -> Network:
        """What the zoo knows of the network."""
        return find(self.network)

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the pictures that it takes, the usual ones where they are open."""
        height, width, _ = self.input_shape
        usual = self.entry.size
        return height or usual, width or usual

    @property
    def rotated(self) -> bool:
        """Whether it takes pictures that are turned by 180 degrees."""
        return self.geometry == "rotated"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        form = "converted" if self.library is None else f"{self.library}'s {self.builder}, {self.geometry}"
        lines = [f"{self.name} of {self.source}, weights {self.weights} -> {self.framework}: {form}; {self.verdict}"]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


_ORIGINS: WeakKeyDictionary[Any, Origin] = WeakKeyDictionary()


def origin(model: Any) -> Origin:
    """Where a model comes from that `xconv.zoo.load` returned.

    A converted torch module keeps it when it is copied or pickled; other models are known as long as they live.

    Raises:
        InvalidInput: another model.
    """
    kept = getattr(model, "meta", {}).get(KEY) if not _is_keras(model) else None
    if kept is not None:
        return kept  # type: ignore[no-any-return]
    try:
        found = _ORIGINS.get(model)
    except TypeError:  # what cannot be referred to weakly is no model
        found = None
    if found is None:
        remedy = "give the model that xconv.zoo.load returned, not a wrapper around it or one that was loaded again"
        raise InvalidInput(f"this {type(model).__name__} was not loaded by the zoo", remedy=remedy)
    return found


def remember(model: Any, found: Origin) -> Any:
    """The model, of which `origin` now tells this."""
    if isinstance(getattr(model, "meta", None), dict) and not _is_keras(model):
        model.meta[KEY] = found
    _ORIGINS[model] = found
    return model


def _is_keras(model: Any) -> bool:
    return any(kind.__module__.partition(".")[0] == "keras" for kind in type(model).__mro__)
