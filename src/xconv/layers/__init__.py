"""One file per layer family, loaded when a network needs it.

`RULES` maps a Keras class name (`Conv2D`; `ops.Add` for an operation of keras.ops) to the family that knows it, and
`ATEN_RULES` an ATen operator. The tables say in which file to look, so that converting ResNet50 loads ten families and
not all of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping

from xconv.spec import Spec

__all__ = ["ATEN_FILES", "ATEN_RULES", "FILES", "RULES", "families"]

FILES: Mapping[str, str] = {
    "activation": (
        "Activation ELU LeakyReLU ReLU ops.Celu ops.Elu ops.Gelu ops.HardShrink ops.HardSigmoid ops.HardSilu "
        "ops.HardTanh ops.LeakyRelu ops.LogSigmoid ops.Mish ops.Relu ops.Relu6 ops.Selu ops.Sigmoid ops.Silu "
        "ops.SoftShrink ops.Softplus ops.Softsign ops.SparsePlus ops.SparseSigmoid ops.Squareplus ops.Tanh "
        "ops.TanhShrink ops.Threshold"
    ),
    "adaptive_pool": (
        "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D "
        "AdaptiveMaxPooling2D AdaptiveMaxPooling3D"
    ),
    "arithmetic": (
        "ops.AllClose ops.Average ops.CDist ops.Cbrt ops.CountNonzero ops.Diff ops.DivideNoNan ops.Fabs "
        "ops.Heaviside ops.Isclose ops.Isreal ops.Ldexp ops.Moments ops.PSNR ops.Ptp ops.Size ops.Trapezoid"
    ),
    "arrays": (
        "ops.Array ops.BroadcastTo ops.Conj ops.Conjugate ops.ConvertToTensor ops.Copy ops.DepthToSpace ops.Fliplr "
        "ops.Flipud ops.Full ops.FullLike ops.Imag ops.Meshgrid ops.Ravel ops.Real ops.Rot90 ops.SaturateCast "
        "ops.Select ops.Slice ops.SliceUpdate ops.SpaceToDepth"
    ),
    "attention": "AdditiveAttention Attention ops.DotProductAttention",
    "augmentation": (
        "AugMix CutMix MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter "
        "RandomContrast RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue "
        "RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness "
        "RandomShear RandomTranslation RandomZoom Solarization"
    ),
    "batch_norm": "BatchNormalization",
    "concat": "Concatenate ops.Concatenate ops.Split ops.Stack ops.Unstack",
    "contrast": "AutoContrast ContrastLimitedAdaptiveHistogramEqualization",
    "conv": "Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D",
    "conv_lstm": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "conv_transpose": "Conv1DTranspose Conv2DTranspose Conv3DTranspose",
    "dense": "Dense",
    "diagonal": "ops.Diag ops.Diagflat ops.Diagonal",
    "distributed": "TimeDistributed",
    "dropout": (
        "AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D "
        "SpatialDropout3D StochasticDepth"
    ),
    "einsum_dense": "EinsumDense",
    "elementwise": (
        "Add Average Maximum Minimum Multiply Subtract ops.Add ops.Arctan2 ops.BitwiseAnd ops.BitwiseLeftShift "
        "ops.BitwiseOr ops.BitwiseRightShift ops.BitwiseXor ops.Divide ops.Equal ops.FloorDivide ops.Fmax ops.Fmin "
        "ops.Fmod ops.Gcd ops.Greater ops.GreaterEqual ops.Hypot ops.Lcm ops.LeftShift ops.Less ops.LessEqual "
        "ops.Logaddexp ops.Logaddexp2 ops.LogicalAnd ops.LogicalOr ops.LogicalXor ops.Maximum ops.Minimum ops.Mod "
        "ops.Multiply ops.Nextafter ops.NotEqual ops.Power ops.RightShift ops.Subtract ops.TrueDivide"
    ),
    "embedding": "Embedding ReversibleEmbedding",
    "expand": "ops.ExpandDims ops.Moveaxis ops.Squeeze ops.Swapaxes",
    "functional": (
        "ops.AveragePool ops.BatchNorm ops.Conv ops.DepthwiseConv ops.Fold ops.MaxPool ops.Norm ops.SeparableConv "
        "ops.Unfold"
    ),
    "group_norm": "GroupNormalization",
    "image_operations": (
        "ops.AffineTransform ops.CropImages ops.ExtractPatches ops.GaussianBlur ops.HSVToRGB ops.PadImages "
        "ops.PerspectiveTransform ops.RGBToGrayscale ops.RGBToHSV ops.SSIM ops.SobelEdges"
    ),
    "indexed": "ops.OneHot ops.Scatter ops.ScatterUpdate ops.SegmentMax ops.SegmentMin ops.SegmentProd ops.SegmentSum",
    "io": "ActivityRegularization Identity InputLayer",
    "layer_norm": "LayerNormalization RMSNormalization UnitNormalization ops.LayerNorm ops.Normalize ops.RMSNorm",
    "linalg": (
        "ops.Cholesky ops.CholeskyInverse ops.Det ops.Inv ops.Logdet ops.MatrixRank ops.Pinv ops.Qr ops.SVD "
        "ops.Solve ops.SolveTriangular"
    ),
    "losses": (
        "ops.BinaryCrossentropy ops.CategoricalCrossentropy ops.InTopK ops.MultiHot "
        "ops.SparseCategoricalCrossentropy ops.Sparsemax"
    ),
    "masking": "Masking",
    "matmul": "Dot ops.Einsum ops.Matmul",
    "multi_head_attention": "GroupQueryAttention MultiHeadAttention",
    "nan": (
        "ops.NanToNum ops.Nanargmax ops.Nanargmin ops.Nancumprod ops.Nancumsum ops.Nanmax ops.Nanmean ops.Nanmin "
        "ops.Nanprod ops.Nanstd ops.Nansum ops.Nanvar"
    ),
    "pad": "Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    "pad_axes": "ops.Pad",
    "pipeline": "Pipeline",
    "pool": (
        "AveragePooling1D AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D "
        "GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D MaxPooling1D "
        "MaxPooling2D MaxPooling3D"
    ),
    "prelu": "PReLU",
    "products": (
        "ops.Corrcoef ops.Correlate ops.Cross ops.Dot ops.Inner ops.Kron ops.Outer ops.Tensordot ops.Trace ops.Vdot"
    ),
    "quantile": "ops.Median ops.Nanmedian ops.Nanpercentile ops.Nanquantile ops.Percentile ops.Quantile",
    "ranges": (
        "ops.Digitize ops.ExtractSequences ops.Geomspace ops.IsIn ops.Linspace ops.Logspace ops.UnravelIndex ops.Vander"
    ),
    "recurrent": "Bidirectional GRU GRUCell LSTM LSTMCell RNN SimpleRNN SimpleRNNCell StackedRNNCells",
    "reduce": (
        "ops.All ops.Amax ops.Amin ops.Any ops.Argmax ops.Argmin ops.Logsumexp ops.Max ops.Mean ops.Min "
        "ops.Prod ops.Std ops.Sum ops.Var"
    ),
    "repeat": "RepeatVector",
    "rescale": "Normalization Rescaling",
    "reshape": "Flatten Permute Reshape ops.Reshape ops.Transpose",
    "resizing": "CenterCrop RandomCrop Resizing ops.Resize",
    "scale": "CustomScaleLayer LayerScale",
    "slicing": "ops.GetItem",
    "softmax": "Softmax ops.Glu ops.LogSoftmax ops.Softmax",
    "sorting": "ops.Argsort ops.SearchSorted ops.Sort",
    "spectra": "ops.FFT ops.FFT2 ops.IFFT2 ops.IRFFT ops.ISTFT ops.RFFT ops.STFT",
    "spectral_norm": "SpectralNormalization",
    "spectrograms": "MelSpectrogram STFTSpectrogram",
    "stacking": "ops.Append ops.ArraySplit ops.Dsplit ops.Dstack ops.Hsplit ops.Hstack ops.Vsplit ops.Vstack",
    "take": "ops.Take ops.TakeAlongAxis",
    "tile": "ops.Cumprod ops.Cumsum ops.Flip ops.Repeat ops.Roll ops.Tile",
    "tokens": "CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup",
    "top": "ops.TopK",
    "triangle": "ops.Tril ops.Triu",
    "unary": (
        "ops.Abs ops.Absolute ops.Angle ops.Arccos ops.Arccosh ops.Arcsin ops.Arcsinh ops.Arctan ops.Arctanh "
        "ops.BitwiseInvert ops.BitwiseNot ops.Cast ops.Ceil ops.Clip ops.Cos ops.Cosh ops.Deg2rad ops.EmptyLike "
        "ops.Erf ops.Erfc ops.Erfinv ops.Exp ops.Exp2 ops.Expm1 ops.Floor ops.I0 ops.Isfinite ops.Isinf ops.Isnan "
        "ops.Isneginf ops.Isposinf ops.Log ops.Log10 ops.Log1p ops.Log2 ops.LogicalNot ops.Negative ops.OnesLike "
        "ops.Rad2deg ops.Reciprocal ops.Round ops.Rsqrt ops.Sign ops.Signbit ops.Sin ops.Sinc ops.Sinh ops.Sqrt "
        "ops.Square ops.StopGradient ops.Tan ops.Trunc ops.ZerosLike"
    ),
    "upsample": "UpSampling1D UpSampling2D UpSampling3D",
    "where": "ops.Where",
}
"""For every file of this folder, the Keras classes that its families read."""


ATEN_FILES: Mapping[str, str] = {
    "activation": (
        "celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid mish relu relu6 rrelu selu "
        "sigmoid silu softplus softshrink tanh threshold"
    ),
    "adaptive_pool": (
        "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d "
        "adaptive_max_pool3d"
    ),
    "attention": "scaled_dot_product_attention",
    "batch_norm": (
        "_native_batch_norm_legit _native_batch_norm_legit_no_training batch_norm masked_batch_norm native_batch_norm"
    ),
    "composed": "_cdist_forward addcdiv addcmul cdist convolution lerp",
    "concat": "cat chunk concat concatenate split split_with_sizes stack tensor_split unbind unfold",
    "conv": "conv1d conv2d conv3d",
    "conv_lstm": "conv_recurrent",
    "conv_transpose": "conv_transpose1d conv_transpose2d conv_transpose3d",
    "custom": "custom",
    "dense": "linear",
    "described": "described described_several",
    "diagonal": "diag diag_embed diagonal",
    "dropout": (
        "alpha_dropout drop_batch drop_path drop_unscaled dropout feature_dropout gaussian_dropout gaussian_noise "
        "shared_dropout"
    ),
    "einsum_dense": "einsum_dense",
    "elementwise": (
        "__and__ __lshift__ __or__ __rshift__ __xor__ add arctan2 atan2 bitwise_and bitwise_left_shift bitwise_or "
        "bitwise_right_shift bitwise_xor div divide eq floor_divide fmax fmin fmod gcd ge greater greater_equal gt "
        "hypot lcm le less less_equal logaddexp logaddexp2 logical_and logical_or logical_xor lt maximum minimum "
        "mul multiply ne nextafter not_equal pow remainder rsub sub subtract true_divide"
    ),
    "embedding": "embedding",
    "expand": "squeeze unsqueeze",
    "floating": "copysign ldexp",
    "group_norm": "group_norm instance_norm native_group_norm",
    "index_put": "index_add index_copy index_fill index_put index_reduce",
    "indexed": "one_hot",
    "layer_norm": "_fused_rms_norm layer_norm native_layer_norm rms_norm",
    "linalg": (
        "cholesky cholesky_inverse det inverse linalg_cholesky linalg_det linalg_inv linalg_matrix_rank linalg_pinv "
        "linalg_qr linalg_slogdet linalg_solve linalg_solve_triangular linalg_svdvals logdet slogdet"
    ),
    "matmul": "addmm addmv baddbmm bilinear bmm dot einsum matmul mm mv outer tensordot vdot",
    "multi_head_attention": "multi_head_attention",
    "nan": "nan_to_num",
    "norm": "linalg_vector_norm",
    "order_statistics": "cummax cummin kthvalue logcumsumexp median nanmedian",
    "pad_axes": (
        "constant_pad_nd pad reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d "
        "replication_pad3d"
    ),
    "pool": (
        "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices "
        "max_pool3d max_pool3d_with_indices"
    ),
    "prelu": "_prelu_kernel prelu",
    "recurrent": "gru gru_cell lstm lstm_cell recurrent rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell",
    "reduce": "all amax amin aminmax any argmax argmin logsumexp max mean min prod std std_mean sum var var_mean",
    "resample": (
        "_upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d "
        "_upsample_nearest_exact3d upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d "
        "upsample_nearest2d upsample_nearest3d upsample_trilinear3d"
    ),
    "rescale": "normalization rescaling",
    "reshape": (
        "_unsafe_view adjoint flatten mH mT movedim numpy_T permute reshape reshape_as swapaxes swapdims t transpose "
        "unflatten view view_as"
    ),
    "same": "same_average same_pad",
    "sampling": "affine_grid_generator grid_sampler grid_sampler_2d grid_sampler_3d",
    "scatter": "copy diagonal_scatter select_scatter slice_scatter",
    "scattered": "masked_scatter scatter scatter_add scatter_reduce",
    "slicing": "narrow select slice",
    "sliding": "col2im im2col",
    "softmax": "_log_softmax _softmax glu log_softmax softmax special_log_softmax special_softmax",
    "sorting": "argsort bucketize msort searchsorted sort",
    "spectra": "spectrum",
    "spectral_norm": "spectral_norm",
    "take": "gather index index_select take_along_dim",
    "tile": "broadcast_to cumprod cumsum expand expand_as flip fliplr flipud repeat repeat_interleave roll tile",
    "top": "topk",
    "triangle": "tril triu",
    "unary": (
        "_to_copy abs absolute acos acosh angle asin asinh atan atanh bitwise_not ceil clamp clamp_max clamp_min "
        "clip cos cosh deg2rad detach erf erfc erfinv exp exp2 expm1 fix floor i0 isfinite isinf isnan isneginf "
        "isposinf log log10 log1p log2 logical_not neg negative rad2deg reciprocal round rsqrt sgn sign signbit sin "
        "sinc sinh special_i0 sqrt square tan to trunc type_as"
    ),
    "unpool": "max_unpool2d max_unpool3d",
    "where": "masked_fill where",
}
"""For every file of this folder, the ATen operators that its families read."""


class _Rules(Mapping[str, type[Spec]]):
    """The families by what they read; a file is loaded when one of its entries is asked for."""

    def __init__(self, files: Mapping[str, str], attribute: str) -> None:
        self._files = {kind: file for file, kinds in files.items() for kind in kinds.split()}
        self._attribute = attribute
        self._loaded: dict[str, type[Spec]] = {}

    def __getitem__(self, kind: str) -> type[Spec]:
        if kind not in self._loaded:
            for family in _families_in(self._files[kind]):
                self._loaded.update(dict.fromkeys(getattr(family, self._attribute), family))
        return self._loaded[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, kind: object) -> bool:
        return kind in self._files


RULES: Mapping[str, type[Spec]] = _Rules(FILES, "keras_kinds")
ATEN_RULES: Mapping[str, type[Spec]] = _Rules(ATEN_FILES, "aten_ops")


def families() -> tuple[type[Spec], ...]:
    """Every family, all files loaded."""
    return tuple(family for file in dict.fromkeys((*FILES, *ATEN_FILES)) for family in _families_in(file))


def _families_in(file: str) -> tuple[type[Spec], ...]:
    """The families that a file defines."""
    module = importlib.import_module(f"{__name__}.{file}")
    found = (item for item in vars(module).values() if isinstance(item, type) and issubclass(item, Spec))
    own = (family for family in found if family.__module__ == module.__name__)
    return tuple(family for family in own if family.keras_kinds or family.aten_ops)
