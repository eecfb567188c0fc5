"""Which classes of Keras are converted, what they become, and what is refused: worked out from the families' rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xconv.api import for_keras
from xconv.errors import XConvError
from xconv.graph import Graph, map_structure
from xconv.keras.defaults import DEFAULTS
from xconv.keras.read import read
from xconv.keras.records import Call, Entry, KerasModel, Ref
from xconv.keras.write import records_of
from xconv.layers import RULES
from xconv.layers.refused import REFUSED
from xconv.layout import resolve
from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
from xconv.spec import Example, Sample, Shape, Slot, TorchCall
from xconv.weights import NumpySource

__all__ = ["Support", "model_of", "short", "supported", "table_of"]

LAYER = "the_layer"
DTYPES = {"integers": "int32", "bits": "int32", "boolean": "bool"}
"""What an example asks to be fed -> the dtype of the input."""


@dataclass(frozen=True, slots=True)
class Support:
    """What becomes of a class of Keras; `ops.` stands in front of an operation of keras.ops."""

    kind: str
    family: str = ""
    torch: tuple[str, ...] = ()
    """Classes and functions that it is written with in torch."""
    keras: tuple[str, ...] = ()
    """Classes that it is written with in Keras, where a torch network says what it means."""
    training: str = ""
    """How training differs; empty where it does not."""
    restrictions: str = ""
    """What is refused of it; where it is refused altogether, why and what to do instead."""
    refused: bool = False

    @property
    def directions(self) -> str:
        """'both', 'to torch', or 'refused'.

        >>> Support("Conv2D", torch=("torch.nn.Conv2d",)).directions
        'to torch'
        """
        if self.refused:
            return "refused"
        return "both" if self.keras else "to torch"

    @property
    def is_layer(self) -> bool:
        """Whether it is a layer, and not an operation."""
        return not self.kind.startswith("ops.")


def supported() -> tuple[Support, ...]:
    """Every class that xconv converts or refuses by name, layers first, by name.

    >>> row = next(row for row in supported() if row.kind == "UpSampling1D")
    >>> row.torch, row.keras, row.directions
    (('torch.nn.Upsample',), ('UpSampling1D',), 'both')
    """
    examples: dict[str, list[Example]] = {}
    for family in dict.fromkeys(RULES.values()):
        for example in family.examples():
            examples.setdefault(example.kind, []).append(example)
    rows = [_converted(kind, examples.get(kind, ())) for kind in RULES]
    rows += [Support(kind, restrictions=f"{why.reason}; {why.remedy}", refused=True) for kind, why in REFUSED.items()]
    return tuple(sorted(rows, key=lambda row: (not row.is_layer, row.kind)))


def table_of(rows: Sequence[Support]) -> str:
    """The rows as text.

    >>> print(table_of([row for row in supported() if row.kind == "UpSampling1D"]))
    Keras         directions  torch        restrictions
    UpSampling1D  both        nn.Upsample
    """
    head = ("Keras", "directions", "torch", "restrictions")
    body = [(row.kind, row.directions, short(row.torch), row.restrictions) for row in rows]
    widths = [max(len(line[place]) for line in (head, *body)) for place in range(3)]
    lines = ("  ".join([*map(str.ljust, line, widths), line[3]]).rstrip() for line in (head, *body))
    return "\n".join(lines)


def short(names: Sequence[str], most: int = 3) -> str:
    """The first names without what all begin with, and how many more there are.

    >>> short(("torch.nn.LSTM", "xconv.torch.modules.LSTM", "torch.flip", "torch.add"))
    'nn.LSTM, xconv LSTM, flip and 1 more'
    """
    plain = [name.removeprefix("torch.").replace("xconv.torch.modules.", "xconv ") for name in names]
    more = f" and {len(plain) - most} more" if len(plain) > most else ""
    return ", ".join(plain[:most]) + more


def _converted(kind: str, examples: Sequence[Example]) -> Support:
    family = RULES[kind]
    torch: dict[str, None] = {}
    keras: dict[str, None] = {}
    for example in examples:
        graph = read(model_of(example))
        torch.update(dict.fromkeys(_in_torch(graph)))
        keras.update(dict.fromkeys(_in_keras(graph)))
    if kind == "InputLayer":
        torch, keras = {"placeholder": None}, {kind: None}
    return Support(
        kind, family.__name__, tuple(torch), tuple(keras), family.training, family.restrictions.get(kind, "")
    )


def model_of(example: Example) -> KerasModel:
    """The records of a model that calls one layer, as reading a live one gives them."""
    record = example.layer(DEFAULTS)
    words = example.values.split()
    values = words * len(example.inputs) if len(words) == 1 else words
    inputs = tuple(
        Entry(f"in{place}", "InputLayer", "keras.layers", config=_input((example.batch, *shape), kind), calls=(Call(),))
        for place, (shape, kind) in enumerate(zip(example.inputs, values, strict=True))
    )
    refs = [Ref(entry.name) for entry in inputs]
    samples = tuple(_first_of(refs[item.index], item) for item in example.args if isinstance(item, Sample))
    taken = refs.copy()
    for entry in samples:
        taken[refs.index(entry.calls[0].args[0])] = Ref(entry.name)

    def referred(item: Any) -> Any:
        return map_structure(lambda leaf: taken[leaf.index] if isinstance(leaf, Slot) else leaf, item)

    is_op = record.kind.startswith("ops.")
    layer = Entry(
        LAYER,
        record.kind.removeprefix("ops."),
        "keras.ops" if is_op else "keras.layers",
        is_op=is_op,
        config=record.config,
        calls=(Call(tuple(referred(item) for item in record.args), referred(dict(record.kwargs))),),
        weights=record.weights,
    )
    arrays = {weight.key: NumpySource(np.zeros(weight.shape, weight.dtype)) for weight in record.weights}
    return KerasModel("model", (*inputs, *samples, layer), refs, Ref(LAYER), arrays)


def _first_of(source: Ref, sample: Sample) -> Entry:
    """The operation that takes the first sample of an input."""
    return Entry(f"sample{sample.index}", "GetItem", "keras.ops", is_op=True, calls=(Call((source, 0)),))


def _input(shape: Shape, values: str) -> dict[str, Any]:
    return {"batch_shape": shape, "dtype": DTYPES.get(values, "float32")}


def _in_torch(graph: Graph) -> Iterator[str]:
    """The classes and functions that the layer becomes."""
    held = run(AFTER_LAYOUT, resolve(run(BEFORE_LAYOUT, graph), "first"))
    if not any(node.layer == LAYER for node in held.nodes):
        held = graph  # a layer that only says in which order a tensor is held is gone
    shapes = held.value_shapes()
    for node in held.nodes:
        if node.layer == LAYER:
            yield from _targets(node.spec.to_torch(node.weights, [shapes[value] for value in node.inputs]))


def _targets(item: Any) -> Iterator[str]:
    """The targets of a call and of those in its arguments."""
    if isinstance(item, TorchCall):
        for part in (*item.args, *item.kwargs.values()):
            yield from _targets(part)
        yield item.target
    elif isinstance(item, (tuple, list)):
        for part in item:
            yield from _targets(part)
    elif isinstance(item, Mapping):
        for part in item.values():
            yield from _targets(part)


def _in_keras(graph: Graph) -> Iterator[str]:
    """The classes of Keras that say the same, where Keras can say it."""
    try:
        found = records_of(for_keras(graph))
    except XConvError:
        return
    for entry in found.entries:
        if entry.kind != "InputLayer":
            yield f"ops.{entry.kind}" if entry.is_op else entry.kind
