"""The masks that Keras passes from layer to layer in hidden attributes, as tensors that the records name.

A live Functional model and its file name the masks that layers take, but not those that Maximum and Minimum look at,
nor those that pass into a nested model and out of it. The file of a Sequential names none.

    before   Embedding(mask_zero=True)(ids) -> LSTM()(x)
    after    Embedding(...)(ids) -> LSTM()(x, mask=NotEqual()(ids, 0))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xconv.errors import Unsupported
from xconv.graph import unique, values_in
from xconv.keras.records import Call, Entry, KerasModel, Ref
from xconv.keras.sequence import sequence

__all__ = ["with_masks"]

TAKING = frozenset(
    {"GRU", "LSTM", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional", "TimeDistributed"}
    | {"BatchNormalization", "GlobalAveragePooling1D", "Softmax"}
)
"""Layers that take a mask."""

RECURRENT = frozenset({"GRU", "LSTM", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional"})

PASSING = frozenset(
    {"Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dense", "Dropout", "ELU"}
    | {"GaussianDropout", "GaussianNoise", "GroupNormalization", "Identity", "LayerNormalization", "LeakyReLU"}
    | {"Normalization", "PReLU", "ReLU", "Rescaling", "Softmax", "SpatialDropout1D", "SpatialDropout2D"}
    | {"SpatialDropout3D", "TimeDistributed", "UnitNormalization"}
)
"""Layers whose output has the mask of their input."""

MERGING = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"})
"""Layers whose output has a mask where all inputs have one."""

ATTENTION = frozenset({"GroupQueryAttention", "MultiHeadAttention"})
QUERIED = frozenset({"AdditiveAttention", "Attention"})
ROLES = ("query", "value", "key")


def with_masks(model: KerasModel) -> KerasModel:
    """The records with every mask that a layer takes as an argument of its call, nested models included.

    Raises:
        Unsupported: a nested model is called with a mask and without one.
    """
    return _with_masks(model, (), model.keras_version.startswith("2"))[0] if _has_masks(model) else model


def _has_masks(model: KerasModel) -> bool:
    """Whether anything in a model makes a mask, or is called with one."""
    return any(
        entry.kind == "Masking"
        or _embeds_masked(entry)
        or any(isinstance(call.kwargs.get(key), Ref) for call in entry.calls for key in ("mask", "query_mask"))
        or (entry.inner is not None and _has_masks(entry.inner))
        for entry in model.entries
    )


def _looks(model: KerasModel) -> bool:
    """Whether a model has layers that look at masks."""
    kinds = TAKING | ATTENTION | QUERIED | {"Maximum", "Minimum", "Multiply"}
    return any(entry.kind in kinds or (entry.inner is not None and _looks(entry.inner)) for entry in model.entries)


def _embeds_masked(entry: Entry) -> bool:
    """Whether it is a table of vectors whose zeros are padding."""
    return entry.kind in ("Embedding", "ReversibleEmbedding") and bool(entry.config.get("mask_zero"))


def _with_masks(model: KerasModel, given: Sequence[bool], old: bool) -> tuple[KerasModel, tuple[bool, ...]]:
    """A model whose inputs have masks as `given` says, each mask one more input; whose outputs have masks.

    These masks are further outputs.
    """
    walk = _Walk({entry.name: entry for entry in model.entries}, old)
    inputs = list(values_in(model.inputs))
    entering = [walk.entering(ref) for ref, masked in zip(inputs, given, strict=False) if masked]
    for name, index in sequence(model, walk.entries, ""):
        walk.call(name, index)
    outputs = [walk.masks.get(ref) for ref in values_in(model.outputs)]
    leaving = [ref for ref in outputs if ref is not None]
    entries = tuple(walk.finished(entry) for entry in walk.entries.values())
    said = replace(model, entries=entries)
    if entering:
        said = replace(said, inputs=[*inputs, *entering])
    if given and leaving:
        said = replace(said, outputs=[*values_in(model.outputs), *leaving])
    return said, tuple(ref is not None for ref in outputs)


def _takes_one(call: Call) -> bool:
    """Whether one argument of a call alone holds tensors; Keras 3 finds no mask for a layer that is given more."""
    arguments = (*call.args, *call.kwargs.values())
    return sum(any(isinstance(item, Ref) for item in values_in(argument)) for argument in arguments) == 1


@dataclass(slots=True)
class _Walk:
    """One walk over the calls of a model, each after what it needs."""

    entries: dict[str, Entry]
    old: bool = False
    """Whether Keras 2 calls the layers: it masks a call with initial states too, and merges without a look at masks."""
    masks: dict[Ref, Ref] = field(default_factory=dict)
    """The mask of every tensor that has one."""
    calls: dict[tuple[str, int], Call] = field(default_factory=dict)
    """The calls that are said anew."""
    inner: dict[str, tuple[KerasModel, tuple[bool, ...], tuple[bool, ...]]] = field(default_factory=dict)
    """Nested models that are said anew, with which inputs and outputs have masks."""

    def entering(self, ref: Ref) -> Ref:
        """One more input, the mask of an input."""
        name = unique(f"{ref.layer}_mask", self.entries)
        shape = self.entries[ref.layer].config.get("batch_shape") or (None, None)
        config = {"name": name, "batch_shape": tuple(shape[:2]), "dtype": "bool"}
        self.entries[name] = Entry(name, "InputLayer", config=config, calls=(Call(),))
        self.masks[ref] = Ref(name)
        return Ref(name)

    def call(self, name: str, index: int) -> None:
        """Say one call with its masks, and note those of what it gives."""
        entry = self.entries[name]
        if entry.is_op or not entry.calls or entry.kind == "InputLayer":
            return
        call, out = entry.calls[index], Ref(name, index)
        tensors = [item for item in values_in(call.args) if isinstance(item, Ref)]
        masks = [self.masks.get(ref) for ref in tensors]
        if entry.inner is not None and entry.kind == "TimeDistributed":
            self._each_step(entry, index, masks[0])
        elif entry.inner is not None:
            self._nested(entry, index, masks)
        elif _embeds_masked(entry) and not call.kwargs.get("reverse"):
            self.masks[out] = self.op("NotEqual", (tensors[0], 0))
        elif entry.kind == "Masking":
            differs = self.op("NotEqual", (tensors[0], entry.config["mask_value"]))
            self.masks[out] = self.op("Any", (differs,), axis=-1, keepdims=False)
        elif entry.kind in MERGING:
            self._merged(entry, index, tensors, masks)
        elif entry.kind == "Concatenate" and any(masks):
            self.masks[out] = self._concatenated(entry, tensors, masks)
        elif entry.kind in ATTENTION | QUERIED:
            self._attended(entry, index, tensors, masks)
        elif tensors:
            self._passed(entry, index, masks[0])

    def _passed(self, entry: Entry, index: int, mask: Ref | None) -> None:
        """A layer of one input."""
        call, out = entry.calls[index], Ref(entry.name, index)
        said = call.kwargs.get("mask")
        mask = said if isinstance(said, Ref) else mask
        if mask is None:
            return
        if entry.kind in TAKING and said is None and (self.old or _takes_one(call)):
            self._say(entry, index, mask=mask)
        config = entry.config
        if entry.kind == "Bidirectional":
            config = dict(config.get("layer", {})).get("config", {})
        if entry.kind in PASSING or (entry.kind in RECURRENT and config.get("return_sequences")):
            self.masks[out] = mask
            if entry.kind == "Bidirectional" and entry.config.get("merge_mode") is None:
                self.masks[replace(out, tensor=1)] = mask

    def _attended(self, entry: Entry, index: int, tensors: Sequence[Ref], masks: Sequence[Ref | None]) -> None:
        """Attention: the output has the mask of the query."""
        call = entry.calls[index]
        if entry.kind in QUERIED:
            if any(masks) and call.kwargs.get("mask") is None:
                self._say(entry, index, mask=list(masks))
            query = masks[0] if masks else None
        else:
            query = self._attended_by_role(entry, index)
        if isinstance(query, Ref) and tensors:
            self.masks[Ref(entry.name, index)] = query

    def _attended_by_role(self, entry: Entry, index: int) -> Ref | None:
        """Attention of several heads, which takes a mask for each of its tensors; gives that of the query.

        MultiHeadAttention looks at the query's own mask whatever it is called with, and when it runs it takes the masks
        from its tensors, so that what comes later finds none: the second layer that attends to an encoder sees its
        padding.
        """
        call = entry.calls[index]
        given = dict(zip(ROLES, call.args, strict=False)) | {r: call.kwargs[r] for r in ROLES if r in call.kwargs}
        refs = {role: ref for role, ref in given.items() if isinstance(ref, Ref)}
        found = {f"{role}_mask": self.masks.get(ref) for role, ref in refs.items()}
        takes = entry.kind == "MultiHeadAttention"
        said = {key: ref for key, ref in found.items() if call.kwargs.get(key) is None}
        said |= {"query_mask": found.get("query_mask")} if takes else {}
        if any(ref != call.kwargs.get(key) for key, ref in said.items()):
            self._say(entry, index, **said)
        for ref in refs.values() if takes else ():
            self.masks.pop(ref, None)
        return found.get("query_mask")

    def _merged(self, entry: Entry, index: int, tensors: Sequence[Ref], masks: Sequence[Ref | None]) -> None:
        """A merging layer; some of them leave out what is masked."""
        if entry.kind in ("Maximum", "Minimum") and any(masks) and not self.old:
            self._extremes(entry, index, tensors, masks)
        if entry.kind == "Multiply" and any(masks) and not self.old:
            self._factors(entry, index, tensors, masks)
        valid = [mask for mask in masks if mask is not None]
        if valid and (self.old or len(valid) == len(masks)):
            self.masks[Ref(entry.name, index)] = self._joined(valid)

    def _joined(self, valid: Sequence[Ref]) -> Ref:
        """What is valid in any of them; in Keras 2, what is valid in all."""
        joined = valid[0]
        for mask in valid[1:]:
            joined = self.op("LogicalAnd" if self.old else "LogicalOr", (joined, mask))
        return joined

    def _extremes(self, entry: Entry, index: int, tensors: Sequence[Ref], masks: Sequence[Ref | None]) -> None:
        """The tensors two by two: where one is masked, the other stands in for it."""
        made, valid = tensors[0], masks[0]
        for place, (tensor, mask) in enumerate(zip(tensors[1:], masks[1:], strict=True), 1):
            other = tensor
            if mask is not None:
                other = self.op("Where", (self._spread(mask), tensor, made))
            if valid is not None:
                made = self.op("Where", (self._spread(valid), made, other))
            valid = None if mask is None or valid is None else self.op("LogicalOr", (valid, mask))
            if place < len(tensors) - 1:
                made = self.op(entry.kind, (made, other))
            else:
                self.calls[entry.name, index] = replace(entry.calls[index], args=([made, other],))

    def _factors(self, entry: Entry, index: int, tensors: Sequence[Ref], masks: Sequence[Ref | None]) -> None:
        """Ones where a factor is masked; where all are, Keras gives zeros."""
        made = [
            tensor if mask is None else self.op("Where", (self._spread(mask), tensor, 1))
            for tensor, mask in zip(tensors, masks, strict=True)
        ]
        valid = [mask for mask in masks if mask is not None]
        if len(valid) == len(masks):
            made[0] = self.op("Where", (self._spread(self._joined(valid)), made[0], 0))
        self.calls[entry.name, index] = replace(entry.calls[index], args=(made,))

    def _concatenated(self, entry: Entry, tensors: Sequence[Ref], masks: Sequence[Ref | None]) -> Ref:
        """The masks of all features one after the other; a step is valid where any feature is."""
        parts = []
        for tensor, mask in zip(tensors, masks, strict=True):
            if mask is None:
                parts.append(self.op("NotEqual", (self.op("OnesLike", (tensor,)), 0)))
            else:
                nothing = self.op("ZerosLike", (tensor,))
                parts.append(self.op("LogicalOr", (self._spread(mask), nothing)))
        whole = self.op("Concatenate", (parts,), axis=entry.config.get("axis", -1))
        return self.op("All" if self.old else "Any", (whole,), axis=-1, keepdims=False)

    def _nested(self, entry: Entry, index: int, masks: Sequence[Ref | None]) -> None:
        """A nested model: masks go in as inputs and come out as outputs."""
        call, inner = entry.calls[index], entry.inner
        said = call.kwargs.get("mask")
        if isinstance(said, Ref):
            masks = [said]
        elif isinstance(said, (list, tuple)):
            masks = [item if isinstance(item, Ref) else None for item in said]
        given = tuple(mask is not None for mask in masks)
        if inner is None or not (any(given) or _has_masks(inner)):
            return
        if entry.name not in self.inner:
            changed, leaving = _with_masks(inner, given or (False,), self.old)
            self.inner[entry.name] = changed, given, leaving
        _, before, leaving = self.inner[entry.name]
        if before != given:
            raise Unsupported(
                "a nested model that is called with a mask and without one",
                place=entry.name,
                remedy="give it a mask in every call",
            )
        kwargs = {key: item for key, item in call.kwargs.items() if key != "mask"}
        added = tuple(mask for mask in masks if mask is not None)
        self.calls[entry.name, index] = Call((*call.args, *added), kwargs)
        count = len(leaving)
        for place, masked in enumerate(leaving):
            if masked:
                self.masks[Ref(entry.name, index, place)] = Ref(entry.name, index, count)
                count += 1

    def _each_step(self, entry: Entry, index: int, mask: Ref | None) -> None:
        """A model for every step, which is given that step's part of the mask."""
        call, inner = entry.calls[index], entry.inner
        said = call.kwargs.get("mask")
        mask = said if isinstance(said, Ref) else mask
        if inner is not None and mask is not None and _looks(inner):
            raise Unsupported(
                "TimeDistributed around a model that looks at masks, called with one",
                place=entry.name,
                remedy="call the model's layers by themselves",
            )
        if inner is not None and _has_masks(inner) and entry.name not in self.inner:
            self.inner[entry.name] = _with_masks(inner, (), self.old)[0], (), ()
        kwargs = {key: item for key, item in call.kwargs.items() if key != "mask"}
        self.calls[entry.name, index] = Call(call.args, kwargs)
        if mask is not None:
            self.masks[Ref(entry.name, index)] = mask

    # ------------------------------------------------------------------------------------------------------ words

    def op(self, kind: str, args: tuple[Any, ...], **config: Any) -> Ref:
        """The result of an operation; one that is there already is taken."""
        for entry in self.entries.values():
            if entry.is_op and entry.kind == kind and len(entry.calls) == 1 and entry.calls[0].args == args:
                said = {key: item for key, item in entry.config.items() if key not in ("name", "dtype")}
                if not entry.calls[0].kwargs and (said == config or not config):
                    return Ref(entry.name)
        name = unique(f"mask_{kind.lower()}", self.entries)
        self.entries[name] = Entry(
            name, kind, "keras.src.ops.numpy", is_op=True, config={"name": name, **config}, calls=(Call(args),)
        )
        return Ref(name)

    def _spread(self, mask: Ref) -> Ref:
        return self.op("ExpandDims", (mask,), axis=-1)

    def _say(self, entry: Entry, index: int, **arguments: Any) -> None:
        call = self.calls.get((entry.name, index), entry.calls[index])
        self.calls[entry.name, index] = replace(call, kwargs={**call.kwargs, **arguments})

    def finished(self, entry: Entry) -> Entry:
        """An entry with its calls as they are said now."""
        calls = tuple(self.calls.get((entry.name, index), call) for index, call in enumerate(entry.calls))
        inner = self.inner[entry.name][0] if entry.name in self.inner else entry.inner
        return replace(entry, calls=calls, inner=inner)
