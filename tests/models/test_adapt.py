"""adapt=True: the target's geometry is changed so that it is exact, in place and all of it, or nothing."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers
from torch import nn
from torch.nn import functional

import xconv
from xconv.errors import Mismatch, Unsupported, XConvWarning
from xconv.transfers.report import TransferReport

SHAPE = (3, 31, 38)


def keras_network(shape: tuple[int | None, ...] = (31, 38, 3), slope: float = 0.3) -> keras.Model:
    """Zeros before a max pool that matter, 'same' windows, a pooled shortcut, a mean over real pixels, a slope."""
    x = image = layers.Input(shape)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(x)
    x = layers.MaxPooling2D(3, 2, name="pool")(layers.ZeroPadding2D(1, name="pad")(x))
    shortcut = layers.MaxPooling2D(1, 2, name="short")(x)
    y = layers.Activation("relu6", name="six")(layers.BatchNormalization(epsilon=1e-3, name="pre")(x))
    y = layers.BatchNormalization(momentum=0.9, name="one_bn")(layers.Conv2D(8, 1, strides=2, name="one")(y))
    y = layers.LeakyReLU(slope, name="slope")(y)
    x = layers.Add(name="sum")([shortcut, layers.Conv2D(8, 3, padding="same", name="two")(y)])
    mean = layers.AveragePooling2D(3, 1, padding="same", name="mean")(x)
    x = layers.Concatenate(name="both")([x, layers.Conv2D(5, 1, name="branch")(mean)])
    x = layers.ReLU(name="last")(layers.BatchNormalization(name="post")(x))
    return keras.Model(image, layers.Dense(7, name="fc")(layers.GlobalAveragePooling2D(name="gap")(x)), name="net")


class Block(nn.Module):
    """One activation module for two places, the stride elsewhere, no shortcut layer, a pool in the code."""

    def __init__(self) -> None:
        super().__init__()
        self.pre, self.act = nn.BatchNorm2d(8), nn.ReLU()
        self.one, self.one_bn = nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.two, self.branch = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.one_bn(self.one(self.act(self.pre(x)))))
        x = self.two(y) + x
        return torch.cat([x, self.branch(functional.avg_pool2d(x, 3, 1, 1))], 1)


class TorchNetwork(nn.Module):
    """What somebody wrote after the network above, with torch's habits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.block = Block()
        self.post, self.fc = nn.BatchNorm2d(13), nn.Linear(13, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block(self.pool(self.stem(x)))
        return self.fc(functional.relu(self.post(x)).mean((2, 3)))


def state_of(module: nn.Module) -> list[Any]:
    """All that a module is: classes, settings, children, numbers."""
    found = []
    for name, child in module.named_modules():
        plain = {key: value for key, value in vars(child).items() if isinstance(value, (int, float, tuple, str))}
        held = (child._buffers, child._modules, child._forward_hooks, child._forward_pre_hooks)
        found.append((name, type(child), plain, [list(each) for each in held], set(child._non_persistent_buffers_set)))
    return [*found, {key: (id(value), value.clone()) for key, value in module.state_dict(keep_vars=True).items()}]


def same_state(a: list[Any], b: list[Any]) -> bool:
    numbers = all(a[-1][key][0] == b[-1][key][0] and torch.equal(a[-1][key][1], b[-1][key][1]) for key in a[-1])
    return a[:-1] == b[:-1] and a[-1].keys() == b[-1].keys() and numbers


@pytest.fixture(scope="module")
def adapted() -> tuple[keras.Model, nn.Module, TransferReport, list[Any]]:
    source = keras_network()
    xconv.randomize(source, 3)
    target = TorchNetwork().double().train()
    before = state_of(target)
    return source, target, xconv.transfer(source, target, adapt=True), before


def test_every_kind_of_change(adapted: Any) -> None:
    """Same class, same keys, same parameter objects; exact in float64; every change told once."""
    source, target, report, before = adapted
    assert report.ok
    assert report.verdict == "exact"
    assert report.target is target
    assert type(target) is TorchNetwork
    assert {key: place for key, (place, _) in before[-1].items()} == {
        key: id(value) for key, value in target.state_dict(keep_vars=True).items()
    }
    assert target.training
    target.eval()
    assert xconv.verify(source, target).ok
    said = {(item.place, item.before, item.after) for item in report.adapted}
    assert ("block.one", "stride (1, 1)", "stride (2, 2)") in said
    assert ("block.pre", "eps 1e-05", "eps 0.001") in said
    assert any(place == "stem" and "((1, 1), (0, 1))" in after for place, _, after in said)
    assert any(place == "block" and "avg_pool2d" in old for place, old, _ in said)
    assert any(place == "block" and "MaxPool2d" in new for place, _, new in said)
    assert len(said) == len(report.adapted)
    assert len([place for place, _, after in said if place == "stem" and after == "offset"]) == 1
    assert "block.one: stride" in "\n".join(map(str, report.adapted))
    assert {"place", "before", "after", "why"} == set(report.to_dict()["adapted"][0])


def test_an_adapted_module_is_copied_pickled_exported_and_saved(adapted: Any) -> None:
    _, target, _, _ = adapted
    target.eval()
    x = torch.randn(2, *SHAPE, dtype=torch.float64)
    wanted = target(x)
    assert torch.equal(copy.deepcopy(target)(x), wanted)
    assert torch.equal(pickle.loads(pickle.dumps(target))(x), wanted)  # noqa: S301  made here
    assert torch.equal(torch.export.export(target, (x,)).module()(x), wanted)
    assert torch.allclose(copy.deepcopy(target).float()(x.float()).double(), wanted, rtol=1e-4, atol=1e-5)
    fresh = TorchNetwork().double().eval()
    fresh.load_state_dict(target.state_dict())
    assert not torch.allclose(fresh(x), wanted)


def test_a_second_transfer_changes_nothing(adapted: Any) -> None:
    source, target, _, _ = adapted
    xconv.randomize(source, 8)
    assert xconv.transfer(source, target, adapt=True).adapted == ()
    assert xconv.verify(source, target.eval()).ok


def test_what_cannot_be_mended_leaves_everything_as_it_was() -> None:
    """One layer more in the source: no setting is kept, no number moved."""
    inner = keras_network()
    x = layers.Input((31, 38, 3))
    source = keras.Model(x, layers.LayerNormalization(name="extra")(inner(x)))
    xconv.randomize(source)
    target = TorchNetwork()
    before = state_of(target)
    with pytest.raises(Mismatch, match="extra"):
        xconv.transfer(source, target, adapt=True)
    assert same_state(state_of(target), before)


def test_an_error_while_writing_takes_every_change_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("disk")

    target = TorchNetwork()
    before = state_of(target)
    monkeypatch.setattr("xconv.transfers.transferring.carry_out", fails)
    with pytest.raises(RuntimeError, match="disk"):
        xconv.transfer(keras_network(), target, adapt=True)
    assert same_state(state_of(target), before)


def test_open_sizes_pad_as_the_size_asks() -> None:
    """The source takes any size, and its 'same' pads depend on it."""
    x = image = layers.Input((None, None, 3))
    x = layers.Conv2D(6, 5, strides=3, padding="same")(x)
    x = layers.MaxPooling2D(2, 2, padding="same")(x)
    source = keras.Model(image, layers.GlobalAveragePooling2D()(x))
    xconv.randomize(source)
    target = nn.Sequential(nn.Conv2d(3, 6, 5, 3), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    assert xconv.transfer(source, target, adapt=True).ok
    for height, width in ((31, 38), (32, 33)):
        image = np.random.default_rng(height).normal(size=(2, height, width, 3)).astype("float32")
        wanted = np.asarray(source(image))
        given = target(torch.from_numpy(image).permute(0, 3, 1, 2).double()).detach().numpy()
        assert np.abs(given - wanted).max() < 1e-5 * np.abs(wanted).max()


def test_timm_layers_that_pad_by_themselves() -> None:
    """timm's own 'same' layers become plain ones with the pads of the source."""
    pytest.importorskip("timm")
    from timm.layers.conv2d_same import Conv2dSame
    from timm.layers.pool2d_same import MaxPool2dSame

    source = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Conv2d(6, 4, 3, 2, 1)
    ).double()
    target = nn.Sequential(Conv2dSame(3, 6, 3, 2), nn.ReLU(), MaxPool2dSame(3, 2), Conv2dSame(6, 4, 3, 2)).double()
    report = xconv.transfer(source, target, adapt=True, input_shape=(3, 30, 40))
    x = torch.randn(2, 3, 30, 40, dtype=torch.float64)
    assert report.ok
    assert isinstance(target[0], Conv2dSame)
    assert torch.equal(copy.deepcopy(target)(x), source(x))


def test_what_is_no_live_model_is_refused() -> None:
    source = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1)).eval()
    program = torch.export.export(nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1)).eval(), (torch.zeros(2, *SHAPE),))
    with pytest.raises(Unsupported, match="settings"):
        xconv.transfer(source, program, adapt=True)


