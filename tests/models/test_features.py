"""Features of named layers, the same in two networks, and where their length comes from."""

import copy
import pickle

import keras
import numpy as np
import pytest
import torch
from torch import nn

import xconv
from tests.comparison import assert_same
from tests.models.small_models import mobile, nested_models, several
from xconv.extraction.listening import Listening


class Block(nn.Module):
    """A residual block as torchvision writes it: one ReLU in place, called twice."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        out = self.conv2(self.relu(self.bn1(self.conv1(x))))
        out += x
        return self.relu(out)


class Residual(nn.Module):
    """A small ResNet, with a hidden layer that is called twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2)
        self.layer1 = nn.Sequential(Block(6), Block(6))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        x = self.stem(x)
        assert isinstance(x, torch.Tensor)
        x = torch.flatten(self.avgpool(self.layer1(x)), 1)
        return self.fc(self.drop(x))


class Branching(Residual):
    """Its Python code asks what is in its tensors."""

    def forward(self, x):
        return super().forward(x if x.mean() < 100 else x / 2)


class Other(Residual):
    """It runs other code in training."""

    def forward(self, x):
        return super().forward(x + 1 if self.training else x)


def residual(kind=Residual):
    return xconv.randomize(kind(), 0, inputs=torch.randn(2, 3, 13, 17)).eval()


def heard(module, path, x):
    """What a submodule returns at each of its calls, copied at once."""
    found = []
    handle = module.get_submodule(path).register_forward_hook(lambda *call: found.append(call[-1].clone()))
    module(x)
    handle.remove()
    return found


