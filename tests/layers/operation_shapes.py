"""Hypothesis strategies for operations that look at shapes: arrays, products, matrices, what integers name."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from xconv.spec import Example, Sample, Slot

__all__ = ["GROUPS"]

sides = st.sampled_from([1, 2, 4, 5])
ONE, TWO = (Slot(0),), (Slot(0), Slot(1))
last = "channels_last"


def sized(low, high):
    """As many sizes as that."""
    return st.lists(sides, min_size=low, max_size=high).map(tuple)


@st.composite
def case(draw, kind, shape=None, values="normal", float64=True, args=ONE, **config):
    """One tensor, and options of which each may be a strategy that knows the shape."""
    drawn = draw(sized(1, 3) if shape is None else shape)
    settings = {}
    for key, item in config.items():
        made = item(drawn) if callable(item) else item
        settings[key] = draw(made) if isinstance(made, st.SearchStrategy) else made
    return Example(f"ops.{kind}", (drawn,), settings, args=args, values=values, float64=float64)


@st.composite
def pair(draw, kind, first, second, values="normal", args=TWO, **config):
    """Two tensors; the second's shape, and every option, is a function of the first's."""
    one = draw(first)
    settings = {key: draw(item(one)) if callable(item) else item for key, item in config.items()}
    return Example(f"ops.{kind}", (one, draw(second(one))), settings, args=args, values=values)


def axis_of(shape):
    return st.integers(-len(shape), len(shape)).filter(bool)


def place_of(shape):
    return st.integers(1, len(shape))


def same(shape):
    return st.just(shape)


def fixed(*shape):
    return st.just(shape)


@st.composite
def joins(draw, kind):
    """Two or three tensors; all along one axis of the first."""
    low = {"Dstack": 2, "Hstack": 1}.get(kind, 1)
    shape = draw(sized(low, 3))
    place = {"Dstack": 1, "Hstack": 0}.get(kind)
    shapes = [shape]
    for _ in range(draw(st.integers(1, 2))):
        other = list(shape)
        if place is not None:
            other[place] = draw(sides)
        shapes.append(tuple(other))
    return Example(f"ops.{kind}", tuple(shapes), args=([Slot(i) for i in range(len(shapes))],))


@st.composite
def splits(draw, kind, low, axis):
    shape = draw(sized(low, 3))
    size = draw(st.integers(4, 9))
    shape = (*shape[: axis - 1], size, *shape[axis:])
    parts = draw(st.sampled_from([n for n in (2, 3) if size % n == 0 or kind == "ArraySplit"] or [1]))
    cuts = sorted(draw(st.sets(st.integers(1, size - 1), min_size=1, max_size=3)))
    config = {"indices_or_sections": parts if kind == "ArraySplit" else draw(st.sampled_from([parts, cuts]))}
    config |= {"axis": axis} if kind in ("ArraySplit", "Split") else {}
    return Example(f"ops.{kind}", (shape,), config, args=ONE)


@st.composite
def crosses(draw):
    sizes = draw(st.sampled_from([(3, 3), (2, 3), (3, 2), (2, 2)]))
    rest = draw(sides)
    return Example("ops.Cross", tuple((rest, size) for size in sizes), {"axis": -1}, args=TWO)


@st.composite
def tensordots(draw):
    shared = draw(sized(1, 2))
    one, other = draw(sized(0, 1)), draw(sized(0, 1))
    first, second = (*one, *shared), (*shared, *other)
    axes = [list(range(len(one) + 1, len(first) + 1)), list(range(1, len(shared) + 1))]
    return Example("ops.Tensordot", (first, second), {"axes": axes}, args=TWO)


@st.composite
def slices(draw, kind):
    shape = draw(sized(1, 3))
    starts = tuple(draw(st.integers(0, size - 1)) for size in shape)
    sizes = tuple(draw(st.integers(1, size - start)) for size, start in zip(shape, starts, strict=True))
    if kind == "Slice":
        return Example("ops.Slice", (shape,), {"shape": (3, *sizes)}, args=(Slot(0), (0, *starts)))
    args = (Slot(0), (0, *starts), Slot(1))
    return Example("ops.SliceUpdate", (shape, sizes), args=args, values="integers")


@st.composite
def blocks(draw, kind):
    block, first = draw(st.integers(2, 3)), draw(st.booleans())
    height, width, depth = (draw(st.integers(1, 3)) for _ in range(3))
    shape = (height, width, depth * block**2)
    shape = (height * block, width * block, depth) if kind == "SpaceToDepth" else shape
    shape = (shape[2], *shape[:2]) if first else shape
    config = {"block_size": block, "data_format": "channels_first" if first else last}
    return Example(f"ops.{kind}", (shape,), config, args=ONE)


@st.composite
def turns(draw):
    size = draw(sides)
    axes = draw(st.sampled_from([(1, 2), (2, 1), (-1, 1), (1, 3)]))
    return Example("ops.Rot90", ((size, size, size),), {"k": draw(st.integers(-2, 5)), "axes": axes}, args=ONE)


@st.composite
def windows(draw, kind):
    size = draw(st.integers(4, 9))
    if kind == "ExtractSequences":
        config = {"sequence_length": draw(st.integers(1, 4)), "sequence_stride": draw(st.integers(1, 5))}
        return Example("ops.ExtractSequences", ((2, size),), config, args=ONE)
    config = {
        "kernel_size": draw(st.integers(1, 3)),
        "stride": draw(st.integers(1, 3)),
        "padding": draw(st.integers(0, 1)),
    }
    return Example("ops.Unfold", ((2, size, size - 1),), config, args=ONE)


@st.composite
def folds(draw):
    kernel, height, width = draw(st.integers(1, 3)), draw(st.integers(3, 5)), draw(st.integers(3, 5))
    count = (height - kernel + 1) * (width - kernel + 1)
    config = {"output_size": (height, width), "kernel_size": kernel}
    return Example("ops.Fold", ((2 * kernel**2, count),), config, args=ONE)


@st.composite
def spectra(draw, kind):
    size = draw(st.integers(4, 9))
    if kind in ("STFT", "ISTFT"):
        length = draw(st.integers(2, 6))
        config = {"sequence_length": length, "sequence_stride": draw(st.integers(1, length // 2))}
        config |= {"fft_length": 2 * ((length + 1) // 2) + draw(st.sampled_from([0, 2]))}
        config |= {"window": draw(st.sampled_from(["hamming", None])), "center": draw(st.booleans())}
        if kind == "STFT":
            return Example("ops.STFT", ((2, 20),), config, args=ONE)
        shape = (12, config["fft_length"] // 2 + 1)
        return Example("ops.ISTFT", (shape, shape), config, args=(TWO,))
    config = {"fft_length": draw(st.sampled_from([None, 2 * size]))} if "RFFT" in kind else {}
    shape = (draw(st.integers(2, 5)), size)
    return Example(
        f"ops.{kind}", (shape,) * (1 if kind == "RFFT" else 2), config, args=ONE if kind == "RFFT" else (TWO,)
    )


@st.composite
def losses(draw, kind):
    classes, logits = draw(st.integers(4, 6)), draw(st.booleans()) and kind != "CategoricalCrossentropy"
    shape = draw(sized(0, 2))
    values = "positive" if kind == "CategoricalCrossentropy" else "integers positive"
    first = (*shape, classes) if kind == "CategoricalCrossentropy" else shape
    return Example(f"ops.{kind}", (first, (*shape, classes)), {"from_logits": logits}, args=TWO, values=values)


@st.composite
def keys(draw):
    """Slices, places and new axes."""
    shape = draw(sized(1, 3))
    items = []
    for size in shape:
        start = draw(st.integers(0, size - 1))
        cut = slice(start, draw(st.none() | st.integers(start + 1, size)), draw(st.sampled_from([None, 1, 2])))
        items.append(draw(st.sampled_from([slice(None), cut, start, -1])))
        items += draw(st.sampled_from([[], [], [None]]))
    return Example("ops.GetItem", (shape,), args=(Slot(0), (slice(None), *items)))


@st.composite
def pads(draw):
    """Before and after along every axis but the batch; less than there is where the border is mirrored."""
    shape = draw(st.lists(st.integers(4, 5), min_size=1, max_size=3).map(tuple))
    widths = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in shape)
    mode = draw(st.sampled_from(["constant", "reflect"])) if len(shape) > 1 else "constant"
    if mode == "reflect":  # xconv mirrors one axis at a time
        widths = (widths[0], *((0, 0) for _ in shape[1:]))
    return Example("ops.Pad", (shape,), {"pad_width": ((0, 0), *widths), "mode": mode}, args=ONE)


@st.composite
def norms(draw, kind):
    """Normalisation over the last axis."""
    config = {"axis": -1, "epsilon": 0.125}
    args = (Slot(0), None, None)[: 2 + (kind == "LayerNorm")]
    return Example(f"ops.{kind}", (draw(sized(0, 2).map(lambda s: (*s, 5))),), config, args=args)


@st.composite
def case2(draw, kind, first, second, values, **config):
    """Two tensors of these shapes."""
    settings = {key: draw(item) for key, item in config.items()}
    return Example(f"ops.{kind}", (first, second), settings, args=TWO, values=values)


@st.composite
def sums(draw):
    """Products by subscripts."""
    text = draw(st.sampled_from(["bij,bjk->bik", "bij,bkj->bki", "bij,bij->b", "bij,bjk->bi", "bij,bjk->bkji"]))
    i, j, k = draw(sides), draw(sides), draw(sides)
    sizes = {"i": i, "j": j, "k": k}
    shapes = tuple(tuple(sizes[letter] for letter in part[1:]) for part in text.partition("->")[0].split(","))
    return Example("ops.Einsum", shapes, {"subscripts": text}, args=TWO)


@st.composite
def updates(draw):
    """Numbers added, multiplied or the largest at places along the first axes."""
    reduction = draw(st.sampled_from(["add", "max", "min", "mul"]))
    count = draw(st.integers(1, 3))
    shape, rest = (2, 4), (2, 4)[count - 1 :]
    values = "integers bits integers"
    return Example(
        "ops.ScatterUpdate", (shape, (count,), rest), {"reduction": reduction}, args=(*TWO, Slot(2)), values=values
    )


def matrices(kind, values="definite", **config):
    square = st.tuples(sides, st.integers(2, 4)).map(lambda pair: (pair[0], pair[1], pair[1]))
    tall = st.tuples(sides, st.just(5), st.integers(2, 4))
    return lambda: case(kind, tall if values == "normal" else square, values, **config)


flags = st.booleans()

ARRAYS = {
    "Append": lambda: pair("Append", sized(1, 3), same, axis=lambda s: st.none() | axis_of(s)),
    "ArraySplit": lambda: splits("ArraySplit", 1, 1),
    "Average": lambda: case("Average", axis=lambda s: st.none() | axis_of(s)),
    "Concatenate": lambda: joins("Concatenate"),
    "DepthToSpace": lambda: blocks("DepthToSpace"),
    "Diag": lambda: case("Diag", fixed(), k=st.integers(-2, 2)),
    "Diagflat": lambda: case("Diagflat", k=st.integers(-2, 2)),
    "Diagonal": lambda: case("Diagonal", fixed(4, 5, 2), offset=st.integers(-3, 4), axis1=1, axis2=2),
    "Diff": lambda: case("Diff", st.tuples(st.integers(4, 6), st.integers(4, 6)), n=st.integers(0, 2), axis=axis_of),
    "Dsplit": lambda: splits("Dsplit", 2, 2),
    "Dstack": lambda: joins("Dstack"),
    "Digitize": lambda: st.builds(
        lambda shape, bins: Example("ops.Digitize", (shape,), args=(Slot(0), np.array(sorted(bins)))),
        sized(0, 2),
        st.sets(st.integers(-4, 4).map(lambda n: n / 4), min_size=1, max_size=4),
    ),
    "ExpandDims": lambda: case("ExpandDims", axis=place_of),
    "ExtractSequences": lambda: windows("ExtractSequences"),
    "Flip": lambda: case("Flip", axis=lambda s: st.none() | axis_of(s)),
    "Fliplr": lambda: case("Fliplr"),
    "Flipud": lambda: case("Flipud"),
    "Fold": folds,
    "Hsplit": lambda: splits("Hsplit", 1, 1),
    "Hstack": lambda: joins("Hstack"),
    "Meshgrid": lambda: pair("Meshgrid", fixed(), same, indexing=lambda s: st.sampled_from(["xy", "ij"])),
    "Moments": lambda: case("Moments", axes=lambda s: axis_of(s).map(lambda axis: [axis]), keepdims=flags),
    "Moveaxis": lambda: case("Moveaxis", source=axis_of, destination=axis_of),
    "GetItem": keys,
    "Pad": pads,
    "Reshape": lambda: case(
        "Reshape", fixed(4, 6), newshape=st.sampled_from([(-1, 24), (-1, 6, 4), (-1, 2, 2, 6), (-1, 3, 8)])
    ),
    "Repeat": lambda: case("Repeat", repeats=st.integers(1, 3), axis=lambda s: st.none() | axis_of(s)),
    "Roll": lambda: case("Roll", shift=st.integers(-3, 3), axis=lambda s: st.none() | axis_of(s)),
    "Rot90": turns,
    "Slice": lambda: slices("Slice"),
    "SliceUpdate": lambda: slices("SliceUpdate"),
    "SpaceToDepth": lambda: blocks("SpaceToDepth"),
    "Split": lambda: splits("Split", 1, 1),
    "Squeeze": lambda: case("Squeeze", sized(0, 2).map(lambda s: (1, *s)), axis=st.sampled_from([1, None])),
    "Stack": lambda: joins("Stack"),
    "Take": lambda: st.builds(
        lambda shape, places: Example("ops.Take", ((5, *shape),), {"axis": 1}, args=(Slot(0), places)),
        sized(0, 2),
        st.lists(st.integers(0, 4), min_size=1, max_size=6),
    ),
    "TakeAlongAxis": lambda: case2("TakeAlongAxis", (4, 5), (4, 5), "normal integers", axis=st.integers(1, 2)),
    "TopK": lambda: case("TopK", sized(0, 1).map(lambda s: (*s, 5)), k=st.integers(1, 5), sorted=True),
    "Swapaxes": lambda: case("Swapaxes", axis1=axis_of, axis2=axis_of),
    "Tile": lambda: case("Tile", repeats=lambda s: st.tuples(*[st.integers(1, 3)] * len(s))),
    "Transpose": lambda: case("Transpose", axes=lambda s: st.permutations(range(1, len(s) + 1)).map(lambda p: (0, *p))),
    "Trapezoid": lambda: case("Trapezoid", st.tuples(st.integers(4, 6), st.integers(4, 6)), axis=place_of, dx=0.5),
    "Tril": lambda: case("Tril", sized(2, 3), k=st.integers(-2, 2)),
    "Triu": lambda: case("Triu", sized(2, 3), k=st.integers(-2, 2)),
    "Unfold": lambda: windows("Unfold"),
    "Unstack": lambda: case("Unstack", axis=place_of),
    "Vsplit": lambda: splits("Vsplit", 2, 1).map(lambda drawn: replace(drawn, args=(Sample(0),))),
    "Vstack": lambda: joins("Vstack"),
}

PRODUCTS = {
    "CDist": lambda: pair("CDist", sized(2, 2), lambda s: st.tuples(sides, st.just(s[-1]))),
    "Corrcoef": lambda: case("Corrcoef", st.tuples(st.integers(4, 7))),
    "Cross": crosses,
    "Dot": lambda: pair("Dot", sized(1, 2), lambda s: st.tuples(st.just(s[-1]), sides)),
    "Einsum": sums,
    "Inner": lambda: pair("Inner", sized(1, 2), lambda s: st.tuples(sides, st.just(s[-1]))),
    "Kron": lambda: pair("Kron", sized(1, 1), lambda s: sized(1, 1)),
    "Matmul": lambda: pair("Matmul", sized(2, 2), lambda s: st.tuples(st.just(s[-1]), sides)),
    "Outer": lambda: pair("Outer", sized(0, 2), lambda s: sized(0, 2)),
    "Tensordot": tensordots,
    "Trace": lambda: case("Trace", fixed(4, 5), offset=st.integers(-3, 4), axis1=1, axis2=-1),
    "Vdot": lambda: pair("Vdot", sized(0, 2), same),
}

MATRICES = {
    "Cholesky": matrices("Cholesky", upper=flags),
    "CholeskyInverse": matrices("CholeskyInverse", upper=flags),
    "Det": matrices("Det"),
    "Inv": matrices("Inv"),
    "Logdet": matrices("Logdet"),
    "MatrixRank": matrices("MatrixRank", "normal"),
    "Norm": lambda: case("Norm", ord=st.sampled_from([None, 1, 2, 3, float("inf")]), axis=axis_of, keepdims=flags),
    "Pinv": matrices("Pinv", "normal"),
    "Qr": matrices("Qr", "normal"),
    "SVD": matrices("SVD", "normal", compute_uv=False),
    "Solve": lambda: pair("Solve", fixed(4, 4), lambda s: st.sampled_from([(4, 2), (4,)]), "definite normal"),
    "SolveTriangular": lambda: pair(
        "SolveTriangular", fixed(4, 4), lambda s: fixed(4, 2), "definite normal", lower=lambda s: flags
    ),
    **{kind: lambda kind=kind: spectra(kind) for kind in ("FFT", "FFT2", "IFFT2", "IRFFT", "ISTFT", "RFFT", "STFT")},
}

NAMED = {
    "CategoricalCrossentropy": lambda: losses("CategoricalCrossentropy"),
    "InTopK": lambda: st.builds(
        lambda k: Example("ops.InTopK", ((), (6,)), {"k": k}, args=TWO, values="integers normal", float64=False),
        st.integers(1, 6),
    ),
    "MultiHot": lambda: case("MultiHot", sized(1, 2), "integers", num_classes=st.integers(1, 6), dtype="float32"),
    "OneHot": lambda: case(
        "OneHot", sized(1, 2), "integers", num_classes=st.integers(1, 6), axis=st.sampled_from([-1, 0, 1])
    ),
    "SparseCategoricalCrossentropy": lambda: losses("SparseCategoricalCrossentropy"),
    "Sparsemax": lambda: case("Sparsemax", axis=axis_of),
    **{
        f"Segment{word}": lambda word=word: pair(
            f"Segment{word}",
            sized(1, 2),
            lambda s: fixed(),
            "normal integers",
            num_segments=lambda s: st.integers(4, 6),
        )
        for word in ("Max", "Min", "Prod", "Sum")
    },
    "LayerNorm": lambda: norms("LayerNorm"),
    "RMSNorm": lambda: norms("RMSNorm"),
    "Normalize": lambda: case("Normalize", st.tuples(*[st.sampled_from([2, 4, 5])] * 2), axis=axis_of, order=2),
    "ScatterUpdate": updates,
    "Scatter": lambda: pair("Scatter", fixed(2), lambda s: fixed(), "integers normal", shape=lambda s: fixed(4, 5)),
    "SearchSorted": lambda: pair("SearchSorted", fixed(), same, side=lambda s: st.sampled_from(["left", "right"])),
    "Glu": lambda: case("Glu", sized(0, 2).map(lambda s: (*s, 4))),
    "LogSoftmax": lambda: case("LogSoftmax", axis=axis_of),
    "Softmax": lambda: case("Softmax", axis=axis_of),
    "IsIn": lambda: pair("IsIn", sized(0, 2), lambda s: sized(0, 1), "integers", invert=lambda s: flags),
    "Linspace": lambda: pair("Linspace", sized(0, 2), same, num=lambda s: st.integers(1, 6), endpoint=lambda s: flags),
    "Logspace": lambda: pair("Logspace", sized(0, 2), same, num=lambda s: st.integers(1, 4), base=2),
    "Geomspace": lambda: pair("Geomspace", sized(0, 2), same, "positive", num=lambda s: st.integers(1, 4)),
    "UnravelIndex": lambda: st.builds(
        lambda shape: Example("ops.UnravelIndex", ((),), {"shape": shape}, args=ONE, values="integers"),
        st.tuples(sides, sides, sides),
    ),
    "Vander": lambda: case("Vander", fixed(), N=st.integers(1, 4), increasing=flags),
    **{
        kind: lambda kind=kind: case(
            kind, args=(Slot(0), 0.375 if "uant" in kind else 35.0), axis=lambda s: axis_of(s).map(lambda a: [a])
        )
        for kind in ("Nanpercentile", "Nanquantile", "Percentile", "Quantile")
    },
}

WINDOWS = {
    kind: lambda kind=kind: case(
        kind,
        st.tuples(st.integers(4, 9), st.integers(4, 9), sides),
        pool_size=st.integers(1, 3),
        strides=st.integers(1, 3),
        padding=st.sampled_from(["valid", "same"]),
        data_format=last,
    )
    for kind in ("AveragePool", "MaxPool")
}

GROUPS = {
    name: {f"ops.{kind}": strategy for kind, strategy in table.items()}
    for name, table in (
        ("arrays", ARRAYS),
        ("products", PRODUCTS),
        ("matrices", MATRICES),
        ("named", NAMED),
        ("windows", WINDOWS),
    )
}
