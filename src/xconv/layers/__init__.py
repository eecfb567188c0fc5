"""One file per layer family; importing this package fills the table of rules.

`RULES` maps a Keras class name (`Conv2D`; `ops.Add` for an operation of keras.ops) to the family that knows it.
"""

from __future__ import annotations

from xconv.layers.activation import Activation
from xconv.layers.adaptive_pool import AdaptivePool
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.concat import Concat, Split, Stack, Unstack
from xconv.layers.conv import Conv, SeparableConv
from xconv.layers.conv_transpose import ConvTranspose
from xconv.layers.dense import Dense
from xconv.layers.dropout import Dropout, Noise, SpatialDropout
from xconv.layers.elementwise import Elementwise
from xconv.layers.embedding import Embedding
from xconv.layers.expand import ExpandDims, MoveAxis, Squeeze
from xconv.layers.group_norm import GroupNorm
from xconv.layers.io import Identity, Input, Variable
from xconv.layers.layer_norm import LayerNorm, UnitNorm
from xconv.layers.matmul import Dot, Einsum, MatMul
from xconv.layers.pad import Pad
from xconv.layers.pad_axes import PadAxes
from xconv.layers.pool import GlobalPool, Pool
from xconv.layers.prelu import PReLU
from xconv.layers.reduce import Argument, Reduce
from xconv.layers.repeat import RepeatVector
from xconv.layers.rescale import Normalization, Rescaling
from xconv.layers.reshape import Flatten, Permute, Reshape
from xconv.layers.scale import Scale, ScaledAdd
from xconv.layers.slicing import Slicing
from xconv.layers.softmax import GLU, Softmax
from xconv.layers.tile import Along, Flip, Tile
from xconv.layers.unary import Cast, Clip, Unary
from xconv.layers.upsample import Upsample
from xconv.layers.where import Where
from xconv.spec import Spec

__all__ = ["FAMILIES", "RULES"]

FAMILIES: tuple[type[Spec], ...] = (
    Activation,
    AdaptivePool,
    Along,
    Argument,
    BatchNorm,
    Cast,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Dot,
    Dropout,
    Einsum,
    Elementwise,
    Embedding,
    ExpandDims,
    Flatten,
    Flip,
    GLU,
    GlobalPool,
    GroupNorm,
    Identity,
    Input,
    LayerNorm,
    MatMul,
    MoveAxis,
    Noise,
    Normalization,
    PReLU,
    Pad,
    PadAxes,
    Permute,
    Pool,
    Reduce,
    RepeatVector,
    Rescaling,
    Reshape,
    Scale,
    ScaledAdd,
    SeparableConv,
    Slicing,
    Softmax,
    SpatialDropout,
    Split,
    Squeeze,
    Stack,
    Tile,
    Unary,
    UnitNorm,
    Unstack,
    Upsample,
    Variable,
    Where,
)

RULES: dict[str, type[Spec]] = {kind: family for family in FAMILIES for kind in family.keras_kinds}
