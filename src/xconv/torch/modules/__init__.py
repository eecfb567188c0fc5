"""The few modules that a converted network needs beyond torch.nn: what Keras does and torch has no class for.

Constructor arguments are plain data. Every module can be compiled in one graph, exported with open sizes, copied,
pickled and moved to another dtype.
"""

from xconv.torch.modules.activations import ClippedReLU, Exponential, SparsePlus, SparseSigmoid, Squareplus
from xconv.torch.modules.attention import MultiHeadAttention
from xconv.torch.modules.blurs import RandomElasticTransform, RandomGaussianBlur, RandomSharpness
from xconv.torch.modules.colours import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomColorJitter,
    RandomContrast,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPosterization,
    RandomSaturation,
)
from xconv.torch.modules.conv_lstm import ConvLSTM
from xconv.torch.modules.einsum import EinsumDense
from xconv.torch.modules.histograms import (
    AutoContrast,
    ContrastLimitedAdaptiveHistogramEqualization,
    Equalization,
    Solarization,
)
from xconv.torch.modules.image_operations import (
    SSIM,
    AffineTransform,
    ExtractPatches,
    GaussianBlur,
    HSVToRGB,
    PerspectiveTransform,
    RGBToGrayscale,
    RGBToHSV,
    SobelEdges,
)
from xconv.torch.modules.indexed import (
    OneHot,
    Scatter,
    ScatterUpdate,
    SegmentMax,
    SegmentMin,
    SegmentProd,
    SegmentSum,
)
from xconv.torch.modules.io import Input
from xconv.torch.modules.matrices import CholeskyInverse
from xconv.torch.modules.mixtures import CutMix, MixUp, RandomErasing, RandomFlip
from xconv.torch.modules.noise import GaussianDropout, GaussianNoise, SharedDropout, StochasticDepth
from xconv.torch.modules.norms import (
    AxesNorm,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    ChannelNorm,
    GroupNorm,
    MaskedBatchNorm,
)
from xconv.torch.modules.policies import AugMix, RandAugment
from xconv.torch.modules.precision import Cast
from xconv.torch.modules.recurrent import GRU, LSTM, RNN
from xconv.torch.modules.resizes import CenterCrop, Resize, Resizing, UpSampling2D
from xconv.torch.modules.scale import Normalization, PReLU, Rescaling, Scale
from xconv.torch.modules.spectra import FFT, FFT2, IFFT2, IRFFT, ISTFT, RFFT, STFT
from xconv.torch.modules.spectral import SpectralNorm
from xconv.torch.modules.spectrograms import MelSpectrogram, STFTSpectrogram
from xconv.torch.modules.tokens import CategoryEncoding, Discretization, HashedCrossing, Hashing, IntegerLookup
from xconv.torch.modules.transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from xconv.torch.modules.warps import RandomPerspective, RandomRotation, RandomShear, RandomTranslation, RandomZoom
from xconv.torch.modules.windows import AveragePool, SamePad

__all__ = [
    "FFT",
    "FFT2",
    "GRU",
    "IFFT2",
    "IRFFT",
    "ISTFT",
    "LSTM",
    "RFFT",
    "RNN",
    "SSIM",
    "STFT",
    "AffineTransform",
    "AugMix",
    "AutoContrast",
    "AveragePool",
    "AxesNorm",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Cast",
    "CategoryEncoding",
    "CenterCrop",
    "ChannelNorm",
    "CholeskyInverse",
    "ClippedReLU",
    "ContrastLimitedAdaptiveHistogramEqualization",
    "ConvLSTM",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CutMix",
    "Discretization",
    "EinsumDense",
    "Equalization",
    "Exponential",
    "ExtractPatches",
    "GaussianBlur",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNorm",
    "HSVToRGB",
    "HashedCrossing",
    "Hashing",
    "Input",
    "IntegerLookup",
    "MaskedBatchNorm",
    "MelSpectrogram",
    "MixUp",
    "MultiHeadAttention",
    "Normalization",
    "OneHot",
    "PReLU",
    "PerspectiveTransform",
    "RGBToGrayscale",
    "RGBToHSV",
    "RandAugment",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomElasticTransform",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
    "Rescaling",
    "Resize",
    "Resizing",
    "STFTSpectrogram",
    "SamePad",
    "Scale",
    "Scatter",
    "ScatterUpdate",
    "SegmentMax",
    "SegmentMin",
    "SegmentProd",
    "SegmentSum",
    "SharedDropout",
    "SobelEdges",
    "Solarization",
    "SparsePlus",
    "SparseSigmoid",
    "SpectralNorm",
    "Squareplus",
    "StochasticDepth",
    "UpSampling2D",
]