PICTURES = torch.randn(2, 3, 13, 17, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", [Residual, Branching, Other])
@pytest.mark.parametrize(
    ("name", "path", "call"),
    [
        ("layer1.0.bn1", "layer1.0.bn1", 0),  # the ReLU behind it writes over it
        ("layer1.0.relu:1", "layer1.0.relu", 1),
        ("layer1.0.conv2", "layer1.0.conv2", 0),  # += writes over it
        ("layer1", "layer1", 0),
        ("fc", "fc", 0),
    ],
)
@torch.no_grad()
def test_a_module_returns_what_its_layer_returns(kind, name, path, call):
    module = residual(kind)
    extractor = xconv.features(module, name)
    assert isinstance(extractor, Listening) == (kind is not Residual)
    assert not extractor.training
    assert_same(extractor(PICTURES), heard(module, path, PICTURES)[call], relative=1e-6)


@torch.no_grad()
def test_several_layers_are_a_list_in_the_order_that_is_asked_for():
    module = residual()
    for names in (["layer1.1", "stem", "layer1.1.bn1"], ["stem", "stem"]):
        found = xconv.features(module, names)(PICTURES)
        assert isinstance(found, list)
        for name, tensor in zip(names, found, strict=True):
            assert_same(tensor, heard(module, name, PICTURES)[0], relative=1e-6)


@torch.no_grad()
def test_a_module_in_training_is_extracted_in_training():
    module = Other().train()
    for name in ("layer1.0.bn1", "stem"):
        extractor = xconv.features(module, name)
        assert extractor.training
        assert_same(extractor(PICTURES), heard(module, name, PICTURES)[0], relative=1e-5)
    frozen = residual().train()
    frozen.layer1[0].eval()
    extractor = xconv.features(frozen, "layer1.1.bn1")
    assert [extractor.get_submodule(f"layer1.{i}").training for i in (0, 1)] == [False, True]


def test_an_extractor_shares_its_parameters_and_trains():
    module = residual()
    extractor = xconv.features(module, "layer1.0", pooling="avg").train()
    assert {id(p) for p in extractor.parameters()} < {id(p) for p in module.parameters()}
    assert set(extractor.state_dict()) < set(module.state_dict())
    assert not any(key.startswith(("fc", "layer1.1")) for key in extractor.state_dict())
    before = module.layer1[0].bn1.running_mean.clone()
    extractor(PICTURES).square().sum().backward()
    assert module.stem.weight.grad is not None
    assert module.fc.weight.grad is None
    assert not torch.equal(module.layer1[0].bn1.running_mean, before)


@torch.no_grad()
def test_an_extractor_is_copied_pickled_exported_and_converted():
    extractor = xconv.features(residual(), ["layer1.0.bn1", "layer1"])
    expected = extractor(PICTURES)
    program = torch.export.export(extractor, (PICTURES,)).module()
    for other in (copy.deepcopy(extractor), pickle.loads(pickle.dumps(extractor)), program):  # noqa: S301
        for ours, theirs in zip(other(PICTURES), expected, strict=True):
            assert_same(ours, theirs, relative=1e-6)
    assert xconv.verify(extractor, xconv.torch_to_keras(extractor, input_shape=(3, 13, 17))).ok


@torch.no_grad()
def test_maps_are_pooled_and_vectors_are_not():
    module = residual()
    map_ = xconv.features(module, "layer1")(PICTURES)
    assert_same(xconv.features(module, "layer1", pooling="avg")(PICTURES), map_.mean((2, 3)), relative=1e-6)
    assert_same(xconv.features(module, "layer1", pooling="max")(PICTURES), map_.amax((2, 3)), relative=0)
    last = xconv.features(module, "layer1", pooling="avg", data_format="channels_last")(PICTURES)
    assert_same(last, map_.mean((1, 2)), relative=1e-5)
    assert xconv.features(module, "fc", pooling="avg")(PICTURES).shape == (2, 4)


def test_a_sequence_in_torch_is_pooled_where_its_channels_are_told():
    module = nn.Sequential(nn.Conv1d(3, 5, 2), nn.ReLU())
    with pytest.raises(xconv.InvalidInput, match="data_format"):
        xconv.features(module, "0", pooling="avg")(torch.zeros(2, 3, 7))
    pooled = xconv.features(module, "0", pooling="avg", data_format="channels_first")
    assert pooled(torch.zeros(2, 3, 7)).shape == (2, 5)


@pytest.mark.parametrize("layers", [None, 3, [], "", ["0", None]])
def test_what_is_no_name_is_refused(layers):
    with pytest.raises(xconv.InvalidInput, match="give the name of a layer, or a list of names"):
        xconv.features(nn.Sequential(nn.ReLU()), layers)


@pytest.mark.parametrize("make", [residual, mobile, lambda: xconv.keras_to_torch(mobile())])
def test_all_names_that_are_none_are_one_error(make):
    with pytest.raises(xconv.InvalidInput) as caught:
        xconv.features(make(), ["nonsense_x9", "nothing_y8"])
    assert [problem.place for problem in caught.value.problems] == ["nonsense_x9", "nothing_y8"]


def test_names_that_are_like_a_wrong_one_are_told():
    with pytest.raises(xconv.InvalidInput, match=r"did you mean .*layer1\.0\.conv1"):
        xconv.features(residual(), "layer1.0.conv")
    with pytest.raises(xconv.InvalidInput, match=r"did you mean .*block_1_expand"):
        xconv.features(mobile(), "block1_expand")
    with pytest.raises(xconv.InvalidInput, match=r"called 2 times; say which call: layer1\.0\.relu:0 to "):
        xconv.features(residual(), "layer1.0.relu")
    with pytest.raises(xconv.InvalidInput, match="called 2 times, counted from 0"):
        xconv.features(residual(), "layer1.0.relu:2")
    with pytest.raises(xconv.InvalidInput, match="called 2 times"):
        xconv.features(several(), "shared")
    with pytest.raises(xconv.InvalidInput, match="layers=") as caught:
        xconv.features(residual(), [])
    assert "name of a layer" in str(caught.value)
    with pytest.raises(xconv.InvalidInput, match="'avg', 'max' or None"):
        xconv.features(residual(), "fc", pooling="mean")


def test_a_subclassed_keras_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(xconv.InvalidInput, match="no graph of layers"):
        xconv.features(Own(), "dense")
    with pytest.raises(xconv.InvalidInput, match="no layers that could be named"):
        xconv.features(np.mean, "dense")


# -- Keras and what was converted from it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "pooling"), [("channels_first", None), ("channels_last", None), ("channels_first", "max")]
)
def test_a_converted_module_gives_the_features_of_its_source(layout, pooling):
    model = mobile()
    module = xconv.keras_to_torch(model, input_layout=layout).eval()
    names = ["Conv1_relu", "block_1_depthwise_BN", "block_2_add", model.layers[-2].name]
    ours, theirs = (xconv.features(either, names, pooling=pooling) for either in (model, module))
    assert xconv.verify(ours, theirs).ok
    picture = torch.zeros((1, 64, 64, 3) if layout == "channels_last" else (1, 3, 64, 64))
    shapes = [tuple(tensor.shape) for tensor in theirs(picture)]
    if layout == "channels_last" or pooling:
        assert [shape[1:] for shape in shapes] == [shape[1:] for shape in ours.output_shape]
    assert set(theirs.state_dict()) < set(module.state_dict())
    assert len(xconv.record(theirs).weights) == len(theirs.state_dict()) - _counters(theirs)


