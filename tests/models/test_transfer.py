"""Weights of one model into another that somebody else wrote: exact, all or nothing, everything told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import xconv
from tests.comparison import assert_same
from tests.models import written_twice as twice
from xconv.comparison.case import open_case
from xconv.errors import InvalidInput, Mismatch
from xconv.transfers.carrying import carry_out
from xconv.transfers.planning import Options, make_plan

RESIDUAL = twice.SHAPES["residual"]
MIXED = ("keras to torch", "torch to keras")
ALIKE = ("keras to keras", "torch to torch")
PAIRS = [
    *((name, way) for name in sorted(twice.SHAPES) for way in MIXED),
    *((name, way) for name in ("gru", "separable", "vit") for way in ALIKE),
    ("words", "keras to keras"),
]


@pytest.fixture
def float64() -> Iterator[None]:
    """Keras layers that are made hold float64, so that what is folded is not rounded."""
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


def example(name: str) -> torch.Tensor:
    """A batch for one of the networks, as torch takes it."""
    shape = twice.SHAPES[name]
    generator = torch.Generator().manual_seed(5)
    if name == "words":
        return torch.randint(0, 19, (2, *shape), generator=generator)
    return torch.randn((2, *shape), generator=generator)


def random_keras(model: Any, seed: int = 1) -> Any:
    """The Keras model with random weights and statistics."""
    xconv.randomize(model, seed)
    return model


def random_torch(module: nn.Module, inputs: torch.Tensor, seed: int = 2) -> nn.Module:
    """The torch module in inference mode with random weights and statistics."""
    module.eval()
    xconv.randomize(module, seed, inputs=inputs)
    return module


def made(side: str, name: str, seed: int) -> Any:
    """One of the networks, written in Keras or in torch."""
    if side == "keras":
        return random_keras(twice.KERAS[name](), seed)
    return random_torch(twice.TORCH[name](), example(name), seed)


def residuals(*, keras_options: dict[str, Any] | None = None, torch_options: dict[str, Any] | None = None) -> Any:
    """The residual network in Keras and in torch, in float64."""
    module = twice.TORCH["residual"](**(torch_options or {})).double()
    model = random_keras(twice.KERAS["residual"](**(keras_options or {})))
    return model, random_torch(module, example("residual").double())


def check(a: Any, b: Any, inputs: Any = None) -> None:
    """Fails unless both are one function to 1e-10 in float64."""
    both_torch = not isinstance(a, keras.Model) and not isinstance(b, keras.Model)
    found = xconv.verify(a, b, inputs=inputs) if both_torch else xconv.verify(a, b)
    assert found.ok, str(found)
    assert all(output.float64 is None or output.float64.max_rel < 1e-10 for output in found.outputs)


def kept(model: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Copies of all numbers that a model holds."""
    if isinstance(model, keras.Model):
        return {variable.path: np.array(variable) for variable in model.variables}
    return {name: tensor.detach().double().numpy().copy() for name, tensor in model.state_dict().items()}


def assert_untouched(model: Any, before: dict[str, np.ndarray[Any, Any]]) -> None:
    """Fails unless every number is what it was, bit for bit."""
    for name, array in kept(model).items():
        assert np.array_equal(array, before[name], equal_nan=True), name


# ------------------------------------------------------------------------------------------------- pairs, four ways


@pytest.mark.parametrize(("name", "way"), PAIRS)
def test_a_network_that_is_written_twice_is_exact_after_the_transfer(name: str, way: str) -> None:
    source, target = (made(side, name, seed) for seed, side in enumerate(way.split(" to ")))
    report = xconv.transfer(source, target, input_shape=None if name == "words" else twice.SHAPES[name])
    assert report.ok
    assert report.verdict == "exact"
    check(source, target, example(name))


def test_moved_numbers_stay_bit_for_bit() -> None:
    model, module = made("keras", "separable", 0), made("torch", "separable", 1)
    odd = np.float32(np.pi) * np.float32(1e-40)  # a number that arithmetic flushes to zero
    kernel = model.layers[-1].kernel
    numbers = np.array(kernel)
    numbers[1, 2] = odd
    kernel.assign(numbers)
    xconv.transfer(model, module)
    head = next(layer for layer in module.modules() if isinstance(layer, nn.Conv2d) and layer.out_channels == 7)
    assert np.array_equal(head.weight.detach().numpy()[:, :, 0, 0], numbers.T)


