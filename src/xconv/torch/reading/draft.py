"""The graph while it is read: it grows by one node after the other, each with a name and shapes of its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from xconv.errors import Unsupported
from xconv.graph import Node, Value, unique, values_in
from xconv.layers.io import Input, Variable
from xconv.layers.unary import Cast
from xconv.spec import Computed, Numbers, Op, Shape, Spec, Weights
from xconv.torch.arrays import TensorSource, computed_tensor, dtype_name
from xconv.torch.reading.meanings import Held, Meaning
from xconv.weights import Weight

__all__ = ["Draft"]


@dataclass(frozen=True, slots=True)
class Draft:
    """The nodes by name, in order, and the tensors behind their weights."""

    nodes: dict[str, Node] = field(default_factory=dict)
    arrays: dict[str, TensorSource] = field(default_factory=dict)
    variables: dict[Weight, Value] = field(default_factory=dict)
    computed: dict[Computed, Weight] = field(default_factory=dict)
    """The weights that are made of several arrays; a layer that is called twice has them once."""
    dtypes: dict[Value, str] = field(default_factory=dict)
    casts: dict[tuple[Value, str], Value] = field(default_factory=dict)
    """Free tensors in a narrower type than they are held in."""

    def append(self, node: Node) -> list[Value]:
        """Add one node and give its values; its name is made unique by a suffix, its shapes are inferred."""
        shapes = node.spec.out_shapes(*map(self.shape_of, node.inputs))
        name = unique(node.name, self.nodes)
        self.nodes[name] = replace(node, name=name, shapes=shapes)
        return [Value(name, index) for index in range(len(shapes))]

    def plain(self, spec: Spec, value: Value, name: str) -> Value:
        """One more node that no call of the program stands for."""
        return self.append(Node(name, spec, (value,), kind="size"))[0]

    def shape_of(self, value: Value) -> Shape:
        """The shape of a value."""
        return self.nodes[value.node].shapes[value.index]

    def dtype_of(self, value: Value) -> str:
        """The dtype of a value."""
        node = self.nodes[value.node]
        if isinstance(node.spec, Variable):
            return next(iter(node.weights.values())).dtype
        return node.spec.dtype if isinstance(node.spec, Input) else self.dtypes.get(value, "float32")

    def note_dtypes(self, found: Meaning, results: Any) -> None:
        """Remember the dtypes of what a call gives, as torch states them."""
        for value, tensor in zip(values_in(found), values_in(results), strict=False):
            if isinstance(value, Value) and isinstance(tensor, torch.Tensor):
                self.dtypes[value] = dtype_name(tensor.dtype)

    def without_plain_policies(self) -> None:
        """Drop the policies of a network that computes in float32 throughout, or in float64."""
        if {node.policy for node in self.nodes.values()} - {""} in ({"float32"}, {"float64"}):
            self.nodes.update({name: replace(node, policy="") for name, node in self.nodes.items()})

    def hold(self, key: str, tensor: torch.Tensor) -> Weight:
        """A tensor of the program under its own name."""
        self.arrays[key] = TensorSource(tensor)
        return Weight.of(key, tuple(tensor.shape), dtype_name(tensor.dtype))

    def constant(self, name: str, tensor: torch.Tensor) -> Held:
        """A tensor that was computed while reading, under a name that is made unique by a suffix."""
        return Held(self.hold(unique(f"constant:{name}", self.arrays), tensor), learned=False, trains=False)

    def variable(self, held: Held) -> Value:
        """The node of a free tensor, one for all its uses.

        Raises:
            Unsupported: there is no number in it, and no layer of Keras holds such a weight.
        """
        weight = held.weight
        if 0 in weight.shape:
            what = f"{weight.key.removeprefix('constant:')} is a tensor without a number, of sizes {weight.shape}"
            raise Unsupported(what, remedy="leave out what uses it")
        if weight not in self.variables:
            name = weight.key.removeprefix("constant:")
            owner, _, role = name.rpartition(".")
            spec, weights = Variable(weight.shape), {role: weight}
            node = Node(name, spec, weights=weights, layer=owner, kind="Variable", trainable=held.trains)
            self.variables[weight] = self.append(node)[0]
        value = self.variables[weight]
        if held.cast and (value, held.cast) not in self.casts:
            made = self.append(Node(f"{value.node}.cast", Cast(held.cast), (value,), kind="to"))[0]
            self.casts[value, held.cast] = made
            self.dtypes[made] = held.cast
        return self.casts[value, held.cast] if held.cast else value

    def weights_of(self, op: Op, name: str) -> Weights:
        """The weights of an Op, those too that are made of several arrays or of none."""
        return {**op.weights, **{role: self._made(item, f"{name}.{role}") for role, item in op.computed.items()}}

    def _made(self, computed: Computed | Numbers, name: str) -> Weight:
        """The weight of such a description; sums of parameters are made once."""
        if isinstance(computed, Computed) and computed in self.computed:
            return self.computed[computed]
        weight = self.constant(name, computed_tensor(computed, self.arrays)).weight
        if isinstance(computed, Computed):
            self.computed[computed] = weight
        return weight
