"""EinsumDense: a sum of products with a kernel  <->  torch.nn.Linear where it is one, else xconv's EinsumDense."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase

from xconv.errors import Mismatch
from xconv.layers.activation import with_activation
from xconv.layers.dense import Dense
from xconv.spec import AtenCall, Example, KerasLayer, Op, Order, Shape, Spec, TorchCall, Weights
from xconv.weights import Weight

__all__ = ["EinsumDense"]


@dataclass(frozen=True, slots=True)
class EinsumDense(Spec):
    """A sum of products of the input and a kernel by its subscripts, without an ellipsis, plus a bias.

    >>> EinsumDense("abc,cde->abde", (3, 4, 5), ()).out_shape((None, 7, 3))
    (None, 7, 4, 5)
    """

    equation: str
    kernel: tuple[int, ...]
    bias: tuple[int, ...] | None
    """The bias's shape, which is added to the last axes of the result."""

    order = Order.WRITTEN
    keras_kinds = ("EinsumDense",)
    aten_ops = ("einsum_dense",)
    holds = ("weights",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """A Dense where one last axis becomes another."""
        equation = _written_out(layer["equation"], len(layer.inputs[0]))
        layer["output_shape"]
        weights = layer.named("kernel", "bias") if layer.get("bias_axes") else layer.named("kernel")
        dense = _dense(equation, weights)
        if dense is not None:
            return with_activation(layer, dense)
        spec = cls(equation, weights["kernel"].shape, weights["bias"].shape if "bias" in weights else None)
        return with_activation(layer, Op(spec, weights))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """xconv's own module, which torch.export sees as one call."""
        config, weights = json.loads(call["config"]), call["weights"]
        bias = config["bias"]
        spec = cls(config["equation"], tuple(config["kernel"]), None if bias is None else tuple(bias))
        return Op(spec, dict(zip(("kernel", "bias"), weights, strict=False)), "", tuple(call["inputs"]))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """EinsumDense."""
        result = self.equation.partition("->")[2]
        axes = ""
        if self.bias is not None:
            last = result[len(result) - len(self.bias) :]
            axes = "".join(x for i, x in enumerate(last) if self.bias[i] != 1 or i == 0)
        sizes = self.out_shape(*inputs)[1:]
        config = {"equation": self.equation, "output_shape": sizes, "bias_axes": axes or None, "activation": "linear"}
        arrays = tuple(weights[role] for role in ("kernel", "bias") if role in weights)
        return KerasLayer("EinsumDense", config, arrays, tuple(inputs))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's EinsumDense."""
        config = {"equation": self.equation, "kernel": self.kernel, "bias": self.bias}
        names = {"kernel": "weight", "bias": "bias"}
        tensors = {names[role]: weight for role, weight in weights.items()}
        return TorchCall("xconv.torch.modules.EinsumDense", config=config, tensors=tensors)

    def out_shape(self, *inputs: Shape) -> Shape:
        """The size of every letter of the result."""
        left, _, right = self.equation.partition("->")
        sizes: dict[str, int | None] = {}
        for letters, shape in zip(left.split(","), (inputs[0], self.kernel), strict=True):
            for letter, size in zip(letters, shape, strict=True):
                if None not in (size, sizes.get(letter)) and sizes[letter] != size:
                    raise Mismatch(f"einsum {self.equation!r} of {inputs[0]} and a kernel {self.kernel}")
                sizes[letter] = size if size is not None else sizes.get(letter)
        return tuple(sizes[letter] for letter in right)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Ellipses on either side, biases over some axes, heads, what is a Dense."""
        kind = "EinsumDense"
        config = {"equation": "abc,cde->abde", "output_shape": (None, 2, 4), "bias_axes": "de"}
        yield Example(kind, ((5, 3),), config, ((3, 2, 4), (2, 4)))
        some = {"equation": "abcd,bce->aed", "output_shape": (7, 4), "bias_axes": "e", "activation": "tanh"}
        yield Example(kind, ((3, 2, 4),), some, ((3, 2, 7), (7, 1)))
        yield Example(kind, ((5, 3),), {"equation": "...x,xy->...y", "output_shape": 4}, ((3, 4),))
        kernel = {"equation": "...x,yx->...y", "output_shape": 4, "bias_axes": "y"}
        yield Example(kind, ((2, 5, 3),), kernel, ((4, 3), (4,)))
        right = {"equation": "ab...,bc->ac...", "output_shape": 4, "bias_axes": "c"}
        yield Example(kind, ((5, 3, 2),), right, ((5, 4), (4, 1, 1)))
        product = {"equation": "...c,c->...c", "output_shape": 3}
        yield Example(kind, ((5, 3),), product, ((3,),))
        heads = {"equation": "BTNH,NHE->BTE", "output_shape": (None, 6), "bias_axes": "E"}
        yield Example(kind, ((5, 2, 3),), heads, ((2, 3, 6), (6,)))
        first = {"equation": "ab,bc->ac", "output_shape": 4, "bias_axes": "c", "activation": "relu"}
        yield Example(kind, ((3,),), first, ((3, 4), (4,)))


def _written_out(equation: str, rank: int) -> str:
    """The subscripts without blanks and ellipses, in small letters.

    >>> _written_out("...x, xY -> ...Y", 3)
    'abx,xc->abc'
    """
    equation = equation.replace(" ", "")
    names = iter(x for x in (*ascii_lowercase, *ascii_uppercase) if x not in equation)
    letters = equation.partition(",")[0].replace("...", "")
    equation = equation.replace("...", "".join(next(names) for _ in range(rank - len(letters))))
    capitals = {x: next(names) for x in dict.fromkeys(equation) if x.isupper()}
    return "".join(capitals.get(x, x) for x in equation)


def _dense(equation: str, weights: Weights) -> Op | None:
    """The Dense of a kernel that takes the last axis to another one."""
    left, _, result = equation.partition("->")
    entering, kernel = left.split(",")
    before, after = entering[-1], result[-1]
    if len(result) != len(entering) or result[:-1] != entering[:-1] or before == after:
        return None
    if sorted(kernel) != sorted((before, after)) or after in entering or before in entering[:-1]:
        return None
    bias = weights.get("bias")
    if bias is not None and len(bias.shape) != 1:
        return None
    matrix: Weight = weights["kernel"] if kernel[0] == after else weights["kernel"].transpose((1, 0))
    rest = {} if bias is None else {"bias": bias}
    return Op(Dense(matrix.shape[1], matrix.shape[0]), {"kernel": matrix, **rest})
