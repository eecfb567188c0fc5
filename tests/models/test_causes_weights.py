"""Causes that lie in the numbers: each planted in a pair that is exact otherwise, found first, mended by its remedy."""

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers

from xconv.causes.initial_values import initialisers_of
from xconv.causes.rounding import rounding
from xconv.diagnosis.records import Diagnosis, Finding
from xconv.diagnosis.run import diagnose
from xconv.graph import Node
from xconv.layers.conv import Conv
from xconv.layers.dense import Dense
from xconv.randomization import randomize

Plant = Callable[[Any], object]
BLOCK = 640
"""How many values the variances of a training batch are of."""


def convolutional() -> Any:
    """Convolutions with and without BatchNorm, two of one shape, a depthwise one, a Flatten and Denses of one shape."""
    image = keras.Input((13, 11, 3))
    x = layers.Conv2D(8, 3, padding="same", name="first")(image)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="second")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="third")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.Flatten()(layers.MaxPooling2D(2)(x))
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return randomize(keras.Model(image, layers.Dense(16, name="head")(x), name="net"))


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    """A Keras model and its torch twin."""
    import xconv

    model = convolutional()
    return model, xconv.keras_to_torch(model).eval()


def planted(twin: Any, *plants: Plant) -> Any:
    """A copy of the twin with these mistakes."""
    changed = copy.deepcopy(twin)
    with torch.no_grad():
        for plant in plants:
            plant(changed)
    return changed


def names_of(finding: Finding) -> set[str]:
    """The layers of `b` that a finding names."""
    return {place.b for place in finding.places}


def only(diagnosis: Diagnosis, cause: str, places: set[str], words: str) -> Finding:
    """The one finding, of this cause at these places, whose remedy makes the pair exact."""
    assert [finding.cause for finding in diagnosis.findings] == [cause], diagnosis
    (finding,) = diagnosis.findings
    assert names_of(finding) == places
    assert words in finding.text
    assert diagnosis.explained
    assert not diagnosis.agree
    assert finding.after is not None
    assert finding.after <= 1e-10
    return finding


def exchange(first: torch.Tensor, second: torch.Tensor) -> None:
    """Either tensor gets the numbers of the other."""
    kept = first.clone()
    first.copy_(second)
    second.copy_(kept)


def grid(weight: torch.Tensor, steps: int) -> torch.Tensor:
    """The weight on whole steps, one size for each output channel."""
    step = weight.abs().amax(tuple(range(1, weight.dim())), keepdim=True) / steps
    return (weight / step).round() * step


