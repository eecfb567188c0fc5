"""Operators of complex numbers in real ones; those that move or add up elements do the same to both parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from xconv.errors import Unsupported
from xconv.torch.reading.arithmetic import (
    angle,
    bilinear,
    magnitude,
    minus,
    pair,
    paired,
    plus,
    polar,
    product,
    reciprocal,
    times,
)
from xconv.torch.reading.both_parts import BOTH, of_both
from xconv.torch.reading.parts import Asked, Complex, Operand, Part, real_dtype

__all__ = ["RULES"]

_aten = torch.ops.aten

Rule: TypeAlias = Callable[[Asked], Any]
"""From a call on Complex, Part and numbers to what it gives: Complex, Part, or a sequence of them."""

NEAR = 8
"""As large a power is written as products."""


def _sum(call: Asked) -> Complex:
    """add, sub, rsub; the second times alpha."""
    (ar, ai), (br, bi) = pair(call["self"]), pair(call["other"])
    alpha = call.get("alpha", 1)
    if isinstance(alpha, complex):
        raise Unsupported(f"{call.op} with alpha={alpha}", remedy="multiply first")
    br, bi = product(br, alpha), product(bi, alpha)
    if call.op == "rsub":
        return paired(minus(br, ar), minus(bi, ai))
    join = plus if call.op == "add" else minus
    return paired(join(ar, br), join(ai, bi))


def _divided(call: Asked) -> Complex:
    """By real numbers each part; by complex ones times the reciprocal."""
    if call.get("rounding_mode") is not None:
        raise Unsupported(f"{call.op} of complex numbers, rounded", remedy="round the parts")
    a, b = call["self"], call["other"]
    if isinstance(b, Complex):
        return times(a, reciprocal(b))
    if isinstance(b, complex):
        return times(a, 1 / b)
    real, imaginary = pair(a)
    return paired(real / b, imaginary / b)


def _power(call: Asked) -> Complex:
    """A power by a real number: products where it is whole and small."""
    base, exponent = call["self"], call["exponent"]
    if not isinstance(base, Complex) or not isinstance(exponent, (int, float)):
        remedy = "write it as torch.exp of a product with torch.log"
        raise Unsupported("a power whose exponent is complex, or a tensor", remedy=remedy)
    if not float(exponent).is_integer() or abs(exponent) > NEAR:
        return _rooted(base, float(exponent))
    result: Operand = 1
    for _ in range(abs(int(exponent))):
        result = times(result, base) if isinstance(result, Complex) else base
    if not isinstance(result, Complex):
        return Complex.of(base.real.like(1))
    return reciprocal(result) if exponent < 0 else result


def _rooted(z: Complex, exponent: float) -> Complex:
    """A power of the size, the angle as many times."""
    return polar(magnitude(z).each(_aten.pow.Tensor_Scalar, exponent), angle(z) * exponent)


def _dropped(call: Asked) -> Complex:
    """Dropout: the same places of both parts."""
    z: Complex = call["self"] if "self" in call.arguments else call["input"]
    given = {key: z.real.like(1) if item is z else call[key] for key, item in call.arguments.items()}
    return times(z, call.writer.again(call.target, given))


def _exponential(call: Asked) -> Complex:
    z = call["self"]
    return polar(z.real.each(_aten.exp.default), z.imaginary)


def _logarithm(call: Asked) -> Complex:
    z = call["self"]
    return Complex(magnitude(z).each(_aten.log.default), angle(z))


def _viewed(call: Asked) -> Complex:
    """The last axis of two numbers as one complex number."""
    x = call["self"]
    return Complex(*(x.each(_aten.select.int, -1, place) for place in (0, 1)))


def _transposed(call: Asked) -> Complex:
    """The conjugate with its last two axes exchanged."""
    z: Complex = call["self"]
    return z.each(_aten.transpose.int, -2, -1).conjugate


def _typed(call: Asked) -> Complex | Part:
    """Numbers in another type; of complex ones in a real type the real part stays, as in torch."""
    for key in ("other", "dtype"):
        call.get(key)
    x, dtype = call["self"], call.result.dtype
    wanted = real_dtype(dtype)

    def cast(part: Part) -> Part:
        return part if part.value.dtype == wanted else part.each(_aten.to.dtype, wanted)

    if isinstance(x, Part):
        return Complex.of(cast(x))
    return Complex(cast(x.real), cast(x.imaginary)) if dtype.is_complex else cast(x.real)


def _matrix_product(call: Asked) -> Complex:
    """matmul and its kin, which call their second tensor by several names."""
    given = [call[key] for key in call.arguments]
    first, second, *rest = given
    target = call.target
    if call.op == "vdot":
        first, target = (first.conjugate if isinstance(first, Complex) else first), _aten.dot.default
    return bilinear(lambda x, y: call.writer.part(target, x, y, *rest), first, second)


def _added_product(call: Asked) -> Complex:
    """addmm and its kin: beta times the first and alpha times the product of the others."""
    offset, *factors = [call[key] for key in call.arguments if key not in ("beta", "alpha")]
    made = bilinear(_matmul, *factors)
    pairs = zip(pair(made), pair(offset), strict=True)
    return Complex(*(plus(product(new, call["alpha"]), product(old, call["beta"])) for new, old in pairs))


def _einsum(call: Asked) -> Complex:
    """Of one tensor or two."""
    equation, tensors, path = call["equation"], call["tensors"], call["path"]
    if len(tensors) > 2:
        raise Unsupported("einsum of more than two complex tensors", remedy="take two at a time")
    if len(tensors) == 1:
        return Complex(*(call.writer.part(call.target, equation, [part]) for part in pair(tensors[0])))
    return bilinear(lambda x, y: call.writer.part(call.target, equation, [x, y], path=path), *tensors)


def _linear(call: Asked) -> Complex:
    """A product with the transposed weight, and the bias."""
    x, weight, bias = call["input"], call["weight"], call["bias"]
    made = bilinear(_matmul, x, weight.each(_aten.t.default))
    return made if bias is None else Complex(*map(plus, pair(made), pair(bias)))


def _matmul(a: Part, b: Part) -> Part:
    return a.each(_aten.matmul.default, b)


def _on_magnitude(call: Asked) -> Part:
    """An operator that asks for absolute values alone."""
    named = {key: call[key] for key in call.arguments if key != "self"}
    found: Part = call.writer.again(call.target, {"self": magnitude(call["self"]), **named})
    return found


def _copied(call: Asked) -> Complex:
    """What is written, as large as what it is written over."""
    call.get("non_blocking")
    old, (real, imaginary) = call["self"], pair(call["src"])
    if tuple(real.value.shape) == tuple(old.value.shape):
        return paired(real, imaginary)
    none = Complex.of(old.real.like(0)) if isinstance(old, Complex) else Complex.of(old.like(0))
    return Complex(plus(none.real, real), plus(none.imaginary, imaginary))


def _filled(call: Asked) -> Complex:
    """Tensors of one number."""
    arguments = {key: call[key] for key in call.arguments}
    kept = {key: pair(item)[0] if isinstance(item, (Complex, complex)) else item for key, item in arguments.items()}
    number = arguments.get("fill_value", 0)
    real = call.writer.again(call.target, kept)
    return Complex(real, real.like(number.imag if isinstance(number, complex) else 0))


def _compared(call: Asked) -> Part:
    """Whether both parts are equal, or one of them is not."""
    (ar, ai), (br, bi) = pair(call["self"]), pair(call["other"])
    operator, join = (_aten.eq, _aten.logical_and) if call.op == "eq" else (_aten.ne, _aten.logical_or)

    def compared(a: Any, b: Any) -> Part:
        a, b = (a, b) if isinstance(a, Part) else (b, a)
        return call.writer.part(operator.Tensor if isinstance(b, Part) else operator.Scalar, a, b)

    return call.writer.part(join.default, compared(ar, br), compared(ai, bi))


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(BOTH, of_both),
    **dict.fromkeys(("add", "sub", "subtract", "rsub"), _sum),
    **dict.fromkeys(("mul", "multiply"), lambda call: times(call["self"], call["other"])),
    **dict.fromkeys(("div", "divide", "true_divide"), _divided),
    **dict.fromkeys(("conj", "_conj", "_conj_physical", "conj_physical"), lambda call: call["self"].conjugate),
    **dict.fromkeys(("resolve_conj", "resolve_neg"), lambda call: call["self"]),
    **dict.fromkeys(("mH", "matrix_H", "adjoint"), _transposed),
    **dict.fromkeys(("to", "_to_copy", "type_as", "cfloat", "cdouble"), _typed),
    **dict.fromkeys(
        ("matmul", "mm", "bmm", "mv", "dot", "vdot", "outer", "ger", "inner", "tensordot"), _matrix_product
    ),
    **dict.fromkeys(("addmm", "addmv", "baddbmm"), _added_product),
    **dict.fromkeys(("zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_full", "new_empty"), _filled),
    **dict.fromkeys(("zeros_like", "ones_like", "full_like", "empty_like"), _filled),
    **dict.fromkeys(("dropout", "feature_dropout"), _dropped),
    **dict.fromkeys(("linalg_vector_norm",), _on_magnitude),
    **dict.fromkeys(("eq", "ne"), _compared),
    "abs": lambda call: magnitude(call["self"]),
    "angle": lambda call: angle(call["self"]),
    "copy": _copied,
    "complex": lambda call: paired(call["real"], call["imag"]),
    "einsum": _einsum,
    "exp": _exponential,
    "imag": lambda call: call["self"].imaginary,
    "linear": _linear,
    "log": _logarithm,
    "polar": lambda call: polar(call["abs"], call["angle"]),
    "pow": _power,
    "real": lambda call: call["self"].real,
    "reciprocal": lambda call: reciprocal(call["self"]),
    "sqrt": lambda call: _rooted(call["self"], 0.5),
    "rsqrt": lambda call: _rooted(call["self"], -0.5),
    "square": lambda call: times(call["self"], call["self"]),
    "view_as_complex": _viewed,
    "view_as_real": lambda call: call["self"].as_pairs,
}
"""How each operator is written."""
