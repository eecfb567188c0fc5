"""The few modules that a converted network needs beyond torch.nn: what Keras does and torch has no class for.

Constructor arguments are plain data. Every module can be compiled in one graph, exported with open sizes, copied,
pickled and moved to another dtype.
"""

from __future__ import annotations

from collections.abc import Mapping

from xconv.lazy import loader

FILES: Mapping[str, str] = {
    "activations": "ClippedReLU Exponential SparsePlus SparseSigmoid Squareplus",
    "attention": "MultiHeadAttention",
    "blurs": "RandomElasticTransform RandomGaussianBlur RandomSharpness",
    "colours": (
        "RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomGrayscale RandomHue "
        "RandomInvert RandomPosterization RandomSaturation"
    ),
    "conv_lstm": "ConvLSTM",
    "einsum": "EinsumDense",
    "histograms": "AutoContrast ContrastLimitedAdaptiveHistogramEqualization Equalization Solarization",
    "image_operations": (
        "SSIM AffineTransform ExtractPatches GaussianBlur HSVToRGB PerspectiveTransform RGBToGrayscale "
        "RGBToHSV SobelEdges"
    ),
    "indexed": "OneHot Scatter ScatterUpdate SegmentMax SegmentMin SegmentProd SegmentSum",
    "io": "Input",
    "matrices": "CholeskyInverse",
    "mixtures": "CutMix MixUp RandomErasing RandomFlip",
    "noise": "GaussianDropout GaussianNoise SharedDropout StochasticDepth",
    "norms": "AxesNorm BatchNorm1d BatchNorm2d BatchNorm3d ChannelNorm GroupNorm MaskedBatchNorm",
    "policies": "AugMix RandAugment",
    "precision": "Cast",
    "recurrent": "GRU LSTM RNN",
    "resizes": "CenterCrop Resize Resizing UpSampling2D",
    "scale": "Normalization PReLU Rescaling Scale",
    "spectra": "FFT FFT2 IFFT2 IRFFT ISTFT RFFT STFT",
    "spectral": "SpectralNorm",
    "spectrograms": "MelSpectrogram STFTSpectrogram",
    "tokens": "CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup",
    "transposed": "ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    "warps": "RandomPerspective RandomRotation RandomShear RandomTranslation RandomZoom",
    "windows": "AveragePool SamePad",
}
"""For every file of this folder, its classes; one is loaded when a network needs it."""

HOMES = {name: f"{__name__}.{file}" for file, names in FILES.items() for name in names.split()}

__all__ = sorted(HOMES)  # noqa: PLE0605 - the table says it
__getattr__ = loader(__name__, HOMES)


def __dir__() -> list[str]:
    return __all__