def in_place(path: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Plant:
    """The mistake that changes one tensor."""

    def plant(net: Any) -> None:
        tensor = net.get_parameter(path) if path in dict(net.named_parameters()) else net.get_buffer(path)
        tensor.copy_(change(tensor.clone()))

    return plant


def everywhere(change: Callable[[torch.Tensor], torch.Tensor]) -> Plant:
    """The mistake that changes every parameter."""

    def plant(net: Any) -> None:
        for tensor in net.parameters():
            tensor.copy_(change(tensor.clone()))

    return plant


def by_multiplier(weight: torch.Tensor) -> torch.Tensor:
    return weight.reshape(8, 2, 1, 3, 3).transpose(0, 1).reshape(16, 1, 3, 3)


def by_pixel(weight: torch.Tensor) -> torch.Tensor:
    return weight.reshape(16, 16, 5, 4).permute(0, 2, 3, 1).reshape(16, -1)


ARRANGED = [
    ("kernel_layout", "head", in_place("head.weight", lambda w: w.t()), "not transposed"),
    ("kernel_layout", "second", in_place("second.weight", lambda w: w.transpose(0, 1)), "not transposed"),
    ("kernel_layout", "second", in_place("second.weight", lambda w: w.transpose(2, 3)), "height and width"),
    ("kernel_layout", "second", in_place("second.weight", lambda w: w.flip(2, 3)), "rotated by 180 degrees"),
    ("kernel_layout", "second", in_place("second.weight", lambda w: w.flip(3)), "mirrored along width"),
    ("kernel_layout", "hidden", in_place("hidden.weight", lambda w: w.t().reshape(w.shape)), "reshaped from"),
    ("kernel_layout", "depthwise", in_place("depthwise.weight", by_multiplier), "multipliers are exchanged"),
    ("flatten_order", "hidden", in_place("hidden.weight", by_pixel), "(H, W, C), not (C, H, W)"),
    ("channel_order", "first", in_place("first.weight", lambda w: w.flip(1)), "BGR against RGB"),
    ("bias", "head", in_place("head.bias", lambda b: b * 2), "doubled"),
    ("bias", "second", in_place("second.bias", lambda b: b / 2), "halved"),
]


@pytest.mark.parametrize(("cause", "where", "plant", "words"), ARRANGED, ids=lambda item: str(item)[:20])
def test_the_same_numbers_in_another_arrangement(pair: Any, cause: str, where: str, plant: Plant, words: str) -> None:
    """Told with the layer; the remedy is a line that works."""
    model, twin = pair
    changed = planted(twin, plant)
    finding = only(diagnose(model, changed), cause, {where}, words)
    exec(finding.remedy, {"model": changed, "torch": torch})  # noqa: S102  the line that a reader would paste
    assert diagnose(model, changed).agree


STATISTICS = [
    (in_place("norm.running_var", torch.sqrt), "the standard deviation"),
    (in_place("norm.running_var", lambda v: 1 / v), "its inverse"),
    (in_place("norm.running_var", lambda v: 1 / torch.sqrt(v + 1e-3)), "1 / sqrt(variance + epsilon)"),
    (in_place("norm.running_var", lambda v: v + 1e-3), "added twice"),
    (in_place("norm.running_var", lambda v: v * (BLOCK / (BLOCK - 1))), "divided by n - 1, not by n, of n = 640"),
    (in_place("norm.running_var", lambda v: v * ((BLOCK - 1) / BLOCK)), "divided by n, not by n - 1, of n = 640"),
    (lambda net: net.norm.reset_running_stats(), "those of a new layer"),
    (lambda net: exchange(net.norm.weight, net.norm.bias), "beta and gamma"),
    (lambda net: exchange(net.norm.weight, net.norm.running_var), "gamma and variance"),
]


@pytest.mark.parametrize(("plant", "words"), STATISTICS, ids=lambda item: item if isinstance(item, str) else "")
def test_the_statistics_of_a_normalisation(pair: Any, plant: Plant, words: str) -> None:
    model, twin = pair
    only(diagnose(model, planted(twin, plant)), "statistics", {"norm"}, words)


def test_a_mean_and_a_variance_in_each_others_place(pair: Any) -> None:
    """Negative variances make NaN of everything; the cause is found all the same."""
    model, twin = pair
    changed = planted(twin, lambda net: exchange(net.norm.running_mean, net.norm.running_var))
    diagnosis = diagnose(model, changed)
    only(diagnosis, "statistics", {"norm"}, "mean and variance")
    assert diagnosis.error == np.inf


def test_a_normalisation_without_its_gamma_and_beta(pair: Any) -> None:
    model, twin = pair

    def bare(net: Any) -> None:
        plain = torch.nn.BatchNorm2d(8, eps=1e-3, momentum=0.01, affine=False).eval()
        plain.load_state_dict({key: value for key, value in net.norm.state_dict().items() if "running" in key}, False)
        net.norm = plain

    only(diagnose(model, planted(twin, bare)), "statistics", {"norm"}, "without the beta and gamma")


ROUNDED = [
    ("float16", lambda w: w.half().float()),
    ("bfloat16", lambda w: w.bfloat16().float()),
    ("float8_e4m3fn", lambda w: w.to(torch.float8_e4m3fn).float()),
    ("int8", lambda w: grid(w, 127)),
    ("int4", lambda w: grid(w, 7)),
]


@pytest.mark.parametrize(("name", "change"), ROUNDED)
def test_numbers_in_fewer_digits(pair: Any, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Told by the name of the dtype; the layers are those whose kernels were rounded."""
    model, twin = pair
    kernels = ("first", "second", "third", "hidden", "head")
    changed = planted(twin, *(in_place(f"{path}.weight", change) for path in kernels))
    finding = only(
        diagnose(model, changed), "dtype", set(kernels), f"5 arrays of b hold the numbers of a rounded to {name}"
    )
    assert finding.alone is not None
    assert 1e-6 < finding.alone < 1


def test_the_other_side_in_fewer_digits(pair: Any) -> None:
    """It is `a` that was rounded."""
    model, twin = pair
    rounded = planted(twin, everywhere(lambda w: w.half().float()))
    finding = only(
        diagnose(rounded, model),
        "dtype",
        {"first", "norm", "second", "third", "depthwise", "hidden", "head"},
        "float16",
    )
    assert "of a hold the numbers of b rounded" in finding.text


def test_a_layer_that_was_never_loaded(pair: Any) -> None:
    model, twin = pair
    changed = planted(twin, lambda net: net.hidden.reset_parameters())
    finding = only(diagnose(model, changed), "weights", {"hidden"}, "never loaded")
    assert finding.text.startswith("2 of 16 arrays of b (")


def test_a_whole_model_that_was_never_loaded(pair: Any) -> None:
    model, twin = pair

    def reset(net: Any) -> None:
        for child in net.modules():
            if hasattr(child, "reset_parameters"):
                child.reset_parameters()

    finding = diagnose(model, planted(twin, reset)).findings[0]
    assert finding.cause == "weights"
    assert "16 of 16 arrays" in finding.text
    assert "never loaded" in finding.text


def test_more_training_and_another_checkpoint(pair: Any) -> None:
    """By correlation: what moved a little, what has nothing in common, and one layer alone."""
    model, twin = pair
    generator = torch.Generator().manual_seed(0)

    def nudge(tensor: torch.Tensor) -> torch.Tensor:
        return tensor + 0.05 * tensor.std() * torch.randn(tensor.shape, generator=generator)

    every = {"first", "norm", "second", "third", "depthwise", "hidden", "head"}
    tuned = diagnose(model, planted(twin, everywhere(nudge)))
    only(tuned, "weights", every, "as after more training; correlation 1")
    other = diagnose(model, planted(twin, lambda net: randomize(net, seed=5)))
    only(other, "weights", every, "as of another checkpoint")
    alone = diagnose(model, planted(twin, in_place("third.weight", nudge)))
    only(alone, "weights", {"third"}, "1 of 16 arrays of b (")


def test_the_numbers_of_another_layer(pair: Any) -> None:
    """Two layers of one shape were loaded in the wrong order."""
    model, twin = pair
    changed = planted(twin, lambda net: exchange(net.second.weight, net.third.weight))
    only(diagnose(model, changed), "weights", {"second", "third"}, "hold the numbers of another layer of a (third)")


def test_three_causes_at_once(pair: Any) -> None:
    """Also where two of them are in one array: a kernel that was rotated and rounded."""
    model, twin = pair
    changed = planted(
        twin,
        in_place("second.weight", lambda w: w.flip(2, 3)),
        lambda net: exchange(net.norm.weight, net.norm.bias),
        everywhere(lambda w: w.half().float()),
    )
    diagnosis = diagnose(model, changed)
    found = {finding.cause: names_of(finding) for finding in diagnosis.findings}
    assert found.keys() == {"statistics", "kernel_layout", "dtype"}
    assert found["kernel_layout"] == {"second"}
    assert found["statistics"] == {"norm"}
    assert diagnosis.explained
    assert diagnosis.findings[-1].cause == "dtype"


def test_a_bias_that_nothing_makes_up_for(pair: Any) -> None:
    """Dropped before a BatchNorm, dropped elsewhere, and one too many."""
    model, twin = pair
    before = diagnose(model, planted(twin, lambda net: setattr(net.first, "bias", None)))
    only(before, "bias", {"first"}, "the BatchNorm behind does not make up for it")
    elsewhere = planted(twin, lambda net: setattr(net.head, "bias", None))
    only(diagnose(model, elsewhere), "bias", {"head"}, "without the bias that a has")
    finding = only(diagnose(elsewhere, model), "bias", {"head"}, "with a bias that a lacks")
    kept = [variable.numpy() for variable in model.weights]
    exec(finding.remedy, {"model": model})  # noqa: S102  the line that a reader would paste
    assert diagnose(elsewhere, model).agree
    model.set_weights(kept)


def test_what_another_layer_makes_up_for_is_no_finding(pair: Any) -> None:
    """A bias in the mean, an epsilon in the variance, a gamma in the kernel: the pair is exact."""
    model, twin = pair

    def fold(net: Any) -> None:
        net.double()
        net.norm.running_mean -= net.first.bias
        net.first.bias = None
        net.norm.running_var += net.norm.eps - 1e-5
        net.norm.eps = 1e-5
        plain = torch.nn.BatchNorm2d(8, eps=1e-5, momentum=0.01, affine=False).double().eval()
        gamma, beta = net.norm.weight, net.norm.bias
        deviation = (net.norm.running_var + 1e-5).sqrt()
        plain.running_mean.copy_(net.norm.running_mean * gamma - beta * deviation)
        plain.running_var.copy_(net.norm.running_var)
        net.first.weight *= gamma.reshape(-1, 1, 1, 1)
        net.norm = plain

    diagnosis = diagnose(model, planted(twin, fold))
    assert diagnosis.agree
    assert not diagnosis.findings


def test_a_fold_in_float32_is_a_rounding(pair: Any) -> None:
    """Nothing but the last digits of the mean is told."""
    model, twin = pair

    def fold(net: Any) -> None:
        net.norm.running_mean -= net.first.bias
        net.first.bias = None

    finding = only(diagnose(model, planted(twin, fold)), "dtype", {"norm"}, "float32")
    assert finding.alone is not None
    assert finding.alone < 1e-6


class Recurrent(torch.nn.Module):
    """A recurrent layer and a head on its last step."""

    def __init__(self, kind: str, both: bool) -> None:
        super().__init__()
        self.rnn = getattr(torch.nn, kind)(5, 7, batch_first=True, bidirectional=both)
        self.head = torch.nn.Linear(14 if both else 7, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(x)[0][:, -1])


@pytest.fixture(scope="module")
def recurrent_pairs() -> dict[tuple[str, bool], tuple[Any, Any]]:
    """Keras models and their torch twins."""
    import xconv

    pairs = {}
    for kind, both in (("LSTM", False), ("LSTM", True), ("GRU", False)):
        twin = randomize(Recurrent(kind, both).eval())
        pairs[kind, both] = xconv.torch_to_keras(twin, input_shape=(6, 5)), twin
    return pairs


def reordered(*order: int) -> Plant:
    def plant(net: Any) -> None:
        for tensor in net.rnn.parameters():
            parts = tensor.chunk(len(order))
            tensor.copy_(torch.cat([parts[place] for place in order]).clone())

    return plant


def turned(net: Any) -> None:
    tensors = dict(net.rnn.named_parameters())
    for name, tensor in tensors.items():
        if f"{name}_reverse" in tensors:
            exchange(tensor, tensors[f"{name}_reverse"])


GATES = [
    ("LSTM", False, reordered(0, 2, 1, 3), "i, c, f, o, not i, f, c, o"),
    ("LSTM", False, reordered(3, 0, 1, 2), "o, i, f, c, not i, f, c, o"),
    ("LSTM", True, reordered(0, 1, 3, 2), "i, f, o, c, not i, f, c, o"),
    ("LSTM", True, turned, "each other's numbers"),
    ("GRU", False, reordered(1, 0, 2), "r, z, h, not z, r, h"),
    ("GRU", False, reordered(2, 0, 1), "not z, r, h"),
    ("GRU", False, lambda net: exchange(net.rnn.bias_ih_l0, net.rnn.bias_hh_l0), "each other's place"),
]


@pytest.mark.parametrize(("kind", "both", "plant", "words"), GATES)
def test_gates_in_another_order(recurrent_pairs: Any, kind: str, both: bool, plant: Plant, words: str) -> None:
    model, twin = recurrent_pairs[kind, both]
    changed = planted(twin, plant)
    finding = only(diagnose(model, changed), "gate_order", {"rnn"}, words)
    if "torch.cat" in finding.remedy:
        exec(finding.remedy, {"model": changed, "torch": torch})  # noqa: S102  the line that a reader would paste
        assert diagnose(model, changed).agree
    else:
        assert finding.remedy == "xconv.transfer(a, b)"


def test_gates_and_a_bias_that_counts_twice(recurrent_pairs: Any) -> None:
    """Two causes in one array."""
    model, twin = recurrent_pairs["LSTM", False]

    def doubled(net: Any) -> None:
        for name, tensor in net.rnn.named_parameters():
            if "bias" in name:
                tensor.mul_(2)

    diagnosis = diagnose(model, planted(twin, reordered(0, 2, 1, 3), doubled))
    assert {finding.cause for finding in diagnosis.findings} == {"gate_order", "bias"}
    assert diagnosis.explained
    only(diagnose(model, planted(twin, doubled)), "bias", {"rnn"}, "bias_ih and bias_hh both hold it")


def test_a_grus_biases_shared_out_otherwise_are_no_difference(recurrent_pairs: Any) -> None:
    """Of the update and the reset gate only the sum of both biases counts."""
    model, twin = recurrent_pairs["GRU", False]

    def shared(net: Any) -> None:
        net.double()
        net.rnn.bias_ih_l0[:14] += net.rnn.bias_hh_l0[:14]
        net.rnn.bias_hh_l0[:14] = 0

    diagnosis = diagnose(model, planted(twin, shared))
    assert diagnosis.agree
    assert not diagnosis.findings


def test_a_keras_model_with_its_kernels_in_another_arrangement(pair: Any) -> None:
    """The remedy is a line for Keras."""
    model, twin = pair
    kernel = model.get_layer("second").kernel
    kept = kernel.numpy()
    kernel.assign(kept.transpose((0, 1, 3, 2)))
    try:
        finding = only(diagnose(twin, model), "kernel_layout", {"second"}, "not transposed")
        exec(finding.remedy, {"model": model, "keras": keras})  # noqa: S102  the line that a reader would paste
        assert np.array_equal(kernel.numpy(), kept)
    finally:
        kernel.assign(kept)


def fresh(seed: int) -> tuple[Any, Any]:
    """Models of one architecture as either framework begins with them."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((9, 8, 3))
    x = layers.Conv2D(32, 3, activation="relu", name="conv")(image)
    x = layers.Dense(10, name="head")(layers.Dense(50, name="hidden")(layers.GlobalAveragePooling2D()(x)))
    torch.manual_seed(seed)
    steps: list[torch.nn.Module] = [torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)]
    steps += [torch.nn.Flatten(), torch.nn.Linear(32, 50), torch.nn.Linear(50, 10)]
    return keras.Model(image, x), torch.nn.Sequential(*steps).eval()


def test_models_that_were_never_trained() -> None:
    """Their initialisers are told, without an effect of their own; two seeds of one framework draw alike."""
    model, module = fresh(0)
    diagnosis = diagnose(model, module)
    causes = {finding.cause: finding for finding in diagnosis.findings}
    assert causes.keys() == {"weights", "initialisers"}
    told = causes["initialisers"]
    assert "Glorot uniform in a, Kaiming uniform (a=sqrt(5)) in b" in told.text
    assert names_of(told) == {"0", "4", "5"}
    assert told.alone is None
    assert "xavier_uniform_" in told.remedy
    assert diagnosis.explained
    for one, other in ((model, fresh(1)[0]), (module, fresh(1)[1])):
        again = diagnose(one, other, input_shape=(3, 9, 8))
        assert {finding.cause for finding in again.findings} == {"weights"}
        assert "as of another checkpoint" in again.findings[0].text


DRAWN: list[tuple[Any, str]] = [
    (keras.initializers.GlorotUniform(1), "Glorot uniform"),
    (keras.initializers.GlorotNormal(1), "Glorot truncated normal"),
    (keras.initializers.HeNormal(1), "He (Kaiming) truncated normal"),
    (keras.initializers.LecunUniform(1), "LeCun uniform"),
    (torch.nn.init.xavier_normal_, "Glorot normal"),
    (lambda w: torch.nn.init.kaiming_uniform_(w, a=5**0.5), "Kaiming uniform (a=sqrt(5))"),
    (lambda w: torch.nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"), "He (Kaiming) fan_out normal"),
    (lambda w: torch.nn.init.normal_(w, 0, 0.02), "normal of 0.02"),
    (lambda w: torch.nn.init.uniform_(w, -0.3, 0.3), None),
    (lambda w: torch.nn.init.normal_(w, 0.1, 0.02), None),
]


@pytest.mark.parametrize(("initialiser", "name"), DRAWN, ids=lambda item: item if isinstance(item, str) else "")
def test_an_initialiser_is_recognised_by_its_numbers(initialiser: Any, name: str | None) -> None:
    torch.manual_seed(3)
    if isinstance(initialiser, keras.initializers.Initializer):
        array = np.asarray(initialiser((3, 3, 12, 40))).transpose((3, 2, 0, 1))
    else:
        array = initialiser(torch.empty(40, 12, 3, 3)).numpy()
    spec = Conv(12, 40, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, 1)
    found = initialisers_of(Node("conv", spec), "kernel", array)
    assert found == ((name,) if name else ())


def test_trained_numbers_are_no_initial_ones() -> None:
    """A heavy tail, and a step away from a uniform distribution."""
    generator = np.random.default_rng(0)
    node = Node("fc", Dense(64, 100, 1))
    assert initialisers_of(node, "kernel", generator.standard_t(4, (100, 64))) == ()
    drawn = generator.uniform(-1 / 8, 1 / 8, (100, 64))
    assert "Kaiming uniform (a=sqrt(5))" in initialisers_of(node, "kernel", drawn)
    assert initialisers_of(node, "kernel", drawn + generator.normal(0, 0.05, drawn.shape)) == ()


def test_a_stray_number_does_not_hide_an_initialiser() -> None:
    """torch's trunc_normal_ yields the bound itself now and then; more than one of so few is training."""
    array = np.random.default_rng(0).normal(0, 0.02, (100, 64))
    node = Node("fc", Dense(64, 100, 1))
    array[3, 5] = 2.0
    assert initialisers_of(node, "kernel", array) == ("normal of 0.02",)
    array[:2, 5] = 2.0
    assert initialisers_of(node, "kernel", array) == ()


def test_a_rounding_is_told_by_name_or_not_at_all() -> None:
    numbers = np.random.default_rng(0).normal(size=(7, 5, 3)).astype("float32")
    assert rounding(numbers, numbers.copy()) == ""
    assert (
        rounding(numbers.astype("float64") * np.pi, (numbers.astype("float64") * np.pi).astype("float32")) == "float32"
    )
    assert rounding(numbers, numbers * np.float32(1 + 1e-7)) == "float32's last digits"
    assert rounding(numbers, numbers * np.float32(1.001)) is None
    assert rounding(numbers, -numbers) is None
    cut = (numbers.view("uint32") & np.uint32(0xFFFF0000)).view("float32")
    assert rounding(numbers, cut) == "bfloat16, cut off instead of rounded"
    small = numbers * np.float32(1e-6)  # float16 has fewer digits down there, TF32 has as many
    tf32 = ((small.view("uint32") + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view("float32")
    assert rounding(small, tf32) == "tf32"
    assert rounding(numbers, np.full_like(numbers, np.nan)) is None


class Attention(torch.nn.Module):
    """Attention and a sum over the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(12, 3, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attention(x, x, x, need_weights=False)[0].sum(1)


def test_the_projections_of_an_attention_in_each_others_place() -> None:
    import xconv

    twin = randomize(Attention().eval())
    model = xconv.torch_to_keras(twin, input_shape=(6, 12))

    def swap(net: Any) -> None:
        attention = net.attention
        for packed in (attention.in_proj_weight, attention.in_proj_bias):
            packed.copy_(torch.cat([packed[24:], packed[12:24], packed[:12]]).clone())

    finding = only(diagnose(model, planted(twin, swap)), "kernel_layout", {"attention.attention"}, "each other's place")
    assert {place.b_says for place in finding.places} >= {"query: the numbers of value"}
