"""Small networks, each written by hand in Keras and in torch, as two people would write it; sizes odd and unequal."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["KERAS", "SHAPES", "TORCH"]

SHAPES: dict[str, tuple[int, ...]] = {
    "vgg": (3, 11, 13),
    "residual": (3, 13, 17),
    "separable": (4, 11, 9),
    "lstm": (7, 5),
    "gru": (6, 5),
    "both_ways": (6, 5),
    "simple": (6, 5),
    "vit": (3, 8, 12),
    "words": (9,),
    "norms": (6, 7, 5),
}
"""The shape of each network's input, channels-first, without the batch."""


# ---------------------------------------------------------------------------------------------------------- torch


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width, eps=1e-3)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.last = nn.BatchNorm2d(width, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x + self.last(self.second(self.norm(self.first(x)).relu()))).relu()


class _Recurrent(nn.Module):
    def __init__(self, kind: str, both: bool) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(5, 4, batch_first=True, bidirectional=both)
        self.head = nn.Linear(8 if both else 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = self.rnn(x)[0]
        return self.head(steps.mean(1) if self.rnn.bidirectional else steps[:, -1])


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-3)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width, eps=1e-3)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(approximate="tanh"), nn.Linear(3 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.ln_1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class _ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, stride=4)
        self.blocks = nn.Sequential(_Block(12, 3), _Block(12, 3))
        self.norm = nn.LayerNorm(12, eps=1e-3)
        self.head = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))


class _Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(19, 6)
        self.conv = nn.Conv1d(6, 7, 3)
        self.out = nn.Linear(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.conv(self.embed(x).transpose(1, 2)).relu().amax(2))


def _vgg_torch() -> nn.Module:
    features = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 7, 3), nn.ReLU())
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(7 * 3 * 4, 11), nn.ReLU(), nn.Dropout(), nn.Linear(11, 6))
    return nn.Sequential(features, classifier)


def _residual_torch(bias: bool = False, gamma: bool = True, epsilon: float = 1e-3) -> nn.Module:
    stem = nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=bias)
    norm = nn.BatchNorm2d(6, eps=epsilon, affine=gamma)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    return nn.Sequential(stem, norm, nn.ReLU(), _Residual(6), _Residual(6), *head)


def _separable_torch() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1, groups=4, bias=False),
        nn.Conv2d(8, 6, 1),
        nn.BatchNorm2d(6, eps=1e-3),
        nn.ReLU6(),
        nn.Conv2d(6, 9, (3, 1), groups=3),
        nn.PReLU(9),
        nn.ConvTranspose2d(9, 4, 3, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(4, 7, 1),
        nn.Flatten(),
    )


