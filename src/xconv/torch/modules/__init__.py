"""The few modules that a converted network needs beyond torch.nn: what Keras does and torch has no class for.

Constructor arguments are plain data. Every module can be compiled in one graph, exported with open sizes, copied,
pickled and moved to another dtype.
"""

from xconv.torch.modules.activations import ClippedReLU, Exponential, SparsePlus, SparseSigmoid, Squareplus
from xconv.torch.modules.attention import MultiHeadAttention
from xconv.torch.modules.io import Input
from xconv.torch.modules.noise import GaussianDropout, GaussianNoise, StochasticDepth
from xconv.torch.modules.norms import AxesNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, ChannelNorm, GroupNorm
from xconv.torch.modules.precision import Cast
from xconv.torch.modules.recurrent import GRU, LSTM, RNN
from xconv.torch.modules.scale import Normalization, PReLU, Rescaling, Scale
from xconv.torch.modules.transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from xconv.torch.modules.windows import AveragePool, SamePad

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AveragePool",
    "AxesNorm",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Cast",
    "ChannelNorm",
    "ClippedReLU",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "Exponential",
    "GaussianDropout",
    "GaussianNoise",
    "GroupNorm",
    "Input",
    "MultiHeadAttention",
    "Normalization",
    "PReLU",
    "Rescaling",
    "SamePad",
    "Scale",
    "SparsePlus",
    "SparseSigmoid",
    "Squareplus",
    "StochasticDepth",
]
