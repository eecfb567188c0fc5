"""Classes of Keras that xconv does not convert, each with its reason: no other framework has what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["REFUSED", "Refusal"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a class is not converted, and what to do instead."""

    reason: str
    remedy: str


_STRINGS = "torch has no tensors of strings"
_COMPLEX = "complex numbers, which no graph of xconv holds"
_CODE = "it runs a Python function, which the graph holds as code"
_VALUES = "the shape of its result depends on values"
_FOREIGN = "replace it with layers or operations of Keras, or convert the parts before and after it"

REFUSED: Mapping[str, Refusal] = {
    "Equalization": Refusal(
        "Keras 3.15 leaves it out of every model without a word: its symbolic result is what it is given",
        "remove it, and make histograms even in the data",
    ),
    "FlaxLayer": Refusal("it runs JAX code", _FOREIGN),
    "JaxLayer": Refusal("it runs JAX code", _FOREIGN),
    "Lambda": Refusal("a file holds its Python code, which xconv never runs", "give the live model"),
    "MaxNumBoundingBoxes": Refusal(
        "it takes a dictionary of pictures and boxes and changes the boxes alone",
        "remove it, and pad the boxes in the data",
    ),
    "StringLookup": Refusal(_STRINGS, "look the words up before the model, and let it take their places"),
    "TFSMLayer": Refusal("it runs a TensorFlow SavedModel", _FOREIGN),
    "TextVectorization": Refusal(
        _STRINGS, "call it before the model, and let the model take the numbers that it gives"
    ),
    "TorchModuleWrapper": Refusal("it already wraps a torch module", "take its `module`"),
    "Wrapper": Refusal("it is the base of other layers and computes nothing", "use the layer that it wraps"),
    "ops.AdaptiveAveragePool": Refusal(
        "Keras 3.15 states a wrong shape for it in a graph", "use the layer AdaptiveAveragePooling1D, 2D or 3D"
    ),
    "ops.AdaptiveMaxPool": Refusal(
        "Keras 3.15 states a wrong shape for it in a graph", "use the layer AdaptiveMaxPooling1D, 2D or 3D"
    ),
    "ops.Arange": Refusal(_VALUES, "give keras.ops.arange numbers, or use keras.ops.linspace"),
    "ops.Argpartition": Refusal("which of the places it gives first is not defined", "use keras.ops.argsort or top_k"),
    "ops.AssociativeScan": Refusal(_CODE, "use keras.ops.cumsum or cumprod, or write the steps out"),
    "ops.Bincount": Refusal(_VALUES, "sum up keras.ops.one_hot"),
    "ops.CTCDecode": Refusal("torch has no decoder of CTC", "take the network's outputs, and decode them outside"),
    "ops.CTCLoss": Refusal(
        "it belongs to the training; torch.nn.CTCLoss takes its arguments in another form",
        "leave the loss out of the graph",
    ),
    "ops.Cond": Refusal(_CODE, "compute both branches, and choose with keras.ops.where"),
    "ops.ConvTranspose": Refusal(
        "a transposed convolution by a kernel that the network computes", "use the layer Conv1DTranspose, 2D or 3D"
    ),
    "ops.Eig": Refusal(_COMPLEX, "use matrices that are symmetric, and their singular values"),
    "ops.Eigh": Refusal(
        "the signs of eigenvectors are settled by no definition", "use keras.ops.svd with compute_uv=False"
    ),
    "ops.ForiLoop": Refusal(_CODE, "write the steps out"),
    "ops.Histogram": Refusal("Keras 3.15 cannot run it in a graph", "count with keras.ops.digitize and one_hot"),
    "ops.JVP": Refusal(_CODE, "leave derivatives out of the graph"),
    "ops.Lstsq": Refusal("it takes one matrix, whose rows would be the batch", "multiply with keras.ops.pinv"),
    "ops.LuFactor": Refusal(
        "the backends of Keras number its pivots in unlike ways", "use keras.ops.solve, inv or det"
    ),
    "ops.Map": Refusal(_CODE, "write the function over the whole batch"),
    "ops.Ndim": Refusal("it gives a number of Python, not a tensor", "use the rank of the symbolic tensor"),
    "ops.Nonzero": Refusal(_VALUES, "use keras.ops.where with three arguments"),
    "ops.Polar": Refusal(_COMPLEX, "keep cosine and sine apart"),
    "ops.Scan": Refusal(_CODE, "use a recurrent layer, or write the steps out"),
    "ops.SegmentReduction": Refusal(
        "it is the base of other operations", "use keras.ops.segment_sum, max, min or prod"
    ),
    "ops.Slogdet": Refusal("Keras 3.15 states wrong shapes for it in a graph", "use keras.ops.det or logdet"),
    "ops.Switch": Refusal(_CODE, "compute the branches, and choose with keras.ops.select"),
    "ops.Unique": Refusal(_VALUES, "find them outside of the network"),
    "ops.VectorizedMap": Refusal(_CODE, "write the function over the whole batch"),
    "ops.View": Refusal("it reads the bits of one dtype as another's", "use keras.ops.cast"),
    "ops.ViewAsComplex": Refusal(_COMPLEX, "keep the real and the imaginary part apart"),
    "ops.ViewAsReal": Refusal(_COMPLEX, "keep the real and the imaginary part apart"),
    "ops.WhileLoop": Refusal(_CODE, "write as many steps out as there are"),
    "ops.ElasticTransform": Refusal(
        "it draws other random numbers at every call, in inference too", "use RandomElasticTransform, or remove it"
    ),
    "ops.MapCoordinates": Refusal(
        "its result has the axes of its places alone, and none for the batch",
        "use ops.image.affine_transform, or ops.take",
    ),
    "ops.ScaleAndTranslate": Refusal(
        "its output shape names the size of the batch", "use ops.image.resize, or ops.image.affine_transform"
    ),
}
"""Reasons by class name; `ops.` in front for an operation of keras.ops. A class with a rule is not among them."""
