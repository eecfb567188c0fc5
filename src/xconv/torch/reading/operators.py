"""ATen operators: what they are called, which of them do nothing, fill or rearrange, and what one call is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx

from xconv.spec import Shape
from xconv.torch.reading.in_place import VIEWS
from xconv.torch.reading.sizes import exact, size_of

__all__ = [
    "ASSERTIONS",
    "COPIES",
    "FACTORIES",
    "FILLS",
    "NOTHING",
    "NO_EFFECT",
    "REARRANGED",
    "REMEDIES",
    "RESHAPES",
    "arguments_of",
    "changes_nothing",
    "draws",
    "is_written",
    "made_by_factory",
    "operator_of",
]

NOTHING = frozenset({"alias", "clone", "contiguous", "lift_fresh_copy", "detach_", "positive", "lift_fresh"})
"""Operators that give their input back."""

COPIES = frozenset({"clone", "lift_fresh_copy"})
"""Those of them whose result has memory of its own."""

_COUNTED = (
    "as many results as the values say: no Keras model has such a shape; keep all places, and choose by torch.where"
)

_GAMMA = (
    *("digamma", "lgamma", "mvlgamma", "polygamma", "special_digamma", "special_gammainc", "special_gammaincc"),
    *("igamma", "igammac", "special_gammaln", "special_multigammaln", "special_polygamma", "special_psi"),
    "special_zeta",
)
_BESSEL = (
    *("special_bessel_j0", "special_bessel_j1", "special_bessel_y0", "special_bessel_y1", "special_i0e", "special_i1"),
    *("special_i1e", "special_modified_bessel_i0", "special_modified_bessel_i1", "special_modified_bessel_k0"),
    *("special_modified_bessel_k1", "special_spherical_bessel_j0", "special_airy_ai"),
)
_REGIONS = "its regions are drawn at random at every call, in inference too: use nn.AdaptiveMaxPool2d or 3d"
_SYMMETRIC = (
    "Keras gives vectors beside the values, whose signs no definition settles, and TensorFlow's gradient goes to one "
    "triangle: use torch.linalg.svdvals, which are the values of positive matrices, the largest first"
)

REMEDIES = {
    **dict.fromkeys(("argwhere", "masked_select", "nonzero"), _COUNTED),
    **dict.fromkeys(("_unique", "_unique2", "unique_consecutive", "unique_dim"), _COUNTED),
    "bincount": "as many counts as the largest number says: sum F.one_hot(numbers, num_classes) instead",
    "equal": "a network cannot be one or another by its values: use torch.eq and torch.where",
    "histc": "Keras has no histogram: compare with the bounds of the bins, and sum",
    "item": "a number that is known only at run time: keep it a tensor",
    "nonzero_static": "places are counted through the whole batch: choose by torch.where, or by torch.topk of a mask",
    "put": "its numbers count through the whole batch: use Tensor.scatter or x[..., numbers] = y",
    "embedding_bag": "give nn.EmbeddingBag bags of one length, as (batch, length), without offsets",
    "embedding_renorm": "Keras has no max_norm: bring the table to it once (weight.renorm_), then build it without",
    **dict.fromkeys(_GAMMA, "Keras has no gamma function and none of its kin: leave it out of the network"),
    **dict.fromkeys(_BESSEL, "of Bessel's functions Keras has i0 alone: leave it out of the network"),
    **dict.fromkeys(("fractional_max_pool2d", "fractional_max_pool3d"), _REGIONS),
    **dict.fromkeys(("matrix_exp", "linalg_matrix_exp"), "Keras has no exponential of a matrix: sum up its powers"),
    **dict.fromkeys(("linalg_eigh", "linalg_eigvalsh"), _SYMMETRIC),
    "linalg_householder_product": "give it parameters alone, or multiply the reflections",
    "special_erfcx": "Keras has no scaled function of it: torch.exp(x * x) * torch.erfc(x), while x is small",
    "special_log_ndtr": "Keras has no function of it: torch.log(torch.special.ndtr(x)), while x is not far below 0",
    "special_ndtri": "write 2**0.5 * torch.erfinv(2 * x - 1)",
    "mode": "which of equal numbers it names is not defined: use torch.sort, or F.one_hot for counts",
    "pdist": "it takes the batch for its rows: use torch.cdist within each sample, and pick the pairs",
}
"""What to do instead of operators that no rule reads."""

SAME_SHAPED = frozenset(
    {"_to_copy", "expand", "expand_as", "flatten", "float", "reshape", "reshape_as", "squeeze", "to", "type_as"}
    | {"view", "view_as"}
)
"""Operators that give their input back where its shape and dtype stay the same."""

ASSERTIONS = frozenset({"_assert_tensor_metadata", "_assert_scalar", "_assert_async", "sym_constrain_range_for_size"})
"""Operators that give nothing."""

NO_EFFECT = frozenset(
    {"cudnn_enabled", "cudnn_enable", "memory_format", "non_blocking", "copy", "layout", "device", "pin_memory"}
    | {"train", "requires_grad"}
)
"""Arguments without effect on the numbers in inference; `train` is what the layer is in later."""

FILLS = frozenset(
    {"add", "div", "eq", "fill", "ge", "gt", "le", "logical_not", "lt", "mul", "ne", "neg", "sub", "zero"}
)
"""Operators that give one number everywhere where their operands are one number everywhere."""

RESHAPES = frozenset({"_to_copy", "broadcast_to", "expand", "expand_as", "select", "slice", "to", "type_as"})
"""Operators that change neither the number that fills a tensor nor anything else but its sizes and dtype."""

REARRANGED = frozenset(
    {"flatten", "movedim", "permute", "reshape", "squeeze", "swapaxes", "t", "transpose", "unflatten", "unsqueeze"}
    | {"adjoint", "mH", "mT", "view", "_unsafe_view", "numpy_T"}
)
"""Operators that only rearrange."""

FACTORIES: Mapping[str, Callable[[Mapping[str, Any]], float | None]] = {
    "arange": lambda given: None,
    "empty_like": lambda given: 0.0,
    "full": lambda given: given["fill_value"],
    "full_like": lambda given: given["fill_value"],
    "new_empty": lambda given: 0.0,
    "new_full": lambda given: given["fill_value"],
    "new_ones": lambda given: 1.0,
    "new_zeros": lambda given: 0.0,
    "ones": lambda given: 1.0,
    "ones_like": lambda given: 1.0,
    "scalar_tensor": lambda given: given["s"],
    "zeros": lambda given: 0.0,
    "zeros_like": lambda given: 0.0,
}
"""Operators whose result depends on the size of their input at most, with the number that fills it, if it is one."""


def operator_of(target: Any) -> tuple[str, bool]:
    """The operator without overload and underscore, and whether it writes in place.

    >>> operator_of(torch.ops.aten.relu_.default), operator_of(torch.ops.aten.add.Tensor)
    (('relu', True), ('add', False))
    """
    schema = getattr(target, "_schema", None)
    if schema is None:
        return getattr(target, "__name__", str(target)), False
    name = schema.name.partition("::")[2]
    mutates = bool(schema.is_mutable)
    return (name.removesuffix("_") if mutates and not name.startswith("_") else name), mutates


def arguments_of(node: fx.Node) -> dict[str, Any]:
    """The arguments of a call under the schema's names, defaults filled in, fx nodes as they are."""
    schema = node.target._schema.arguments if hasattr(node.target, "_schema") else ()
    given = {argument.name: argument.default_value for argument in schema}
    given.update((argument.name, item) for argument, item in zip(schema, node.args, strict=False))
    given.update((argument.name, node.kwargs[argument.name]) for argument in schema if argument.name in node.kwargs)
    return given


