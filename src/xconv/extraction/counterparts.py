"""Which layer of one model computes what a layer of another computes, and both as extractors of the same features.

The layer's tensor is made an output of its model beside those that it has; both models are then read into graphs in one
form and aligned (`align`), without a look at names. The node that is found in the other graph is looked up in the graph
as it was read: the layer, or the module around it, of which nothing else is used outside returns that tensor.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from xconv import axes
from xconv.alignment import Alignment, align
from xconv.comparison.opened import Opened, is_keras, open_pair
from xconv.errors import InvalidInput, Mismatch
from xconv.extraction.features import extracted
from xconv.extraction.names import DataFormat, Pooling, checked, listed
from xconv.extraction.returned import Returns
from xconv.extraction.shaping import Shaping
from xconv.graph import Value
from xconv.layers.reshape import Flatten, Permute, Reshape

__all__ = ["counterpart", "same_features"]


@overload
def counterpart(a: Any, b: Any, layer: str, *, input_shape: Any = None) -> str: ...
@overload
def counterpart(a: Any, b: Any, layer: None = None, *, input_shape: Any = None) -> tuple[str, ...]: ...
def counterpart(a: Any, b: Any, layer: str | None = None, *, input_shape: Any = None) -> str | tuple[str, ...]:
    """The layer of `b` that computes what `layer` of `a` computes, as `xconv.features` takes its name.

    Args:
        a: a live Keras model, an nn.Module or a converted module; its weights do not matter.
        b: the same.
        layer: a layer of `a`, named as for `xconv.features`; without it, what `a` returns is asked for, a name for
            each output: the levels of timm's `features_only`, the vector of `num_classes=0`.
        input_shape: as for `xconv.diagnose`; needed where neither model says what its input looks like.

    Returns:
        The name of the outermost layer or module of `b` that returns this tensor. A map of one pixel counts as its
        vector: torchvision's `avgpool` is Keras's `avg_pool`.

    Raises:
        InvalidInput: `a` has no such layer.
        Mismatch: no layer of `b` returns it; the error says what is near.
    """
    names = tuple(one.layer for one in _found(a, b, layer, input_shape))
    return names if layer is None else names[0]


def same_features(
    a: Any, b: Any, layer: str | None = None, *, pooling: Pooling | None = None, input_shape: Any = None
) -> tuple[Any, Any]:
    """Two extractors, of `a` and of `b`, whose outputs have the same length and the same order.

    Vectors are equal, number by number, as far as the weights are. Maps are in the layout of their framework; the
    vector of a flattened map has the order of `a` on both sides.

    Args:
        a: a live Keras model, an nn.Module or a converted module.
        b: the same.
        layer: a layer of `a`; without it what `a` returns, and the first of the two is `a` itself.
        pooling: 'avg' or 'max' over all positions of a map.
        input_shape: as for `counterpart`.

    Raises:
        InvalidInput, Mismatch: as for `counterpart`.
    """
    checked(pooling, None)
    found = _found(a, b, layer, input_shape)
    if layer is None and pooling is not None:
        raise InvalidInput("what a returns cannot be pooled", remedy="name the layer of a that is to be pooled")
    flat = {one.flattened for one in found}
    if flat != {None}:
        return _flattened(a, b, layer, found)
    ranks = {(one.rank_a == 2, one.rank_b == 2) for one in found}
    squeezed_a, squeezed_b = ranks == {(False, True)}, ranks == {(True, False)}
    if not (squeezed_a or squeezed_b or all(left == right for left, right in ranks)) or (squeezed_a and layer is None):
        what = "some of what a returns are maps of one pixel where b has vectors, or the other way"
        raise Mismatch(what, remedy="name the layers of a one by one")
    one_pixel = Shaping(pooling or "avg")  # of one number it is that number
    ours, theirs = (one_pixel if squeezed else Shaping(pooling) for squeezed in (squeezed_a, squeezed_b))
    names = [one.layer for one in found]
    return a if layer is None else extracted(a, [layer], ours), extracted(b, names, theirs)


@dataclass(frozen=True, slots=True)
class _Found:
    """A tensor of `a`, and what returns it in `b`; `flattened` is the order in which it was a map before."""

    layer: str
    rank_a: int
    rank_b: int
    flattened: DataFormat | None = None


def _flattened(a: Any, b: Any, layer: str | None, found: Sequence[_Found]) -> tuple[Any, Any]:
    """The extractors of a flattened map, in the order of `a`."""
    if len(found) > 1:
        raise Mismatch("a flattened map is one of several outputs", remedy="name the layers of a one by one")
    ours = a if layer is None else extracted(a, [layer], Shaping())
    return ours, extracted(b, [found[0].layer], Shaping(flat=found[0].flattened))


def _found(a: Any, b: Any, layer: str | None, input_shape: Any) -> list[_Found]:
    """What is asked for, in both models.

    Raises:
        InvalidInput, Mismatch: as for `counterpart`.
    """
    for name, model in (("a", a), ("b", b)):
        if not (hasattr(model, "named_modules") or is_keras(model)) or isinstance(model, (str, os.PathLike)):
            what = f"a {type(model).__name__} has no layers that could be taken"
            raise InvalidInput(what, place=name, remedy="give a live Keras model or an nn.Module")
    asking = a if layer is None else extracted(a, listed(layer), Shaping(), outputs=True)
    first, second = _opened(asking, a, b, input_shape)
    outputs = first.graph.output_values()
    asked, graph = outputs, first.graph
    if layer is not None:
        asked, graph = outputs[:1], replace(graph, outputs=list(outputs[1:]), returned=())
    alignment, ours, theirs = align(graph, second.graph), Returns(first), Returns(second)
    written = first.whole.output_values()
    search = _Search(first, second, alignment, ours, theirs, layer)
    return [search.find(value, len(first.whole.shape(w))) for value, w in zip(asked, written, strict=False)]


def _opened(asking: Any, a: Any, b: Any, input_shape: Any) -> tuple[Opened, Opened]:
    first, second = open_pair(asking, b, input_shape=input_shape)
    return replace(first, name=str(getattr(a, "name", "") or type(a).__name__)), second


@dataclass(frozen=True, slots=True)
class _Search:
    """Two aligned models in which a tensor of the first is looked for in the second."""

    first: Opened
    second: Opened
    alignment: Alignment
    ours: Returns
    theirs: Returns
    layer: str | None

    @property
    def place(self) -> str:
        return self.layer or f"what {self.first.name} returns"

    def find(self, value: Value, rank: int) -> _Found:
        """The layer of the second model that returns a tensor of the first.

        Raises:
            Mismatch: there is none.
        """
        value = self.ours.as_read(value)
        source, order = self._before_flatten(value)
        there = self._there(source)
        returned = self.theirs.layers_of(there)
        if not returned:
            raise self._inside(there, source)
        best = returned[0]
        return _Found(best.name, rank, len(self.second.whole.shape(best.value)), order)

    def _before_flatten(self, value: Value) -> tuple[Value, DataFormat | None]:
        """The map of a flattened map, and the order in which it was flattened; anything else as it is.

        Raises:
            Mismatch: it was flattened in an order of its own.
        """
        nodes = self.first.graph.by_name()
        node = nodes[value.node]
        if not isinstance(node.spec, (Flatten, Reshape)) or len(node.shapes[0]) != 2:
            return value, None
        source, order = node.inputs[0], None
        before = nodes[source.node]
        if isinstance(before.spec, Permute):
            order, source = before.spec.axes, before.inputs[0]
        rank = len(self.first.graph.shape(source))
        if order is None:
            return source, "channels_first"
        if order == axes.channels_last(rank):
            return source, "channels_last"
        raise Mismatch("it flattens a map in an order of its own", place=self.place, remedy="name the layer before it")

    def _there(self, value: Value) -> Value:
        name = self.alignment.to_b.get(value.node)
        if name is None:
            what = f"nothing in {self.second.name} computes it"
            raise Mismatch(what, place=self.place, remedy=self._near(value))
        if any(pair.a == value.node for pair in self.alignment.unsure):
            what = f"several layers of {self.second.name} fit as well as one another"
            raise Mismatch(what, place=self.place, remedy="xconv.diagnose shows how the two are aligned")
        return Value(name, value.index)

    def _near(self, value: Value) -> str:
        """What comes before it and is in both."""
        nodes = self.first.graph.by_name()
        waiting, seen = [value.node], set[str]()
        while waiting:
            name = waiting.pop(0)
            there = self.alignment.to_b.get(name)
            found = self.theirs.layers_of(Value(there)) if there is not None else []
            if found and nodes[name].layer:
                return f"before it, {nodes[name].layer} is {found[0].name}"
            seen.add(name)
            waiting += [v.node for v in nodes[name].inputs if v.node not in seen]
        return "xconv.diagnose says what differs"

    def _inside(self, value: Value, source: Value) -> Mismatch:
        """The error for what a layer of the second model computes and does not return."""
        layer, returns = self.theirs.group(self.theirs.as_read(value))
        where = f"inside {layer}, which returns something else" if layer else "between its layers"
        what = f"{self.second.name} computes it {where}"
        names = (self.alignment.to_a.get(one.node) for one in returns)
        others = [self.first.graph.by_name()[name].layer for name in names if name is not None]
        known = f"ask for {others[0]}, which is {layer}" if layer and any(others[:1]) else self._near(source)
        return Mismatch(what, place=self.place, remedy=known)
