"""Products of tensors: keras.ops.matmul, einsum, the Dot layer  <->  torch.matmul, einsum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_letters, ascii_lowercase

from xconv import axes
from xconv.errors import Mismatch, Unsupported
from xconv.layers.elementwise import Elementwise, broadcast
from xconv.layers.steps import Steps
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Moved,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["Dot", "Einsum", "MatMul"]


@dataclass(frozen=True, slots=True)
class MatMul(Spec):
    """Matrix products over the last two axes; those in front are broadcast."""

    order = Order.WRITTEN
    keras_kinds = ("ops.Matmul",)
    aten_ops = "addmm", "addmv", "baddbmm", "bmm", "dot", "matmul", "mm", "mv", "vdot"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Two tensors."""
        _check_tensors(layer, (layer.argument(0, "x1"), layer.argument(1, "x2")))
        return Op(cls())

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The product of the last two tensors; times `alpha`, plus `beta` times the first where there are three."""
        names = ("mat1", "mat2", "batch1", "batch2", "mat", "vec", "vec2", "tensor", "other")
        adds = call.op in ("addmm", "addmv", "baddbmm")
        factors = [call.get(name) for name in ("self", *names) if call.get(name) is not None]
        steps = Steps()
        result = steps.add(cls(), *factors[1:] if adds else factors, name="product" if adds else "")
        if not adds:
            return steps.done()
        alpha, beta, offset = call["alpha"], call["beta"], factors[0]
        if alpha != 1:
            result = steps.add(Elementwise("multiply", (Slot(0), float(alpha))), result, name="alpha")
        if beta not in (0, 1):
            offset = steps.add(Elementwise("multiply", (Slot(0), float(beta))), offset, name="beta")
        if beta != 0:
            steps.add(Elementwise("add", (Slot(0), Slot(1))), result, offset)
        return steps.done()

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

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Equal and unequal ranks, sums with a product."""
        yield TorchExample("torch.matmul", ((2, 4, 5), (2, 5, 3)), args=(Slot(0), Slot(1)))
        yield TorchExample("torch.bmm", ((4, 5), (5, 3)), args=(Slot(0), Slot(1)))
        scaled = {"beta": 0.5, "alpha": 2.0}
        yield TorchExample("torch.baddbmm", ((4, 3), (4, 5), (5, 3)), kwargs=scaled)
        yield TorchExample("torch.baddbmm", ((1, 3), (4, 5), (5, 3)))