def _norms_torch() -> nn.Module:
    return nn.Sequential(
        nn.GroupNorm(3, 6, eps=1e-3),
        nn.Conv2d(6, 4, 1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(4 * 7 * 5, 3),
        nn.LayerNorm(3, eps=1e-3),
    )


TORCH: dict[str, Any] = {
    "vgg": _vgg_torch,
    "residual": _residual_torch,
    "separable": _separable_torch,
    "lstm": lambda: _Recurrent("LSTM", both=False),
    "gru": lambda: _Recurrent("GRU", both=False),
    "both_ways": lambda: _Recurrent("LSTM", both=True),
    "simple": lambda: _Recurrent("RNN", both=False),
    "vit": _ViT,
    "words": _Words,
    "norms": _norms_torch,
}


# ---------------------------------------------------------------------------------------------------------- Keras


def _model(name: str, shape: tuple[int, ...], build: Any, dtype: str | None = None) -> Any:
    import keras

    with_channels_last = (*shape[1:], shape[0]) if len(shape) == 3 else shape
    x = keras.Input(with_channels_last, dtype=dtype)
    return keras.Model(x, build(keras.layers, x), name=name)


def _vgg_keras() -> Any:
    def build(k: Any, x: Any) -> Any:
        x = k.MaxPooling2D(2)(k.Conv2D(5, 3, padding="same", activation="relu")(x))
        x = k.Flatten()(k.Conv2D(7, 3, activation="relu")(x))
        return k.Dense(6)(k.Dense(11, activation="relu")(x))

    return _model("vgg", SHAPES["vgg"], build)


def _residual_keras(bias: bool = False, gamma: bool = True, epsilon: float = 1e-3) -> Any:
    def norm(k: Any, x: Any) -> Any:
        return k.BatchNormalization(epsilon=1e-3)(x)

    def block(k: Any, x: Any) -> Any:
        y = k.ReLU()(norm(k, k.Conv2D(6, 3, padding="same", use_bias=False)(x)))
        return k.ReLU()(k.Add()([x, norm(k, k.Conv2D(6, 3, padding="same", use_bias=False)(y))]))

    def build(k: Any, x: Any) -> Any:
        x = k.Conv2D(6, 3, strides=2, use_bias=bias)(k.ZeroPadding2D(1)(x))
        x = k.ReLU()(k.BatchNormalization(epsilon=epsilon, scale=gamma, center=gamma)(x))
        return k.Dense(5)(k.GlobalAveragePooling2D()(block(k, block(k, x))))

    return _model("residual", SHAPES["residual"], build)


def _separable_keras() -> Any:
    def build(k: Any, x: Any) -> Any:
        x = k.SeparableConv2D(6, 3, padding="same", depth_multiplier=2)(x)
        x = k.ReLU(6.0)(k.BatchNormalization()(x))
        x = k.PReLU(shared_axes=[1, 2])(k.Conv2D(9, (3, 1), groups=3)(x))
        x = k.GlobalAveragePooling2D()(k.Conv2DTranspose(4, 3, strides=2)(x))
        return k.Dense(7)(x)

    return _model("separable", SHAPES["separable"], build)


def _recurrent_keras(kind: str, both: bool, name: str) -> Any:
    def build(k: Any, x: Any) -> Any:
        if both:
            x = k.Bidirectional(getattr(k, kind)(4, return_sequences=True))(x)
            return k.Dense(3)(k.GlobalAveragePooling1D()(x))
        return k.Dense(3)(getattr(k, kind)(4)(x))

    return _model(name, SHAPES[name], build)


def _vit_keras() -> Any:
    def block(k: Any, x: Any) -> Any:
        y = k.LayerNormalization()(x)
        x = k.Add()([x, k.MultiHeadAttention(3, 4)(y, y)])
        y = k.Dense(36)(k.LayerNormalization()(x))
        return k.Add()([x, k.Dense(12)(_gelu(y))])

    def _gelu(y: Any) -> Any:
        import keras

        return keras.ops.gelu(y, approximate=True)

    def build(k: Any, x: Any) -> Any:
        x = k.Reshape((6, 12))(k.Conv2D(12, 4, strides=4)(x))
        x = k.LayerNormalization()(block(k, block(k, x)))
        return k.Dense(5)(k.GlobalAveragePooling1D()(x))

    return _model("vit", SHAPES["vit"], build)


def _words_keras() -> Any:
    def build(k: Any, x: Any) -> Any:
        x = k.Conv1D(7, 3, activation="relu")(k.Embedding(19, 6)(x))
        return k.Dense(2)(k.GlobalMaxPooling1D()(x))

    return _model("words", SHAPES["words"], build, "int32")


def _norms_keras() -> Any:
    def build(k: Any, x: Any) -> Any:
        x = k.Conv2D(4, 1, activation="silu")(k.GroupNormalization(3)(x))
        return k.LayerNormalization()(k.Dense(3)(k.Flatten()(x)))

    return _model("norms", SHAPES["norms"], build)


KERAS: dict[str, Any] = {
    "vgg": _vgg_keras,
    "residual": _residual_keras,
    "separable": _separable_keras,
    "lstm": lambda: _recurrent_keras("LSTM", False, "lstm"),
    "gru": lambda: _recurrent_keras("GRU", False, "gru"),
    "both_ways": lambda: _recurrent_keras("LSTM", True, "both_ways"),
    "simple": lambda: _recurrent_keras("SimpleRNN", False, "simple"),
    "vit": _vit_keras,
    "words": _words_keras,
    "norms": _norms_keras,
}
