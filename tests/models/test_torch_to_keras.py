"""Torch modules of every shape -> live Keras models: what the caller gives, what he gets, what is refused."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import xconv
from tests.comparison import assert_same
from xconv.errors import InvalidInput, NotFound, Unknown, Unsupported
from xconv.layers import ATEN_RULES
from xconv.layers.activation import Activation
from xconv.spec import AtenCall, Op

SHAPE = (3, 9, 8)


class Net(nn.Module):
    """A small convolutional network with levels of names."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.stem = nn.Sequential(block, nn.MaxPool2d(2))
        self.drop = nn.Dropout(0.25)
        self.head = nn.Linear(4 * 4 * 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(torch.flatten(self.stem(x), 1)))


def net() -> Net:
    return xconv.randomize(Net())


def images(batch: int = 3, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(1))


def last(x: torch.Tensor) -> np.ndarray[Any, Any]:
    """Images as Keras takes them."""
    return np.ascontiguousarray(x.movedim(1, -1).numpy())


def same(module: nn.Module, model: Any) -> None:
    report = xconv.verify(module, model)
    assert report.ok, str(report)


def kinds(model: Any) -> list[str]:
    return [type(layer).__name__ for layer in model.layers if type(layer).__name__ != "InputLayer"]


# -------------------------------------------------------------------------------------------- what the caller gives


class Cut(nn.Module):
    """A module that cuts samples off the batch."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.head, self.way = nn.Linear(4, 3), way

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        match self.way:
            case "neighbours":
                return self.head(x[1:] - x[:-1])
            case "two apart":
                return torch.cat([self.head(x[2:]), self.head(x[:2])])
            case "two at once":
                return self.head(x) if x.shape[0] == 2 else 2 * self.head(x)
            case "pairs":
                return self.head(x[::2]) - self.head(x[1::2])
        return self.head(x[0])


@pytest.mark.parametrize("batch", [1, 2, 3, None])
@pytest.mark.parametrize("way", ["neighbours", "two apart"])
def test_the_batch_stays_open_where_it_is_cut(way: str, batch: int | None) -> None:
    """A batch of two less one is one, which torch.export takes for a constant: more are traced."""
    module = xconv.randomize(Cut(way)).eval()
    given = {"input_shape": (4,)} if batch is None else {"example_inputs": torch.ones(batch, 4)}
    model = xconv.torch_to_keras(module, **given)
    assert model.output_shape == (None, 3)
    for size in (3, 5, 8):
        x = torch.randn(size, 4, generator=torch.Generator().manual_seed(size))
        assert_same(keras.ops.convert_to_numpy(model(x.numpy())), module(x), relative=1e-6)


def test_two_samples_that_are_treated_apart_are_refused() -> None:
    """Whatever is traced, the other way would be lost."""
    with pytest.raises(Unsupported, match="depends on the size of the batch"):
        xconv.torch_to_keras(Cut("two at once"), input_shape=(4,))


def test_an_even_batch_is_traced() -> None:
    module = xconv.randomize(Cut("pairs")).eval()
    same(module, xconv.torch_to_keras(module, input_shape=(4,)))


def test_a_vector_without_a_batch_is_refused_with_its_place() -> None:
    """Keras's Dense asks for a batch."""
    with pytest.raises(Unsupported, match=r"head: Linear on a single vector.* keep the batch"):
        xconv.torch_to_keras(Cut("one"), input_shape=(4,))


def test_example_inputs_and_input_shape_give_the_same() -> None:
    """A tensor, a tuple, a batch of one, a shape: only the shape matters."""
    module = net()
    given = [
        xconv.torch_to_keras(module, images()),
        xconv.torch_to_keras(module, (images(1),)),
        xconv.torch_to_keras(module, input_shape=SHAPE),
        xconv.torch_to_keras(module, input_shape=[SHAPE]),
    ]
    assert len({model.to_json() for model in given}) == 1
    assert given[0].input_shape == (None, 9, 8, 3)
    for model in given:
        assert_same(np.asarray(model(last(images()))), module.eval()(images()), relative=2e-6)
    same(module, given[-1])


