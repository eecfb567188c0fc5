"""Live Keras models of every shape -> torch, in float64, to 1e-10."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers

import xconv
from tests.comparison import assert_same
from xconv.axes import channels_first, inverse


@pytest.fixture(autouse=True)
def _float64() -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    keras.backend.set_floatx("float64")
    keras.utils.clear_session()
    yield
    keras.config.set_dtype_policy(before)
    keras.backend.set_floatx("float32")


def same(model: Any, *sizes: tuple[int, ...], layout: str = "channels_first", batch: int = 3) -> torch.fx.GraphModule:
    """Convert, run both on noise of these sizes, compare every output; gives the module back."""
    xconv.randomize(model, 1)
    module = xconv.keras_to_torch(model, input_layout=layout).eval()
    random = np.random.default_rng(0)
    given = [random.normal(size=(batch, *size)) for size in sizes]
    expected = keras.tree.flatten(model(given if len(given) > 1 else given[0], training=False))
    record = xconv.record(module)
    taken = [torch.tensor(x.transpose(p.order).copy()) for x, p in zip(given, record.inputs, strict=True)]
    actual = keras.tree.flatten(module(*taken))
    ports = keras.tree.flatten(record.outputs)
    assert len(actual) == len(expected) == len(ports)
    for got, want, port in zip(actual, expected, ports, strict=True):
        assert_same(got.detach().numpy().transpose(inverse(port.order)), np.asarray(want))
    return module


def count(module: torch.fx.GraphModule, word: str) -> int:
    return sum(word in str(node.target) for node in module.graph.nodes)


def kinds(module: torch.nn.Module) -> list[str]:
    return [type(child).__name__ for child in module.children() if type(child).__name__ != "Input"]


def test_nested_shared_and_named() -> None:
    """Nested models, a layer called twice, two inputs, a dict of outputs."""
    image, extra = keras.Input((9, 8, 3), name="image"), keras.Input((4,), name="extra")
    shared = layers.Conv2D(4, 3, strides=2, padding="same", name="shared")
    inner_in = keras.Input((5, 4, 4))
    inner = keras.Model(inner_in, layers.BatchNormalization(name="norm")(layers.ReLU()(inner_in)), name="inner")
    x = inner(shared(image))
    x = inner(x)
    pooled = layers.GlobalAveragePooling2D()(x)
    joined = layers.Concatenate()([pooled, extra])
    outputs = {"map": x, "scores": [layers.Dense(5, name="head")(joined)]}
    module = same(keras.Model([image, extra], outputs), (9, 8, 3), (4,))
    assert {"shared.weight", "inner.norm.running_mean", "head.bias"} <= set(module.state_dict())
    assert set(module(torch.zeros(1, 3, 9, 8).double(), torch.zeros(1, 4).double())) == {"map", "scores"}


def test_inputs_of_a_dict_keep_their_keys() -> None:
    """`forward` takes them by name, in any order."""
    first, second = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    x = layers.Concatenate()([first, layers.Dense(2)(second)])
    model = keras.Model({"left": first, "right": second}, {"sum": layers.Dense(2)(x)})
    module = xconv.keras_to_torch(model)
    left, right = torch.randn(2, 4).double(), torch.randn(2, 3).double()
    expected = np.asarray(model({"left": left.numpy(), "right": right.numpy()})["sum"])
    assert_same(module(right=right, left=left)["sum"].detach().numpy(), expected)
    report = xconv.verify(model, module)
    assert report.ok, str(report)


def test_a_shared_layer_is_one_module() -> None:
    """Called on two sizes, with other pads each time: the weights stay one Parameter."""
    image = keras.Input((9, 8, 4))
    shared = layers.Conv2D(4, 3, strides=2, padding="same", name="shared")
    module = same(keras.Model(image, shared(shared(image))), (9, 8, 4))
    assert len(list(module.parameters())) == 2
    same_pads = layers.Conv2D(4, 3, padding="same", name="again")
    module = same(keras.Model(image, same_pads(same_pads(image))), (9, 8, 4))
    assert [name for name, _ in module.named_modules() if "again" in name] == ["again"]


def test_a_dense_layer_on_a_map_and_on_a_vector() -> None:
    """Flattened from a map in one call, given a vector in the other: one kernel, so the map is permuted."""
    image, vector = keras.Input((3, 4, 2)), keras.Input((24,))
    shared = layers.Dense(5, name="shared")
    flat = layers.Flatten()(layers.Conv2D(2, 1)(image))
    module = same(keras.Model([image, vector], shared(flat) + shared(vector)), (3, 4, 2), (24,))
    assert sum("shared" in name for name in module.state_dict()) == 2
    layer = layers.Dense(2, name="both")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(2, 1)(image))
    model = keras.Model(image, [layer(layers.Conv2D(2, 1)(image)), layer(pooled)])
    assert any("drift apart" in note for note in xconv.record(same(model, (3, 4, 2))).notes)


@pytest.mark.parametrize("size", [(9, 8), (10, 11), (33, 20)])
def test_unknown_size(size: tuple[int, int]) -> None:
    """SAME pads are computed at run time, odd and even."""
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(image)
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    x = layers.AveragePooling2D(2, 2, padding="same")(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)
    same(keras.Model(image, x), (*size, 3))


def test_flatten_is_folded() -> None:
    """Flatten, dropout, activation, batch norm, dense: no permute is left, and dense sees the right order."""
    image = keras.Input((5, 4, 3))
    x = layers.Flatten()(layers.Conv2D(6, 2)(image))
    x = layers.BatchNormalization(name="norm")(layers.ReLU()(layers.Dropout(0.5)(x)))
    module = same(keras.Model(image, layers.Dense(7, name="fc")(x)), (5, 4, 3))
    assert count(module, "permute") == 0
    flat = keras.Model(image, layers.Flatten()(layers.Conv2D(6, 2)(image)))
    assert count(same(flat, (5, 4, 3)), "permute") == 1


def test_reshape_between_vector_and_map() -> None:
    """Squeeze-and-excite: axes of size 1 move without a permute."""
    image = keras.Input((6, 5, 8))
    x = layers.Conv2D(8, 3, padding="same")(image)
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.Conv2D(2, 1, activation="relu")(gate))
    module = same(keras.Model(image, layers.Multiply()([x, gate])), (6, 5, 8))
    assert count(module, "permute") == 0
    assert count(module, "reshape") == 1


def test_user_permute_and_reshape() -> None:
    """An explicit Permute changes what the next layer counts as written; a Reshape reads the written order."""
    image = keras.Input((6, 5, 4))
    x = layers.Conv2D(4, 3, padding="same")(image)
    same(keras.Model(image, layers.Permute((3, 1, 2))(x)), (6, 5, 4))
    same(keras.Model(image, layers.Conv2D(3, 2)(layers.Permute((2, 1, 3))(x))), (6, 5, 4))
    same(keras.Model(image, layers.Conv1D(3, 2)(layers.Reshape((30, 4))(x))), (6, 5, 4))
    same(keras.Model(image, layers.Dense(3)(layers.Reshape((6, 20))(x))), (6, 5, 4))
    same(keras.Model(image, keras.ops.transpose(x, (0, 2, 3, 1)) * 2.0), (6, 5, 4))


def test_broadcasting_follows_the_written_order() -> None:
    """A vector per channel, a map per pixel, constants; merge layers and operators align differently."""
    image, vector = keras.Input((4, 5, 6)), keras.Input((6,))
    x = layers.Conv2D(6, 1)(image)
    same(keras.Model([image, vector], layers.Add()([x, vector])), (4, 5, 6), (6,))
    same(keras.Model([image, vector], layers.Multiply()([vector, x])), (4, 5, 6), (6,))
    plane = keras.Input((4, 5, 1))
    same(keras.Model([image, plane], x * plane + 1.0), (4, 5, 6), (4, 5, 1))
    same(keras.Model(image, 1.0 - 2.0 / (x * x + 3.0)), (4, 5, 6))


def test_sequences() -> None:
    """Causal convolution, dense on the last axis, pooling over time."""
    steps = keras.Input((None, 3))
    x = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)(steps)
    x = layers.Dense(5, activation="gelu")(layers.BatchNormalization()(x))
    module = same_up_to_gelu(keras.Model(steps, layers.GlobalMaxPooling1D()(x)), (11, 3))
    assert count(module, "permute") == 0


def same_up_to_gelu(model: Any, size: tuple[int, ...]) -> torch.fx.GraphModule:
    """As `same`; TensorFlow's exact GELU holds a float32 constant, so the activation is taken as tanh's."""
    for layer in model.layers:
        if getattr(layer, "activation", None) is keras.activations.gelu:
            layer.activation = keras.activations.tanh
    return same(model, size)


def test_channels_last_takes_keras_layout_without_a_copy() -> None:
    """A contiguous NHWC tensor enters as channels_last memory; images leave as NHWC."""
    image = keras.Input((6, 5, 4))
    x = layers.Conv2D(3, 3, padding="same", name="conv")(image)
    model = keras.Model(image, [x, layers.GlobalAveragePooling2D()(x)])
    module = same(model, (6, 5, 4), layout="channels_last")
    seen: list[torch.Tensor] = []
    module.conv.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    given = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    image_out, vector = module(given)
    assert seen[0].data_ptr() == given.data_ptr()
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert image_out.shape == (2, 6, 5, 3)
    assert vector.shape == (2, 3)


class Block(layers.Layer):
    """A composite custom layer: convolution, batch norm, residual, with a weight of its own."""

    def __init__(self, filters: int, **options: Any) -> None:
        super().__init__(**options)
        self.conv = layers.Conv2D(filters, 3, padding="same", name="conv")
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, shape: tuple[int, ...]) -> None:
        self.gain = self.add_weight(shape=(shape[-1],), name="gain", initializer="ones")
        self.conv.build(shape)
        self.norm.build(shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return x + self.gain * keras.ops.relu(self.norm(self.conv(x), training=training))


class Network(keras.Model):
    """A subclassed model."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Block(4, name="block")
        self.pool = layers.GlobalAveragePooling2D()
        self.head = layers.Dense(3, name="head")

    def call(self, x: Any) -> Any:
        return self.head(self.pool(self.block(x)))