def torch_source() -> nn.Module:
    """An adapted target is a source as good as any: strides, even pads, epsilons as torch has them."""
    torch.manual_seed(4)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.01),
        nn.AvgPool2d(3, 1, 1),
        nn.Conv2d(8, 8, 3, 2, 1, groups=8),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 6, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    ).eval()
    xconv.randomize(module, 1, inputs=torch.randn(4, *SHAPE))
    return module


def stock_keras(kind: str) -> keras.Model:
    """The same network with Keras's habits, as a Sequential or a Functional model."""
    steps = [
        layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem"),
        layers.BatchNormalization(name="bn"),
        layers.LeakyReLU(0.3, name="act"),
        layers.AveragePooling2D(3, 1, padding="same", name="mean"),
        layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad"),
        layers.DepthwiseConv2D(3, 2, activation="relu6", name="deep"),
        layers.MaxPooling2D(3, 2, padding="same", name="pool"),
        layers.Conv2D(6, 1, name="point"),
        layers.GlobalAveragePooling2D(name="gap"),
        layers.Dense(5, name="fc"),
    ]
    if kind == "sequential":
        return keras.Sequential([keras.Input((31, 38, 3)), *steps], name="stock")
    x = image = layers.Input((31, 38, 3), name="image")
    for step in steps:
        x = step(x)
    return keras.Model(image, x, name="stock")