@pytest.mark.parametrize("options", [{}, {"example_inputs": images(), "input_shape": SHAPE}])
def test_exactly_one_of_them(options: dict[str, Any]) -> None:
    """Neither, or both."""
    with pytest.raises(InvalidInput, match="either example_inputs or input_shape"):
        xconv.torch_to_keras(net(), **options)


@pytest.mark.parametrize("shape", [(0, 8, 8), ("a",), [(3, -1, 8)], 3])
def test_what_is_no_shape(shape: Any) -> None:
    """An error that shows what was given."""
    with pytest.raises(InvalidInput, match="input_shape="):
        xconv.torch_to_keras(net(), input_shape=shape)


def test_a_wrong_shape_is_told_in_the_modules_own_words() -> None:
    """The module refuses it, not torch.export."""
    with pytest.raises(InvalidInput, match=r"Net does not take .*\(6, 4, 9, 8\).*channels"):
        xconv.torch_to_keras(net(), input_shape=(4, 9, 8))
    with pytest.raises(InvalidInput, match=r"Net does not take .*mat1 and mat2"):
        xconv.torch_to_keras(net(), input_shape=(3, 12, 12))


def test_what_is_no_module(tmp_path: Path) -> None:
    """Neither a number, nor a file that is not there, nor example inputs of another type."""
    with pytest.raises(InvalidInput, match="a int is not a torch module"):
        xconv.torch_to_keras(3, input_shape=SHAPE)
    with pytest.raises(NotFound):
        xconv.torch_to_keras(tmp_path / "no.pt2")
    with pytest.raises(InvalidInput, match="example_inputs is a str"):
        xconv.torch_to_keras(net(), "images")
    with pytest.raises(InvalidInput, match="example input 0 is a int"):
        xconv.torch_to_keras(net(), (3,))


def test_an_exported_program_and_its_file(tmp_path: Path) -> None:
    """The program says its own shapes; a fixed batch is taken as any batch."""
    module = net().eval()
    program = torch.export.export(module, (images(2),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    for source in (program, path, str(path)):
        model = xconv.torch_to_keras(source)
        assert_same(np.asarray(model(last(images(4)))), module(images(4)), relative=2e-6)


def test_a_module_that_came_from_keras(tmp_path: Path) -> None:
    """There and back: the same layers under the same names, bit for bit the same weights."""
    image = keras.Input(SHAPE[1:] + SHAPE[:1])
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="conv")(image)
    x = keras.layers.ReLU(name="act")(keras.layers.BatchNormalization(name="norm")(x))
    model = xconv.randomize(keras.Model(image, keras.layers.Dense(5, name="head")(keras.layers.Flatten()(x))))
    module = xconv.keras_to_torch(model)
    back = xconv.torch_to_keras(module, input_shape=SHAPE)
    assert [layer.name for layer in back.layers if layer.weights] == ["conv", "norm", "head"]
    for mine, theirs in zip(back.weights, model.weights, strict=True):
        assert_same(np.asarray(mine), np.asarray(theirs), relative=0)
    path = tmp_path / "module.pt2"
    xconv.save(module, path)
    same(module, xconv.torch_to_keras(path))


def test_open_height_and_width() -> None:
    """None leaves a size open; right at odd and even sizes."""
    module = xconv.randomize(
        nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 5),
        )
    ).eval()
    model = xconv.torch_to_keras(module, input_shape=(3, None, None))
    assert model.input_shape == (None, None, None, 3)
    for size in ((9, 8), (33, 20)):
        x = images(3, (3, *size))
        assert_same(np.asarray(model(last(x))), module(x), relative=2e-6)


def test_channels_first() -> None:
    """Images are taken as torch takes them, turned once at the door."""
    module = net().eval()
    model = xconv.torch_to_keras(module, input_shape=SHAPE, input_layout="channels_first")
    assert model.input_shape == (None, *SHAPE)
    assert kinds(model).count("Permute") + kinds(model).count("Transpose") == 1
    assert_same(np.asarray(model(images().numpy())), module(images()), relative=2e-6)
    with pytest.raises(InvalidInput, match="input_layout='nchw'"):
        xconv.torch_to_keras(module, input_shape=SHAPE, input_layout="nchw")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ what he gets


