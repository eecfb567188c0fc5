"""The vocabulary: what a layer means (`Spec`), and how each framework says it (`KerasLayer`, `AtenCall`, `TorchCall`).

All of it is plain data. No rule imports a framework.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeAlias

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.weights import Weight

__all__ = [
    "SAMPLES",
    "AtenCall",
    "Computed",
    "Example",
    "KerasLayer",
    "Made",
    "Moved",
    "Numbers",
    "Op",
    "Order",
    "Rows",
    "Sample",
    "Shape",
    "Slot",
    "Spec",
    "TorchCall",
    "TorchExample",
    "Weights",
    "keeps_states",
]

Shape: TypeAlias = tuple[int | None, ...]
"""A tensor's shape; None is a size that is known only at run time. Axis 0 is the batch."""

Weights: TypeAlias = Mapping[str, Weight]


class Order(enum.Enum):
    """What a layer asks of the order in which its tensors are held."""

    SPATIAL = "spatial"
    """Has one channel axis, `spec.axis`, that each framework wants at its own place."""
    AXES = "axes"
    """Names axes; works in any order once they are renamed by `spec.moved`."""
    ANY = "any"
    """Elementwise: all inputs must agree; lower ranks are broadcast."""
    WRITTEN = "written"
    """Reads memory order: reshape, flatten."""


@dataclass(frozen=True, slots=True)
class Slot:
    """In a record's arguments, the place of the node's i-th input tensor."""

    index: int


