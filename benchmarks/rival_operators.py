"""What other converters read, by name, and the operators that networks are made of: what cannot be counted here.

nobuco and onnx2tf pin versions of TensorFlow that Keras 3 cannot live with, so that their tables are read in their
public sources. nobuco's are torch functions: they stand here under the ATen operator that they call.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IN_NETWORKS", "NOBUCO", "ONNX2TF", "Table"]


@dataclass(frozen=True, slots=True)
class Table:
    """A list of operators with its source."""

    tool: str
    version: str
    source: str
    how: str
    names: str
    never: str = ""
    """Operators that what it reads cannot hold."""

    @property
    def operators(self) -> set[str]:
        """What it reads.

        >>> "conv2d" in NOBUCO.operators, "eye" in NOBUCO.operators
        (True, False)
        """
        return set(self.names.split())


NOBUCO = Table(
    "nobuco",
    "public source, the last commit of each file (d3ecc808 for most)",
    "https://github.com/AlexanderLutsenko/nobuco/tree/main/nobuco/node_converters",
    "every function and class of torch that a `@converter` names, under the ATen operator that it calls",
    (
        "abs adaptive_avg_pool2d add all amax amin any arange argmax argmin avg_pool2d baddbmm batch_norm "
        "bitwise_and bitwise_not bitwise_or bmm broadcast_tensors broadcast_to cat ceil chunk clamp clamp_max "
        "clamp_min clip clone complex contiguous conv1d conv2d conv_transpose2d copy cos cumsum detach div dot "
        "dropout einsum embedding empty empty_like eq exp expand expand_as feature_dropout fft_irfft2 fft_rfft2 "
        "fill flatten floor floor_divide full full_like gather ge gelu grid_sampler group_norm gru gt hardsigmoid "
        "hardswish hardtanh index index_put instance_norm isnan layer_norm le leaky_relu linalg_vector_norm "
        "linear linspace log log10 log1p log2 log_sigmoid log_softmax lstm lt masked_fill masked_select matmul "
        "max max_pool2d maximum mean meshgrid min minimum movedim mul mv narrow ne neg new_empty new_full "
        "new_ones new_zeros numpy_T ones ones_like pad permute pixel_shuffle pixel_unshuffle pow prelu relu "
        "remainder repeat repeat_interleave reshape roll round rsqrt rsub scalar_tensor "
        "scaled_dot_product_attention scatter select sigmoid silu sin slice softmax sort split split_with_sizes sqrt "
        "squeeze stack std sub sum t tanh to topk transpose triu type_as unbind unflatten unique unsqueeze "
        "upsample_bilinear2d upsample_nearest2d view view_as_complex view_as_real where zero zeros zeros_like"
    ),
    never="_assert_tensor_metadata alias lift_fresh_copy",
)

ONNX2TF = Table(
    "onnx2tf",
    "1.24.0 (commit 001faec8)",
    "https://github.com/PINTO0309/onnx2tf/blob/001faec86c689730f6f78bef792045ce16838901/README.md",
    "every operator of the table in its readme that is supported, in part or as a whole",
    (
        "Abs Acosh Acos Add And ArgMax ArgMin Asinh Asin Atanh Atan AveragePool BatchNormalization Bernoulli "
        "BitShift Cast Ceil Celu Clip Col2Im Compress ConcatFromSequence Concat ConstantOfShape Constant Conv "
        "ConvInteger ConvTranspose Cosh Cos CumSum DepthToSpace Det DequantizeLinear Div Dropout "
        "DynamicQuantizeLinear Einsum Elu Equal Erf Expand Exp EyeLike Flatten Floor FusedConv GatherElements "
        "GatherND Gather Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool GreaterOrEqual Greater GridSample "
        "GRU HammingWindow HannWindow Hardmax HardSigmoid HardSwish Identity If InstanceNormalization Inverse "
        "IsInf IsNaN LayerNormalization LeakyRelu LessOrEqual Less Log LogSoftmax LpNormalization LRN LSTM MatMul "
        "MatMulInteger MaxPool Max MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul "
        "Multinomial Neg NonMaxSuppression NonZero OptionalGetElement OptionalHasElement Not OneHot Or Pad Pow "
        "PRelu QLinearAdd QLinearConcat QLinearConv QLinearLeakyRelu QLinearMatMul QLinearMul QLinearSigmoid "
        "QLinearSoftmax QuantizeLinear RandomNormalLike RandomNormal RandomUniformLike RandomUniform Range "
        "Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
        "ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RNN RoiAlign Round ScaleAndTranslate "
        "Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase "
        "SequenceInsert SequenceLength Shape Shrink Sigmoid Sign Sinh Sin Size Slice Softmax Softplus Softsign "
        "SpaceToDepth Split SplitToSequence Sqrt Squeeze STFT StringNormalizer Sub Sum Tanh Tan ThresholdedRelu "
        "Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor"
    ),
)

IN_NETWORKS = (
    "_assert_tensor_metadata _upsample_bicubic2d_aa adaptive_avg_pool2d adaptive_max_pool2d add addcmul alias amax "
    "arange avg_pool1d avg_pool2d batch_norm bitwise_not cat chunk clamp clamp_min clone col2im contiguous conv1d "
    "conv2d conv3d conv_transpose2d copy cos cumsum div dropout einsum eq exp expand expand_as eye feature_dropout "
    "fill flatten flip gelu group_norm hardsigmoid hardswish hardtanh im2col index layer_norm leaky_relu "
    "lift_fresh_copy linalg_vector_norm linear lstm masked_fill matmul max max_pool2d maximum mean meshgrid mul ne "
    "neg new_zeros one_hot ones pad permute pow relu repeat repeat_interleave reshape reshape_as rms_norm roll "
    "rsqrt rsub scaled_dot_product_attention select sigmoid silu sin slice softmax split split_with_sizes square "
    "squeeze stack sub sum swapaxes tanh tile to transpose type_as unbind unflatten unfold unsqueeze "
    "upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest2d var view zero zeros"
)
"""ATen operators of 80 networks of torchvision and 189 of timm, as torch.export says them, without overloads."""