def test_custom_layers_open_by_themselves() -> None:
    """A composite layer keeps its inner names and its own weight."""
    image = keras.Input((6, 5, 4))
    module = same(keras.Model(image, Block(4, name="block")(image)), (6, 5, 4))
    expected = {"block.conv.weight", "block.norm.running_var", "block.gain"}
    assert expected <= set(module.state_dict())
    assert isinstance(module.block.gain, torch.nn.Parameter)


def test_subclassed_models_open_from_the_live_model() -> None:
    """Built by a call, or by build."""
    model = Network()
    model(np.zeros((1, 6, 5, 4)))
    module = same(model, (6, 5, 4))
    assert "block.conv.weight" in module.state_dict()
    with pytest.raises(xconv.InvalidInput, match="not built"):
        xconv.keras_to_torch(Network())


def test_everything_unknown_is_listed_in_one_error() -> None:
    """A Lambda and a custom layer that cannot be opened: one error, two places, each with a remedy."""

    def doubled(x: Any) -> Any:
        return keras.ops.convert_to_tensor(np.asarray(x) * 2)

    class Opaque(layers.Layer):
        def compute_output_shape(self, shape: Any) -> Any:
            return shape

        def call(self, x: Any) -> Any:
            return doubled(x)

    image = keras.Input((4,))
    x = layers.Lambda(doubled, name="doubled", output_shape=(4,))(image)
    x = Opaque(name="odd")(layers.Dense(3)(x))
    with pytest.raises(xconv.Unsupported) as caught:
        xconv.keras_to_torch(keras.Model(image, x))
    text = str(caught.value)
    assert "doubled" in text
    assert "odd" in text
    assert "xconv.register" in text
    assert len(caught.value.problems) == 2


