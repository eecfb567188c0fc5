"""Complex numbers inside of torch networks, on their way to Keras: pairs of real ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import xconv
from tests.comparison import assert_same
from xconv.report.records import Verdict

Function = Callable[[Any, torch.Tensor], Any]


class Network(nn.Module):
    """A function with parameters and buffers at hand, in float64."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        draw = torch.Generator().manual_seed(0)
        self.pairs = nn.Parameter(torch.randn(5, 3, 2, generator=draw, dtype=torch.float64))
        self.matrix = nn.Parameter(torch.randn(4, 3, generator=draw, dtype=torch.complex128))
        self.register_buffer("waves", torch.polar(torch.ones(5, 2), torch.randn(5, 2, generator=draw)).cdouble())
        self.register_buffer("window", torch.hann_window(8, dtype=torch.float64))
        self.register_buffer("short", torch.rand(5, generator=draw, dtype=torch.float64) + 0.5)

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


def converted(function: Function, shape: tuple[int, ...]) -> tuple[nn.Module, keras.Model]:
    """A network and the Keras model that it becomes."""
    module = Network(function).eval()
    return module, xconv.torch_to_keras(module, input_shape=shape)


def noise(*shape: int) -> torch.Tensor:
    """What a network is called on."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def check(function: Function, shape: tuple[int, ...]) -> keras.Model:
    """The outputs of two batches, and what the inputs of the second contribute to them."""
    module, model = converted(function, shape)
    for batch in (1, 4):
        x = noise(batch, *shape).requires_grad_()
        wanted = _list(module(x))
        with tf.GradientTape() as tape:
            fed = tf.constant(x.detach().numpy())
            tape.watch(fed)
            found = _list(model(fed))
            pulls = [np.cos(np.arange(one.numel())).reshape(one.shape) for one in wanted]
            total = tf.add_n([tf.reduce_sum(one * pull) for one, pull in zip(found, pulls, strict=True)])
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    (gradient,) = torch.autograd.grad(wanted, x, [torch.from_numpy(pull) for pull in pulls])
    assert_same(tape.gradient(total, fed), gradient)
    return model


def _list(outputs: Any) -> list[Any]:
    several = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    return [item.resolve_neg() if isinstance(item, torch.Tensor) else item for item in several]


def both(z: torch.Tensor) -> torch.Tensor:
    """Everything that a complex tensor holds."""
    return torch.view_as_real(z.resolve_conj())


def z_of(x: torch.Tensor) -> torch.Tensor:
    """Complex numbers that depend on an input in both parts."""
    return torch.complex(x, x.flip(-1) * 0.7 + 0.3)


def rotated(net: Any, x: torch.Tensor) -> torch.Tensor:
    """Rotary embeddings as in LLaMA's reference code."""
    z = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    waves = net.waves[: x.shape[1]].view(1, x.shape[1], 1, 2)
    return torch.view_as_real(z * waves).flatten(3).type_as(x)