def _counters(module):
    return sum(key.endswith("num_batches_tracked") for key in module.state_dict())


def test_a_part_of_a_converted_module_is_saved_as_a_program_alone(tmp_path):
    model = keras_residual()
    part = xconv.features(xconv.keras_to_torch(model), "a_out")
    with pytest.raises(xconv.InvalidInput, match=r"\.pt2"):
        xconv.save(part, tmp_path / "part.safetensors")
    xconv.save(part, tmp_path / "part.pt2")
    assert xconv.verify(xconv.features(model, "a_out"), tmp_path / "part.pt2").ok


@pytest.mark.parametrize("name", ["shared:0", "shared:1", "inner/bn:0", "inner/project:1", "total", "dense"])
def test_calls_and_nested_models_are_named(name):
    model = several()
    extractor = xconv.features(model, name)
    generator = np.random.default_rng(0)
    feeds = {"image": generator.standard_normal((2, 8, 9, 4)), "features": generator.standard_normal((2, 5))}
    module = xconv.features(xconv.keras_to_torch(model).eval(), name)
    image = torch.from_numpy(feeds["image"]).float().permute(0, 3, 1, 2)
    with torch.no_grad():
        theirs = module(image=image, features=torch.from_numpy(feeds["features"]).float())
    ours = keras.ops.convert_to_numpy(extractor(feeds))
    assert_same(theirs.permute(0, 2, 3, 1) if theirs.dim() == 4 else theirs, ours, relative=1e-5)


def test_channels_first_models_of_keras_are_pooled_over_positions():
    picture = keras.Input((3, 9, 11))
    kind = keras.layers.Permute((2, 3, 1))
    model = keras.Model(picture, keras.layers.MaxPooling2D(2, data_format="channels_first", name="pool")(picture))
    assert xconv.features(model, "pool", pooling="avg").output_shape == (None, 3)
    mixed = keras.Model(
        picture, keras.layers.MaxPooling2D(2, data_format="channels_last", name="l")(kind(model(picture)))
    )
    with pytest.raises(xconv.InvalidInput, match="data_format="):
        xconv.features(mixed, "l", pooling="avg")
    assert xconv.features(mixed, "l", pooling="avg", data_format="channels_last").output_shape == (None, 3)


# -- the same features of two networks ---------------------------------------------------------------------------------


def keras_residual():
    """The same network in Keras, under other names."""
    layers = keras.layers
    x = picture = keras.Input((13, 17, 3))
    x = layers.Conv2D(6, 3, strides=2, name="first")(x)
    for block in "ab":
        y = layers.Conv2D(6, 3, padding="same", name=f"{block}_one")(x)
        y = layers.ReLU(name=f"{block}_relu")(layers.BatchNormalization(epsilon=1e-5, name=f"{block}_norm")(y))
        y = layers.Add(name=f"{block}_add")([layers.Conv2D(6, 3, padding="same", name=f"{block}_two")(y), x])
        x = layers.ReLU(name=f"{block}_out")(y)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    return xconv.randomize(keras.Model(picture, layers.Dense(4, name="scores")(x), name="rebuilt"), 0)


PAIRS = {
    "first": "stem",
    "a_norm": "layer1.0.bn1",
    "a_relu": "layer1.0.relu:0",
    "a_two": "layer1.0.conv2",
    "a_out": "layer1.0",
    "b_out": "layer1",
    "mean": "avgpool",
    "scores": "fc",
}


@pytest.fixture(scope="module")
def pair():
    """A Keras model and a torch module that compute the same, in float64."""
    model, module = keras_residual(), Residual().eval().double()
    xconv.transfer(model, module)
    return model, module