def test_names_are_made_legal_reversibly() -> None:
    """Dots, method names, unicode, length and case."""
    names = ["a.b", "forward", "keys", "Ünïcode", "x" * 300, "Case", "case", "50%", "with space"]
    x = image = keras.Input((3,))
    for name in names:
        x = layers.Dense(3, name=name)(x)
    module = same(keras.Model(image, x), (3,))
    from xconv.torch.names import unescape

    assert [unescape(name) for name, _ in module.named_children()][1:] == names


def test_frozen_and_tied() -> None:
    """Frozen layers stay frozen in training; a frozen batch norm keeps its statistics."""
    image = keras.Input((4, 5, 3))
    x = layers.Conv2D(4, 1, trainable=False, name="conv")(image)
    model = keras.Model(image, layers.BatchNormalization(trainable=False, name="norm")(x))
    module = same(model, (4, 5, 3)).train()
    assert not any(p.requires_grad for p in module.parameters())
    before = module.norm.running_mean.clone()
    given = torch.randn(6, 3, 4, 5).double()
    trained = module(given)
    assert torch.equal(module.norm.running_mean, before)
    expected = np.asarray(model(given.permute(0, 2, 3, 1).numpy(), training=True))
    assert_same(trained.detach().permute(0, 2, 3, 1).numpy(), expected)


