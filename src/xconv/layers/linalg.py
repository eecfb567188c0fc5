"""Matrices: keras.ops.linalg  <->  torch.linalg: det, inv, cholesky, qr, solve, svdvals, pinv, matrix_rank."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from xconv.errors import Unsupported
from xconv.layers.described import Described
from xconv.layers.diagonal import Diagonal
from xconv.layers.elementwise import Elementwise
from xconv.layers.expand import ExpandDims, Squeeze
from xconv.layers.reduce import Reduce
from xconv.layers.steps import Steps, Taken
from xconv.layers.unary import Unary
from xconv.spec import (
    AtenCall,
    Example,
    KerasLayer,
    Made,
    Op,
    Order,
    Shape,
    Slot,
    Spec,
    TorchCall,
    TorchExample,
    Weights,
)

__all__ = ["CholeskyInverse", "MatrixFunction", "Solve"]

KINDS = {
    "cholesky": ("Cholesky", "torch.linalg.cholesky"),
    "det": ("Det", "torch.linalg.det"),
    "inv": ("Inv", "torch.linalg.inv"),
    "logdet": ("Logdet", "torch.logdet"),
    "matrix_rank": ("MatrixRank", "torch.linalg.matrix_rank"),
    "pinv": ("Pinv", "torch.linalg.pinv"),
    "qr": ("Qr", "torch.linalg.qr"),
    "svdvals": ("SVD", "torch.linalg.svdvals"),
}
"""Name -> the class of keras.ops, the torch function."""

OPTIONS: dict[str, tuple[str, str, Any]] = {
    "cholesky": ("upper", "upper", False),
    "matrix_rank": ("tol", "atol", None),
    "qr": ("mode", "mode", "reduced"),
}
"""Name -> the option in Keras, in torch, and what it is where nothing is said."""

ATEN = {
    "cholesky": "cholesky",
    "det": "det",
    "inverse": "inv",
    "linalg_cholesky": "cholesky",
    "linalg_det": "det",
    "linalg_inv": "inv",
    "linalg_matrix_rank": "matrix_rank",
    "linalg_pinv": "pinv",
    "linalg_qr": "qr",
    "linalg_slogdet": "slogdet",
    "linalg_svdvals": "svdvals",
    "logdet": "logdet",
    "slogdet": "slogdet",
}
"""The ATen operator -> the name."""


@dataclass(frozen=True, slots=True)
class MatrixFunction(Spec):
    """A function of the matrices in the last two axes, with its one option.

    >>> MatrixFunction("det").out_shapes((None, 3, 3)), MatrixFunction("qr", "reduced").out_shapes((None, 4, 3))
    (((None,),), ((None, 4, 3), (None, 3, 3)))
    """

    name: str
    option: Any = None

    order = Order.WRITTEN
    keras_kinds = tuple(f"ops.{kind}" for kind, _ in KINDS.values())
    aten_ops = tuple(ATEN)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The option; of a singular value decomposition the values alone."""
        name = next(name for name, (kind, _) in KINDS.items() if f"ops.{kind}" == layer.kind)
        if name == "svdvals":
            layer.get("full_matrices")
            if layer.get("compute_uv", True):
                raise Unsupported(
                    "the vectors of a singular value decomposition, whose signs no definition settles",
                    remedy="take the values with compute_uv=False",
                )
        key, _, default = OPTIONS.get(name, ("", "", None))
        option = layer.get(key, default) if key else None
        if name == "pinv" and option is not None:
            raise Unsupported("pinv with an rcond, at which torch's gradient is another", remedy="leave rcond out")
        return Op(cls(name, option))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """The option; those that Keras has not must be left at what they are.

        The sign and the logarithm of a determinant are those of the determinant, and of what stands on R's diagonal:
        Keras states wrong shapes for its own slogdet, and its logdet is of positive definite matrices alone.
        """
        name = ATEN[call.op]
        for key in ("self", "input", "A"):
            call.get(key)
        for key, usual in (("hermitian", False), ("driver", None), ("rtol", None), ("atol", None)):
            given = call.get(key, usual)
            if given is not usual and OPTIONS.get(name, ("", "", None))[1] != key and given != 0:
                raise Unsupported(f"{call.op} with {key}={given!r}", remedy="leave it out")
        _, key, default = OPTIONS.get(name, ("", "", None))
        option = call.get(key, default) if key else None
        if isinstance(option, Slot) or option == "r":
            raise Unsupported(f"{call.op} with {key}={option!r}", remedy="give a number, or leave it out")
        if name in ("qr", "svdvals") and None in call.inputs[0][-2:]:
            raise Unsupported(f"{call.op} of matrices of open size", remedy="give them a batch in front")
        if name in ("logdet", "slogdet"):
            return _slogdet(call, summed=name == "logdet")
        return (Op(cls(name, option)),)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        key, _, _ = OPTIONS.get(self.name, ("", "", None))
        config = {key: self.option} if key else {"compute_uv": False} if self.name == "svdvals" else {}
        return KerasLayer(f"ops.{KINDS[self.name][0]}", config, inputs=tuple(inputs), args=(Slot(0),))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """The function; Keras counts a rank with 32 bits."""
        _, key, default = OPTIONS.get(self.name, ("", "", None))
        options = {key: self.option} if key and self.option != default else {}
        if self.name == "matrix_rank":
            options |= {"rtol": 0.0} if options else {}
            return TorchCall("Tensor.int", (TorchCall(KINDS[self.name][1], (Slot(0),), options),))
        return TorchCall(KINDS[self.name][1], (Slot(0),), options)

    def out_shapes(self, *inputs: Shape) -> tuple[Shape, ...]:
        """The batch of matrices, of numbers, of rows; two results of some."""
        *batch, rows, columns = inputs[0]
        lower = rows if columns is None or (rows is not None and rows < columns) else columns
        match self.name:
            case "det" | "logdet" | "matrix_rank":
                return (tuple(batch),)
            case "svdvals":
                return ((*batch, lower),)
            case "pinv":
                return ((*batch, columns, rows),)
            case "qr":
                inner = rows if self.option == "complete" else lower
                return (*batch, rows, inner), (*batch, inner, columns)
        return inputs[:1]

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Each with its option; matrices that are no squares."""
        for name, (kind, _) in KINDS.items():
            if name == "cholesky":
                for upper in (False, True):
                    yield Example(f"ops.{kind}", ((3, 3),), {"upper": upper}, args=(Slot(0),), values="definite")
            elif name not in ("svdvals", "qr", "matrix_rank"):
                values = "normal" if name == "pinv" else "definite"
                shape = (5, 3) if name == "pinv" else (2, 3, 3)
                yield Example(f"ops.{kind}", (shape,), args=(Slot(0),), values=values)
        yield Example("ops.MatrixRank", ((5, 3),), args=(Slot(0),))
        yield Example("ops.MatrixRank", ((5, 3),), {"tol": 1.5}, args=(Slot(0),))
        yield Example("ops.Qr", ((5, 3),), {"mode": "reduced"}, args=(Slot(0),))
        yield Example("ops.Qr", ((3, 3),), {"mode": "complete"}, args=(Slot(0),))
        yield Example("ops.SVD", ((5, 3),), {"compute_uv": False}, args=(Slot(0),))

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """Other spellings."""
        for name in ("det", "inverse", "logdet", "slogdet", "cholesky"):
            yield TorchExample(f"torch.{name}", ((3, 3),), args=(Slot(0),), values="definite")


@dataclass(frozen=True, slots=True)
class Solve(Spec):
    """x in a @ x = b, for matrices b; `triangle` says which half of a counts, where only one does."""

    triangle: str | None = None

    order = Order.WRITTEN
    keras_kinds = "ops.Solve", "ops.SolveTriangular"
    aten_ops = "linalg_solve", "linalg_solve_triangular"

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Sequence[Op]:
        """Which half, and whether b is one vector."""
        if not all(isinstance(layer.argument(place, name), Slot) for place, name in enumerate("ab")):
            raise Unsupported(f"{layer.kind} with a constant", remedy="hold the array in a layer's weight")
        half = None if layer.kind == "ops.Solve" else "lower" if layer.get("lower", False) else "upper"
        ranks = tuple(map(len, layer.inputs))
        return _solved(cls(half), (Slot(0), Slot(1)), ranks[1] if ranks[1] == ranks[0] - 1 else None)

    @classmethod
    def from_torch(cls, call: AtenCall) -> Sequence[Op]:
        """Which half; b must stand on the right of a."""
        a, b = call.get("A", call.get("self")), call["B"]
        if (
            not isinstance(a, Slot)
            or not isinstance(b, Slot)
            or not call.get("left", True)
            or call.get("unitriangular")
        ):
            raise Unsupported(f"{call.op} with left=False or unitriangular=True", remedy="transpose, or set the ones")
        if call.op == "linalg_solve_triangular":
            return _solved(cls("upper" if call["upper"] else "lower"), (a, b), None)
        first, second = call.inputs[a.index], call.inputs[b.index]
        return _solved(cls(), (a, b), len(second) if second == first[:-1] else None)

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The operation."""
        kind, config = "ops.Solve", {}
        if self.triangle is not None:
            kind, config = "ops.SolveTriangular", {"lower": self.triangle == "lower"}
        return KerasLayer(kind, config, inputs=tuple(inputs), args=(Slot(0), Slot(1)))

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """torch.linalg.solve, or solve_triangular."""
        if self.triangle is None:
            return TorchCall("torch.linalg.solve", (Slot(0), Slot(1)))
        options = {"upper": self.triangle == "upper"}
        return TorchCall("torch.linalg.solve_triangular", (Slot(0), Slot(1)), options)

    def out_shape(self, *inputs: Shape) -> Shape:
        """That of b."""
        return inputs[1]

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Matrices and vectors, either half."""
        two = (Slot(0), Slot(1))
        yield Example("ops.Solve", ((3, 3), (3, 2)), args=two, values="definite normal")
        yield Example("ops.Solve", ((3, 3), (3,)), args=two, values="definite normal")
        for lower in (False, True):
            config = {"lower": lower}
            yield Example("ops.SolveTriangular", ((3, 3), (3, 2)), config, args=two, values="definite normal")
        yield Example("ops.SolveTriangular", ((3, 3), (3,)), args=two, values="definite normal")

    @classmethod
    def torch_examples(cls) -> Iterator[TorchExample]:
        """A vector."""
        yield TorchExample("torch.linalg.solve", ((3, 3), (3,)), args=(Slot(0), Slot(1)), values="definite normal")


@dataclass(frozen=True, slots=True)
class CholeskyInverse(Described):
    """The inverse of a matrix by its Cholesky factor, of which the other half counts for nothing."""

    order = Order.WRITTEN
    keras_kinds: ClassVar[tuple[str, ...]] = ("ops.CholeskyInverse",)
    aten_ops: ClassVar[tuple[str, ...]] = ("cholesky_inverse",)

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """Which half it is."""
        return Op(cls("ops.CholeskyInverse", (("upper", bool(layer.get("upper", False))),)))

    @classmethod
    def from_torch(cls, call: AtenCall) -> Op:
        """Which half it is."""
        call.get("self")
        return Op(cls("ops.CholeskyInverse", (("upper", bool(call["upper"])),)))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Either half."""
        for upper in (False, True):
            config = {"upper": upper}
            yield Example("ops.CholeskyInverse", ((3, 3),), config, args=(Slot(0),), values="definite")


