"""Causes that lie in the graph: each planted in a pair that otherwise agrees, named alone, and at its place."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import pytest
import torch
from keras import layers
from torch import nn
from torch.nn import functional

import xconv
from xconv.diagnosis.records import Diagnosis
from xconv.diagnosis.run import diagnose

SHAPE = (3, 20, 23)
OLD_SIGMOID = (0.2, 0.5)


class Old(nn.Module):
    """The hard sigmoid of Keras 2, spelled out; times its input where it is the hard swish of its time."""

    def __init__(self, *, swish: bool = False) -> None:
        super().__init__()
        self.swish = swish

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Clipped to 0 and 1."""
        factor, summand = OLD_SIGMOID
        gate = torch.clamp(factor * x + summand, 0, 1)
        return x * gate if self.swish else gate


class Block(nn.Module):
    """Two convolutions around an activation, and what they are added to."""

    def __init__(self, width: int, border: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(8, width, 3, padding=1, padding_mode=border, bias=False)
        self.norm1, self.act = nn.BatchNorm2d(width), nn.ReLU()
        self.conv2 = nn.Conv2d(width, 8, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(8)
        self.end = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The sum, through the activation."""
        return self.end(x + self.norm2(self.conv2(self.act(self.norm1(self.conv1(x))))))


class Net(nn.Module):
    """A stem, residual blocks, an average, a resized branch that is joined, a head; every option is a mistake."""

    def __init__(
        self,
        *,
        act: nn.Module | None = None,
        stem_pool: nn.Module | None = None,
        average: nn.Module | None = None,
        block: Callable[[Any, torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
        stem: Callable[[Any, torch.Tensor], torch.Tensor] | None = None,
        first: Callable[[torch.Tensor], torch.Tensor] | None = None,
        join: Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]] | None = None,
        resized: dict[str, Any] | None = None,
        head: str = "mean",
        hidden: int = 0,
        classes: int = 10,
        depth: int = 2,
        width: int = 8,
        border: str = "zeros",
        norm: bool = True,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.act = act or nn.ReLU()
        self.pool = stem_pool or nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.ModuleList(Block(width, border if not place else "zeros") for place in range(depth))
        self.average = average or nn.AvgPool2d(3, 1, 1)
        self.side = nn.Conv2d(8, 4, 1, groups=groups)
        self.mix = nn.Conv2d(12, 8, 1)
        self.hidden = nn.Linear(8, hidden) if hidden else None
        self.fc = nn.Linear(hidden or (8 * 5 * 6 if head == "flatten" else 8), classes)
        self.last, self.stem, self.first, self.join = block, stem, first, join
        self.resized, self.head = resized or {"mode": "nearest"}, head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, or a map."""
        x = self.first(x) if self.first else x
        x = self.stem(self, x) if self.stem else self.act(self.norm(self.conv(x)))
        x = early = self.pool(x)
        for place, block in enumerate(self.blocks):
            x = self.last(block, x, early) if self.last and place else block(x)
        x = self.average(x)
        z = functional.interpolate(functional.max_pool2d(self.side(x), 2), size=x.shape[2:], **self.resized)
        x = self.mix(torch.cat(self.join(x, z) if self.join else [x, z], 1))
        if self.head == "map":
            return x
        x = x.flatten(1) if self.head == "flatten" else x.amax((2, 3)) if self.head == "max" else x.mean((2, 3))
        return self.fc(torch.relu(self.hidden(x)) if self.hidden else x)  # type: ignore[no-any-return]


def _branch(block: Any, x: torch.Tensor) -> torch.Tensor:
    return block.norm2(block.conv2(block.act(block.norm1(block.conv1(x)))))  # type: ignore[no-any-return]


def _no_shortcut(block: Any, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return block.end(_branch(block, x))  # type: ignore[no-any-return]


def _wrong_branch(block: Any, x: torch.Tensor, early: torch.Tensor) -> torch.Tensor:
    return block.end(early + _branch(block, x))  # type: ignore[no-any-return]


def _difference(block: Any, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return block.end(x - _branch(block, x))  # type: ignore[no-any-return]


def _product(block: Any, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return block.end(x * _branch(block, x))  # type: ignore[no-any-return]


def _halved(block: Any, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return block.end(x + 0.5 * _branch(block, x))  # type: ignore[no-any-return]


def _three(block: Any, x: torch.Tensor, early: torch.Tensor) -> torch.Tensor:
    return block.end(x + _branch(block, x) + early)  # type: ignore[no-any-return]


def _sum_last(block: Any, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return x + block.end(_branch(block, x))  # type: ignore[no-any-return]


def _norm_last(block: Any, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    y = block.norm1(block.act(block.conv1(x)))
    return block.end(x + block.norm2(block.conv2(y)))  # type: ignore[no-any-return]


def _act_first(net: Any, x: torch.Tensor) -> torch.Tensor:
    return net.norm(net.act(net.conv(x)))  # type: ignore[no-any-return]


def _act_twice(net: Any, x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(net.act(net.norm(net.conv(x))))


def _viewed(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1).reshape(x.shape)


PLANTED: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    # name: (cause, a word of its place in b or a, options of a, options of b)
    "leaky": ("activation", "act", {}, {"act": nn.LeakyReLU(0.1)}),
    "slope": ("activation", "act", {"act": nn.LeakyReLU(0.3)}, {"act": nn.LeakyReLU(0.01)}),
    "tanh gelu": ("activation", "act", {"act": nn.GELU()}, {"act": nn.GELU("tanh")}),
    "elu": ("activation", "act", {"act": nn.ELU(1.0)}, {"act": nn.ELU(0.5)}),
    "softplus": ("activation", "act", {"act": nn.Softplus()}, {}),
    "hard sigmoid": ("activation", "act", {"act": nn.Hardsigmoid()}, {"act": Old()}),
    "hard swish": ("activation", "act", {"act": nn.Hardswish()}, {"act": Old(swish=True)}),
    "no activation": ("activation", "act", {}, {"act": nn.Identity()}),
    "a second activation": ("activation", "tanh", {}, {"stem": _act_twice}),
    "average for max": ("pooling", "pool", {}, {"stem_pool": nn.AvgPool2d(3, 2, 1)}),
    "window": ("pooling", "pool", {}, {"stem_pool": nn.MaxPool2d(2)}),
    "pads in the mean": ("pooling", "average", {}, {"average": nn.AvgPool2d(3, 1, 1, count_include_pad=False)}),
    "no pool": ("pooling", "average", {}, {"average": nn.Identity()}),
    "global max": ("pooling", "mean", {}, {"head": "max"}),
    "bilinear": ("resizing", "upsample", {}, {"resized": {"mode": "bilinear"}}),
    "corners": (
        "resizing",
        "upsample",
        {"resized": {"mode": "bilinear"}},
        {"resized": {"mode": "bilinear", "align_corners": True}},
    ),
    "no shortcut": ("residual", "add", {}, {"block": _no_shortcut}),
    "wrong branch": ("residual", "blocks.1", {}, {"block": _wrong_branch}),
    "difference": ("residual", "blocks.1", {}, {"block": _difference}),
    "product": ("residual", "blocks.1", {}, {"block": _product}),
    "scaled branch": ("residual", "mul", {}, {"block": _halved}),
    "one more": ("residual", "add", {}, {"block": _three}),
    "joined in another order": ("residual", "cat", {}, {"join": lambda x, z: [z, x]}),
    "sum behind the activation": ("layer_order", "blocks.1", {}, {"block": _sum_last}),
    "norm behind the activation": ("layer_order", "blocks.1.norm1", {}, {"block": _norm_last}),
    "norm behind the first activation": ("layer_order", "norm", {}, {"stem": _act_first}),
    "flatten": ("features", "flatten", {}, {"head": "flatten"}),
    "no top": ("features", "fc", {}, {"head": "map"}),
    "hidden layer": ("features", "hidden", {}, {"hidden": 6}),
    "classes": ("features", "fc", {}, {"classes": 7}),
    "circular": ("padding", "blocks.0.conv1", {}, {"border": "circular"}),
    "reflected": ("padding", "blocks.0.conv1", {}, {"border": "reflect"}),
    "a block more": ("missing_layers", "blocks.2", {}, {"depth": 3}),
    "width": ("missing_layers", "blocks.0.conv1", {}, {"width": 6}),
    "no norm": ("missing_layers", "norm", {}, {"norm": False}),
    "scaled in the model": ("scaling", "div", {}, {"first": lambda x: x / 127.5 - 1}),
    "reversed in the model": ("channel_order", "flip", {}, {"first": lambda x: x.flip(1)}),
    "viewed": ("input_layout", "reshape", {}, {"first": _viewed}),
}


def net(options: dict[str, Any], like: nn.Module | None = None, shape: tuple[int, ...] = SHAPE) -> Any:
    """A randomised network, or one with the weights of another as far as they fit."""
    made = Net(**options)
    return filled(made, like, shape)


@functools.cache
def base() -> tuple[Any, Any]:
    """The network without a mistake, and its Keras twin, which is read faster than a module is captured."""
    module = net({})
    return module, xconv.torch_to_keras(module, input_shape=SHAPE)


def filled(made: nn.Module, like: nn.Module | None, shape: tuple[int, ...]) -> Any:
    """The module with live weights: those of another, where they fit."""
    noise = torch.randn((2, *shape), generator=torch.Generator().manual_seed(0))
    xconv.randomize(made, 0, inputs=noise)
    if like is not None:
        theirs = like.state_dict()
        own = made.state_dict()
        made.load_state_dict({**own, **{k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}})
    return made.eval()


def causes(diagnosis: Diagnosis) -> list[str]:
    """The causes that were found, the largest first."""
    return [finding.cause for finding in diagnosis.findings]


def told(diagnosis: Diagnosis) -> str:
    """The places of the first finding, as torch writes them."""
    return " ".join(f"{place.a} {place.b}" for place in diagnosis.findings[0].places).replace(">", ".")


def assert_only(diagnosis: Diagnosis, cause: str, place: str) -> None:
    """One finding, that cause at that place, and nothing left of the error once it is mended."""
    assert causes(diagnosis) == [cause], str(diagnosis)
    assert place in told(diagnosis), str(diagnosis)
    assert diagnosis.left <= 1e-10
    assert diagnosis.findings[0].after is not None
    assert diagnosis.findings[0].after <= 1e-10
    assert diagnosis.findings[0].remedy


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_named_at_its_place(name: str) -> None:
    cause, place, ours, theirs = PLANTED[name]
    module, twin = (net(ours), None) if ours else base()
    assert_only(diagnose(twin or module, net(theirs, module), input_shape=SHAPE), cause, place)


@pytest.mark.parametrize(
    "name", ["no shortcut", "a block more", "no norm", "hidden layer", "reflected", "corners", "no top"]
)
def test_the_other_way_round_too(name: str) -> None:
    cause, place, ours, theirs = PLANTED[name]
    module, twin = (net(ours), None) if ours else base()
    assert_only(diagnose(net(theirs, module), twin or module, input_shape=SHAPE), cause, place)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"act": nn.LeakyReLU(0.1), "head": "flatten"}, ["activation", "features"]),
        ({"block": _wrong_branch, "average": nn.AvgPool2d(3, 1, 1, count_include_pad=False)}, ["pooling", "residual"]),
        ({"norm": False, "first": lambda x: x / 255, "border": "reflect"}, ["missing_layers", "padding", "scaling"]),
        ({"depth": 3, "act": nn.GELU(), "classes": 7}, ["activation", "features", "missing_layers"]),
    ],
)
def test_several_at_once_are_all_found(options: dict[str, Any], wanted: list[str]) -> None:
    module, twin = base()
    found = diagnose(twin, net(options, module))
    assert sorted(causes(found)) == wanted, str(found)
    assert found.left <= 1e-10


def test_a_relu_that_stops_at_six_where_numbers_are_larger() -> None:
    a = net({"act": nn.ReLU6()})
    b = net({}, a)
    loud = 40 * torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(1))
    assert_only(diagnose(a, b, loud, input_shape=SHAPE), "activation", "act")


def test_an_exact_pair_gives_no_finding() -> None:
    a = net({"border": "reflect", "act": nn.Hardswish()})
    for b in (net({"border": "reflect", "act": nn.Hardswish()}, a), xconv.torch_to_keras(a, input_shape=SHAPE)):
        found = diagnose(a, b, input_shape=SHAPE)
        assert found.agree
        assert found.findings == (), str(found)


def test_outputs_of_other_lengths_are_an_infinite_error_with_a_remedy() -> None:
    module, twin = base()
    found = diagnose(twin, net({"classes": 7}, module))
    assert found.error == float("inf")
    assert "length 10" in found.findings[0].text
    assert "length 7" in found.findings[0].text
    assert "out_features=10" in found.findings[0].remedy


def test_why_two_feature_vectors_have_other_lengths_is_said() -> None:
    def tail(pooling: str | None) -> Any:
        image = keras.Input((20, 23, 3))
        x = layers.Conv2D(6, 3, activation="relu", name="conv")(image)
        x = layers.Flatten()(x) if pooling is None else layers.GlobalAveragePooling2D()(x)
        return xconv.randomize(keras.Model(image, x), 0)

    found = diagnose(tail("avg"), xconv.keras_to_torch(tail(None)).eval())
    assert causes(found) == ["features"]
    assert found.error == float("inf")
    assert "b flattens it" in found.findings[0].text
    assert "length 2268" in found.findings[0].text
    assert found.left <= 1e-10


def test_one_window_more_by_ceil_mode() -> None:
    class Pooled(nn.Module):
        def __init__(self, *, ceil: bool) -> None:
            super().__init__()
            self.conv, self.pool = nn.Conv2d(3, 6, 3, padding=1), nn.MaxPool2d(3, 2, ceil_mode=ceil)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.pool(self.conv(x)).mean((2, 3))  # type: ignore[no-any-return]

    a = filled(Pooled(ceil=False), None, (3, 16, 18))
    b = filled(Pooled(ceil=True), a, (3, 16, 18))
    found = diagnose(a, b, input_shape=(3, 16, 18))
    assert_only(found, "pooling", "pool")
    assert found.findings[0].remedy == "model.pool.ceil_mode = False"
    assert_only(diagnose(xconv.torch_to_keras(a, input_shape=(3, 16, 18)), b), "pooling", "pool")


def test_the_depths_of_two_variants_are_told() -> None:
    a = net({"depth": 3})
    found = diagnose(a, net({"depth": 4}, a), input_shape=SHAPE)
    assert "3 against 4 residual blocks" in found.findings[0].hint


def test_a_keras_stem_that_pads_its_pool_with_zeros() -> None:
    image = keras.Input((17, 20, 3))
    x = layers.Conv2D(6, 3, padding="same", name="conv")(image)
    x = layers.MaxPooling2D(3, 2, name="pool")(layers.ZeroPadding2D(1, name="pad")(x))
    a = xconv.randomize(keras.Model(image, layers.Dense(4, name="fc")(layers.GlobalAveragePooling2D()(x))), 0)
    b = xconv.keras_to_torch(a).eval()

    class Stem(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.pool, self.fc = nn.Conv2d(3, 6, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.Linear(6, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.pool(self.conv(x)).mean((2, 3)))  # type: ignore[no-any-return]

    own = Stem().eval()
    own.load_state_dict(b.state_dict())
    assert_only(diagnose(a, own), "pooling", "pool")
    assert_only(diagnose(own, a), "pooling", "pool")


@pytest.mark.parametrize("size", [(3, 33, 47), (3, 32, 46)])
def test_same_padding_with_a_stride_differs_on_even_maps_alone(size: tuple[int, int, int]) -> None:
    image = keras.Input((*size[1:], 3))
    x = layers.Conv2D(6, 3, 2, padding="same", name="conv")(image)
    a = xconv.randomize(keras.Model(image, layers.GlobalAveragePooling2D()(layers.ReLU()(x))), 0)

    class Same(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 6, 3, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.conv(x)).mean((2, 3))

    b = Same().eval()
    b.load_state_dict(xconv.keras_to_torch(a).state_dict())
    found = diagnose(a, b)
    if size[1] % 2:
        assert found.agree
        assert found.findings == ()
    else:
        assert_only(found, "padding", "conv")
        assert "odd pixel" in found.findings[0].text


class Recurrent(nn.Module):
    """An LSTM whose steps are taken in one way or another."""

    def __init__(self, taken: str = "last", **options: Any) -> None:
        super().__init__()
        self.rnn = nn.LSTM(5, 6, batch_first=True, **options)
        self.fc = nn.Linear(12 if options.get("bidirectional") else 6, 4)
        self.taken = taken

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        y, (h, c) = self.rnn(x)
        ways = {"last": y[:, -1], "state": h[-1], "cell": c[-1], "first": y[:, 0], "mean": y.mean(1)}
        return self.fc(torch.cat([h[0], h[1]], 1) if self.taken == "both" else ways[self.taken])  # type: ignore[no-any-return]


@pytest.mark.parametrize("taken", ["cell", "first", "mean"])
def test_the_steps_that_are_taken_of_a_recurrent_layer(taken: str) -> None:
    a = filled(Recurrent(), None, (7, 5))
    b = filled(Recurrent(taken), a, (7, 5))
    assert_only(diagnose(a, b, input_shape=(7, 5)), "recurrent", "rnn")
    assert_only(diagnose(b, a, input_shape=(7, 5)), "recurrent", "rnn")


def test_the_last_step_and_the_final_state_are_one() -> None:
    a = filled(Recurrent(), None, (7, 5))
    found = diagnose(a, filled(Recurrent("state"), a, (7, 5)), input_shape=(7, 5))
    assert found.findings == (), str(found)
    assert found.agree


def test_one_direction_against_two_and_one_layer_against_two() -> None:
    a = filled(Recurrent(), None, (7, 5))
    both = filled(Recurrent("both", bidirectional=True), a, (7, 5))
    assert_only(diagnose(a, both, input_shape=(7, 5)), "recurrent", "rnn")
    assert_only(diagnose(both, a, input_shape=(7, 5)), "recurrent", "rnn")
    assert_only(diagnose(a, filled(Recurrent(num_layers=2), a, (7, 5)), input_shape=(7, 5)), "missing_layers", "rnn")


def _sequence(kind: Any, **options: Any) -> Any:
    steps = keras.Input((7, 5))
    x = kind(6, name="rnn", **options)(steps)
    return xconv.randomize(keras.Model(steps, layers.Dense(4, name="fc")(x)), 0)


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "word"),
    [
        (layers.GRU, {}, {"reset_after": False}, "reset gate"),
        (layers.SimpleRNN, {}, {"activation": "relu"}, "activation"),
        (layers.LSTM, {}, {"go_backwards": True}, "direction"),
    ],
)
def test_settings_of_keras_recurrent_layers(kind: Any, ours: Any, theirs: Any, word: str) -> None:
    a, b = _sequence(kind, **ours), _sequence(kind, **theirs)
    for mine, other in zip(a.weights, b.weights, strict=True):
        if mine.shape == other.shape:
            other.assign(mine)
    for first, second in ((a, b), (a, xconv.keras_to_torch(b).eval()), (b, a)):
        found = diagnose(first, second)
        assert_only(found, "recurrent", "rnn")
        assert word in found.findings[0].text


class Attending(nn.Module):
    """Scaled dot-product attention in one block."""

    def __init__(self, heads: int = 2, **options: Any) -> None:
        super().__init__()
        self.heads, self.options = heads, options
        self.qkv, self.out, self.fc = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        batch, steps, _ = x.shape
        cut = self.qkv(x).reshape(batch, steps, 3, self.heads, 8 // self.heads)
        query, key, value = cut.permute(2, 0, 3, 1, 4).unbind(0)
        y = functional.scaled_dot_product_attention(query, key, value, **self.options)
        return self.fc((x + self.out(y.transpose(1, 2).reshape(batch, steps, 8))).mean(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("options", "word"),
    [({"heads": 4}, "heads"), ({"scale": 0.3}, "multiplied"), ({"is_causal": True}, "later keys")],
)
def test_attention(options: dict[str, Any], word: str) -> None:
    a = filled(Attending(), None, (6, 8))
    b = filled(Attending(**options), a, (6, 8))
    for first, second in ((a, b), (b, a)):
        found = diagnose(first, second, input_shape=(6, 8))
        assert_only(found, "attention", "")
        assert word in found.findings[0].text


def test_what_acts_in_training_alone_is_told_without_an_effect() -> None:
    def head(rate: float) -> Any:
        vector = keras.Input((5,))
        x = layers.Dense(6, activation="relu", name="hidden")(vector)
        x = layers.Dropout(rate, name="drop")(x) if rate else x
        return xconv.randomize(keras.Model(vector, layers.Dense(4, name="fc")(x)), 0)

    a = head(0.2)
    for rate in (0.0, 0.4):
        other = head(rate)
        other.set_weights(a.get_weights())
        found = diagnose(a, xconv.keras_to_torch(other).eval())
        assert causes(found) == ["dropout"]
        assert found.findings[0].alone is None
        assert found.agree
    frozen = xconv.keras_to_torch(a).eval()
    frozen.get_submodule("hidden").requires_grad_(False)
    found = diagnose(a, frozen)
    assert causes(found) == ["frozen"]
    assert found.findings[0].places[0].b_says == "is frozen"
    assert found.findings[0].alone is None


def test_a_dropout_behind_a_pool_or_behind_its_flattened_vector_is_one() -> None:
    class Head(nn.Module):
        def __init__(self, rate: float, *, flat: bool) -> None:
            super().__init__()
            self.conv, self.fc, self.drop, self.flat = nn.Conv2d(3, 6, 3), nn.Linear(6, 4), nn.Dropout(rate), flat

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = functional.adaptive_avg_pool2d(self.conv(x), 1)
            x = self.drop(x.flatten(1)) if self.flat else self.drop(x).flatten(1)
            return self.fc(x)  # type: ignore[no-any-return]

    a = filled(Head(0.2, flat=True), None, SHAPE)
    assert diagnose(a, filled(Head(0.2, flat=False), a, SHAPE), input_shape=SHAPE).findings == ()
    b = filled(Head(0.0, flat=False), a, SHAPE)
    for pair in ((a, b), (b, a)):
        found = diagnose(*pair, input_shape=SHAPE)
        assert causes(found) == ["dropout"]
        assert len(found.findings[0].places) == 1


def test_what_no_other_cause_claims_is_named_too() -> None:
    class Odd(nn.Module):
        def __init__(self, *, odd: bool) -> None:
            super().__init__()
            self.odd, self.conv = odd, nn.Conv2d(3, 6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            return (torch.cumsum(x, 2) if self.odd else x).mean((2, 3))

    a = filled(Odd(odd=False), None, SHAPE)
    b = filled(Odd(odd=True), a, SHAPE)
    assert_only(diagnose(a, b, input_shape=SHAPE), "other_settings", "cumsum")
    assert_only(diagnose(b, a, input_shape=SHAPE), "other_settings", "cumsum")


def test_groups_are_another_width_or_setting() -> None:
    module, twin = base()
    found = diagnose(twin, net({"groups": 2}, module))
    assert found.left <= 1e-10
    assert "side" in told(found)


def test_the_remedy_of_a_dropout_is_code_that_mends_it() -> None:
    def head(rate: float, kind: Any = layers.Dropout) -> Any:
        vector = keras.Input((5,))
        x = layers.Dense(6, name="hidden")(vector)
        x = kind(rate, name="drop")(x) if rate else x
        return keras.Model(vector, layers.Dense(4, name="fc")(x))

    class Head(nn.Module):
        def __init__(self, drop: nn.Module) -> None:
            super().__init__()
            self.hidden, self.drop, self.fc = nn.Linear(5, 6), drop, nn.Linear(6, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.drop(self.hidden(x)))  # type: ignore[no-any-return]

    def remedy(a: Any, b: Any) -> str:
        return next(one for one in diagnose(a, b).findings if one.cause == "dropout").remedy

    def module(drop: nn.Module) -> Any:
        return Head(drop).eval()

    for a, model, line in (
        (head(0.2), module(nn.Dropout(0.4)), "model.drop.p = 0.2"),
        (head(0.2), module(nn.AlphaDropout(0.2)), "model.drop = torch.nn.Dropout(p=0.2)"),
        (head(0.2), module(nn.Identity()), "model.hidden = torch.nn.Sequential(model.hidden, torch.nn.Dropout(p=0.2))"),
        (head(0.0), module(nn.Dropout(0.4)), "model.drop.p = 0"),
        (module(nn.Dropout(0.4)), head(0.2), "model.get_layer('drop').rate = 0.4"),
        (head(0.1, layers.GaussianNoise), head(0.3, layers.GaussianNoise), "model.get_layer('drop').stddev = 0.1"),
    ):
        assert remedy(a, model) == line
        exec(line, {"model": model, "torch": torch})  # noqa: S102  the line is what is tested
        assert "dropout" not in causes(diagnose(a, model.eval() if isinstance(model, nn.Module) else model))
    line = remedy(module(nn.Dropout(0.4)), head(0.0))
    assert line == "x = keras.layers.Dropout(rate=0.4)(x)  # behind model.get_layer('hidden')"