def test_counterparts_are_found_both_ways(pair):
    model, module = pair
    back = {"layer1.0": "a_out", "layer1.0.relu:1": "a_out", "layer1.1": "b_out", "avgpool": "mean", "fc": "scores"}
    assert {name: xconv.counterpart(model, module, name) for name in PAIRS} == PAIRS
    assert {name: xconv.counterpart(module, model, name) for name in back} == back
    assert xconv.counterpart(module, model) == ("scores",)


def test_counterparts_do_not_ask_for_the_same_weights():
    assert xconv.counterpart(keras_residual(), Residual().eval(), "a_out") == "layer1.0"


def test_a_tensor_that_no_layer_returns_has_no_counterpart(pair):
    model, module = pair
    with pytest.raises(xconv.Mismatch, match=r"inside layer1\.0, which returns something else; ask for a_out"):
        xconv.counterpart(model, module, "a_add")
    shorter = keras.Model(model.input, model.get_layer("a_out").output, name="shorter")
    with pytest.raises(xconv.Mismatch, match="nothing in shorter computes it"):
        xconv.counterpart(module, shorter, "layer1.1.conv2")


@pytest.mark.parametrize("name", [*PAIRS])
@pytest.mark.parametrize("pooling", [None, "avg"])
def test_the_same_features_are_equal_in_length_and_order(pair, name, pooling):
    model, module = pair
    ours, theirs = xconv.same_features(model, module, name, pooling=pooling)
    pictures = np.random.default_rng(0).standard_normal((2, 13, 17, 3))
    with torch.no_grad():
        found = theirs(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()
    expected = keras.ops.convert_to_numpy(ours(pictures))
    if found.ndim == 4:
        found = found.transpose(0, 2, 3, 1)
    assert_same(found, expected, relative=1e-5, dtype=False)
    assert xconv.verify(ours, theirs).ok


def flattening():
    """A Keras model and a torch module that flatten a map in two orders."""
    picture = keras.Input((9, 11, 3))
    x = keras.layers.Conv2D(5, 3, activation="relu", name="conv")(picture)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(6, activation="relu", name="hidden")(x)
    model = xconv.randomize(keras.Model(picture, keras.layers.Dense(4, name="last")(x), name="flattening"), 0)
    parts = nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(315, 6), nn.ReLU(), nn.Linear(6, 4)
    module = nn.Sequential(*parts).eval().double()
    xconv.transfer(model, module)
    return model, module


def test_flattened_maps_have_the_order_of_the_first():
    model, module = flattening()
    pictures = np.random.default_rng(0).standard_normal((2, 9, 11, 3))
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    ours, theirs = xconv.same_features(model, module, "flat")
    assert_same(theirs(tensor), keras.ops.convert_to_numpy(ours(pictures)), relative=1e-5, dtype=False)
    theirs, ours = xconv.same_features(module, model, "2")
    assert_same(theirs(tensor), keras.ops.convert_to_numpy(ours(pictures)), relative=1e-5, dtype=False)
    assert_same(theirs(tensor), module[:3](tensor), relative=1e-9)
    assert xconv.counterpart(model, module, "hidden") == "5"
    with pytest.raises(xconv.Mismatch, match="inside hidden, which returns something else; ask for 5"):
        xconv.counterpart(module, model, "4")


def test_what_a_network_returns_is_asked_for_without_a_name(pair):
    model, module = pair
    bare = keras.Model(model.input, model.get_layer("mean").output, name="bare")
    ours, theirs = xconv.same_features(bare, module)
    assert ours is bare
    assert xconv.verify(ours, theirs).ok
    with pytest.raises(xconv.InvalidInput, match="name the layer"):
        xconv.same_features(bare, module, pooling="avg")


class Functional(Residual):
    """It pools between its layers, as torchvision's DenseNet does."""

    def forward(self, x):
        x = nn.functional.relu(self.layer1(self.stem(x)))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


def test_what_is_computed_between_layers_has_no_name(pair):
    with pytest.raises(xconv.Mismatch, match=r"computes it between its layers; before it, b_out is layer1"):
        xconv.counterpart(pair[0], Functional().eval(), "mean")


def test_models_of_tf_keras_have_features():
    pytest.importorskip("tf_keras")
    import tf_keras

    inner, _ = nested_models(tf_keras)
    picture = tf_keras.Input((8, 9, 4))
    shared = tf_keras.layers.Conv2D(2, 1, name="shared")
    model = tf_keras.Model(picture, shared(shared(inner(picture))), name="outer")
    batch = np.random.default_rng(0).standard_normal((2, 8, 9, 4)).astype(np.float32)
    first = shared(inner(batch))
    assert_same(xconv.features(model, "shared:0")(batch), first, relative=1e-6)
    assert_same(xconv.features(model, "shared:1", pooling="avg")(batch), np.mean(shared(first), (1, 2)), relative=1e-5)
    assert_same(xconv.features(model, "seq/b")(batch), inner.layers[1](inner.layers[0](batch)), relative=1e-6)
    with pytest.raises(xconv.InvalidInput, match="did you mean"):
        xconv.features(model, "sharde")
    assert str(xconv.feature_length(xconv.features(model, "shared:1", pooling="avg"))).startswith(
        "2: mean over the 8x9"
    )


def test_files_have_no_layers_to_extract(pair):
    model, module = pair
    for a, b in ((model, "module.pt2"), ("model.keras", module), (model, np.mean)):
        with pytest.raises(xconv.InvalidInput, match="give a live Keras model"):
            xconv.counterpart(a, b, "mean")


# -- where a length comes from -----------------------------------------------------------------------------------------


def lengths():
    """Models, what is given with them, and what is said."""
    layers = keras.layers
    picture = keras.Input((13, 17, 3))
    conv = layers.Conv2D(6, 3, strides=2, name="conv")(picture)
    pooled = layers.GlobalAveragePooling2D(name="pool", keepdims=True)(layers.ReLU(name="relu")(conv))
    head = layers.Activation("hard_silu", name="act")(layers.Conv2D(11, 1, name="head")(pooled))
    module = Residual().eval()
    yield keras.Model(picture, conv), None, "288 = 6 x 8 x 6: the map that conv returns, not pooled"
    yield keras.Model(picture, layers.Flatten()(conv)), None, "288 = 6 x 8 x 6: Flatten of conv"
    yield keras.Model(picture, pooled), None, "6 = 1 x 1 x 6: mean over the 6x8 positions of relu (6 channels)"
    hidden = "11: 1x1 convolution head behind the pool (hidden head), 6 before it"
    yield keras.Model(picture, layers.Flatten()(head)), None, hidden
    top = layers.Dense(5, activation="softmax", name="top")(layers.Flatten()(head))
    yield keras.Model(picture, top), None, "5: Dense top (5 units)"
    normal = layers.LayerNormalization()(layers.GlobalMaxPooling2D()(conv))
    yield keras.Model(picture, normal), None, "6: maximum over the 6x8 positions of conv (6 channels), then LayerNorm"
    yield module, (3, 13, 17), "4: Dense fc (4 units)"
    module = Residual().eval()
    module.fc = nn.Identity()
    yield module, (3, 13, 17), "6: mean over the 6x8 positions of layer1 (6 channels)"
    module = Residual().eval()
    module.fc, module.avgpool = nn.Identity(), nn.Identity()
    yield module, (3, 13, 17), "288 = 6 x 6 x 8: Flatten of layer1"
    yield nn.Conv2d(3, 5, 3), (3, None, None), "open = 5 x ? x ?: the map that conv2d returns, not pooled"


@pytest.mark.parametrize("case", range(10))
def test_a_length_is_explained(case):
    model, shape, said = list(lengths())[case]
    assert str(xconv.feature_length(model, input_shape=shape)) == said


def test_of_several_outputs_one_is_chosen():
    model = several()
    with pytest.raises(xconv.InvalidInput, match=r"2 outputs: 0: a .*; 1: a .*; say which"):
        xconv.feature_length(model)
    assert {xconv.feature_length(model, output=place).length for place in (0, 1)} == {4, 288}
    with pytest.raises(xconv.InvalidInput, match="2 outputs"):
        xconv.feature_length(model, output=2)


def test_the_length_of_a_converted_module_is_that_of_its_source():
    model = keras_residual()
    ours, theirs = xconv.feature_length(model), xconv.feature_length(xconv.keras_to_torch(model))
    assert (ours.length, str(ours)) == (theirs.length, str(theirs))