@pytest.mark.parametrize("kind", ["sequential", "functional"])
def test_a_keras_model_is_made_anew(kind: str) -> None:
    """The given model stays as it was; the new one has its class, its layers by name, and is exact."""
    source, target = torch_source(), stock_keras(kind)
    before, config = [np.array(w) for w in target.get_weights()], target.to_json()
    report = xconv.transfer(source, target, adapt=True)
    assert report.ok
    new = report.target
    assert new is not target
    assert type(new) is type(target)
    assert target.to_json() == config
    assert all(np.array_equal(a, b) for a, b in zip(before, target.get_weights(), strict=True))
    assert {layer.name for layer in target.layers} <= {layer.name for layer in new.layers}
    assert any("new one" in note for note in report.notes)
    assert xconv.verify(source, new).ok
    assert {"stem", "bn", "act", "mean", "deep", "pool"} <= {item.place for item in report.adapted}


@pytest.mark.parametrize("padded", [False, True])
def test_a_maximum_that_ignores_its_pads(padded: bool, tmp_path: Any) -> None:
    """Keras's layers pad by zeros or as 'same' does; a Sequential holds no operation that pads by -inf."""
    source = xconv.randomize(nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1)), 0).eval()
    image = keras.Input((30, 36, 3))
    x = layers.Conv2D(4, 3)(image)
    x = layers.ZeroPadding2D(1, name="pad")(x) if padded else x
    target = keras.Model(image, layers.MaxPooling2D(3, 2, "valid" if padded else "same", name="pool")(x))
    new = xconv.transfer(source, target, adapt=True).target
    assert xconv.verify(source, new).ok
    new.save(tmp_path / "new.keras")
    assert xconv.verify(source, keras.models.load_model(tmp_path / "new.keras")).ok
    stock = keras.Sequential([keras.Input((30, 36, 3)), layers.Conv2D(4, 3), layers.MaxPooling2D(3, 2, "same")])
    with pytest.raises(Mismatch, match="no words in a keras"):
        xconv.transfer(source, stock, adapt=True)


