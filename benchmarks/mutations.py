"""Mistakes planted in a network that otherwise agrees with another: what `xconv.diagnose` has to find.

A `Subject` is a torch network and its Keras twin, exact to each other. A `Mutation` changes a copy of the torch network
in one place, as people do who port a network by hand, and says which cause must be found there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["SUBJECTS", "Mutation", "Subject", "mutations_of", "planted"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A network by name, the shape of its input without the batch, and whether that is an image."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    dtype: str = "float32"
    high: int = 0


@dataclass(frozen=True, slots=True)
class Mutation:
    """A mistake: the cause that it is, the module where it sits (a prefix of its path), and how it is made.

    `make` changes the module in place. `cause` may name several words for one mistake, separated by `|`.
    """

    cause: str
    place: str
    make: Callable[[nn.Module], None]
    note: str = ""


class Vgg(nn.Module):
    """Convolutions, pools, a Flatten and two Dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 3, padding=1)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(12, 16, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(16)
        self.conv3 = nn.Conv2d(16, 16, 3, padding=1)
        self.pool2 = nn.AvgPool2d(3, 2, 1)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(0.3)
        self.fc1 = nn.Linear(16 * 5 * 6, 32)
        self.fc2 = nn.Linear(32, 32)
        self.fc3 = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of a batch of images."""
        x = self.pool1(self.act(self.conv1(x)))
        x = self.act(self.norm2(self.conv2(x)))
        x = self.pool2(self.act(self.conv3(x)))
        x = self.act(self.fc1(torch.flatten(x, 1)))
        return self.fc3(self.drop(self.act(self.fc2(x))))  # type: ignore[no-any-return]


class Lstm(nn.Module):
    """Words to a class: an Embedding, two LSTMs, one of them in both directions, a Dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 12)
        self.first = nn.LSTM(12, 12, batch_first=True)
        self.second = nn.LSTM(12, 9, batch_first=True, bidirectional=True)
        self.norm = nn.LayerNorm(18)
        self.fc = nn.Linear(18, 7)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Logits of a batch of sentences."""
        x, _ = self.first(self.embed(words))
        x, _ = self.second(x)
        return self.fc(self.norm(x.mean(1)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """One block of the transformer, norms first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.fc1 = nn.Linear(width, 2 * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The tokens with what attention and the layers behind it add."""
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.fc2(self.act(self.fc1(self.norm2(x))))  # type: ignore[no-any-return]


class Vit(nn.Module):
    """A small vision transformer: patches, places, blocks, the mean of all tokens."""

    def __init__(self, width: int = 24, depth: int = 3) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, 8)
        self.places = nn.Parameter(torch.zeros(1, 20, width))
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of a batch of images."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.norm(self.blocks(tokens)).mean(1))  # type: ignore[no-any-return]


def _torchvision(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from torchvision import models

        return models.get_model(name, weights=None)  # type: ignore[no-any-return]

    return build


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("resnet50", _torchvision("resnet50"), (3, 64, 96)),
        Subject("mobilenet_v3_small", _torchvision("mobilenet_v3_small"), (3, 64, 96)),
        Subject("vgg", Vgg, (3, 20, 24)),
        Subject("lstm", Lstm, (11,), "int64", 40),
        Subject("vit", Vit, (3, 32, 40)),
    )
}
"""By name. Sizes are even where 'same' padding and torch's differ."""


def planted(module: nn.Module, mutations: Sequence[Mutation]) -> nn.Module:
    """A copy of the module, in inference mode, with the mistakes in it."""
    changed = copy.deepcopy(module).eval()
    with torch.no_grad():
        for mutation in mutations:
            mutation.make(changed)
    return changed


# -- how they are made ------------------------------------------------------------------------------------------------


def put(path: str, **values: Any) -> Callable[[nn.Module], None]:
    """Other attributes of a module, as `model.layer1[0].conv1.stride = (2, 2)` sets them."""

    def make(module: nn.Module) -> None:
        for name, value in values.items():
            setattr(module.get_submodule(path), name, value)

    return make


def swap(path: str, new: Callable[[nn.Module], nn.Module]) -> Callable[[nn.Module], None]:
    """Another module in the place of one, made of it."""

    def make(module: nn.Module) -> None:
        module.set_submodule(path, new(module.get_submodule(path)))

    return make


def fill(path: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[nn.Module], None]:
    """Other numbers in a parameter or buffer."""

    def make(module: nn.Module) -> None:
        owner, _, name = path.rpartition(".")
        tensor = getattr(module.get_submodule(owner), name)
        tensor.copy_(change(tensor.clone()))

    return make


def all_of(kind: type[nn.Module], **values: Any) -> Callable[[nn.Module], None]:
    """Other attributes of every module of a class."""

    def make(module: nn.Module) -> None:
        for child in module.modules():
            if isinstance(child, kind):
                for name, value in values.items():
                    setattr(child, name, value)

    return make


def forward(path: str, new: Callable[..., torch.Tensor]) -> Callable[[nn.Module], None]:
    """Another `forward` for one module; it is given the module first."""

    def make(module: nn.Module) -> None:
        owner = module.get_submodule(path)
        owner.forward = lambda *given: new(owner, *given)  # type: ignore[method-assign]

    return make


def gates(order: Sequence[int]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The rows of a recurrent weight with their gates in another order."""
    return lambda tensor: torch.cat([tensor.chunk(len(order))[place] for place in order])


def _unabsorbed(path: str) -> Callable[[nn.Module], None]:
    """The bias of a layer forgotten."""
    return put(path, bias=None)


# -- the tables -------------------------------------------------------------------------------------------------------


def mutations_of(name: str) -> tuple[Mutation, ...]:
    """The mistakes for one subject."""
    return tuple(TABLES[name]())


def _resnet50() -> Iterator[Mutation]:
    def v1(module: nn.Module) -> None:
        for stage in ("layer2", "layer3", "layer4"):
            first = module.get_submodule(stage)[0]  # type: ignore[index]
            first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)

    def without_shortcut(block: Any, x: torch.Tensor) -> torch.Tensor:
        y = block.relu(block.bn1(block.conv1(x)))
        y = block.relu(block.bn2(block.conv2(y)))
        return block.relu(block.bn3(block.conv3(y)))  # type: ignore[no-any-return]

    def wrong_branch(block: Any, x: torch.Tensor) -> torch.Tensor:
        y = block.relu(block.bn1(block.conv1(x)))
        y = block.bn3(block.conv3(block.relu(block.bn2(block.conv2(y)))))
        return block.relu(y + y)  # type: ignore[no-any-return]

    def activation_first(block: Any, x: torch.Tensor) -> torch.Tensor:
        y = block.relu(block.bn1(block.conv1(x)))
        y = block.bn2(block.relu(block.conv2(y)))
        return block.relu(block.bn3(block.conv3(y)) + x)  # type: ignore[no-any-return]

    yield Mutation("stride", "layer2.0.conv1", v1, "ResNet v1 against v1.5")
    yield Mutation("padding", "conv1", put("conv1", padding=(2, 2)))
    yield Mutation("epsilon", "", all_of(nn.BatchNorm2d, eps=1e-3))
    yield Mutation("momentum", "", all_of(nn.BatchNorm2d, momentum=0.01), "training only")
    yield Mutation("statistics", "layer3.1.bn2", fill("layer3.1.bn2.running_var", lambda v: v.sqrt()))
    yield Mutation("pooling", "maxpool", swap("maxpool", lambda _: nn.AvgPool2d(3, 2, 1)))
    yield Mutation("activation", "layer2.1.relu", swap("layer2.1.relu", lambda _: nn.LeakyReLU(0.1)))
    yield Mutation("residual", "layer3.2", forward("layer3.2", without_shortcut), "the shortcut is missing")
    yield Mutation("residual", "layer2.2", forward("layer2.2", wrong_branch), "the branch is added to itself")
    yield Mutation("layer_order", "layer1.1", forward("layer1.1", activation_first))
    yield Mutation("channel_order", "conv1", fill("conv1.weight", lambda w: w.flip(1)), "BGR against RGB")
    yield Mutation("weights", "layer4.2.conv2", fill("layer4.2.conv2.weight", lambda w: w + 0.1 * torch.randn_like(w)))
    yield Mutation("kernel_layout", "layer1.1.conv2", fill("layer1.1.conv2.weight", lambda w: w.transpose(2, 3)))
    yield Mutation("softmax", "fc", swap("fc", lambda fc: nn.Sequential(fc, nn.Softmax(-1))))
    yield Mutation("features", "fc", put("", fc=nn.Identity()), "no classifier: 2048 numbers")


def _mobilenet() -> Iterator[Mutation]:
    class Same(nn.Module):
        def __init__(self, conv: nn.Conv2d) -> None:
            super().__init__()
            self.conv, conv.padding = conv, (0, 0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            """The convolution with its pads as TensorFlow's 'same' puts them."""
            return self.conv(functional.pad(x, (0, 1, 0, 1)))  # type: ignore[no-any-return]

    yield Mutation("padding", "features.0.0", swap("features.0.0", Same), "'same' of TensorFlow, shifted by a pixel")
    yield Mutation("epsilon", "", all_of(nn.BatchNorm2d, eps=1e-5))
    yield Mutation("activation", "features.0.2", swap("features.0.2", lambda _: nn.SiLU()), "swish for hard-swish")
    yield Mutation(
        "activation",
        "features.4.block.2.scale_activation",
        swap("features.4.block.2.scale_activation", lambda _: nn.Sigmoid()),
    )
    yield Mutation("activation", "features.1.block.0.2", swap("features.1.block.0.2", lambda _: nn.ReLU6()))
    yield Mutation(
        "statistics",
        "features.5.block.1.1",
        fill("features.5.block.1.1.running_mean", lambda m: m * 0),
    )
    yield Mutation("scaling", "features.0", swap("features.0", lambda f: nn.Sequential(_Rescaled(), f)))
    yield Mutation("weights", "classifier.3", fill("classifier.3.weight", lambda w: torch.randn_like(w) * 0.05))
    yield Mutation("bias", "classifier.0", _unabsorbed("classifier.0"))
    yield Mutation("stride", "features.4.block.1.0", put("features.4.block.1.0", stride=(1, 1)))
    yield Mutation("dtype", "", lambda module: module.bfloat16() and None, "weights rounded to bfloat16")


class _Rescaled(nn.Module):
    """What keras.applications has inside the model."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From -1 to 1 what was 0 to 255."""
        return x / 127.5 - 1


def _vgg() -> Iterator[Mutation]:
    def hwc(weight: torch.Tensor) -> torch.Tensor:
        return weight.reshape(32, 16, 5, 6).permute(0, 2, 3, 1).reshape(32, -1)

    def flat(module: Any, x: torch.Tensor) -> torch.Tensor:
        x = module.pool1(module.act(module.conv1(x)))
        x = module.act(module.norm2(module.conv2(x)))
        x = module.pool2(module.act(module.conv3(x)))
        x = module.act(module.fc1(x.permute(0, 2, 3, 1).flatten(1)))
        return module.fc3(module.drop(module.act(module.fc2(x))))  # type: ignore[no-any-return]

    yield Mutation(
        "padding",
        "conv2",
        put("conv2", padding=(1, 1), padding_mode="reflect", _reversed_padding_repeated_twice=[1, 1, 1, 1]),
        "reflected border",
    )
    yield Mutation("flatten_order", "fc1", fill("fc1.weight", hwc))
    yield Mutation("flatten_order|reshaping", "fc1", forward("", flat), "the map turned before it is flattened")
    yield Mutation("kernel_layout", "fc2", fill("fc2.weight", lambda w: w.T))
    yield Mutation("kernel_layout", "conv3", fill("conv3.weight", lambda w: w.transpose(0, 1)))
    yield Mutation("bias", "conv1", _unabsorbed("conv1"))
    yield Mutation("bias", "fc3", _unabsorbed("fc3"))
    yield Mutation("pooling", "pool2", put("pool2", count_include_pad=False))
    yield Mutation("pooling", "pool1", swap("pool1", lambda _: nn.AvgPool2d(2)))
    yield Mutation("activation", "act", swap("act", lambda _: nn.LeakyReLU(0.2)))
    yield Mutation("statistics", "norm2", _exchange("norm2.running_mean", "norm2.running_var"), "mean for variance")
    yield Mutation("statistics", "norm2", fill("norm2.running_var", lambda v: v * 64 / 63), "unbiased variance")
    yield Mutation("epsilon", "norm2", put("norm2", eps=1e-3))
    yield Mutation("missing_layers", "norm2", put("", norm2=nn.Identity()))
    yield Mutation("channel_order", "conv1", fill("conv1.weight", lambda w: w.flip(1)))
    yield Mutation("mode", "norm2", lambda module: module.train() and None, "model.eval() forgotten")
    yield Mutation("dtype", "", _rounded(torch.float16), "weights rounded to float16")
    yield Mutation("softmax", "fc3", swap("fc3", lambda fc: nn.Sequential(fc, nn.Softmax(-1))))


def _exchange(first: str, second: str) -> Callable[[nn.Module], None]:
    def make(module: nn.Module) -> None:
        one, other = dict(module.named_buffers())[first], dict(module.named_buffers())[second]
        kept = one.clone()
        one.copy_(other)
        other.copy_(kept)

    return make


def _rounded(dtype: torch.dtype) -> Callable[[nn.Module], None]:
    def make(module: nn.Module) -> None:
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(tensor.to(dtype))

    return make


def _lstm() -> Iterator[Mutation]:
    def reordered(path: str, order: Sequence[int]) -> Callable[[nn.Module], None]:
        def make(module: nn.Module) -> None:
            for _, tensor in module.get_submodule(path).named_parameters():
                tensor.copy_(gates(order)(tensor.clone()))

        return make

    def directions(module: nn.Module) -> None:
        layer = dict(module.get_submodule("second").named_parameters())
        for name, tensor in layer.items():
            if not name.endswith("_reverse"):
                _exchanged(tensor, layer[f"{name}_reverse"])

    def last(module: Any, words: torch.Tensor) -> torch.Tensor:
        x, _ = module.first(module.embed(words))
        x, _ = module.second(x)
        return module.fc(module.norm(x[:, -1]))  # type: ignore[no-any-return]

    yield Mutation("gate_order", "first", reordered("first", (0, 1, 3, 2)), "i, f, o, c")
    yield Mutation("gate_order", "second", directions, "the directions exchanged")
    yield Mutation("kernel_layout", "first", fill("first.weight_ih_l0", _transposed_gates))
    yield Mutation(
        "bias|weights",
        "second",
        fill("second.bias_hh_l0", lambda b: b * 0),
        "one of the two biases forgotten; Keras has their sum alone",
    )
    yield Mutation("epsilon", "norm", put("norm", eps=1e-2))
    yield Mutation("weights", "embed", fill("embed.weight", lambda w: w + 0.05 * torch.randn_like(w)))
    yield Mutation("recurrent", "select", forward("", last), "the last step alone, not the mean of all")
    yield Mutation("bias", "fc", _unabsorbed("fc"))
    yield Mutation("softmax", "fc", swap("fc", lambda fc: nn.Sequential(fc, nn.Softmax(-1))))


def _transposed_gates(weight: torch.Tensor) -> torch.Tensor:
    """Each gate's square kernel transposed."""
    return torch.cat([block.T for block in weight.chunk(4)])


def _exchanged(one: torch.Tensor, other: torch.Tensor) -> None:
    kept = one.clone()
    one.copy_(other)
    other.copy_(kept)


def _vit() -> Iterator[Mutation]:
    def post_norm(block: Any, x: torch.Tensor) -> torch.Tensor:
        x = block.norm1(x + block.attention(x, x, x, need_weights=False)[0])
        return x + block.fc2(block.act(block.fc1(block.norm2(x))))  # type: ignore[no-any-return]

    def unscaled(block: Any, x: torch.Tensor) -> torch.Tensor:
        y = block.norm1(x)
        y = block.attention(2.0 * y, y, y, need_weights=False)[0]
        return x + y + block.fc2(block.act(block.fc1(block.norm2(x + y))))  # type: ignore[no-any-return]

    def no_shortcut(block: Any, x: torch.Tensor) -> torch.Tensor:
        y = block.norm1(x)
        x = block.attention(y, y, y, need_weights=False)[0]
        return x + block.fc2(block.act(block.fc1(block.norm2(x))))  # type: ignore[no-any-return]

    yield Mutation("activation", "blocks.1.act", put("blocks.1.act", approximate="tanh"), "tanh GELU")
    yield Mutation("epsilon", "blocks.0.norm1", put("blocks.0.norm1", eps=1e-3))
    yield Mutation("attention", "blocks.1.attention", put("blocks.1.attention", num_heads=2, head_dim=12))
    yield Mutation("layer_order", "blocks.2", forward("blocks.2", post_norm), "norms last")
    yield Mutation("other_settings|attention|missing_layers|scaling", "blocks.1", forward("blocks.1", unscaled))
    yield Mutation("residual", "blocks.0", forward("blocks.0", no_shortcut))
    yield Mutation("weights", "places", fill("places", lambda p: p + 0.1 * torch.randn_like(p)))
    yield Mutation("kernel_layout", "blocks.1.attention", fill("blocks.1.attention.out_proj.weight", lambda w: w.T))
    yield Mutation("kernel_layout", "patches", fill("patches.weight", lambda w: w.transpose(2, 3)))
    yield Mutation("missing_layers", "norm", put("", norm=nn.Identity()))
    yield Mutation("bias", "head", _unabsorbed("head"))
    yield Mutation("channel_order", "patches", fill("patches.weight", lambda w: w.flip(1)))


TABLES: dict[str, Callable[[], Iterator[Mutation]]] = {
    "resnet50": _resnet50,
    "mobilenet_v3_small": _mobilenet,
    "vgg": _vgg,
    "lstm": _lstm,
    "vit": _vit,
}