def test_gates_and_joint_weights_go_term_by_term_between_two_torch_models() -> None:
    source, target = made("torch", "gru", 0), made("torch", "gru", 1)
    xconv.transfer(source, target, input_shape=twice.SHAPES["gru"])
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name
    lstms = made("torch", "lstm", 0), made("torch", "lstm", 1)
    xconv.transfer(*lstms, input_shape=twice.SHAPES["lstm"])
    assert torch.equal(lstms[1].state_dict()["rnn.bias_hh_l0"], lstms[0].state_dict()["rnn.bias_hh_l0"])


def test_two_biases_of_which_keras_has_one() -> None:
    model, module = made("keras", "lstm", 0), made("torch", "lstm", 1)
    report = xconv.transfer(model, module)
    assert not module.state_dict()["rnn.bias_hh_l0"].any()
    assert any("zeros in rnn.bias_hh_l0" in item.note for item in report.folds)


# ------------------------------------------------------------------------------------------------- folds


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("way", ["to torch", "to keras"])
def test_a_bias_goes_into_the_mean_behind_it(way: str) -> None:
    has = {"bias": True}
    to_torch = way == "to torch"
    model, module = residuals(**({"keras_options": has} if to_torch else {"torch_options": has}))
    source, target = (model, module) if to_torch else (module, model)
    report = xconv.transfer(source, target)
    assert report.verdict == "exact"
    assert [item.role for item in report.folds] == ["mean"]
    assert "less the bias of" in report.folds[0].note
    check(source, target)


@pytest.mark.usefixtures("float64")
def test_what_the_source_lacks_does_nothing_in_the_target() -> None:
    model, module = residuals(keras_options={"gamma": False}, torch_options={"bias": True})
    report = xconv.transfer(model, module)
    assert sorted(item.note.partition(":")[0] for item in report.folds) == ["ones", "zeros", "zeros"]
    check(model, module)


@pytest.mark.usefixtures("float64")
def test_a_gamma_without_a_place_goes_into_the_convolution_in_inference() -> None:
    model, module = residuals(keras_options={"gamma": False}, torch_options={"bias": True})
    _silence(module[1].bias, 0.0)
    before = kept(model)
    with pytest.raises(Mismatch, match="has no gamma here; inference_only=True"):
        xconv.transfer(module, model)
    assert_untouched(model, before)
    report = xconv.transfer(module, model, inference_only=True)
    assert report.verdict == "exact in inference"
    assert {item.role for item in report.folds} == {"kernel", "mean"}
    check(module, model)


@pytest.mark.usefixtures("float64")
def test_a_gamma_of_ones_is_left_out_and_told() -> None:
    model, module = residuals(keras_options={"gamma": False})
    _silence(module[1].weight, 1.0)
    _silence(module[1].bias, 0.0)
    report = xconv.transfer(module, model)
    assert report.verdict == "exact"
    left = {item.weight.key: item for item in report.plan.left}
    assert left["1.weight"].must_be == 1.0
    assert "all its numbers are ones" in left["1.weight"].reason
    assert left["1.bias"].must_be == 0.0
    check(module, model)


def _silence(parameter: torch.Tensor, value: float) -> None:
    with torch.no_grad():
        parameter.fill_(value)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("epsilon", [1e-5, 0.5])
def test_an_epsilon_goes_into_the_variance_on_request(epsilon: float) -> None:
    model, module = residuals(torch_options={"epsilon": epsilon})
    before = kept(module)
    with pytest.raises(Mismatch, match=f"epsilon 0.001 against {epsilon}"):
        xconv.transfer(model, module)
    assert_untouched(module, before)
    report = xconv.transfer(model, module, inference_only=True)
    assert report.verdict == "exact in inference"
    check(model, module)
    negative = [item for item in report.findings if "variances are negative" in item.what]
    assert bool(negative) == bool((module[1].running_var < 0).any())