def _slogdet(call: AtenCall, *, summed: bool) -> tuple[Op, ...]:
    """The sign of the determinant and the logarithm of its size; `summed`, the logarithm of both."""
    rank = len(call.inputs[0])
    steps = Steps()
    sign = steps.add(Unary("sign"), steps.add(MatrixFunction("det"), Slot(0), name="det"), name="sign")
    steps.add(MatrixFunction("qr", "reduced"), Slot(0), name="qr")
    line = steps.add(Diagonal(rank - 2, rank - 1), Made(len(steps.ops) - 1, 1), name="diagonal")
    sizes = steps.add(Unary("log"), steps.add(Unary("abs"), line, name="sizes"), name="logs")
    total = steps.add(Reduce("sum", (rank - 2,), keepdims=False), sizes, name="size")
    if summed:
        steps.add(Elementwise("add", (Slot(0), Slot(1))), total, steps.add(Unary("log"), sign, name="side"), name="sum")
        return steps.done()
    *ops, last = steps.done()
    return (*ops, replace(last, returns=(sign, total)))


def _solved(spec: Solve, pair: tuple[Taken, Taken], axis: int | None) -> tuple[Op, ...]:
    """A vector is a matrix of one column, along a new last axis."""
    steps = Steps()
    if axis is None:
        steps.add(spec, *pair)
        return steps.done()
    column = steps.add(ExpandDims((axis,)), pair[1], name="column")
    steps.add(Squeeze((axis,)), steps.add(spec, pair[0], column, name="solved"))
    return steps.done()