def test_batch_is_dynamic() -> None:
    """A fixed batch size in the source is not carried over."""
    image = keras.Input(batch_shape=(2, 5, 4, 3))
    model = keras.Model(image, layers.Flatten()(layers.Conv2D(2, 3)(image)))
    module = xconv.keras_to_torch(model)
    assert [module(torch.zeros(n, 3, 5, 4).double()).shape[0] for n in (1, 3)] == [1, 3]


def test_sequential() -> None:
    """Built Sequential; an empty or unbuilt one is a clear error."""
    model = keras.Sequential(
        [keras.Input((6, 5, 3)), layers.Conv2D(4, 2), layers.ReLU(), layers.Flatten(), layers.Dense(2)]
    )
    same(model, (6, 5, 3))
    with pytest.raises(xconv.InvalidInput, match="no layers"):
        xconv.keras_to_torch(keras.Sequential())
    with pytest.raises(xconv.InvalidInput, match="not built"):
        xconv.keras_to_torch(keras.Sequential([layers.Dense(3)]))


def test_idioms_are_recovered_only_when_equal() -> None:
    """relu6(x + 3) / 6 is Hardsigmoid, times x Hardswish; another constant is left as written."""
    image = keras.Input((4, 5, 3))

    def gate(x: Any, number: float) -> Any:
        return layers.ReLU(6.0)(x + number) * (1.0 / 6.0)

    module = same(keras.Model(image, layers.Multiply()([image, gate(image, 3.0)])), (4, 5, 3))
    assert kinds(module) == ["Hardswish"]
    module = same(keras.Model(image, gate(image, 3.0)), (4, 5, 3))
    assert kinds(module) == ["Hardsigmoid"]
    module = same(keras.Model(image, gate(image, 3.1)), (4, 5, 3))
    assert kinds(module) == ["ReLU6"]


def test_pads_fold_only_where_exact() -> None:
    """Into a convolution when even; into a max pool only behind a ReLU."""
    image = keras.Input((9, 8, 3))

    def network(middle: Callable[[Any], Any], pads: Any, last: Any) -> Any:
        return keras.Model(image, last(layers.ZeroPadding2D(pads)(middle(image))))

    convolution = layers.Conv2D(4, 3, strides=2)
    assert count(same(network(lambda x: x, 1, convolution), (9, 8, 3)), "padding") == 0
    uneven = same(network(lambda x: x, ((0, 1), (0, 1)), layers.Conv2D(4, 3, strides=2)), (9, 8, 3))
    assert count(uneven, "padding") == 1
    behind = same(network(layers.ReLU(), 1, layers.MaxPooling2D(3, 2)), (9, 8, 3))
    assert count(behind, "padding") == 0
    bare = same(network(lambda x: x, 1, layers.MaxPooling2D(3, 2)), (9, 8, 3))
    assert count(bare, "padding") == 1


def test_policies_of_no_known_type_are_refused() -> None:
    """Mixed precision is converted (test_precision.py); a type that torch lacks names the layer and the remedy."""
    from xconv.policies import policy_name

    with pytest.raises(xconv.Unsupported, match=r"dtype policy 'float128'; load the weights"):
        policy_name({"dtype": "float128"})


def test_only_channel_order_knows() -> None:
    """The order that torch takes is channels-first of the written one."""
    assert channels_first(4) == (0, 3, 1, 2)


def test_wrong_inputs_are_refused_at_the_door() -> None:
    """Another rank, size or layout, with what to do; the sizes that 'same' pads were made for are part of it."""
    image = keras.Input((6, 5, 3))
    module = xconv.keras_to_torch(keras.Model(image, layers.Conv2D(2, 3, strides=2, padding="same")(image)))
    with pytest.raises(xconv.InvalidInput, match=r"other layout; give x.permute\(0, 3, 1, 2\)"):
        module(torch.zeros(1, 6, 5, 3).double())
    with pytest.raises(xconv.InvalidInput, match="build the Keras model with None"):
        module(torch.zeros(1, 3, 7, 5).double())
    with pytest.raises(xconv.InvalidInput, match=r"takes \(batch, 3, 6, 5\), it was given \(3, 6, 5\)"):
        module(torch.zeros(3, 6, 5).double())
    cube = keras.Input((3, 3, 3))
    module = xconv.keras_to_torch(keras.Model(cube, layers.Conv2D(2, 1)(cube)))
    assert "3, 3, 3" in str(module)


