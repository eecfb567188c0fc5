"""A target that takes its image turned by 180 degrees, or with its channels the other way round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from tests.comparison import assert_same
from xconv.errors import Mismatch

SHAPE = (3, 13, 17)


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """Keras layers that are made hold float64, so that what is folded is not rounded."""
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


def keras_network(first: Callable[[], Any], seed: int = 1) -> Any:
    """A small classifier behind one layer that reads the image."""
    image = layers.Input(SHAPE[1:] + SHAPE[:1], dtype="float64")
    x = layers.Conv2D(6, 3, use_bias=False)(layers.ReLU()(first()(image)))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    model = keras.Model(image, layers.Dense(5)(x), name="net")
    xconv.randomize(model, seed)
    return model


def torch_network(*first: nn.Module, channels: int, seed: int = 2) -> nn.Module:
    """The same in torch."""
    conv, norm = nn.Conv2d(channels, 6, 3, bias=False), nn.BatchNorm2d(6, eps=1e-3)
    head = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    module = nn.Sequential(*first, nn.ReLU(), conv, norm, *head).double().eval()
    xconv.randomize(module, seed, inputs=image(seed))
    return module


def image(seed: int = 7) -> torch.Tensor:
    """Two images, as torch takes them."""
    return torch.randn(2, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def run(model: Any, x: torch.Tensor) -> torch.Tensor:
    """What a model of either framework makes of images that are channels-first."""
    if isinstance(model, nn.Module):
        return model(x).detach()
    return torch.from_numpy(np.array(model(x.movedim(1, -1).numpy(), training=False)))


FIRST: dict[str, tuple[Callable[[], Any], Callable[[], nn.Module], int]] = {
    "convolution": (lambda: layers.Conv2D(8, 3, strides=2), lambda: nn.Conv2d(3, 8, 3, 2), 8),
    "depthwise": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: nn.Conv2d(3, 6, 3, groups=3),
        6,
    ),
    "grouped": (lambda: layers.Conv2D(12, 3, groups=3), lambda: nn.Conv2d(3, 12, 3, groups=3), 12),
    "BatchNorm": (layers.BatchNormalization, lambda: nn.BatchNorm2d(3, eps=1e-3), 3),
}
WAYS = ("keras to torch", "torch to keras", "keras to keras", "torch to torch")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", sorted(FIRST))
def test_bgr_against_rgb_also_by_a_saved_map(first: str, way: str, tmp_path: Path) -> None:
    in_keras, in_torch, channels = FIRST[first]
    source, target = (
        keras_network(in_keras, seed) if side == "keras" else torch_network(in_torch(), channels=channels, seed=seed)
        for seed, side in enumerate(way.split(" to "))
    )
    report = xconv.transfer(source, target, swap_channels=True, input_shape=SHAPE if way == WAYS[-1] else None)
    assert report.verdict == "exact for an image with its channels the other way round"
    assert_same(run(target, image().flip(1)), run(source, image()))
    assert bool((run(target, image()) - run(source, image())).abs().max() > 1e-3)

    report.save_map(tmp_path / "map.json")
    xconv.randomize(source, 9, inputs=image() if isinstance(source, nn.Module) else None)
    files = [
        tmp_path / f"{i}.{'pt' if isinstance(m, nn.Module) else 'weights.h5'}" for i, m in enumerate((source, target))
    ]
    if isinstance(source, nn.Module):
        torch.save(source.state_dict(), files[0])
    else:
        source.save_weights(files[0])
    replayed = xconv.apply_map(tmp_path / "map.json", *files)
    assert replayed.verdict == report.verdict
    if isinstance(target, nn.Module):
        target.load_state_dict(torch.load(files[1], weights_only=True))
    else:
        target.load_weights(files[1])
    assert_same(run(target, image().flip(1)), run(source, image()))


class _Several(nn.Module):
    """Two convolutions and a depthwise one read the image; a mask beside it has one channel, and is no image."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, (3, 1), padding=(0, 1), stride=1)
        self.apart, self.point = nn.Conv2d(3, 9, 3, groups=3), nn.Conv2d(9, 4, 1)
        self.mask, self.head = nn.Conv2d(1, 4, 3), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        parts = self.one(x).relu(), self.two(x).relu()[..., 1:-1], self.point(self.apart(x).tanh()), self.mask(mask)
        return self.head(torch.cat([part.mean((2, 3)) for part in parts], 1))


def test_every_layer_that_reads_the_image_is_changed_and_no_other() -> None:
    inputs = image(), torch.randn(2, 1, 13, 17, dtype=torch.float64)
    source, target = _Several().double().eval(), _Several().double().eval()
    report = xconv.transfer(source, target, swap_channels=True, input_shape=[SHAPE, (1, *SHAPE[1:])])
    assert {item.layer for item in report.folds} == {"one", "two", "apart", "point"}
    assert_same(target(inputs[0].flip(1), inputs[1]), source(*inputs))