class _PreActivated(nn.Module):
    """A residual network whose branches end in convolutions: their biases meet no BatchNorm for several sums."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=bias)
        self.norms = nn.ModuleList([nn.BatchNorm2d(6, eps=1e-3) for _ in range(3)])
        self.convolutions = nn.ModuleList([nn.Conv2d(6, 6, 3, padding=1, bias=bias) for _ in range(3)])
        self.last = nn.BatchNorm2d(6, eps=1e-3)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            x = x + convolution(norm(x).relu())
        return self.head(self.last(x).relu().mean((2, 3)))


def test_biases_of_a_residual_stream_are_carried_to_every_later_mean() -> None:
    inputs = torch.randn(2, 3, 9, 11, dtype=torch.float64)
    source = random_torch(_PreActivated(bias=True).double(), inputs, 1)
    target = random_torch(_PreActivated(bias=False).double(), inputs, 2)
    report = xconv.transfer(source, target, input_shape=(3, 9, 11))
    assert report.verdict == "exact"
    means = {item.layer: item.note for item in report.folds if item.role == "mean"}
    assert set(means) == {"norms.0", "norms.1", "norms.2", "last"}
    assert "the bias of stem" in means["last"]
    assert "the bias of convolutions.2" in means["last"]
    check(source, target, inputs)


def test_a_bias_that_nothing_behind_takes_is_refused_unless_it_is_zero() -> None:
    inputs = torch.randn(2, 3, 9, 11, dtype=torch.float64)
    source = random_torch(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3)).double(), inputs, 1)
    bare = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 5, 3, bias=False)).double()
    target = random_torch(bare, inputs, 2)
    before = kept(target)
    with pytest.raises(Mismatch) as caught:
        xconv.transfer(source, target, input_shape=(3, 9, 11))
    assert len(caught.value.problems) == 2
    assert "past which it cannot be carried" in str(caught.value)
    assert "nothing behind it can take it" in str(caught.value)
    assert_untouched(target, before)
    _silence(source[0].bias, 0.0)
    _silence(source[2].bias, 0.0)
    report = xconv.transfer(source, target, input_shape=(3, 9, 11))
    assert [item.must_be for item in report.plan.left] == [0.0, 0.0]
    check(source, target, inputs)


# ------------------------------------------------------------------------------------------------- turned images


def _strided(pads: tuple[int, int, int, int], symmetric: int = 0) -> nn.Module:
    pad: tuple[nn.Module, ...] = (nn.ZeroPad2d(pads),) if any(pads) else ()
    return nn.Sequential(
        *pad,
        nn.Conv2d(3, 6, 3, stride=2, padding=symmetric, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 5),
    )


def test_same_padding_is_exact_in_a_symmetric_network_on_a_turned_image() -> None:
    inputs = torch.randn(2, 3, 14, 18, dtype=torch.float64)
    source = random_torch(_strided((0, 1, 0, 1)).double(), inputs, 1)
    target = random_torch(_strided((0, 0, 0, 0), 1).double(), inputs, 2)
    with pytest.raises(Mismatch, match="padding"):
        xconv.transfer(source, target, input_shape=(3, 14, 18))
    report = xconv.transfer(source, target, input_shape=(3, 14, 18), rotate=True)
    assert report.verdict == "exact for an image turned by 180 degrees"
    assert any("flip its height and its width" in note for note in report.notes)
    assert_same(target(inputs.flip(2, 3)), source(inputs))


@pytest.mark.parametrize("case", ["one side is flat", "pixels fall off"])
def test_a_network_that_cannot_be_turned_is_refused(case: str) -> None:
    def network() -> nn.Module:
        if case == "one side is flat":
            return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 8, 2))
        return nn.Sequential(nn.Conv2d(3, 4, 1, stride=2), nn.AdaptiveAvgPool2d(1))

    with pytest.raises(Mismatch, match="turned by 180 degrees"):
        xconv.transfer(network(), network(), input_shape=(3, 8, 10), rotate=True)


# ------------------------------------------------------------------------------------------------- refusals


def _mixed(stride: tuple[int, int], slope: float, extra: bool) -> nn.Module:
    more: tuple[nn.Module, ...] = (nn.MaxPool2d(2),) if extra else ()
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=stride),
        nn.LeakyReLU(slope),
        *more,
        nn.Conv2d(4, 5, 3, padding=1),
        nn.BatchNorm2d(5, eps=1e-3 if extra else 1e-5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def test_a_refusal_lists_every_place_and_its_cause_and_changes_nothing() -> None:
    source, target = _mixed((2, 2), 0.2, extra=True).eval(), _mixed((1, 1), 0.01, extra=False).eval()
    before = kept(target)
    with pytest.raises(Mismatch) as caught:
        xconv.transfer(source, target, input_shape=(3, 17, 19))
    said = {problem.place: problem.what for problem in caught.value.problems}
    assert said["0 -> 0"] == "stride (2, 2) against (1, 1)"
    assert "negative_slope" in said["1 -> 1"]
    assert said["2"].startswith("Sequential has no such layer: Pool(kind='max'")
    assert said["4 -> 3"] == "epsilon 0.001 against 1e-05"
    assert len(said) == len(caught.value.problems) == 4
    assert_untouched(target, before)


def test_not_strict_moves_what_can_be_moved_and_lists_the_rest() -> None:
    source, target = _mixed((2, 2), 0.2, extra=True).eval(), _mixed((1, 1), 0.01, extra=False).eval()
    report = xconv.transfer(source, target, input_shape=(3, 17, 19), strict=False)
    assert report.verdict == "partial"
    assert not report.ok
    assert len(report.problems) == 4
    assert torch.equal(target[2].weight, source[3].weight)
    assert "stride (2, 2) against (1, 1)" in str(report)


def test_a_wrong_shape_says_what_would_fit() -> None:
    source = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    target = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 7))
    with pytest.raises(Mismatch, match="made for 7 classes, the source for 10"):
        xconv.transfer(source, target, input_shape=(3, 9, 11))
    report = xconv.transfer(source, target, input_shape=(3, 9, 11), strict=False)
    assert {item.weight.key for item in report.plan.unfilled} == {"4.weight", "4.bias"}
    assert {item.weight.key for item in report.plan.left} == {"4.weight", "4.bias"}
    assert torch.equal(target[0].weight, source[0].weight)


def test_another_width_is_named() -> None:
    def network(width: int) -> nn.Module:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3)]
        for _ in range(3):
            layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)]
        return nn.Sequential(*layers).eval()

    with pytest.raises(Mismatch, match=r"0\.75 times as wide"):
        xconv.transfer(network(8), network(6), input_shape=(3, 9, 11))


def test_a_pair_that_is_not_sure_is_refused() -> None:
    source, target = made("torch", "vgg", 0), made("torch", "vgg", 1)
    case = open_case(source, target, input_shape=twice.SHAPES["vgg"])
    first, *others = case.alignment.pairs
    doubtful = replace(case, alignment=replace(case.alignment, pairs=(replace(first, sure=False), *others)))
    assert any("another would fit as well" in item.what for item in make_plan(doubtful, Options()).problems)


def test_what_stands_at_the_ends_alone_is_left_to_the_caller() -> None:
    image = keras.Input((9, 11, 3))
    x = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 127.5, -1.0)(image))
    x = keras.layers.Dense(5, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    model = random_keras(keras.Model(image, x))
    inputs = torch.randn(2, 3, 9, 11, dtype=torch.float64)
    bare = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)).double()
    target = random_torch(bare, inputs)
    report = xconv.transfer(model, target)
    assert report.verdict == "exact but for what one of them has at its ends alone"
    assert len([note for note in report.notes if "yourself" in note]) == 2
    found = target(inputs / 127.5 - 1.0).softmax(1)
    assert_same(found, xconv.keras_to_torch(model).double().eval()(inputs))


# ------------------------------------------------------------------------------------------------- what is touched


def test_parameters_stay_what_they_are() -> None:
    model, module = made("keras", "residual", 0), made("torch", "residual", 1)
    module = module.to(memory_format=torch.channels_last).half()
    before = {name: (id(p), p.stride(), p.dtype) for name, p in module.named_parameters()}
    report = xconv.transfer(model, module)
    assert {name: (id(p), p.stride(), p.dtype) for name, p in module.named_parameters()} == before
    assert report.rounded["float16"][0] > 0
    assert report.rounded["float16"][1] < 1e-3
    assert module.state_dict()["0.weight"].dtype == torch.float16


def test_a_write_that_fails_is_undone() -> None:
    class Closed:
        def assign(self, value: Any) -> None:
            raise RuntimeError("no room")

        def numpy(self) -> Any:
            return np.zeros(3)

    class Variable:
        variable = Closed()

    class Tensor:
        tensor = torch.arange(6.0).reshape(2, 3)

    with pytest.raises(RuntimeError, match="no room"):
        carry_out({"a": torch.zeros(2, 3), "b": torch.zeros(3)}, {"a": Tensor(), "b": Variable()})  # type: ignore[dict-item]
    assert torch.equal(Tensor.tensor, torch.arange(6.0).reshape(2, 3))


def test_a_target_without_data_is_refused() -> None:
    source = nn.Sequential(nn.Linear(3, 2))
    with torch.device("meta"):
        target = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises((InvalidInput, xconv.Unsupported)):
        xconv.transfer(source, target, input_shape=(3,))


def test_numbers_that_are_not_finite_are_told_with_layer_and_count() -> None:
    source, target = nn.Sequential(nn.Linear(3, 2)), nn.Sequential(nn.Linear(3, 2)).half()
    with torch.no_grad():
        source[0].weight[0, 1] = torch.nan
        source[0].weight[1, 2] = 1e30
    report = xconv.transfer(source, target, input_shape=(3,))
    assert [item.what for item in report.findings] == [
        "1 NaN among 6 numbers",
        "1 of 6 numbers are beyond float16; they are infinite now",
    ]
    assert all(item.place == "0 kernel" for item in report.findings)
    assert not report.ok


class _Tied(nn.Module):
    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.first = nn.Linear(5, 5, bias=False)
        self.second = nn.Linear(5, 5, bias=False)
        if tied:
            self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).relu())


def test_shared_weights_stay_shared_and_must_agree() -> None:
    source, target = _Tied(tied=True), _Tied(tied=True)
    report = xconv.transfer(source, target, input_shape=(5,))
    assert report.ok
    assert not report.plan.left
    assert not report.plan.unfilled
    assert target.first.weight is target.second.weight
    assert torch.equal(target.first.weight, source.first.weight)
    before = kept(target)
    with pytest.raises(Mismatch, match="shared by several layers of the target"):
        xconv.transfer(_Tied(tied=False), target, input_shape=(5,))
    assert_untouched(target, before)
    free = _Tied(tied=False)
    assert xconv.transfer(source, free, input_shape=(5,)).ok
    assert torch.equal(free.second.weight, source.first.weight)


class _Auxiliary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head, self.other = nn.Linear(4, 6), nn.Linear(6, 2), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.body(x).relu()
        return (self.head(x), self.other(x)) if self.training else self.head(x)


def test_every_weight_is_moved_or_told() -> None:
    source, target = _Auxiliary().eval(), _Auxiliary().eval()
    plan = xconv.transfer(source, target, input_shape=(4,)).plan
    assert {item.weight.key: item.reason for item in plan.left} == dict.fromkeys(
        ("other.weight", "other.bias"), "nothing that _Auxiliary computes in inference uses it"
    )
    assert {item.weight.key for item in plan.unfilled} == {"other.weight", "other.bias"}
    assert set(plan.targets()) | {"other.weight", "other.bias"} == set(target.state_dict())


def test_alike_lines_of_a_report_are_one() -> None:
    def network(bias: bool, epsilon: float) -> nn.Module:
        parts: list[nn.Module] = [nn.Conv2d(3, 4, 3, bias=bias), nn.BatchNorm2d(4, eps=epsilon)]
        for _ in range(5):
            parts += [nn.Conv2d(4, 4, 3, padding=1, bias=bias), nn.BatchNorm2d(4, eps=epsilon)]
        return nn.Sequential(*parts).double().eval()

    source, target = network(True, 1e-3), network(False, 1e-5)
    report = xconv.transfer(source, target, input_shape=(3, 9, 11), strict=False)
    (fold,) = [line for line in str(report).splitlines() if line.startswith("folded")]
    assert fold == (
        "folded: 1, 3, 5 and 3 more: mean: less the bias of 0, 2, 4 and 3 more, which Sequential has no place for"
    )
    (differs,) = [line for line in str(report).splitlines() if line.startswith("differs")]
    assert differs.startswith("differs: 1 -> 1, 3 -> 3, 5 -> 5 and 3 more: epsilon 0.001 against 1e-05")
    assert len(report.to_dict()["folds"]) == len(report.problems) == 6


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_stride_that_differs_is_said_alone_where_the_pads_follow_it(padding: str) -> None:
    image = keras.Input((10, 13, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding=padding)(image)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    other = keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, padding=padding)(image)))
    with pytest.raises(Mismatch) as caught:
        xconv.transfer(model, other)
    assert [problem.what for problem in caught.value.problems] == ["stride (2, 2) against (1, 1)"]
    uneven = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 0 if padding == "same" else 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(Mismatch) as caught:
        xconv.transfer(model, uneven)
    assert [problem.what.partition(" ")[0] for problem in caught.value.problems] == ["stride", "padding"]


@pytest.mark.usefixtures("float64")
def test_the_report_is_plain_data_text_and_a_table() -> None:
    model, module = residuals(keras_options={"bias": True}, torch_options={"epsilon": 1e-5})
    report = xconv.transfer(model, module, inference_only=True)
    data = report.to_dict()
    assert data["verdict"] == "exact in inference"
    assert data["folds"][0]["what"].startswith("less the bias of")
    assert data["arrays"] == len(report.plan.targets())
    assert '"verdict": "exact in inference"' in report.to_json()
    assert "epsilon 0.001 against 1e-05" in str(report)
    assert report.__rich__().row_count > 3


def test_a_weight_that_is_computed_from_others_is_moved_as_it_is() -> None:
    first = nn.utils.parametrizations.weight_norm(nn.Linear(5, 4))
    source = nn.Sequential(first, nn.ReLU(), nn.Linear(4, 3)).eval().double()
    target = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).eval().double()
    report = xconv.transfer(source, target, input_shape=(5,))
    # torch computes the weight anew at every call; where its memory lies decides the last bit of the norm
    torch.testing.assert_close(target[0].weight, source[0].weight, rtol=1e-14, atol=0)
    assert len(report.plan.left) == 2
    assert all("computes other weights from it" in item.reason for item in report.plan.left)
    before = kept(source)
    _silence(target[0].weight, 0.5)
    with pytest.raises(Mismatch, match="computed from others"):
        xconv.transfer(target, source, input_shape=(5,))
    assert_untouched(source, before)


# ------------------------------------------------------------------------------------------------- known networks

APPLICATION = {"weights": None, "classifier_activation": None}


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "Xception"])
def test_keras_applications_into_stock_classes_of_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    options: dict[str, Any] = {"pad_type": "same", "bn_eps": 1e-3}
    stock: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        "MobileNetV2": ("mobilenetv2_050", options, {"input_shape": (65, 79, 3), "alpha": 0.5}),
        "MobileNetV3Small": (
            "tf_mobilenetv3_small_100",
            {},
            {"input_shape": (65, 79, 3), "include_preprocessing": False},
        ),
        "Xception": ("legacy_xception", {}, {"input_shape": (71, 71, 3)}),
    }
    other, given, wanted = stock[name]
    model = random_keras(getattr(keras.applications, name)(**wanted, **APPLICATION))
    module = timm.create_model(other, **given).double().eval()
    report = xconv.transfer(model, module, inference_only=name == "Xception")
    assert report.ok, str(report)
    assert not any(item.reason != "a count of training steps" for item in report.plan.unfilled)
    assert not report.plan.left
    check(model, module)


def test_densenet_needs_its_epsilon_folded_and_nothing_else() -> None:
    torchvision = pytest.importorskip("torchvision")
    from keras.src.applications.densenet import DenseNet

    blocks = (2, 1, 2, 1)
    model = random_keras(DenseNet(blocks, input_shape=(65, 79, 3), **APPLICATION))
    module = torchvision.models.DenseNet(block_config=blocks).double().eval()
    with pytest.raises(Mismatch) as caught:
        xconv.transfer(model, module)
    assert len(caught.value.problems) == 1 + 2 * sum(blocks) + 3 + 1
    assert {item.what for item in caught.value.problems} == {"epsilon 1.001e-05 against 1e-05"}
    report = xconv.transfer(model, module, inference_only=True)
    assert report.verdict == "exact in inference"
    assert {item.role for item in report.folds} == {"variance"}
    check(model, module)