def test_several_inputs_and_a_dict_of_outputs() -> None:
    """Inputs in the module's order, outputs in its structure."""

    class Several(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.side = nn.Conv2d(3, 4, 3), nn.Linear(5, 4)

        def forward(self, image: torch.Tensor, features: torch.Tensor) -> dict[str, Any]:
            x = self.conv(image)
            return {"map": x, "scores": [x.mean((2, 3)) + self.side(features)]}

    module = xconv.randomize(Several()).eval()
    model = xconv.torch_to_keras(module, input_shape=[SHAPE, (5,)])
    assert [tensor.name for tensor in model.inputs] == ["image", "features"]
    x, y = images(), torch.randn(3, 5)
    expected, found = module(x, y), model([last(x), y.numpy()])
    assert set(found) == {"map", "scores"}
    assert_same(np.asarray(found["map"]), expected["map"].movedim(1, -1), relative=2e-6)
    assert_same(np.asarray(found["scores"][0]), expected["scores"][0], relative=2e-6)


def test_any_number_of_inputs() -> None:
    """`forward(*tensors)`."""

    class Joined(nn.Module):
        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            return torch.cat(tensors, 1)

    model = xconv.torch_to_keras(Joined(), input_shape=[(3,), (4,), (2,)])
    assert model.output_shape == (None, 9)
    given = [np.full((2, size), size, "float32") for size in (3, 4, 2)]
    assert_same(np.asarray(model(given)), np.concatenate(given, 1), relative=0)


def test_more_inputs_that_are_not_given() -> None:
    """`forward(x, *others)`, called on one tensor."""

    class Scaled(nn.Module):
        def forward(self, x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
            return sum(others, 2 * x)

    assert xconv.torch_to_keras(Scaled(), input_shape=(3,)).output_shape == (None, 3)


@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_bags_of_one_length(mode: str) -> None:
    """nn.EmbeddingBag on (batch, length) is an Embedding and a reduction."""
    module = xconv.randomize(nn.Sequential(nn.EmbeddingBag(7, 3, mode=mode), nn.Linear(3, 2)), 0)
    ids = torch.randint(0, 7, (4, 5), generator=torch.Generator().manual_seed(0))
    model = xconv.torch_to_keras(module, ids)
    same(module, model)
    assert kinds(model)[0] == "Embedding"
    assert_same(keras.ops.convert_to_numpy(model(ids.numpy())), module(ids), relative=1e-6)
    assert "forward" not in vars(module[0])


def test_weighted_bags() -> None:
    """per_sample_weights, which go with a sum."""
    bags = xconv.randomize(nn.EmbeddingBag(7, 3, mode="sum"), 0)

    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bags = bags

        def forward(self, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
            return self.bags(ids, per_sample_weights=weights)

    ids, weights = torch.arange(12).reshape(3, 4) % 7, torch.randn(3, 4)
    model = xconv.torch_to_keras(Weighted(), (ids, weights))
    assert_same(
        keras.ops.convert_to_numpy(model([ids.numpy(), weights.numpy()])), bags(ids, None, weights), relative=1e-6
    )


def test_names_and_kinds_and_rates() -> None:
    """A layer is named after its module; nothing is added between them."""
    model = xconv.torch_to_keras(net(), input_shape=SHAPE)
    named = {layer.name: type(layer).__name__ for layer in model.layers}
    assert named["stem>0>0"] == "Conv2D"
    assert named["stem>0>1"] == "BatchNormalization"
    assert named["head"] == "Dense"
    assert model.get_layer("drop").rate == 0.25
    norm = model.get_layer("stem>0>1")
    assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)
    assert model.name == "Net"


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_no_transposes_in_a_convolutional_network(name: str) -> None:
    """Every layer has its counterpart and nothing else is there."""
    models = pytest.importorskip("torchvision.models")
    module = getattr(models, name)(weights=None)
    model = xconv.torch_to_keras(module, input_shape=(3, 33, 46))
    assert not [kind for kind in kinds(model) if kind in ("Permute", "Transpose")]
    assert len([kind for kind in kinds(model) if kind in ("Reshape", "Flatten")]) <= 1  # the network's own
    norms = sum(isinstance(child, nn.BatchNorm2d) for child in module.modules())
    assert kinds(model).count("BatchNormalization") == norms
    paths = {path.replace(".", ">") for path, child in module.named_modules() if list(child.parameters(recurse=False))}
    assert {layer.name for layer in model.layers if layer.weights} == paths


def test_frozen_parameters_are_not_trainable() -> None:
    """requires_grad=False of all of a layer's parameters is trainable=False of the layer."""
    module = net()
    for parameter in module.stem.parameters():
        parameter.requires_grad_(False)
    model = xconv.torch_to_keras(module, input_shape=SHAPE)
    assert {layer.name for layer in model.layers if layer.weights and not layer.trainable} == {"stem>0>0", "stem>0>1"}
    assert [variable.path.partition("/")[0] for variable in model.trainable_variables] == ["head", "head"]


def test_a_module_that_is_called_twice_is_one_layer() -> None:
    """Its weights stay one."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(self.act(self.conv(x)))

    module = xconv.randomize(Twice())
    model = xconv.torch_to_keras(module, input_shape=SHAPE)
    assert kinds(model).count("Conv2D") == 1
    assert len(model.weights) == 2
    same(module, model)


def test_tied_weights_of_layers_of_one_kind() -> None:
    """Two modules that hold one parameter: one layer, or a refusal that names them; never a silent copy."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
            self.two.weight = self.one.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(torch.relu(self.one(x)))

    module = xconv.randomize(Tied())
    try:
        model = xconv.torch_to_keras(module, input_shape=(4,))
    except Unsupported as error:
        assert "shared by" in str(error)  # noqa: PT017
    else:
        assert sum(math.prod(variable.shape) for variable in model.weights) == 4 * 4 + 4 + 4
        same(module, model)


def test_the_module_is_left_as_it_was() -> None:
    """Modes, parameters, buffers, gradients, hooks."""
    module = net()
    module.stem.eval()
    calls: list[str] = []
    module.head.register_forward_hook(lambda *_: calls.append("head"))
    module.head.weight.grad = torch.ones_like(module.head.weight)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    objects = [id(parameter) for parameter in module.parameters()]
    modes = [child.training for child in module.modules()]
    xconv.torch_to_keras(module, input_shape=SHAPE)
    assert [child.training for child in module.modules()] == modes
    assert [id(parameter) for parameter in module.parameters()] == objects
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert bool((module.head.weight.grad == 1).all())
    assert len(module.head._forward_hooks) == 1


def test_a_module_in_float64() -> None:
    """The model is in float64 too."""
    module = net().double().eval()
    model = xconv.torch_to_keras(module, input_shape=SHAPE)
    assert {variable.dtype for variable in model.weights} == {"float64"}
    x = images().double()
    assert_same(np.asarray(model(last(x))), module(x))


def test_weights_of_several_types_are_layers_of_several_policies() -> None:
    """Each layer keeps its own."""
    module = net()
    module.head.half()

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            flat = torch.flatten(self.inner.stem(x), 1)
            return self.inner.head(flat.half())

    model = xconv.torch_to_keras(Mixed(), input_shape=SHAPE)
    policies = {layer.dtype_policy.name for layer in model.layers if layer.weights}
    assert policies == {"float32", "float16"}
    assert xconv.verify(model, Mixed().eval()).ok


def test_it_trains() -> None:
    """One step changes every trainable weight and every statistic."""
    model = xconv.torch_to_keras(net(), input_shape=SHAPE)
    before = [np.array(variable) for variable in model.weights]
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(last(images()), np.ones((3, 5), "float32"), verbose=0)
    assert all(np.any(np.array(now) != old) for now, old in zip(model.weights, before, strict=True))


def test_saved_and_loaded_without_xconv(tmp_path: Path) -> None:
    """Keras alone reads the file, in safe mode, and so does xconv."""
    module = net().eval()
    model = xconv.torch_to_keras(module, input_shape=SHAPE)
    path = tmp_path / "net.keras"
    model.save(path)
    script = f"import sys, keras; m = keras.saving.load_model({str(path)!r}, safe_mode=True); "
    script += "assert 'xconv' not in sys.modules; print(m.name)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split()[-1:] == ["Net"], done.stderr
    again = keras.saving.load_model(path, safe_mode=True)
    assert_same(np.asarray(again(last(images()))), np.asarray(model(last(images()))), relative=0)
    back = xconv.keras_to_torch(path).eval()
    assert_same(back(images()), module(images()), relative=2e-6)


SCRIPT = """
import torch
import json
import keras
import numpy as np
import sys
from tests.models.test_torch_to_keras import SHAPE, images, last, net
import xconv
module = net().eval()
model = xconv.torch_to_keras(module, input_shape=SHAPE)
actual = keras.ops.convert_to_numpy(model(last(images()), training=False))
expected = module(images()).detach().numpy()
model.save(sys.argv[1])
again = keras.saving.load_model(sys.argv[1], safe_mode=True)
assert np.array_equal(keras.ops.convert_to_numpy(again(last(images()), training=False)), actual)
error = float(np.abs(actual - expected).max() / np.abs(expected).max())
print(json.dumps({"backend": keras.backend.backend(), "error": error}))
"""


def test_the_torch_backend(tmp_path: Path) -> None:
    """Names without dots, and the same numbers."""
    environment = {**os.environ, "KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "net.keras")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["backend"] == "torch"
    assert found["error"] < 2e-6


class StochasticDepth(nn.Module):
    """As torchvision's, which is known by its name and attributes."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        samples = 1 if self.mode == "batch" else x.shape[0]
        noise = x.new_empty(samples, *(1,) * (x.dim() - 1))
        return x * noise.bernoulli_(1 - self.p).div_(1 - self.p)


class DropPath(nn.Module):
    """As timm's, without growing what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.drop_prob, self.scale_by_keep = 0.25, False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x.new_empty(x.shape[0], 1).bernoulli_(0.75) if self.training else x


@pytest.mark.parametrize(("mode", "samples"), [("row", None), ("batch", 1)])
def test_stochastic_depth_drops_samples_alone_or_all_together(mode: str, samples: int | None) -> None:
    """As noise_shape says; the way back gives the same mode."""
    module = nn.Sequential(nn.Linear(6, 6), StochasticDepth(0.5, mode))
    model = xconv.torch_to_keras(module, input_shape=(6,))
    assert model.layers[2].noise_shape == (samples, 1)
    answers = [keras.ops.convert_to_numpy(model.layers[2](np.ones((8, 6)), training=True)) for _ in range(20)]
    together = [np.ptp(answer) == 0 for answer in answers]
    assert all(together) == (mode == "batch")
    assert {0.0, 2.0} == {float(number) for answer in answers for number in answer.flat}
    assert xconv.keras_to_torch(model).get_submodule("1").mode == mode


@pytest.mark.slow
def test_a_network_too_deep_for_keras_to_load_is_noted(tmp_path: Path) -> None:
    """Keras walks it by recursion; with the limit of the note it loads."""
    deep = xconv.torch_to_keras(nn.Sequential(*[nn.Tanh() for _ in range(1100)]), input_shape=(2,))
    (note,) = xconv.record(deep).notes
    assert note.startswith("Keras walks it 1101 calls deep: call sys.setrecursionlimit(4303)")
    path = tmp_path / "deep.keras"
    deep.save(path)
    before = sys.getrecursionlimit()
    with pytest.raises(RecursionError):
        keras.models.load_model(path)
    try:
        sys.setrecursionlimit(4303)
        assert len(keras.models.load_model(path).layers) == 1101
    finally:
        sys.setrecursionlimit(before)
    report = xconv.verify(xconv.keras_to_torch(deep), path)
    assert report.ok, str(report)


@pytest.mark.parametrize(("kind", "layer"), [("LSTM", "LSTM"), ("GRU", "GRU"), ("RNN", "SimpleRNN")])
def test_dropout_between_recurrent_layers(kind: str, layer: str) -> None:
    """Behind every layer but the last, as a layer of its own."""
    module = getattr(nn, kind)(5, 3, num_layers=3, dropout=0.4, batch_first=True)
    model = xconv.torch_to_keras(module, input_shape=(6, 5))
    rates = [(kind, getattr(layer, "rate", 0.4)) for kind, layer in zip(kinds(model), model.layers[1:], strict=True)]
    assert [kind for kind, _ in rates if kind in (layer, "Dropout")] == [layer, "Dropout", layer, "Dropout", layer]
    assert {rate for kind, rate in rates if kind == "Dropout"} == {0.4}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"padding_idx": 1}, "torch never trains row 1, its padding_idx; Keras does"),
        ({"scale_grad_by_freq": True}, "torch divides the gradient of a row by how often it is used; Keras does not"),
        ({"sparse": True}, ""),
    ],
)
def test_what_only_the_training_of_an_embedding_knows_is_noted(options: dict[str, Any], words: str) -> None:
    module = nn.Sequential(nn.Embedding(7, 3, **options))
    notes = xconv.record(xconv.torch_to_keras(module, torch.ones(3, 4, dtype=torch.long))).notes
    assert notes == ((f"0: {words}",) if words else ())


