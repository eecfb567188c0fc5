"""Products of tensors: keras.ops.matmul, einsum, the Dot layer  <->  torch.matmul, einsum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.elementwise import broadcast
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Slot, Spec, TorchCall, Weights

__all__ = ["Dot", "Einsum", "MatMul"]


@dataclass(frozen=True, slots=True)
class MatMul(Spec):
    """Matrix products over the last two axes; those in front are broadcast."""

    order = Order.WRITTEN
    keras_kinds = ("ops.Matmul",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Two tensors."""
        _check_tensors(layer, (layer.argument(0, "x1"), layer.argument(1, "x2")))
        return Op(cls())

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        return KerasLayer("ops.Matmul", {}, inputs=tuple(inputs), args=(Slot(0), Slot(1)))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.matmul."""
        return TorchCall("torch.matmul", (Slot(0), Slot(1)))

    def out_shape(self, *inputs: Shape) -> Shape:
        """(..., n, k) times (..., k, m); a vector has no n or no m."""
        left, right = inputs
        rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
        inner = right[-2] if len(right) > 1 else right[0]
        if None not in (left[-1], inner) and left[-1] != inner:
            raise Mismatch(f"{left} and {right} cannot be multiplied")
        return (*broadcast((left[:-2], right[:-2])), *rows, *columns)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Equal ranks, and a broadcast axis."""
        yield Example("ops.Matmul", ((4, 5), (5, 3)), args=(Slot(0), Slot(1)))
        yield Example("ops.Matmul", ((2, 4, 5), (1, 5, 3)), args=(Slot(0), Slot(1)))


@dataclass(frozen=True, slots=True)
class Einsum(Spec):
    """A sum of products by its subscripts, without an ellipsis.

    >>> Einsum("bic,bjc->bij").out_shape((None, 4, 5), (None, 3, 5))
    (None, 4, 3)
    """

    subscripts: str

    order = Order.WRITTEN
    keras_kinds = ("ops.Einsum",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Subscripts with an explicit result."""
        tensors = tuple(item for item in layer.args if not isinstance(item, str))
        subscripts = next((item for item in layer.args if isinstance(item, str)), None)
        subscripts = str(layer.get("subscripts") if subscripts is None else subscripts).replace(" ", "")
        _check_tensors(layer, tensors)
        if "." in subscripts or "->" not in subscripts:
            raise Unsupported(f"einsum {subscripts!r}", remedy="write every axis, and the result after '->'")
        return Op(cls(subscripts))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        slots = tuple(Slot(i) for i in range(len(inputs)))
        return KerasLayer("ops.Einsum", {"subscripts": self.subscripts}, inputs=tuple(inputs), args=slots)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.einsum."""
        return TorchCall("torch.einsum", (self.subscripts, *(Slot(i) for i in range(len(inputs)))))

    def out_shape(self, *inputs: Shape) -> Shape:
        """The size of every letter of the result."""
        left, _, right = self.subscripts.partition("->")
        sizes: dict[str, int | None] = {}
        for letters, shape in zip(left.split(","), inputs, strict=True):
            for letter, size in zip(letters, shape, strict=True):
                known = sizes.get(letter)
                if None not in (known, size) and known != size and 1 not in (known, size):
                    raise Mismatch(f"einsum {self.subscripts!r} does not fit {', '.join(map(str, inputs))}")
                sizes[letter] = size if known in (None, 1) else known
        return tuple(sizes[letter] for letter in right)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Two tensors, one."""
        two = (Slot(0), Slot(1))
        yield Example("ops.Einsum", ((2, 4, 5), (3, 4, 5)), {"subscripts": "bijc,bkjc->bik"}, args=two)
        yield Example("ops.Einsum", ((4, 5),), {"subscripts": "bij->bji"}, args=(Slot(0),))


@dataclass(frozen=True, slots=True)
class Dot(Spec):
    """For each sample, the sum over one axis of either tensor; `normalize` makes it the cosine."""

    over: tuple[int, int]
    normalize: bool = False

    order = Order.WRITTEN
    keras_kinds = ("Dot",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """One axis for both, or one for each."""
        given = layer["axes"]
        first, second = (given, given) if isinstance(given, int) else given
        over = (axes.normal(first, len(layer.inputs[0])), axes.normal(second, len(layer.inputs[1])))
        if 0 in over:
            raise Mismatch("Dot over the batch axis")
        return Op(cls(over, bool(layer["normalize"])))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """Dot."""
        config = {"axes": list(self.over), "normalize": self.normalize}
        return KerasLayer("Dot", config, inputs=tuple(inputs), args=([Slot(0), Slot(1)],))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.einsum, of the normalised tensors for the cosine."""
        left, right, result = self._letters(inputs)
        tensors: list[Slot | TorchCall] = [Slot(0), Slot(1)]
        if self.normalize:
            options = [{"dim": axis, "eps": 1e-7} for axis in self.over]
            tensors = [TorchCall("torch.nn.functional.normalize", (Slot(i),), options[i]) for i in (0, 1)]
        call = TorchCall("torch.einsum", (f"{left},{right}->{result}", *tensors))
        return TorchCall("torch.unsqueeze", (call, 1)) if len(result) == 1 else call

    def out_shape(self, *inputs: Shape) -> Shape:
        """The batch, the rest of the first, the rest of the second; a number for each sample becomes a column."""
        left, right, result = self._letters(inputs)
        shape = Einsum(f"{left},{right}->{result}").out_shape(*inputs)
        return (*shape, 1) if len(shape) == 1 else shape

    def _letters(self, inputs: Sequence[Shape]) -> tuple[str, str, str]:
        """The subscripts of both tensors and of the result."""
        letters = iter(ascii_lowercase)
        batch, shared = next(letters), next(letters)
        names = []
        for axis, shape in zip(self.over, inputs, strict=True):
            names.append(
                "".join(shared if i == axis else batch if i == 0 else next(letters) for i in range(len(shape)))
            )
        left, right = names
        return left, right, batch + "".join(name for name in left[1:] + right[1:] if name != shared)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Matrices, vectors, the cosine, unequal ranks."""
        two = ([Slot(0), Slot(1)],)
        yield Example("Dot", ((4, 5), (3, 5)), {"axes": 2}, args=two)
        yield Example("Dot", ((4, 5), (5, 3)), {"axes": [2, 1], "normalize": True}, args=two)
        yield Example("Dot", ((5,), (5,)), {"axes": -1, "normalize": True}, args=two)
        yield Example("Dot", ((5,), (4, 5)), {"axes": [1, 2]}, args=two)


def _check_tensors(layer: KerasLayer, given: Sequence[object]) -> None:
    """Refuse constants among the operands."""
    if list(given) != [Slot(i) for i in range(len(layer.inputs))]:
        raise Unsupported("a constant as an operand", remedy="hold the array in a layer's weight")
