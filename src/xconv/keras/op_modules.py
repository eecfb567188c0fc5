"""In which file of Keras each class of keras.ops lives: a saved model names it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FILES", "module_of"]

FILES: Mapping[str, str] = {
    "core": (
        "AssociativeScan Cast Cond ConvertToTensor ForiLoop Map SaturateCast Scan Scatter ScatterUpdate Slice "
        "SliceUpdate StopGradient Switch Unstack VectorizedMap WhileLoop"
    ),
    "einops": ("Rearrange"),
    "image": (
        "AffineTransform CropImages ElasticTransform ExtractPatches GaussianBlur HSVToRGB MapCoordinates "
        "PadImages PerspectiveTransform RGBToGrayscale RGBToHSV Resize SSIM ScaleAndTranslate SobelEdges"
    ),
    "linalg": (
        "Cholesky CholeskyInverse Det Eig Eigh Inv JVP Lstsq LuFactor MatrixRank Norm Pinv Qr SVD Solve SolveTriangular"
    ),
    "math": (
        "CDist Erf Erfc Erfinv ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logdet Logsumexp RFFT Rsqrt "
        "STFT SegmentMax SegmentMin SegmentProd SegmentReduction SegmentSum TopK ViewAsComplex ViewAsReal"
    ),
    "nn": (
        "AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm BinaryCrossentropy CTCDecode CTCLoss "
        "CategoricalCrossentropy Celu Conv ConvTranspose DepthToSpace DepthwiseConv DotProductAttention Elu "
        "Fold Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax "
        "MaxPool Moments MultiHot Normalize OneHot PSNR Polar RMSNorm Relu Relu6 Selu SeparableConv Sigmoid "
        "Silu SoftShrink Softmax Softplus Softsign SpaceToDepth SparseCategoricalCrossentropy SparsePlus "
        "SparseSigmoid Sparsemax Squareplus TanhShrink Threshold Unfold"
    ),
}
"""The classes of every file but the largest, `numpy`, which has all the others."""

_FILE_OF = {kind: file for file, kinds in FILES.items() for kind in kinds.split()}


def module_of(kind: str) -> str:
    """The module of an operation's class.

    >>> module_of("Relu"), module_of("Add")
    ('keras.src.ops.nn', 'keras.src.ops.numpy')
    """
    return f"keras.src.ops.{_FILE_OF.get(kind, 'numpy')}"