class Functional(nn.Module):
    """Its stride stands in the code; the setting of its layer is not asked."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, self.conv.weight, self.conv.bias, stride=2)


def test_a_setting_that_the_code_does_not_ask_is_found_out() -> None:
    """The change has no effect: what is left is told, and the setting is as it was."""
    target = Functional()
    before = state_of(target)
    with pytest.raises(Mismatch, match="stride"):
        xconv.transfer(nn.Sequential(nn.Conv2d(3, 4, 3, 3)), target, adapt=True, input_shape=SHAPE)
    assert same_state(state_of(target), before)


def test_what_is_left_is_moved_as_far_as_it_goes_without_strict() -> None:
    """strict=False keeps what could be changed, and lists the rest."""
    source = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Sigmoid(), nn.Conv2d(4, 2, 1))
    target = nn.Sequential(nn.Conv2d(3, 4, 3, 1), nn.Tanh(), nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 1))
    report = xconv.transfer(source, target, adapt=True, strict=False, input_shape=SHAPE)
    assert not report.ok
    assert target[0].stride == (2, 2)
    assert isinstance(target[1], nn.ReLU)
    assert torch.equal(target[2].weight, source[2].weight)


def test_a_map_of_an_adapted_target_says_so(adapted: Any, tmp_path: Any) -> None:
    _, _, report, _ = adapted
    report.save_map(tmp_path / "map.json")
    assert "settings changed first" in (tmp_path / "map.json").read_text()


def test_a_file_for_an_adapted_target_holds_its_offset(adapted: Any, tmp_path: Any) -> None:
    """It fills a fresh adapted model, by torch's own reader too; what lacks the offset is told."""
    source, target, report, _ = adapted
    other = keras_network()
    xconv.randomize(other, 21)
    other.save_weights(tmp_path / "other.weights.h5")
    report.save_map(tmp_path / "map.json")
    replayed = xconv.apply_map(tmp_path / "map.json", tmp_path / "other.weights.h5", tmp_path / "other.pt")
    assert replayed.ok
    state = torch.load(tmp_path / "other.pt", weights_only=True)
    assert state.keys() - target.state_dict().keys() == {"stem.offset"}
    for load in ("by torch", "by transfer"):
        fresh = TorchNetwork().double()
        xconv.transfer(source, fresh, adapt=True)
        if load == "by torch":
            fresh.load_state_dict(state)
        else:
            assert xconv.transfer(tmp_path / "other.pt", fresh).verdict == "exact"
        assert xconv.verify(other, fresh.eval()).ok, load
    plain = TorchNetwork().double()
    with pytest.raises(Mismatch, match=r"stem\.offset: .*a model that adapt=True changed: change this one first"):
        xconv.transfer(tmp_path / "other.pt", plain)
    written = xconv.transfer(source, tmp_path / "again.pt", architecture=copy.deepcopy(target))
    assert written.ok
    fresh.load_state_dict(torch.load(tmp_path / "again.pt", weights_only=True))
    assert xconv.verify(source, fresh).ok


def test_a_state_dict_without_the_offset_is_warned_of(adapted: Any, tmp_path: Any) -> None:
    """Its keys are those of the class, so it cannot hold the offset; what it is stays."""
    _, target, _, _ = adapted
    other, state = copy.deepcopy(target), target.state_dict()
    other.stem.offset.add_(1.0)
    kept = other.stem.offset.clone()
    with pytest.warns(XConvWarning, match=r"stem\.offset is not in this state_dict"):
        other.load_state_dict(state)
    assert torch.equal(other.stem.offset, kept)
    with pytest.raises(RuntimeError, match=r"stem\.offset has shape"):
        other.load_state_dict({**state, "stem.offset": torch.zeros(3)})
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(Mismatch, match=r"stem\.offset: missing"):
        xconv.transfer(tmp_path / "state.pt", other)