def test_a_flattened_image_is_read_in_another_order_by_blocks() -> None:
    source, target = (
        nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 13 * 17, 4)).double().eval() for _ in range(2)
    )
    xconv.randomize(source, 3, inputs=image())
    xconv.transfer(source, target, swap_channels=True, input_shape=SHAPE)
    assert_same(target(image().flip(1)), source(image()))
    steps = [layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(4)]
    model = keras.Sequential([layers.Input((13, 17, 3), dtype="float64"), *steps])
    bare = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3 * 6 * 8, 4)).double().eval()
    xconv.transfer(bare, model, swap_channels=True)
    assert_same(run(model, image().flip(1)), bare(image()))


@pytest.mark.parametrize("first", ["Normalization", "Rescaling"])
def test_settings_for_every_channel_apart_are_refused_unless_they_are_one(first: str) -> None:
    def network(numbers: list[float]) -> Any:
        if first == "Rescaling":
            return keras_network(lambda: layers.Rescaling(numbers, [0.5, 0.5, 0.5]))
        return keras_network(lambda: layers.Normalization(mean=numbers, variance=[2.0, 2.0, 2.0]))

    target = network([1.0, 2.0, 3.0])
    before = [np.array(weight) for weight in target.weights]
    with pytest.raises(Mismatch, match="settings, not weights"):
        xconv.transfer(network([1.0, 2.0, 3.0]), target, swap_channels=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, target.weights, strict=True))
    if first == "Rescaling":
        source, target = network([2.0, 2.0, 2.0]), network([2.0, 2.0, 2.0])
        assert xconv.transfer(source, target, swap_channels=True).ok
        assert_same(run(target, image().flip(1)), run(source, image()))


def test_a_normalization_that_was_adapted_has_weights_that_are_turned() -> None:
    def network() -> Any:
        layer = layers.Normalization()
        layer.adapt(np.random.default_rng(3).normal([1.0, 2.0, 3.0], [0.5, 1.5, 2.5], (40, 3)))
        return keras_network(lambda: layer)

    source, target = network(), network()
    report = xconv.transfer(source, target, swap_channels=True)
    assert {"mean", "variance"} <= {item.role for item in report.folds}
    assert_same(run(target, image().flip(1)), run(source, image()), relative=1e-6)


def test_numbers_outside_the_target_are_told_in_the_order_of_their_own_model() -> None:
    def scaled() -> Any:
        return keras.Sequential([layers.Rescaling([0.1, 0.2, 0.4], 0.0), layers.Conv2D(8, 3, strides=2)], name="first")

    source, target = keras_network(scaled), torch_network(nn.Conv2d(3, 8, 3, 2), channels=8)
    report = xconv.transfer(source, target, swap_channels=True)
    assert any("in the order of channels that net takes" in note for note in report.notes)
    (line,) = [note.partition("yourself: ")[2] for note in report.notes if "yourself" in note]
    names: dict[str, Any] = {"torch": torch, "x": image()}
    exec(line, names)  # noqa: S102  what a reader of the report would run
    assert_same(target(names["x"].flip(1)), run(source, image()), relative=1e-6)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (lambda: nn.Sequential(nn.GroupNorm(3, 3), nn.Conv2d(3, 4, 3)), "GroupNorm reads the image's channels"),
        (lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), "come out the other way round as well"),
        (lambda: nn.Sequential(nn.Conv2d(3, 6, 1, groups=3), nn.Conv2d(6, 4, 1, groups=2)), "no groups of the image's"),
    ],
)
def test_channels_that_cannot_be_followed_are_refused(network: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(Mismatch, match=words):
        xconv.transfer(network().eval(), network().eval(), input_shape=SHAPE, swap_channels=True)


def test_an_input_of_other_than_three_channels_has_no_colours() -> None:
    networks = [nn.Sequential(nn.Conv2d(4, 5, 3)).eval() for _ in range(2)]
    with pytest.raises(Mismatch, match="no input of Sequential is an image of 3 channels"):
        xconv.transfer(*networks, input_shape=(4, 9, 11), swap_channels=True)


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_a_normalization_computes_with_what_was_moved_into_it(package: str, tmp_path: Path) -> None:
    """Also in a step that was compiled before, and after a file of weights."""
    library = pytest.importorskip(package)
    inputs = image().movedim(1, -1).float().numpy()

    def network(mean: float) -> Any:
        layer = library.layers.Normalization()
        layer.adapt(np.random.default_rng(3).normal([mean, 2.0, 3.0], [0.5, 1.5, 2.5], (9, 4, 5, 3)))
        image = library.layers.Input((13, 17, 3))
        x = library.layers.Conv2D(4, 3, name="conv")(layer(image))
        return library.Model(image, x, name="net")

    source, target, third = network(1.0), network(9.0), network(5.0)
    wanted = source.predict(inputs, verbose=0)
    source.save(tmp_path / "source.keras")
    for other, given in ((target, source), (third, tmp_path / "source.keras")):
        assert np.abs(other.predict(inputs, verbose=0) - wanted).max() > 0.1
        assert xconv.transfer(given, other).ok
        assert_same(other.predict(inputs, verbose=0), wanted, relative=1e-6)