def rotated_by_places(net: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
    """The same with waves that the network computes."""
    places = torch.outer(torch.arange(x.shape[1], dtype=x.dtype), 0.5 ** torch.arange(2, dtype=x.dtype))
    z = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(z * torch.polar(torch.ones_like(places), places)).flatten(2)


def filtered(net: Any, x: torch.Tensor) -> torch.Tensor:
    """GFNet's global filter."""
    maps = x.view(x.shape[0], 5, 4, 3)
    spectrum = torch.fft.rfft2(maps, dim=(1, 2), norm="ortho")
    weight = torch.view_as_complex(net.pairs.unsqueeze(1).contiguous())
    return torch.fft.irfft2(spectrum * weight, s=(5, 4), dim=(1, 2), norm="ortho").reshape(x.shape)


def mixed(net: Any, x: torch.Tensor) -> torch.Tensor:
    """AFNO's products of blocks, real and imaginary parts apart, and its soft threshold."""
    spectrum = torch.fft.rfft2(x.reshape(x.shape[0], 5, 4, 3).float().double(), dim=(1, 2), norm="ortho")
    first, second = net.pairs[:3, :, 0], net.pairs[:3, :, 1]
    real = torch.relu(spectrum.real @ first - spectrum.imag @ second)
    imag = torch.relu(spectrum.imag @ first + spectrum.real @ second)
    soft = functional.softshrink(torch.stack([real, imag], dim=-1), lambd=0.01)
    return torch.fft.irfft2(torch.view_as_complex(soft), s=(5, 4), dim=(1, 2), norm="ortho") + x.view(-1, 5, 4, 3)


def operated(net: Any, x: torch.Tensor) -> torch.Tensor:
    """A layer of a Fourier neural operator: the lower frequencies times a complex weight, the others zero."""
    spectrum = torch.fft.rfft(x)
    made = torch.zeros(x.shape[0], 3, spectrum.shape[-1], dtype=torch.cdouble)
    made[:, :, :2] = torch.einsum("bix,io->box", spectrum[:, :, :2], net.matrix)
    return torch.fft.irfft(made, n=x.shape[-1])


NETWORKS: dict[str, tuple[Function, tuple[int, ...]]] = {
    "FNet": (lambda net, x: torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real, (7, 4)),
    "GFNet": (filtered, (20, 3)),
    "AFNO": (mixed, (20, 3)),
    "FNO": (operated, (4, 9)),
    "LLaMA": (rotated, (5, 3, 4)),
    "computed waves": (rotated_by_places, (5, 4)),
    "magnitude": (lambda net, x: torch.stft(x, 8, 3, window=net.window, return_complex=True).abs(), (23,)),
    "power": (lambda net, x: torch.stft(x, 8, window=net.window, return_complex=True).abs() ** 2, (21,)),
    "both sides": (
        lambda net, x: torch.stft(
            x, 7, 3, window=net.window[1:], onesided=False, normalized=True, return_complex=True
        ).abs(),
        (23,),
    ),
    "pairs": (lambda net, x: torch.stft(x, 8, 3, 5, window=net.short, center=False, return_complex=False), (23,)),
    "phase": (
        lambda net, x: torch.stft(x, 8, window=net.window, center=False, return_complex=True).angle()[:, 1:-1],
        (21,),
    ),
    "there and back": (
        lambda net, x: torch.istft(
            torch.stft(x, 8, 2, window=net.window, return_complex=True) * 2, 8, 2, window=net.window, length=22
        ),
        (22,),
    ),
}

OPERATORS: dict[str, Function] = {
    "product": lambda net, x: both(z_of(x) * z_of(x.tanh())),
    "numbers": lambda net, x: both(2j * z_of(x) + (1 - 2j) - z_of(x) * 3 / 2),
    "real tensors": lambda net, x: both(x * z_of(x) + x - z_of(x) / (x.abs() + 1)),
    "from a number": lambda net, x: both(3 - z_of(x)),
    "alpha": lambda net, x: both(torch.sub(z_of(x), z_of(x.tanh()), alpha=2)),
    "division": lambda net, x: both(z_of(x) / z_of(x.exp())),
    "reciprocal": lambda net, x: both(1 / z_of(x.exp()) + z_of(x.exp()).reciprocal()),
    "powers": lambda net, x: both(z_of(x) ** 2 + z_of(x) ** 3 - z_of(x.exp()) ** -2 + z_of(x).square() + z_of(x) ** 0),
    "conjugate": lambda net, x: both(z_of(x).conj() * z_of(x) + torch.conj_physical(-z_of(x))),
    "parts": lambda net, x: (z_of(x).conj().imag, z_of(x).real, torch.view_as_real(z_of(x)).sum(-1)),
    "absolute value, angle": lambda net, x: (z_of(x).abs(), z_of(x).angle()),
    "polar": lambda net, x: both(torch.polar(x.exp(), x * 2)),
    "exp, log": lambda net, x: both(torch.exp(z_of(x)) + torch.log(z_of(x))),
    "from real": lambda net, x: both(x.to(torch.complex128) * net.waves.sum()),
    "to real": lambda net, x: torch.complex(x[..., 0], x[..., 1]).abs().to(torch.float64),
    "shapes": lambda net, x: both(z_of(x).reshape(x.shape[0], 2, 3, 5).permute(0, 3, 1, 2).flatten(2).mT),
    "places": lambda net, x: both(z_of(x)[:, 1:, None, ::2].squeeze(2).roll(1, 1).flip(-1)[..., 0]),
    "picked": lambda net, x: both(z_of(x)[:, [2, 0, 1]].index_select(2, torch.tensor([3, 1, 4]))),
    "joined": lambda net, x: both(torch.cat([z_of(x), x + 0j, z_of(x).expand_as(z_of(x))], 1)),
    "stacked": lambda net, x: both(torch.stack([z_of(x), z_of(x) * 1j], -1)),
    "apart": lambda net, x: tuple(both(part) for part in (*z_of(x).chunk(2, -1), *z_of(x).unbind(1)[:2])),
    "padded": lambda net, x: both(functional.pad(z_of(x), (1, 2))),
    "chosen": lambda net, x: both(torch.where(x > 0, z_of(x), 0.5 * z_of(x))),
    "filled": lambda net, x: both(z_of(x).masked_fill(x > 0.5, 2.0) + torch.ones_like(z_of(x))),
    "sums": lambda net, x: both(z_of(x).sum(-1) + z_of(x).mean((1, 2)).unsqueeze(1) + z_of(x).cumsum(2)[..., -1]),
    "norm": lambda net, x: torch.linalg.vector_norm(z_of(x), dim=-1),
    "matrix product": lambda net, x: both(z_of(x) @ z_of(x.tanh()).mT),
    "held matrix": lambda net, x: both(
        z_of(x)[..., :4] @ net.matrix + torch.einsum("bsi,io->bso", z_of(x)[..., :4], net.matrix)
    ),
    "real matrix": lambda net, x: both(z_of(x)[..., :3] @ net.pairs[:3, :, 0].cdouble()),
    "linear": lambda net, x: both(functional.linear(z_of(x)[..., :4], net.matrix.mT, net.waves[:3, 0])),
    "adjoint": lambda net, x: both(z_of(x).mH @ z_of(x)),
    "constants": lambda net, x: both(z_of(x)[..., :2] * net.waves.conj().exp()[None, 0]),
    "equal": lambda net, x: (z_of(x) == z_of(x.relu())).double() * x,
    "in place": lambda net, x: both(z_of(x).mul_(2j).add_(x)),
    "a part in place": lambda net, x: _with_a_part_scaled(z_of(x)).abs(),
    "a slice in place": lambda net, x: _with_a_slice_written(z_of(x)),
    "memory of a pair": lambda net, x: _with_its_memory_scaled(x.clone()),
    "memory of a view": lambda net, x: _with_a_view_scaled(z_of(x)),
    "decomposed": lambda net, x: both(torch.addcmul(z_of(x), z_of(x), z_of(x.tanh()))),
    "roots": lambda net, x: both(torch.sqrt(z_of(x)) + z_of(x) ** 1.5 + torch.rsqrt(z_of(x.exp()))),
    "nothing": lambda net, x: both(0 * z_of(x) + x * 0j + z_of(x)),
    "shifts": lambda net, x: both(torch.fft.fftshift(z_of(x), dim=(1, 2)) + torch.fft.ifftshift(x, dim=2)),
}


def _with_a_part_scaled(z: torch.Tensor) -> torch.Tensor:
    z.imag.mul_(3)
    return z


def _with_its_memory_scaled(x: torch.Tensor) -> torch.Tensor:
    """All of what is returned are views of what is written to."""
    z = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    turned, pairs = z.conj(), torch.view_as_real(z)
    x.mul_(2)
    return both(turned * 3) + pairs


def _with_a_view_scaled(z: torch.Tensor) -> torch.Tensor:
    turned = z.conj()
    torch.view_as_real(z)[..., 0].mul_(3)
    return both(turned + z)


def _with_a_slice_written(z: torch.Tensor) -> torch.Tensor:
    z[:, 1:3] = z[:, :2].conj() * 2
    z[..., 0] = 0
    return both(z)


@pytest.mark.filterwarnings("ignore:stft with return_complex=False is deprecated:UserWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_complex_numbers_inside(name: str) -> None:
    """What people write, on two sizes of the batch, gradients too."""
    check(*NETWORKS[name])


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_of_complex_numbers(name: str) -> None:
    """Each in real numbers."""
    check(OPERATORS[name], (5, 6))


class FNet(nn.Module):
    """A block that mixes tokens by the real part of a transform along two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.LayerNorm(6), nn.LayerNorm(6)
        self.dense = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x + torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real)
        return self.last(x + self.dense(x))


class GFNet(nn.Module):
    """A filter of frequencies; its text asks for float32."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.complex_weight = nn.Parameter(torch.randn(4, 3, 6, 2) * 0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.norm(x).view(x.shape[0], 4, 4, 6).to(torch.float32)
        spectrum = torch.fft.rfft2(maps, dim=(1, 2), norm="ortho") * torch.view_as_complex(self.complex_weight)
        return torch.fft.irfft2(spectrum, s=(4, 4), dim=(1, 2), norm="ortho").reshape(x.shape)


class FNO(nn.Module):
    """A Fourier layer between convolutions, its weights complex parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(2, 3, 3, 2, dtype=torch.cfloat))
        self.skip, self.last = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft2(x)
        made = torch.zeros(x.shape[0], 3, x.size(-2), x.size(-1) // 2 + 1, dtype=torch.cfloat)
        made[:, :, -3:, :2] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, -3:, :2], self.weight)
        return self.last(torch.relu(torch.fft.irfft2(made, s=x.shape[-2:]) + self.skip(x)))


class Rotary(nn.Module):
    """Scores of attention with rotary embeddings as in LLaMA's reference code, the waves a plain attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 8)
        places = torch.outer(torch.arange(16), 100.0 ** -(torch.arange(0, 4, 2) / 4))
        self.waves = torch.polar(torch.ones_like(places), places)

    def rotated(self, x: torch.Tensor) -> torch.Tensor:
        z = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(z * self.waves[: x.shape[1]].view(1, x.shape[1], 1, 2)).flatten(3).type_as(x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (*x.shape[:2], 2, 4)
        query, key = (self.rotated(layer(x).view(shape)).transpose(1, 2) for layer in (self.query, self.key))
        return (query @ key.transpose(2, 3) / 2).softmax(-1)


class Spectrogram(nn.Module):
    """Magnitudes as torchaudio normalizes them, on a logarithmic scale, and a convolution over them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(12))
        self.conv = nn.Conv2d(1, 3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(x, 16, 5, 12, window=self.window, return_complex=True)
        spectrum /= self.window.pow(2.0).sum().sqrt()
        return self.conv(torch.log(spectrum.abs().pow(2).unsqueeze(1) + 1e-3))


class LongConvolution(nn.Module):
    """A convolution as long as the sequence, its kernel made of complex parameters, as in S4D."""

    def __init__(self) -> None:
        super().__init__()
        self.decay = nn.Parameter(torch.rand(6, 4))
        self.turn, self.weight = nn.Parameter(torch.rand(6, 4)), nn.Parameter(torch.rand(6, 4, dtype=torch.cfloat))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.shape[-1]
        powers = torch.complex(-self.decay.exp(), self.turn).unsqueeze(-1) * torch.arange(length)
        kernel = 2 * torch.einsum("hn,hnl->hl", self.weight, torch.exp(powers)).real
        spectrum = torch.fft.rfft(x, n=2 * length) * torch.fft.rfft(kernel, n=2 * length)
        return torch.fft.irfft(spectrum, n=2 * length)[..., :length]


LIVE = (
    (FNet, (5, 6)),
    (GFNet, (16, 6)),
    (FNO, (2, 7, 6)),
    (Rotary, (5, 8)),
    (Spectrogram, (40,)),
    (LongConvolution, (6, 7)),
)


@pytest.mark.parametrize(("kind", "shape"), LIVE)
def test_networks_in_float32(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    """There, back and there again, by the whole verification; parameters stay parameters."""
    module = xconv.randomize(kind(), 0).eval()
    model = xconv.torch_to_keras(module, input_shape=shape)
    report = xconv.verify(module, model)
    assert report.verdict is Verdict.EXACT, str(report)
    assert report.outputs[0].float64.max_rel < 1e-13
    trained = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    assert trained == sum(torch.view_as_real(p).numel() if p.is_complex() else p.numel() for p in module.parameters())
    back = xconv.keras_to_torch(model)
    assert xconv.verify(model, back).verdict is Verdict.EXACT


def test_no_gradient_where_there_is_no_angle() -> None:
    """Silence has no angle and no slope, in torch and in Keras."""
    module, model = converted(lambda net, x: torch.fft.rfft(x).angle() + torch.fft.rfft(x).abs(), (6,))
    x = torch.cat([torch.zeros(1, 6, dtype=torch.float64), noise(2, 6)]).requires_grad_()
    (wanted,) = torch.autograd.grad(module(x).sum(), x)
    with tf.GradientTape() as tape:
        fed = tf.constant(x.detach().numpy())
        tape.watch(fed)
        total = tf.reduce_sum(model(fed))
    assert not np.any(wanted[0].numpy())
    assert_same(tape.gradient(total, fed), wanted)


def test_dropout_drops_both_parts() -> None:
    """The same places of both, in training alone."""
    module = Network(lambda net, x: both(functional.dropout(z_of(x), 0.5, net.training)))
    model = xconv.torch_to_keras(module.train(), input_shape=(40,))
    found = np.asarray(model(noise(3, 40).numpy(), training=True))
    gone = found == 0
    assert np.array_equal(gone[..., 0], gone[..., 1])
    assert 0.2 < gone.mean() < 0.8
    assert_same(model(noise(3, 40).numpy()), module.eval()(noise(3, 40)))


def test_two_transforms_along_the_last_axes_are_one() -> None:
    """As keras-hub's FNet has it."""
    _, model = converted(*NETWORKS["FNet"])
    assert [type(operation).__name__ for operation in model.operations] == ["InputLayer", "ZerosLike", "FFT2"]


def test_products_of_real_parts_alone_are_not_computed_in_vain() -> None:
    """Nothing but what the result asks for."""
    _, model = converted(lambda net, x: (torch.complex(x, x.tanh()) * (2 + 3j)).imag, (5,))
    kinds = [type(operation).__name__ for operation in model.operations]
    assert kinds.count("Multiply") == 2, kinds


REFUSED: dict[str, tuple[Function, str]] = {
    "tanh": (lambda net, x: z_of(x).tanh().real, "tanh of complex numbers"),
    "power": (lambda net, x: (z_of(x) ** x).real, "a power whose exponent"),
    "without a decomposition": (lambda net, x: torch.nan_to_num(z_of(x)).real, "nan_to_num of complex numbers"),
    "an output": (lambda net, x: z_of(x), "returns complex numbers.*view_as_real"),
    "a computed window": (
        lambda net, x: torch.stft(x[:, 0], 4, window=x[0, 0, :4], center=False, return_complex=True).real,
        "window that is computed",
    ),
    "windows apart": (
        lambda net, x: torch.istft(z_of(x)[:, :3], 4, 4, window=net.window[:4], center=True),
        "leave places out",
    ),
    "memory": (lambda net, x: z_of(x).view(torch.float64), "viewed in another type"),
    "rounded": (lambda net, x: torch.prod(z_of(x), 1).real, "prod of complex numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_reason(name: str) -> None:
    """The operator and what to do instead."""
    function, reason = REFUSED[name]
    with pytest.raises(xconv.XConvError, match=reason) as caught:
        xconv.torch_to_keras(Network(function), input_shape=(5, 6))
    assert all(problem.remedy and problem.place for problem in caught.value.problems)
    assert len(caught.value.problems) == 1


def test_complex_inputs_are_refused() -> None:
    """Keras models take real numbers; the remedy says how."""
    module = Network(lambda net, x: x.abs())
    with pytest.raises(xconv.XConvError, match=r"an input of complex numbers.*view_as_real"):
        xconv.torch_to_keras(module, torch.randn(2, 4, dtype=torch.complex128))


def test_open_sizes() -> None:
    """Transforms of real numbers along an axis of open length, where no norm and no other size asks for it."""

    def louder(net: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft(torch.fft.rfft(x, dim=1) * net.matrix.sum(), dim=1)

    def spectrogram(net: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.stft(x, 8, 3, window=net.window, center=False, return_complex=True).abs()

    for function, more in ((louder, (3,)), (spectrogram, ())):
        module = Network(function)
        model = xconv.torch_to_keras(module, input_shape=(None, *more))
        for length in (10, 18):
            x = noise(4, length, *more)
            assert_same(model(x.numpy()), module(x))


OPEN: dict[str, Function] = {
    "a norm": lambda net, x: torch.fft.rfft(x, norm="ortho").real,
    "filled up": lambda net, x: torch.fft.rfft(x, n=5).real,
    "complex": lambda net, x: torch.fft.fft(x).real,
    "as many": lambda net, x: torch.fft.irfft(torch.fft.rfft(x), n=x.shape[-1]),
    "shifted": lambda net, x: torch.fft.fftshift(x, dim=-1),
    "windows": lambda net, x: torch.istft(torch.complex(x, x), 4, 2, window=net.window[:4]),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_needs_known_sizes_says_so(name: str) -> None:
    """An open axis where Keras, or a factor, asks for a size."""
    with pytest.raises(xconv.XConvError, match=r"open|only at run time") as caught:
        xconv.torch_to_keras(Network(OPEN[name]), input_shape=(3, None))
    assert all("known sizes" in problem.remedy for problem in caught.value.problems)


KINDS = (
    "fft",
    "ifft",
    "rfft",
    "irfft",
    "hfft",
    "ihfft",
    "fft2",
    "ifft2",
    "rfft2",
    "irfft2",
    "fftn",
    "ifftn",
    "rfftn",
    "irfftn",
)


@st.composite
def transforms(draw: st.DrawFn) -> tuple[str, dict[str, Any], tuple[int, ...]]:
    """A transform, its arguments, and the shape of what it is called on."""
    kind = draw(st.sampled_from(KINDS))
    shape = draw(st.tuples(*[st.integers(2, 6)] * 3))
    norm = draw(st.sampled_from([None, "ortho", "forward", "backward"]))
    sizes = st.integers(1, 7)
    if kind[-1] == "t":
        return (
            kind,
            {"n": draw(st.none() | sizes), "dim": draw(st.sampled_from([1, 2, 3, -1, -2])), "norm": norm},
            shape,
        )
    count = 2 if kind[-1] == "2" else draw(st.integers(1, 3))
    dims = draw(st.permutations([-1, -2, -3]))[:count]
    s = draw(st.none() | st.tuples(*[sizes] * count))
    return kind, {"s": s, "dim": tuple(dims), "norm": norm}, shape


@settings(max_examples=25)
@given(transforms())
def test_transforms(case: tuple[str, dict[str, Any], tuple[int, ...]]) -> None:
    """Every transform along any axes, cut and filled up, with every norm."""
    kind, options, shape = case
    flat = (math.prod(shape),)
    real = kind.startswith(("rfft", "ihfft"))

    def transformed(net: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: ARG001
        x = x.view(x.shape[0], *shape)
        made = getattr(torch.fft, kind)(x if real else z_of(x), **options)
        return both(made) if made.is_complex() else made

    check(transformed, flat)
