"""Hypothesis strategies for the operations of keras.ops: for every class an Example with a drawn configuration.

`STRATEGIES` holds them by class and `GROUPS` by kind of operation; tests/words holds them to the table of rules. No
size is the batch's, 3: Keras on an eager TensorFlow adds a column of one number per sample along another axis.
"""

from collections.abc import Callable, Mapping

from hypothesis import strategies as st

from tests.layers import operation_shapes
from xconv.layers import families
from xconv.spec import Example, Slot

__all__ = ["ELSEWHERE", "GROUPS", "STRATEGIES", "WITHIN", "of"]

sides = st.sampled_from([1, 2, 4, 5])
shapes = st.lists(sides, min_size=0, max_size=3).map(tuple)
ONE, TWO = (Slot(0),), (Slot(0), Slot(1))

ELSEWHERE = (
    *("ops.AffineTransform", "ops.CropImages", "ops.DotProductAttention", "ops.ElasticTransform"),
    *("ops.ExtractPatches", "ops.GaussianBlur", "ops.HSVToRGB", "ops.MapCoordinates", "ops.PadImages"),
    *("ops.PerspectiveTransform", "ops.RGBToGrayscale", "ops.RGBToHSV", "ops.Resize", "ops.SSIM"),
    *("ops.ScaleAndTranslate", "ops.SobelEdges"),
)
"""Operations on pictures, and attention, which have strategies of their own."""

WITHIN = (
    *("ops.BatchNorm", "ops.BroadcastTo", "ops.Conv", "ops.Correlate", "ops.DepthwiseConv", "ops.Full"),
    "ops.SeparableConv",
)
"""Operations on tensors without a batch: test_generated_ops_in_models draws models around them."""

REDUCTIONS = (
    *("All", "Amax", "Amin", "Any", "Logsumexp", "Max", "Mean", "Median", "Min", "Prod", "Ptp", "Std", "Sum", "Var"),
    *("Nanmax", "Nanmean", "Nanmin", "Nanprod", "Nanstd", "Nansum", "Nanvar", "CountNonzero", "Nanmedian"),
)

ALONG = ("Cumsum", "Cumprod", "Nancumsum", "Nancumprod", "Sort", "Argsort")

PLACES = ("Argmax", "Argmin", "Nanargmax", "Nanargmin")


FREE = ("Activation", "Unary", "Cast", "Clip", "Elementwise", "NanToNum", "Where")
"""Families that take any shape."""

ANY_SHAPE = (
    *("AllClose", "Array", "Cbrt", "Conj", "Conjugate", "ConvertToTensor", "Copy", "DivideNoNan", "Fabs", "FullLike"),
    *("Heaviside", "Imag", "Isclose", "Isreal", "Ldexp", "PSNR", "Ravel", "Real", "SaturateCast", "Select", "Size"),
    *("BinaryCrossentropy",),
)
"""Operations of other families that do."""

EQUAL_SHAPES = ("PSNR", "BinaryCrossentropy", "FullLike", "Select")
"""Those that take tensors of one shape alone."""


def elementwise_kinds() -> dict[str, list[Example]]:
    """The examples of every operation that takes any shape."""
    found: dict[str, list[Example]] = {}
    for family in families():
        for example in family.examples():
            free = family.__name__ in FREE or example.kind.removeprefix("ops.") in ANY_SHAPE
            if example.kind.startswith("ops.") and free:
                found.setdefault(example.kind, []).append(example)
    return found


ELEMENTWISE = elementwise_kinds()


@st.composite
def elementwise(draw, kind):
    """One of the examples in another shape; a second tensor may have sizes of 1, or fewer axes."""
    example = draw(st.sampled_from(ELEMENTWISE[kind]))
    shape = draw(shapes)
    inputs = [shape]
    for _ in example.inputs[1:]:
        ones = draw(st.booleans()) and kind.removeprefix("ops.") not in EQUAL_SHAPES
        inputs.append(tuple(1 if ones and draw(st.booleans()) else size for size in shape))
    return Example(
        kind, tuple(inputs), example.config, args=example.args, float64=example.float64, values=example.values
    )


def values_of(kind):
    """What a reduction is fed."""
    if kind in ("All", "Any"):
        return "boolean"
    return "holes" if kind.startswith("Nan") else "integers" if kind == "CountNonzero" else "normal"


@st.composite
def reductions(draw, kind):
    sizes = st.sampled_from([2, 4, 5]) if "td" in kind or "ar" in kind else sides  # a deviation of one number
    shape = draw(st.lists(sizes, min_size=1, max_size=3).map(tuple))
    axes = draw(st.lists(st.integers(1, len(shape)), min_size=1, max_size=len(shape), unique=True))
    known = "edian" in kind
    axis = draw(st.sampled_from([axes, [axes[0] - len(shape) - 1], *([] if known else [None, [0, *axes]])]))
    config = {"axis": axis}
    if kind != "CountNonzero":
        config["keepdims"] = draw(st.booleans())
    return Example(f"ops.{kind}", (shape,), config, args=ONE, values=values_of(kind))


@st.composite
def along(draw, kind):
    shape = draw(st.lists(sides, min_size=1, max_size=3).map(tuple))
    axis = draw(st.none() | st.integers(-len(shape), len(shape)))
    values = "holes" if kind.startswith("Nan") else draw(st.sampled_from(["normal", "integers"]))
    if kind in ("Sort", "Argsort") and axis is None:
        values = "normal"
    return Example(f"ops.{kind}", (shape,), {"axis": axis}, args=ONE, values=values)


@st.composite
def places(draw, kind):
    shape = draw(st.lists(sides, min_size=1, max_size=3).map(tuple))
    config = {"axis": draw(st.integers(-len(shape), len(shape))), "keepdims": draw(st.booleans())}
    return Example(f"ops.{kind}", (shape,), config, args=ONE, values=values_of(kind))


GROUPS: Mapping[str, Mapping[str, Callable[[], st.SearchStrategy[Example]]]] = {
    "elementwise": {kind: lambda kind=kind: elementwise(kind) for kind in ELEMENTWISE},
    "reductions": {f"ops.{kind}": lambda kind=kind: reductions(kind) for kind in REDUCTIONS},
    "along": {
        **{f"ops.{kind}": lambda kind=kind: along(kind) for kind in ALONG},
        **{f"ops.{kind}": lambda kind=kind: places(kind) for kind in PLACES},
    },
    **operation_shapes.GROUPS,
}

STRATEGIES: Mapping[str, Callable[[], st.SearchStrategy[Example]]] = {
    kind: strategy for group in GROUPS.values() for kind, strategy in group.items()
}


def of(group: str) -> st.SearchStrategy[Example]:
    """Examples of all operations of a group in turn."""
    table = GROUPS[group]
    return st.sampled_from(sorted(table)).flatmap(lambda kind: table[kind]())