def test_what_drops_without_growing_the_rest_is_noted() -> None:
    """Keras has no layer for it: in training nothing is dropped, and the record says so."""
    module = nn.Sequential(nn.Linear(6, 6), DropPath())
    model = xconv.torch_to_keras(module, input_shape=(6,))
    same(module.eval(), model)
    (note,) = xconv.record(model).notes
    assert note.startswith("1: in training torch drops whole samples with probability 0.25")


# ------------------------------------------------------------------------------------------------ what is refused


class Around(nn.Module):
    """A module that calls one function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def test_every_unknown_operator_is_listed_with_its_module() -> None:
    """One error for all of them."""
    module = nn.ModuleDict({"first": Around(torch.special.bessel_j0), "second": Around(torch.special.airy_ai)})

    class Strange(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = module

        def forward(self, x: torch.Tensor) -> Any:
            return self.parts["first"](x), self.parts["second"](x)

    with pytest.raises(Unknown) as caught:
        xconv.torch_to_keras(Strange(), input_shape=(4, 4))
    assert [problem.place.rpartition(".")[0] for problem in caught.value.problems] == ["parts.first", "parts.second"]
    assert all("no rule" in problem.what for problem in caught.value.problems)


def test_an_argument_that_no_rule_reads_is_refused_with_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 5: nothing is ignored."""

    class Forgetful(Activation):
        @classmethod
        def from_torch(cls, call: AtenCall) -> Op:  # noqa: ARG003
            return Op(Activation("relu"))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ELU(0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.act(x)

    _ = ATEN_RULES["elu"]
    monkeypatch.setitem(ATEN_RULES._loaded, "elu", Forgetful)  # type: ignore[attr-defined]
    with pytest.raises(Unsupported, match=r"^block\.act: elu has alpha"):
        xconv.torch_to_keras(nn.Sequential(OrderedDict(block=Block())), input_shape=(4,))


def test_control_flow_on_values_is_refused() -> None:
    """With torch's own reason."""
    module = Around(lambda x: x * 2 if x.sum() > 0 else x)
    with pytest.raises(Unsupported, match=r"torch\.export cannot say Around"):
        xconv.torch_to_keras(module, input_shape=(4,))


def test_a_write_into_a_part_is_seen_by_the_whole() -> None:
    """What is read later under another name has the new numbers."""

    def write(x: torch.Tensor) -> torch.Tensor:
        y = x + 1
        part = y[:, :2]
        part.mul_(2)
        y[:, 3] = 0
        return y * 3

    module = Around(write)
    model = xconv.torch_to_keras(module, input_shape=(4,))
    assert_same(np.asarray(model(images(3, (4,)).numpy())), module(images(3, (4,))), relative=2e-6)


def test_a_write_in_place_means_its_result() -> None:
    """Every later use sees it."""

    def write(x: torch.Tensor) -> torch.Tensor:
        y = x * 2
        return nn.functional.relu_(y) + y

    module = Around(write)
    model = xconv.torch_to_keras(module, input_shape=(4,))
    assert_same(np.asarray(model(images(3, (4,)).numpy())), module(images(3, (4,))), relative=2e-6)


def test_a_constant_output() -> None:
    """What depends on no input is returned all the same."""
    module = Around(lambda x: (x + 1, torch.ones(3) * 2))
    found = xconv.torch_to_keras(module, input_shape=(4,))(np.zeros((2, 4), "float32"))
    assert_same(np.asarray(found[1]), np.full(3, 2, "float32"), relative=0)


class Recurrent(nn.Module):
    """An LSTM in ways that Keras has no words for."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.lstm = nn.LSTM(5, 4, batch_first=True, proj_size=2 if way == "projected" else 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "projected":
            return self.lstm(x)[0]
        lengths = torch.tensor([6, 4, 2])
        packed = nn.utils.rnn.pack_padded_sequence(x[:3], lengths, batch_first=True, enforce_sorted=False)
        return self.lstm(packed)[1][0]


class Bags(nn.Module):
    """Bags of several lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.bags = nn.EmbeddingBag(7, 3)

    def forward(self, ids: torch.Tensor, begins: torch.Tensor) -> torch.Tensor:
        return self.bags(ids, begins)


@pytest.mark.parametrize(
    ("module", "inputs", "words"),
    [
        (Recurrent("projected"), torch.ones(3, 6, 5), r"lstm: lstm with proj_size.*; train it without proj_size"),
        (Recurrent("packed"), torch.ones(3, 6, 5), r"lstm: it packs sequences.*; give the recurrent layer the padded"),
        (Bags(), (torch.ones(8).long(), torch.tensor([0, 4])), r"bags: operator aten.embedding_bag.* of one length"),
        (
            nn.Sequential(nn.Embedding(7, 3, max_norm=1.0)),
            torch.ones(3, 4).long(),
            r"0: .*no max_norm.*weight.renorm_",
        ),
        (nn.LSTM(5, 4), torch.ones(6, 5), r"Constraints violated.*; give every input with the batch first"),
    ],
    ids=["projections", "packed sequences", "bags of several lengths", "max_norm", "no batch"],
)
def test_refusals_name_place_reason_and_remedy(module: nn.Module, inputs: Any, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        xconv.torch_to_keras(module, inputs)


class Half(nn.Module):
    """A network of half precision that makes integers, or asks for float32."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.head, self.way = nn.Linear(4, 4), way
        self.register_buffer("places", torch.arange(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.head(x)
        match self.way:
            case "integers":
                return y * torch.arange(4) + self.places + y.argmax(-1, keepdim=True) + y.size(1)
            case "integers as floats":
                return y + torch.arange(4).to(y.dtype) / 3
            case "softmax in float32":
                return y.float().softmax(-1).to(y.dtype)
        return y + torch.arange(4.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("way", ["integers", "integers as floats", "softmax in float32"])
def test_integers_in_a_network_of_half_precision(way: str, dtype: torch.dtype) -> None:
    """The dtype policy is the module's, and so are dtype and numbers of the result."""
    name = str(dtype).removeprefix("torch.")
    module = xconv.randomize(Half(way), 0).to(dtype).eval()
    model = xconv.torch_to_keras(module, input_shape=(4,))
    layers = [layer for layer in model.layers if layer.weights and type(layer).__name__ != "Embedding"]
    assert {layer.dtype_policy.name for layer in layers} == {name}  # a table of integers is float32, which holds them
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected, found = module(x), model(keras.ops.cast(x.float().numpy(), name))
    assert keras.backend.standardize_dtype(found.dtype) == name
    assert_same(np.asarray(keras.ops.cast(found, "float32")), expected.float(), relative=2 * torch.finfo(dtype).eps)


def test_float32_in_a_network_of_half_precision_stays() -> None:
    """A constant that the network makes, and a layer that is kept in float32."""

    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(4, 4).half(), nn.LayerNorm(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.first(x).float())

    for module in (Half("float32").half().eval(), Kept().eval()):
        model = xconv.torch_to_keras(module, torch.ones(2, 4, dtype=torch.float16))
        x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).half()
        expected, found = module(x), model(keras.ops.cast(x.float().numpy(), "float16"))
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        assert_same(np.asarray(found), expected, relative=2 * torch.finfo(torch.float16).eps)
