"""Which networks correspond, exactly or not and why: a table without a framework loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from xconv.zoo.catalogue import find, networks
from xconv.zoo.pixels import inside_scaling, pixels_for_keras
from xconv.zoo.records import Library, Network, Partner

if TYPE_CHECKING:
    from rich.table import Table as RichTable

__all__ = ["Row", "Table", "table"]

IN_TRAINING = frozenset({"momentum", "dropout"})
"""Differences that no inference shows."""
NORMALIZATION = 7
"""Numbers of a Normalization with weights: mean and variance of three channels, and a count."""
COLUMNS = ("network", "class", "takes the weights", "differs in", "keras", "trained", "torch", "top-1")


@dataclass(frozen=True, slots=True)
class Row:
    """A network of keras.applications and one class of torchvision or timm; `library` is empty where there is none.

    `exact` says how the class takes Keras's weights: 'as it stands', 'adapted', 'adapted or rotated', 'converted only'
    where there is none. Parameters are counted with the top: all that Keras counts, those that it trains, and what
    torch's `parameters()` yields.
    """

    network: str
    keras: str
    library: Library | str
    name: str
    exact: str
    differs: tuple[str, ...]
    """In inference; empty where the class is the same function as it is built."""
    differs_in_training: tuple[str, ...]
    parameters: int
    trained: int
    in_torch: int
    explained: tuple[str, ...]
    """Every difference between these three counts."""
    accuracy: float | None
    """Top-1 of Keras's own weights, in percent, as its owner states it."""
    accuracies: dict[str, float | None]
    """Of the weights that torchvision or timm publish, by tag."""
    size: int
    pixels: str
    """What Keras does to pixels before the network."""
    options: dict[str, Any]
    """What the class's builder is told for Keras's weights."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Table:
    """The rows that were asked for; `str()` is a table, `to_dict()` plain data."""

    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"pairs": [row.to_dict() for row in self.rows]}

    def to_json(self, indent: int | None = 2) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), indent=indent)

    def __str__(self) -> str:
        cells = [COLUMNS, *map(_cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        return "\n".join([*lines, "", *self._remarks()])

    def __rich__(self) -> RichTable:
        from rich.table import Table as RichTable

        found = RichTable(*COLUMNS, caption="\n".join(self._remarks()))
        found.caption_justify = "left"
        for row in self.rows:
            found.add_row(*_cells(row))
        return found

    def _remarks(self) -> Iterator[str]:
        """What the columns mean, or all that is known where there is one network."""
        if len({row.network for row in self.rows}) > 1:
            yield f"{len({row.network for row in self.rows})} networks; xconv zoo list NAME tells more of one"
            return
        for row in self.rows:
            who = f"{row.library} {row.name}" if row.library else row.keras
            yield f"{who}: pictures of {row.size} x {row.size}, {row.pixels}"
            yield from (f"  {text}" for text in row.explained)
            if row.differs_in_training:
                yield f"  in training alone: {', '.join(row.differs_in_training)}"
            if row.options:
                yield f"  built with {', '.join(f'{name}={value!r}' for name, value in row.options.items())}"
            for tag, top1 in row.accuracies.items():
                yield f"  {tag}: {'no accuracy stated' if top1 is None else f'{top1} top-1'}"
            if row.accuracies:
                asked = f"{row.name!r}, {row.library!r}, weights={next(iter(row.accuracies))!r}"
                yield f"  their pictures: xconv.preprocessing.of({asked})"


def table(name: str | None = None) -> Table:
    """Which networks of keras.applications, torchvision and timm correspond.

    Args:
        name: of one network, as `xconv.zoo.load` takes it; by default all.

    Raises:
        InvalidInput: no network has this name.

    >>> row = table("resnet50").rows[0]
    >>> row.library, row.exact, row.differs
    ('torchvision', 'adapted', ('stride', 'epsilon'))
    >>> row.explained[1]
    '26,560 biases in Keras, which the means of the BatchNorms behind them take up'
    """
    wanted = networks() if name is None else (find(name),)
    return Table(tuple(row for network in wanted for row in _rows(network)))


def _rows(network: Network) -> Iterator[Row]:
    for partner in network.partners or (None,):
        yield _row(network, partner)


def _row(network: Network, partner: Partner | None) -> Row:
    differences = partner.differences if partner is not None else ()
    own = next((one for one in network.published if one.size == network.size), None)
    return Row(
        network.name,
        network.keras,
        partner.library if partner is not None else "",
        partner.name if partner is not None else "",
        _exact(partner),
        tuple(one for one in differences if one not in IN_TRAINING),
        tuple(one for one in differences if one in IN_TRAINING),
        network.parameters,
        network.trainable,
        partner.parameters if partner is not None else 0,
        tuple(_explained(network, partner)),
        own.accuracy if own is not None else None,
        {one.tag: one.accuracy for one in partner.published} if partner is not None else {},
        network.size,
        _pixels(network),
        dict(partner.options) if partner is not None else {},
    )


def _exact(partner: Partner | None) -> str:
    if partner is None:
        return "converted only"
    if partner.geometry == "unchanged":
        return "as it stands"
    if {*partner.differences} - IN_TRAINING == {"epsilon"}:
        return "adapted, or as it stands in inference"
    return "adapted or rotated" if partner.rotates else partner.geometry


def _explained(network: Network, partner: Partner | None) -> Iterator[str]:
    """Why Keras counts more than it trains, and trains another number than torch has."""
    rest = network.parameters - network.trainable
    if network.keras.startswith("EfficientNetB"):
        rest -= NORMALIZATION
        yield f"{NORMALIZATION} numbers of Keras's Normalization, which are not trained"
    if rest:
        yield f"{rest:,} means and variances of BatchNorms, which are buffers in torch"
    if partner is not None and partner.surplus:
        yield partner.surplus


def _pixels(network: Network) -> str:
    if network.mode == "inside":
        return f"{inside_scaling(network)}, inside the Keras model"
    found = pixels_for_keras(network, inside=False)
    return f"{found.scaling}, {found.letters}"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.network,
        f"{row.library} {row.name}".strip() or "-",
        row.exact,
        ", ".join(row.differs) or "-",
        f"{row.parameters:,}",
        f"{row.trained:,}",
        f"{row.in_torch:,}" if row.in_torch else "-",
        "-" if row.accuracy is None else f"{row.accuracy}",
    )
