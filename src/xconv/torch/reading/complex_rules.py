"""Operators of complex numbers in real ones; those that move or add up elements do the same to both parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch

from xconv.errors import Unsupported
from xconv.torch.reading.parts import Asked, Complex, Operand, Part, real_dtype

__all__ = ["RULES"]

_aten = torch.ops.aten

Rule: TypeAlias = Callable[[Asked], Any]
"""From a call on Complex, Part and numbers to what it gives: Complex, Part, or a sequence of them."""

BOTH = frozenset(
    {"_unsafe_view", "alias", "broadcast_to", "cat", "chunk", "clone", "concat", "concatenate"}
    | {"constant_pad_nd", "contiguous", "copy", "cumsum", "detach", "diag_embed", "diagonal", "expand", "expand_as"}
    | {"flatten", "flip", "fliplr", "flipud", "gather", "index", "index_put", "index_select", "lift_fresh_copy"}
    | {"masked_fill", "mean", "movedim", "mT", "narrow", "neg", "numpy_T", "pad", "permute", "positive", "repeat"}
    | {"repeat_interleave", "reshape", "reshape_as", "roll", "select", "select_scatter", "slice", "slice_scatter"}
    | {"split", "split_with_sizes", "squeeze", "stack", "sum", "swapaxes", "swapdims", "t", "take_along_dim"}
    | {"tensor_split", "tile", "transpose", "tril", "triu", "unbind", "unflatten", "unfold", "unsqueeze", "view"}
    | {"view_as", "where", "_neg_view", "trace"}
)
"""Operators that are the same of both parts."""

VALUES = frozenset({"self", "input", "tensors", "src", "other", "value", "values", "source", "fill_value"})
"""The arguments of such operators that hold elements; a real one has no imaginary part."""

NEAR = 8
"""As large a power is written as products."""


def _pair(item: Operand) -> tuple[Any, Any]:
    """The real and the imaginary part; 0 for that of real numbers."""
    if isinstance(item, Complex):
        return item.real, item.imaginary
    if isinstance(item, Part):
        return item, 0
    whole = item.real
    return (int(whole) if isinstance(item, (bool, int)) else whole), item.imag


def _is_zero(item: Any) -> bool:
    return not isinstance(item, Part) and item == 0


def _plus(a: Any, b: Any) -> Any:
    """A sum, where a number 0 adds nothing."""
    return a if _is_zero(b) else b if _is_zero(a) else a + b


def _minus(a: Any, b: Any) -> Any:
    return a if _is_zero(b) else -b if _is_zero(a) else a - b


def _product(a: Any, b: Any) -> Any:
    """A product, where a number 0 gives none and 1 changes nothing."""
    if _is_zero(a) or _is_zero(b):
        return 0
    for one, other in ((a, b), (b, a)):
        if not isinstance(one, Part) and one == 1:
            return other
    return a * b


def _complex(real: Any, imaginary: Any) -> Complex:
    """A pair of one shape of what may be numbers or broadcast."""
    if not isinstance(real, Part):
        real = imaginary.like(real)
    if not isinstance(imaginary, Part):
        imaginary = real.like(imaginary)
    if tuple(real.value.shape) != tuple(imaginary.value.shape):
        real, imaginary = real + imaginary.like(0), imaginary + real.like(0)
    return Complex(real, imaginary)


def times(a: Operand, b: Operand) -> Complex:
    """The product."""
    (ar, ai), (br, bi) = _pair(a), _pair(b)
    return _complex(_minus(_product(ar, br), _product(ai, bi)), _plus(_product(ar, bi), _product(ai, br)))


def _reciprocal(z: Complex) -> Complex:
    """1 / z, divided by the larger part first, so that no square is too large or too small; no gradient goes there."""
    write = z.real.writer
    sizes = [write.part(_aten.abs.default, part) for part in (z.real, z.imaginary)]
    scale = write.part(_aten.detach.default, write.part(_aten.maximum.default, *sizes))
    real, imaginary = z.real / scale, z.imaginary / scale
    square = (real * real + imaginary * imaginary) * scale
    return Complex(real / square, -imaginary / square)


def _sum(call: Asked) -> Complex:
    """add, sub, rsub; the second times alpha."""
    (ar, ai), (br, bi) = _pair(call["self"]), _pair(call["other"])
    alpha = call.get("alpha", 1)
    if isinstance(alpha, complex):
        raise Unsupported(f"{call.op} with alpha={alpha}", remedy="multiply first")
    br, bi = _product(br, alpha), _product(bi, alpha)
    if call.op == "rsub":
        return _complex(_minus(br, ar), _minus(bi, ai))
    join = _plus if call.op == "add" else _minus
    return _complex(join(ar, br), join(ai, bi))


def _divided(call: Asked) -> Complex:
    """By real numbers each part; by complex ones times the reciprocal."""
    if call.get("rounding_mode") is not None:
        raise Unsupported(f"{call.op} of complex numbers, rounded", remedy="round the parts")
    a, b = call["self"], call["other"]
    if isinstance(b, Complex):
        return times(a, _reciprocal(b))
    if isinstance(b, complex):
        return times(a, 1 / b)
    real, imaginary = _pair(a)
    return _complex(real / b, imaginary / b)


def _power(call: Asked) -> Complex:
    """A small whole power."""
    base, exponent = call["self"], call["exponent"]
    whole = isinstance(exponent, (int, float)) and float(exponent).is_integer() and abs(exponent) <= NEAR
    if not isinstance(base, Complex) or not whole:
        raise Unsupported(
            f"a power of complex numbers that is no whole number up to {NEAR}", remedy="use torch.polar, abs and angle"
        )
    result: Operand = 1
    for _ in range(abs(int(exponent))):
        result = times(result, base) if isinstance(result, Complex) else base
    if not isinstance(result, Complex):
        return Complex.of(base.real.like(1))
    return _reciprocal(result) if exponent < 0 else result


def _magnitude(z: Complex) -> Part:
    """The absolute value."""
    return z.real.writer.part(_aten.hypot.default, z.real, z.imaginary)


def _angle(call: Asked) -> Part:
    """The angle; where both parts are 0 no gradient comes, as in torch."""
    z: Complex = call["self"]
    write = z.real.writer
    nought = [write.part(_aten.eq.Scalar, part, 0) for part in (z.real, z.imaginary)]
    neither = write.part(_aten.logical_and.default, *nought)
    still = z.each(_aten.detach.default)
    pairs = ((still.imaginary, z.imaginary), (still.real, z.real))
    kept = [write.part(_aten.where.self, neither, *pair) for pair in pairs]
    return write.part(_aten.atan2.default, *kept)


def _polar(size: Any, angle: Part) -> Complex:
    write = angle.writer
    waves = (write.part(target, angle) for target in (_aten.cos.default, _aten.sin.default))
    return Complex(*(_product(wave, size) for wave in waves))


def _exponential(call: Asked) -> Complex:
    z = call["self"]
    return _polar(z.real.writer.part(_aten.exp.default, z.real), z.imaginary)


def _logarithm(call: Asked) -> Complex:
    z = call["self"]
    return Complex(z.real.writer.part(_aten.log.default, _magnitude(z)), _angle(call))


def _viewed(call: Asked) -> Complex:
    """The last axis of two numbers as one complex number."""
    x = call["self"]
    return Complex(*(x.writer.part(_aten.select.int, x, -1, place) for place in (0, 1)))


def _written_out(call: Asked) -> Part:
    """The parts as a last axis of two numbers."""
    z: Complex = call["self"]
    return z.real.writer.part(_aten.stack.default, [z.real, z.imaginary], -1)


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
        return part if part.value.dtype == wanted else part.writer.part(_aten.to.dtype, part, wanted)

    if isinstance(x, Part):
        return Complex.of(cast(x))
    return Complex(cast(x.real), cast(x.imaginary)) if dtype.is_complex else cast(x.real)


def _bilinear(product: Callable[[Part, Part], Part], a: Operand, b: Operand) -> Complex:
    """A product of tensors that adds up products of elements."""
    (ar, ai), (br, bi) = _pair(a), _pair(b)

    def of(x: Any, y: Any) -> Any:
        return 0 if _is_zero(x) or _is_zero(y) else product(x, y)

    return _complex(_minus(of(ar, br), of(ai, bi)), _plus(of(ar, bi), of(ai, br)))


def _matrix_product(call: Asked) -> Complex:
    """matmul and its kin, which call their second tensor by several names."""
    given = [call[key] for key in call.arguments]
    first, second, *rest = given
    target = call.target
    if call.op == "vdot":
        first, target = (first.conjugate if isinstance(first, Complex) else first), _aten.dot.default
    return _bilinear(lambda x, y: call.writer.part(target, x, y, *rest), first, second)


def _added_product(call: Asked) -> Complex:
    """addmm and its kin: beta times the first and alpha times the product of the others."""
    offset, *factors = [call[key] for key in call.arguments if key not in ("beta", "alpha")]
    product = _bilinear(lambda x, y: call.writer.part(_aten.matmul.default, x, y), *factors)
    (real, imaginary), (alpha, beta) = _pair(offset), (call["alpha"], call["beta"])
    return Complex(
        _plus(_product(product.real, alpha), _product(real, beta)),
        _plus(_product(product.imaginary, alpha), _product(imaginary, beta)),
    )


def _einsum(call: Asked) -> Complex:
    """Of one tensor or two."""
    equation, tensors, path = call["equation"], call["tensors"], call["path"]
    if len(tensors) > 2:
        raise Unsupported("einsum of more than two complex tensors", remedy="take two at a time")
    if len(tensors) == 1:
        return Complex(*(call.writer.part(call.target, equation, [part]) for part in _pair(tensors[0])))
    return _bilinear(lambda x, y: call.writer.part(call.target, equation, [x, y], path=path), *tensors)


def _linear(call: Asked) -> Complex:
    """A product with the transposed weight, and the bias."""
    x, weight, bias = call["input"], call["weight"], call["bias"]
    turned = weight.each(_aten.t.default) if isinstance(weight, Complex) else call.writer.part(_aten.t.default, weight)
    product = _bilinear(lambda a, b: call.writer.part(_aten.matmul.default, a, b), x, turned)
    if bias is None:
        return product
    real, imaginary = _pair(bias)
    return Complex(_plus(product.real, real), _plus(product.imaginary, imaginary))


def _on_magnitude(call: Asked) -> Part:
    """An operator that asks for absolute values alone."""
    named = {key: call[key] for key in call.arguments if key != "self"}
    found: Part = call.writer.again(call.target, {"self": _magnitude(call["self"]), **named})
    return found


def _filled(call: Asked) -> Complex:
    """Tensors of one number."""
    arguments = {key: call[key] for key in call.arguments}
    kept = {key: _pair(item)[0] if isinstance(item, (Complex, complex)) else item for key, item in arguments.items()}
    number = arguments.get("fill_value", 0)
    real = call.writer.again(call.target, kept)
    return Complex(real, real.like(number.imag if isinstance(number, complex) else 0))


def _compared(call: Asked) -> Part:
    """Whether both parts are equal, or one of them is not."""
    (ar, ai), (br, bi) = _pair(call["self"]), _pair(call["other"])
    operator, join = (_aten.eq, _aten.logical_and) if call.op == "eq" else (_aten.ne, _aten.logical_or)

    def compared(a: Any, b: Any) -> Part:
        a, b = (a, b) if isinstance(a, Part) else (b, a)
        return call.writer.part(operator.Tensor if isinstance(b, Part) else operator.Scalar, a, b)

    return call.writer.part(join.default, compared(ar, br), compared(ai, bi))


def _of_both(call: Asked) -> Any:
    """The operator of both parts: a pair, or a pair for each of several results."""
    given = {key: call[key] for key in call.arguments}
    if call.op == "view" and "dtype" in given:
        raise Unsupported("complex numbers viewed in another type", remedy="use torch.view_as_real, view_as_complex")
    first, second = (call.writer.again(call.target, _side(given, place)) for place in (0, 1))
    if isinstance(first, Part):
        return Complex(first, second)
    return [Complex(*parts) for parts in zip(first, second, strict=True)]


def _side(given: Mapping[str, Any], place: int) -> dict[str, Any]:
    """The arguments for the real or the imaginary part."""

    def of(item: Any) -> Any:
        if isinstance(item, (list, tuple)):
            return [of(part) for part in item]
        if not isinstance(item, (Complex, Part, int, float, complex)):
            return item
        part = _pair(item)[place]
        return item.like(0) if isinstance(item, Part) and place else part

    def kept(item: Any) -> Any:
        return [kept(part) for part in item] if isinstance(item, (list, tuple)) else item

    return {key: of(item) if key in VALUES else kept(item) for key, item in given.items()}


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(BOTH, _of_both),
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
    **dict.fromkeys(("linalg_vector_norm",), _on_magnitude),
    **dict.fromkeys(("eq", "ne"), _compared),
    "abs": lambda call: _magnitude(call["self"]),
    "angle": _angle,
    "complex": lambda call: _complex(call["real"], call["imag"]),
    "einsum": _einsum,
    "exp": _exponential,
    "imag": lambda call: call["self"].imaginary,
    "linear": _linear,
    "log": _logarithm,
    "polar": lambda call: _polar(call["abs"], call["angle"]),
    "pow": _power,
    "real": lambda call: call["self"].real,
    "reciprocal": lambda call: _reciprocal(call["self"]),
    "square": lambda call: times(call["self"], call["self"]),
    "view_as_complex": _viewed,
    "view_as_real": _written_out,
}
"""How each operator is written."""