def test_tf_keras_models() -> None:
    """A live Keras 2 model: nested, with operators between layers."""
    tf_keras = pytest.importorskip("tf_keras")
    image = tf_keras.Input((9, 8, 3))
    inner = tf_keras.Sequential(
        [tf_keras.layers.Conv2D(4, 3, padding="same", strides=2), tf_keras.layers.BatchNormalization()]
    )
    x = tf_keras.layers.LeakyReLU(0.25)(inner(image) * 2.0 + 1.0)
    x = tf_keras.layers.Dense(5)(tf_keras.layers.Flatten()(x))
    model = tf_keras.Model(image, x)
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1.5, w.shape).astype(w.dtype) for w in model.get_weights()])
    module = xconv.keras_to_torch(model).eval()
    given = random.normal(size=(3, 9, 8, 3)).astype("float32")
    actual = module(torch.tensor(given).permute(0, 3, 1, 2)).detach().numpy()
    assert_same(actual, model(given, training=False).numpy(), relative=1e-6)


def test_channels_first_models() -> None:
    """A Keras model that is channels-first already: nothing is transposed. TensorFlow runs it in float32 only.

    The sizes are odd: with uneven pads TensorFlow 2.21 gives two answers for NCHW, one eagerly and one in a graph.
    """
    image = keras.Input((3, 9, 11), dtype="float32")
    common = {"data_format": "channels_first", "dtype": "float32"}
    x = layers.Conv2D(4, 3, strides=2, padding="same", **common)(image)
    x = layers.BatchNormalization(axis=1, dtype="float32")(x)
    x = layers.Flatten(**common)(layers.MaxPooling2D(2, **common)(x))
    model = xconv.randomize(keras.Model(image, layers.Dense(3, dtype="float32")(x)))
    module = xconv.keras_to_torch(model)
    assert count(module, "permute") == 0
    report = xconv.verify(model, module)
    assert report.ok, report


def test_scalar_weights_and_empty_sizes() -> None:
    """A weight without axes converts; a size of zero is refused with the layer's name."""

    class Gain(layers.Layer):
        def build(self, shape: tuple[int, ...]) -> None:
            self.gain = self.add_weight(shape=(), name="gain", initializer="ones")

        def call(self, x: Any) -> Any:
            return x * self.gain

    image = keras.Input((4, 5, 3))
    module = same(keras.Model(image, layers.Conv2D(2, 1)(Gain(name="gain")(image))), (4, 5, 3))
    assert module.get_parameter("gain.gain").shape == ()
    empty = keras.Input((4, 5, 3))
    with pytest.raises((xconv.XConvError, ValueError), match=r"(?i)cropping"):
        xconv.keras_to_torch(keras.Model(empty, layers.Cropping2D(((2, 2), (0, 0)), name="cropping")(empty)))


def test_extreme_numbers_keep_their_bits(tmp_path: Path) -> None:
    """Denormals, negative zeros, the largest and the smallest float32, live and from file."""
    model = keras.Sequential([keras.Input((4,), dtype="float32"), layers.Dense(2, use_bias=False, dtype="float32")])
    kernel = np.array([[1e-40, -0.0], [3.4e38, -1e-45], [0.0, -3.4e38], [1.1754944e-38, 1.0]], "float32")
    model.set_weights([kernel])
    model.save(tmp_path / "m.keras")
    for source in (model, tmp_path / "m.keras"):
        weight = next(iter(xconv.keras_to_torch(source).parameters())).detach().numpy()
        assert weight.T.tobytes() == kernel.tobytes()


def test_a_weights_file_with_a_live_model() -> None:
    """The model says what the file's arrays are; its own weights are not used."""
    model = keras.Sequential(
        [keras.Input((6, 5, 3)), layers.Conv2D(4, 3, name="conv"), layers.Flatten(), layers.Dense(2)]
    )
    xconv.randomize(model, 1)
    expected = xconv.keras_to_torch(model).state_dict()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.weights.h5"
        model.save_weights(path)
        xconv.randomize(model, 2)
        found = xconv.keras_to_torch(path, config=model).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