def test_an_adapted_module_is_compiled_in_one_graph_and_trained(adapted: Any) -> None:
    """Every parameter gets its gradient through the altered calls."""
    _, target, _, _ = adapted
    x = torch.randn(4, *SHAPE, dtype=torch.float64)
    target.eval()
    compiled = torch.compile(copy.deepcopy(target), fullgraph=True, backend="eager")
    assert torch.equal(compiled(x), target(x))
    other = copy.deepcopy(target).train()
    other(x).square().sum().backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in other.parameters())


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("back", [False, True])
def test_other_ranks(rank: int, back: bool) -> None:
    """Sequences and volumes, both ways."""
    sizes = (10, 12, 9)[:rank]
    stride, kind = (2, 3, 1)[:rank], f"{rank}D"
    conv, pool = getattr(layers, f"Conv{kind}"), getattr(layers, f"MaxPooling{kind}")
    policy = "float64" if back else "float32"
    model = keras.Sequential(
        [
            keras.Input((*sizes, 3)),
            conv(4, 3, strides=stride, padding="same", dtype=policy, name="conv"),
            layers.ReLU(dtype=policy),
            pool(2, 2, padding="same", dtype=policy),
            getattr(layers, f"GlobalAveragePooling{kind}")(dtype=policy),
        ]
    )
    module = nn.Sequential(
        getattr(nn, f"Conv{rank}d")(3, 4, 3, padding=1),
        nn.ReLU(),
        getattr(nn, f"MaxPool{rank}d")(3, 2, 1),
        getattr(nn, f"AdaptiveAvgPool{rank}d")(1),
        nn.Flatten(),
    ).double()
    xconv.randomize(model)
    source, target = (module, model) if back else (model, module)
    report = xconv.transfer(source, target, adapt=True)
    assert report.ok
    assert xconv.verify(source, report.target).ok


@pytest.mark.parametrize("back", [False, True])
def test_networks_of_one_name(back: bool) -> None:
    """keras.applications and torchvision: uneven pads against even ones, whichever way the weights go."""
    torchvision = pytest.importorskip("torchvision")
    module = torchvision.models.mobilenet_v3_small(num_classes=9).eval().double()
    keras.config.set_dtype_policy("float64" if back else "float32")
    options = {"weights": None, "classes": 9, "classifier_activation": None, "include_preprocessing": False}
    model = keras.applications.MobileNetV3Small(input_shape=(66, 73, 3), **options)
    keras.config.set_dtype_policy("float32")
    source, target = (module, model) if back else (model, module)
    xconv.randomize(source, 2, inputs=torch.randn(8, 3, 66, 73, dtype=torch.float64) if back else None)
    keys = list(module.state_dict())
    report = xconv.transfer(source, target, adapt=True)
    assert report.ok
    assert list(module.state_dict()) == keys
    assert xconv.verify(source, report.target, batch=1).ok


@pytest.mark.parametrize("back", [False, True])
def test_what_stands_at_the_ends_is_told_as_code(back: bool) -> None:
    """The lines of the report, run around the target, make it what the source is."""
    mean, variance = [3.0, -1.0, 0.5], [4.0, 0.25, 1.5]
    inside = [layers.Rescaling(0.5, -1.0), layers.Normalization(mean=mean, variance=variance)]
    model = keras.Sequential(
        [keras.Input((9, 8, 3)), *inside, layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5), layers.Softmax()]
    )
    plain = keras.Sequential([keras.Input((9, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(5)])
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 7 * 6, 5))
    target = plain if back else module
    report = xconv.transfer(model, target, adapt=True)
    lines = [note.partition("yourself: ")[2] for note in report.notes if "yourself" in note]
    assert len(lines) == 3
    image = np.random.default_rng(3).normal(size=(2, 9, 8, 3)).astype("float32")
    names: dict[str, Any] = {"torch": torch, "keras": keras, "np": np}
    names["x"] = image if back else torch.from_numpy(image).permute(0, 3, 1, 2)
    for line in lines:
        if line.startswith("y"):
            names["y"] = target(names["x"])
        exec(line, names)  # noqa: S102  what a reader of the report would run
    found = names["y"].numpy() if back else names["y"].detach().numpy()
    assert np.abs(found - np.asarray(model(image))).max() < 1e-6