def draws(node: fx.Node) -> bool:
    """Whether a call draws random numbers; a layer that does in training alone does not where it says so."""
    given = arguments_of(node)
    trains = given.get("train", given.get("training", True))
    return bool(trains) and torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def is_written(node: fx.Node) -> bool:
    """Whether a tensor, or a view of it, is written to later."""
    for user in node.users:
        name, mutates = operator_of(user.target)
        if user.args and user.args[0] is node and (mutates or (name in VIEWS and is_written(user))):
            return True
    return False


def made_by_factory(node: fx.Node, shape: Shape, number: float | None) -> torch.Tensor:
    """The tensor that a factory makes where its shape is known: one number everywhere, or what torch gives."""
    if number is not None:
        return torch.full(shape, number, dtype=node.meta["val"].dtype)  # type: ignore[arg-type]
    args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda item: size_of(item.meta["val"]))
    result: torch.Tensor = node.target(*args, **{**kwargs, "device": "cpu"})  # type: ignore[operator]
    return result


def changes_nothing(name: str, arguments: Mapping[str, Any], node: fx.Node) -> bool:
    """Whether a call gives its input back: an operator that does, or one that does for these arguments."""
    if name in NOTHING:
        return True
    value = node.meta["val"]
    if not isinstance(value, torch.Tensor) or not node.all_input_nodes:
        return False
    before = node.all_input_nodes[0].meta.get("val")
    if not isinstance(before, torch.Tensor) or before.dtype != value.dtype or exact(before) != exact(value):
        return False
    match name:
        case "dropout" | "feature_dropout" | "alpha_dropout" | "feature_alpha_dropout":
            return bool(arguments["p"] == 0)
        case "pad" | "constant_pad_nd":
            return not any(arguments["pad"])
        case "slice":
            return bool(arguments["step"] == 1)
    return name in SAME_SHAPED