@dataclass(frozen=True, slots=True)
class Einsum(Spec):
    """A sum of products by its subscripts, without an ellipsis.

    >>> Einsum("bic,bjc->bij").out_shape((None, 4, 5), (None, 3, 5))
    (None, 4, 3)
    """

    subscripts: str

    order = Order.AXES
    keras_kinds = ("ops.Einsum",)
    aten_ops = "bilinear", "einsum", "outer", "tensordot"

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

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Subscripts with every axis written out; nn.Bilinear, outer and tensordot are such sums too."""
        match call.op:
            case "outer":
                return (Op(cls("a,b->ab"), {}, "", (call["self"], call["vec2"])),)
            case "tensordot":
                first, second, sums = call["self"], call["other"], (call["dims_self"], call["dims_other"])
                subscripts = _contraction([call.inputs[slot.index] for slot in (first, second)], sums)
                return (Op(cls(subscripts), {}, "", (first, second)),)
            case "bilinear":
                return _bilinear(call)
        call.get("path")
        tensors = tuple(call["tensors"])
        shapes = [call.inputs[slot.index] for slot in tensors]
        return (Op(cls(_written_out(call["equation"], shapes)), {}, "", tensors),)

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

    def moved(self, order: axes.Order, weights: Weights) -> Moved:
        """The letters in the order of the axes, of every tensor of that rank; the result's where they stay in place."""
        left, _, right = self.subscripts.partition("->")
        first, *others = left.split(",")

        def turned(letters: str) -> str:
            return "".join(axes.apply(letters, order)) if len(letters) == len(order) else letters

        stays = len(right) == len(first) and all(
            a == b or (a not in right and b not in first) for a, b in zip(first, right, strict=True)
        )
        operands = ",".join(map(turned, (first, *others)))
        result = turned(right) if stays else right
        return Moved(Einsum(f"{operands}->{result}"), weights, order if stays else axes.identity(len(right)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Two tensors, one."""
        two = (Slot(0), Slot(1))
        yield Example("ops.Einsum", ((2, 4, 5), (3, 4, 5)), {"subscripts": "bijc,bkjc->bik"}, args=two)
        yield Example("ops.Einsum", ((4, 5),), {"subscripts": "bij->bji"}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """An ellipsis, no result written, one tensor; a bilinear layer on vectors and on sequences."""
        target, two = "torch.einsum", ((2, 4, 5), (3, 4, 5))
        yield TorchExample(target, two, args=("b i j c, b k j c -> b i k", Slot(0), Slot(1)))
        yield TorchExample(target, two, args=("...jc,...jc->...", Slot(0), Slot(0)))
        yield TorchExample(target, ((4, 5), (3, 5)), args=("b...c,bkc->bk...", Slot(0), Slot(1)))
        yield TorchExample(target, ((4, 5), (5, 3)), args=("bij,bjk", Slot(0), Slot(1)))
        yield TorchExample(target, ((4, 4),), args=("bii->bi", Slot(0)))
        yield TorchExample(target, ((4, 5),), args=("bij->b", Slot(0)))
        config = {"in1_features": 4, "in2_features": 5, "out_features": 3}
        yield TorchExample("torch.nn.Bilinear", ((4,), (5,)), config)
        yield TorchExample("torch.nn.Bilinear", ((2, 4), (2, 5)), {**config, "bias": False})


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


def _written_out(equation: str, shapes: Sequence[Shape]) -> str:
    """Subscripts in small letters without blanks and ellipses, with the result that one without '->' implies.

    Keras infers no shape from capital letters.

    >>> _written_out("b ... c, d c", [(None, 4, 5, 3), (2, 3)])
    'baec,dc->aebd'

    Raises:
        Unsupported: an axis of size 1 that stands for one of another size.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    ranks = [len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)]
    most = max((rank for rank, term in zip(ranks, terms, strict=True) if "..." in term), default=0)
    spare = [letter for letter in ascii_letters if letter not in equation]
    dots = "".join(spare[:most])
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        right = "..." * ("..." in left) + "".join(sorted(x for x in set(letters) if letters.count(x) == 1))
    terms = [term.replace("...", dots[most - rank :]) for term, rank in zip(terms, ranks, strict=True)]
    _check_sizes(terms, shapes)
    return _in_small_letters(f"{','.join(terms)}->{right.replace('...', dots)}")


def _in_small_letters(equation: str) -> str:
    """The same subscripts with a small letter for every capital one.

    >>> _in_small_letters("aIJ,aJ->aI")
    'abc,ac->ab'
    """
    capitals = dict.fromkeys(letter for letter in equation if letter.isupper())
    spare = (letter for letter in ascii_lowercase if letter not in equation)
    names = dict(zip(capitals, spare, strict=False))
    return "".join(names.get(letter, letter) for letter in equation)


def _check_sizes(terms: Sequence[str], shapes: Sequence[Shape]) -> None:
    """Refuse what torch would broadcast and Keras would not."""
    sizes: dict[str, int | None] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(term, shape, strict=True):
            if letter in sizes and sizes[letter] != size and 1 in (size, sizes[letter]):
                raise Unsupported("einsum that broadcasts an axis of size 1", remedy="expand it first")
            sizes.setdefault(letter, size)


def _contraction(shapes: Sequence[Shape], sums: tuple[Sequence[int], Sequence[int]]) -> str:
    """The subscripts of torch.tensordot.

    >>> _contraction([(None, 4, 5), (5, 3)], ([2], [0]))
    'abc,cd->abd'
    """
    letters = iter(ascii_lowercase)
    first = [next(letters) for _ in shapes[0]]
    rank = len(shapes[1])
    shared = {axes.normal(b, rank): first[axes.normal(a, len(first))] for a, b in zip(*sums, strict=True)}
    second = [shared.get(place) or next(letters) for place in range(rank)]
    result = [x for x in (*first, *second) if x not in shared.values()]
    return f"{''.join(first)},{''.join(second)}->{''.join(result)}"


def _bilinear(call: AtenCall) -> Sequence[Op]:
    """For every feature, first tensor times a matrix times second tensor; plus a bias.

    In two sums: torch.export ties the batch down where it sees three tensors in one.
    """
    first, second, kernel, bias = (call[key] for key in ("input1", "input2", "weight", "bias"))
    front = ascii_lowercase[3 : 2 + len(call.inputs[first.index])]
    steps = Steps()
    rows = steps.add(Einsum(f"{front}a,cab->{front}cb"), first, kernel, name="rows")
    sums = Einsum(f"{front}cb,{front}b->{front}c")
    result = steps.add(sums, rows, second, name="" if bias is None else "product")
    if bias is not None:
        steps.add(Elementwise("add", (Slot(0), Slot(1))), result, bias)
    return steps.done()