@dataclass(frozen=True, slots=True)
class Sample:
    """In an example's arguments, the first sample of the i-th input: a tensor without a batch, such as a kernel."""

    index: int


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """One call of a Keras layer or operation: class, config, weights, arguments. Remembers what was read.

    `kind` is the class name, with `ops.` in front for an operation of `keras.ops`. `inputs` are the shapes of the
    tensors it is called on; `args` and `kwargs` hold what it is called with, a `Slot` for each tensor. In what
    `to_keras` writes, an argument may itself be a `KerasLayer` (a pad before a convolution).
    """

    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[Weight, ...] = ()
    inputs: tuple[Shape, ...] = ()
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    """For a layer inside another's arguments: what it adds to the node's name."""
    batch: int | None = None
    """The size of the batch where the model fixes it, which counts for a layer that keeps states."""
    unread: set[str] = field(default_factory=set, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.unread.update(self.config, self.kwargs)

    def __getitem__(self, key: str) -> Any:
        """A config entry that must be there."""
        if key not in self.config:
            raise Mismatch(f"the configuration has no {key!r}", remedy="save the model again with a current Keras")
        self.unread.discard(key)
        return self.config[key]

    def get(self, key: str, default: Any = None) -> Any:
        """A config entry or call argument, or `default` where it is absent."""
        self.unread.discard(key)
        return self.config.get(key, self.kwargs.get(key, default))

    def argument(self, place: int, key: str, default: Any = None) -> Any:
        """A call argument by place or name, as Python binds it; then a config entry of that name; then `default`."""
        self.unread.discard(key)
        if place < len(self.args):
            return self.args[place]
        return self.kwargs.get(key, self.config.get(key, default))

    def named(self, *roles: str) -> dict[str, Weight]:
        """The weights under their roles, in the order in which the class creates them.

        Raises:
            Mismatch: another number of weights.
        """
        if len(roles) != len(self.weights):
            raise Mismatch(
                f"{self.kind} needs {len(roles)} weights ({', '.join(roles) or 'none'}), it has {len(self.weights)}",
                remedy="build the model, or load a file that holds the weights of this configuration",
            )
        return dict(zip(roles, self.weights, strict=True))


@dataclass(frozen=True, slots=True)
class AtenCall:
    """One call of an ATen operator as torch.export records it. Remembers what was read.

    `op` is the operator without its overload, and without the underscore of an in-place variant: `conv2d`. The
    arguments stand under the names of the operator's schema, defaults filled in; a tensor that the network computes
    is a `Slot`, one that it holds a `Weight`, a size that is known only at run time None. `inputs` and `dtypes` belong
    to the slots, `outputs` and `dtype` to the result. The tensor that an operator works on, `self` or `input`, need not
    be read.
    """

    op: str
    arguments: Mapping[str, Any]
    inputs: tuple[Shape, ...] = ()
    outputs: tuple[Shape, ...] = ()
    dtypes: tuple[str, ...] = ()
    dtype: str = "float32"
    unread: set[str] = field(default_factory=set, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.unread.update(self.arguments.keys() - {"self", "input"})

    def __getitem__(self, key: str) -> Any:
        """An argument that the operator has."""
        self.unread.discard(key)
        return self.arguments[key]

    def get(self, key: str, default: Any = None) -> Any:
        """An argument, or `default` where this overload has none."""
        self.unread.discard(key)
        return self.arguments.get(key, default)

    def named(self, **names: str) -> dict[str, Weight]:
        """The weights by role, without those that are None: `named(kernel="weight", bias="bias")`.

        Raises:
            Unsupported: one of them is computed by the network.
        """
        found = {role: self.get(name) for role, name in names.items()}
        for role, item in found.items():
            if item is not None and not isinstance(item, Weight):
                raise Unsupported(
                    f"{self.op} gets a {names[role]} that the network computes from its input",
                    remedy="hold it in a parameter or a buffer",
                )
        return {role: item for role, item in found.items() if item is not None}

    def sizes(self, key: str, rank: int) -> tuple[int, ...]:
        """One integer for each spatial axis, from a number, a list of one, or a list of `rank`."""
        value = self[key]
        given = (value,) if isinstance(value, int) else tuple(value)
        return given * rank if len(given) == 1 else given


@dataclass(frozen=True, slots=True)
class TorchCall:
    """One torch call: an nn class with its arguments and tensors, or a function.

    `target` is the full name: a class (`torch.nn.Conv2d`), a function (`torch.cat`), or a tensor method
    (`Tensor.reshape`). `args` are the tensors and values it is called on; an argument may itself be a `TorchCall`.
    For a class, `config` holds the constructor's keyword arguments and `tensors` its parameters and buffers.
    """

    target: str
    args: tuple[Any, ...] = (Slot(0),)
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    tensors: Weights = field(default_factory=dict)
    name: str = ""
    """For a module inside another call's arguments: what it adds to the node's name."""

    @property
    def is_module(self) -> bool:
        """Whether the target is an nn.Module class."""
        return self.target.rpartition(".")[2][:1].isupper()


@dataclass(frozen=True, slots=True)
class Made:
    """The result of the `op`-th of several `Op`s, its `index`-th tensor."""

    op: int
    index: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a weight from `start` to before `stop`."""

    weight: Weight
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Computed:
    """A weight that no rearrangement of one array gives: blocks of rows one below the other, each a sum of rows.

    The reader computes it and holds the result; `note` tells a reader of the report what was done.
    """

    blocks: tuple[tuple[Rows, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A matrix that a rule makes itself, row by row: a constant of the layer, which does not train."""

    rows: tuple[tuple[float, ...], ...]
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Op:
    """A Spec with its weights; `name` is what it adds to the layer's name when a layer means several.

    `inputs` says what it takes: the call's tensors and what earlier Ops made. Where it is None, the first Op takes all
    the call's tensors, and every other one what the one before it made. `returns`, on the last of several, says what
    the call gives where that is not what this Op makes.
    """

    spec: Spec
    weights: Weights = field(default_factory=dict)
    name: str = ""
    inputs: tuple[Slot | Made, ...] | None = None
    computed: Mapping[str, Computed | Numbers] = field(default_factory=dict)
    """Weights by role that are made of several arrays or of none, where the source is torch."""
    returns: tuple[Slot | Made, ...] | None = None
    note: str = ""
    """What a reader of the report should know, where the source is torch."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A Spec said again for inputs held in another order, and the order of its output."""

    spec: Spec
    weights: Weights
    order: axes.Order


@dataclass(frozen=True, slots=True)
class Example:
    """One case of a layer family: it puts the family under the laws, into the docs and into the benchmark.

    `inputs` are shapes without the batch; `config` holds what differs from Keras's defaults; `weights` are the shapes
    of the layer's variables in creation order. `args` and `kwargs` are the call's arguments with `Slot`s, or a `Sample`
    for a tensor without a batch; where there are no `args`, the inputs in their order.
    """

    kind: str
    inputs: tuple[Shape, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[tuple[int, ...], ...] = ()
    args: tuple[Any, ...] = ()
    trains: bool = True
    """Whether training mode is deterministic, so that both sides can be compared in it."""
    float64: bool = True
    """Whether the reference computes it in float64, constants included."""
    values: str = "normal"
    """What to feed: 'normal', 'positive', 'above' 1, 'unit', 'integers' up to 3, 'places' up to 2, 'bits', 'boolean',
    'definite' matrices, 'corners' of pictures, 'sorted', or 'holes', which are NaN; one word for all inputs, or one for
    each."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def layer(self, defaults: Mapping[str, Mapping[str, Any]]) -> KerasLayer:
        """The record that reading such a layer gives; `defaults` are Keras's, by class."""
        weights = tuple(Weight.of(f"layer/{i}", shape) for i, shape in enumerate(self.weights))
        given = {key: _with_defaults(item, defaults) for key, item in self.config.items()}
        config = {**defaults.get(self.kind, {}), **given}
        single = [item.index for item in self.args if isinstance(item, Sample)]
        inputs = tuple(shape if i in single else (None, *shape) for i, shape in enumerate(self.inputs))
        args = self.args or tuple(Slot(i) for i in range(len(inputs)))
        plain = tuple(Slot(item.index) if isinstance(item, Sample) else item for item in args)
        return KerasLayer(self.kind, config, weights, inputs, plain, self.kwargs, batch=self.batch)

    @property
    def batch(self) -> int | None:
        """The size of the batch: 3 where a layer keeps states from call to call, otherwise open."""
        return SAMPLES if keeps_states(self.config) else None


SAMPLES = 3
"""The size of the batch of an example that needs a fixed one."""


def keeps_states(config: Mapping[str, Any]) -> bool:
    """Whether a layer, or one inside it, begins every call with the states that the one before it left.

    >>> keeps_states({"merge_mode": "sum", "layer": {"class_name": "LSTM", "config": {"stateful": True}}})
    True
    """
    inner = (item["config"] for item in config.values() if isinstance(item, Mapping) and "config" in item)
    return bool(config.get("stateful")) or any(map(keeps_states, inner))


def _with_defaults(item: Any, defaults: Mapping[str, Mapping[str, Any]]) -> Any:
    """A wrapped layer of a config with Keras's defaults; anything else as it is."""
    if not isinstance(item, Mapping) or item.get("class_name") not in defaults:
        return item
    return {**item, "config": {**defaults[item["class_name"]], **item["config"]}}


@dataclass(frozen=True, slots=True)
class TorchExample:
    """One case of a layer family as torch says it: what `from_torch` reads, under the laws.

    `target` is an nn class with its constructor's `config`, or a function (`torch.roll`, `torch.nn.functional.pad`,
    `Tensor.chunk`) called on `args` and `kwargs` with a `Slot` for each tensor. `inputs` are shapes without the batch.
    """

    target: str
    inputs: tuple[Shape, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    trains: bool = True
    """Whether training mode is deterministic, so that both sides can be compared in it."""
    float64: bool = True
    """Whether Keras on TensorFlow computes it in float64, constants included."""
    values: str = "normal"
    """What to feed, as for an `Example`."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a layer means, in resolved facts: no words such as 'same', no framework's defaults.

    A family is one subclass in one file, with four translators that are pure functions between records.
    """

    order: ClassVar[Order] = Order.ANY
    keras_kinds: ClassVar[tuple[str, ...]] = ()
    """The Keras classes that the family reads; `ops.` in front for an operation of keras.ops."""
    aten_ops: ClassVar[tuple[str, ...]] = ()
    """The ATen operators that the family reads, without overload and without the underscore of in-place variants."""
    holds: ClassVar[tuple[str, ...]] = ()
    """The operators' arguments that are weights of the layer; any other tensor is an input."""
    spares_zeros: ClassVar[tuple[str, ...]] = ()
    """The operators' arguments that are None to the rule where they are zeros throughout."""
    as_tensors: ClassVar[tuple[str, ...]] = ("self",)
    """The operators' arguments that are tensors to the rule where they are a constant of one number, too."""
    takes_sizes: ClassVar[tuple[str, ...]] = ()
    """The operators' arguments that may be a number known only at run time: the rule is given a tensor without axes."""
    keras_axis_last: ClassVar[bool] = False
    """Whether Keras's layer works on the last axis alone, wherever `axis` is."""
    wide: ClassVar[bool] = False
    """Whether Keras computes it in float32 under a policy of less, with its variables as they are."""
    training: ClassVar[str] = ""
    """How training differs between the two frameworks; empty where it does not."""
    restrictions: ClassVar[Mapping[str, str]] = {}
    """By Keras class, what is refused of it in a few words; the errors say why."""

    @property
    def batch(self) -> int | None:
        """The size of the batch, where it works with one alone."""
        return None

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op | Sequence[Op]:
        """What the Keras layer means; several Ops are applied one after the other."""
        raise NotImplementedError

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op | Sequence[Op]:
        """What the ATen operator means; `Op.inputs` wires several Ops together."""
        raise NotImplementedError

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The Keras layer that means this, for inputs of these shapes."""
        raise Unsupported(f"{type(self).__name__} has no Keras form yet")

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """The torch call that means this, for inputs of these shapes."""
        raise NotImplementedError

    def out_shape(self, *inputs: Shape) -> Shape:
        """The shape of the output for inputs of these shapes; by default that of the first."""
        return inputs[0]

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """The shapes of all outputs; more than one only where a layer returns several tensors."""
        return (self.out_shape(*inputs),)

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """This Spec for inputs held as `written.transpose(order)`; SPATIAL and AXES specs say their axes anew."""
        written = getattr(self, "axis", None)
        if written is None:
            return Moved(self, weights, order)
        changes: dict[str, Any] = {"axis": order.index(axes.normal(written, len(order)))}
        return Moved(replace(self, **changes), weights, order)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Cases that put the family under the laws."""
        return iter(())

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Cases in torch's words: what `from_torch` reads and `examples` do not reach."""
        return iter(())
