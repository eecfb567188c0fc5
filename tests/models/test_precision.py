"""Dtype policies, quantised layers and LoRA: what a Keras model in another precision becomes, and that it is exact."""

import copy
import pickle
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

import xconv
from xconv.errors import InvalidInput, Unsupported
from xconv.report.records import Verdict

POLICIES = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")
IMAGE = np.random.default_rng(3).normal(size=(2, 9, 8, 3)).astype("float32")


def array(tensor: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float64"))


@pytest.fixture
def under() -> Any:
    """Sets the global policy; it is restored."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def network(head: str | None = "float32") -> Any:
    """Convolutions, the three norms that Keras computes in float32, a branch, and a head of its own precision."""
    layers = keras.layers
    image = layers.Input((9, 8, 3))
    x = layers.Rescaling(1 / 3)(image)
    x = layers.Conv2D(4, 3, padding="same", strides=2)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Add()([x, layers.Conv2D(4, 1)(x)])
    x = layers.GroupNormalization(2)(layers.LayerNormalization()(x))
    x = layers.Dense(5, activation="gelu")(layers.GlobalAveragePooling2D()(x))
    x = layers.Dense(3, activation="softmax", dtype=head)(x)
    model = keras.Model(image, x)
    xconv.randomize(model)
    return model


def run(module: Any, images: np.ndarray = IMAGE) -> np.ndarray:
    with torch.no_grad():
        return module.eval()(torch.tensor(images).movedim(-1, 1)).double().numpy()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_is_exact_in_float64_and_rounds_as_keras_does(under: Any, policy: str) -> None:
    under(policy)
    model = network()
    report = xconv.verify(model, xconv.keras_to_torch(model))
    assert report.ok, report
    assert report.outputs[0].float64.max_rel < 1e-10
    assert (f"has {policy}" in " ".join(report.notes).replace("float32, ", "")) == (policy != "float64")


def test_weights_stay_in_the_type_of_the_variables(under: Any) -> None:
    under("mixed_float16")
    model = network()
    mixed = xconv.keras_to_torch(model)
    assert {p.dtype for p in mixed.parameters()} == {torch.float32}
    assert list(mixed.state_dict()) == list(xconv.keras_to_torch(model, dtype="float32").state_dict())
    under("bfloat16")
    *body, head_weight, head_bias = xconv.keras_to_torch(network()).parameters()
    assert {p.dtype for p in body} == {torch.bfloat16}
    assert {head_weight.dtype, head_bias.dtype} == {torch.float32}


def test_each_layer_computes_in_its_own_type(under: Any) -> None:
    under("mixed_float16")
    module = xconv.keras_to_torch(network())
    seen: list[tuple[str, Any]] = []

    def note(part: Any, _: Any, out: Any) -> None:
        seen.append((type(part).__name__, out.dtype))

    for part in module.children():
        part.register_forward_hook(note)
    run(module)
    kinds = ("ComputingConv2d", "ComputingBatchNorm2d", "ReLU", "ComputingChannelNorm", "ComputingGroupNorm")
    assert {(kind, torch.float16) for kind in (*kinds, "GELU")} <= set(seen)
    assert seen[-1] == ("Softmax", torch.float32)


def test_less_precision_than_the_policy_says_is_found(under: Any) -> None:
    under("mixed_float16")
    x = keras.Input((300,))
    model = keras.Model(x, keras.layers.Dense(7)(keras.layers.Dense(200)(x)))
    xconv.randomize(model)
    module = xconv.keras_to_torch(model)

    def coarser(_: Any, __: Any, out: Any) -> Any:
        return out.to(torch.float8_e4m3fn).to(out.dtype) if out.dtype == torch.float16 else None

    list(module.children())[-1].register_forward_hook(coarser)
    report = xconv.verify(model, module)
    assert report.outputs[0].float64.max_rel < 1e-10
    assert report.verdict is Verdict.IMPRECISE


def test_gradients_reach_the_parameters(under: Any) -> None:
    under("mixed_bfloat16")
    module = xconv.keras_to_torch(network()).train()
    before = {name: buffer.clone() for name, buffer in module.named_buffers() if name.endswith("running_mean")}
    module(torch.tensor(IMAGE).movedim(-1, 1)).square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == p.dtype for p in module.parameters() if p.requires_grad)
    assert any(float(p.grad.abs().max()) > 0 for p in module.parameters())
    assert all(not torch.equal(module.get_buffer(name), old) for name, old in before.items())


def test_training_a_mixed_batch_norm_moves_its_statistics_as_keras_does(under: Any) -> None:
    under("mixed_float16")
    model = keras.Sequential([keras.Input((6, 5, 3)), keras.layers.BatchNormalization(momentum=0.75)])
    xconv.randomize(model)
    module = xconv.keras_to_torch(model).train()
    data = np.random.default_rng(0).normal(size=(4, 6, 5, 3)).astype("float32")
    model(data, training=True)
    module(torch.tensor(data).movedim(-1, 1))
    mean = next(b for n, b in module.named_buffers() if n.endswith("running_mean"))
    np.testing.assert_allclose(mean.numpy(), array(model.layers[0].moving_mean), rtol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
def test_a_file_gives_the_same_module(under: Any, tmp_path: Path, policy: str, suffix: str) -> None:
    under(policy)
    model = network()
    path = tmp_path / f"model{suffix}"
    model.save(path)
    np.testing.assert_array_equal(run(xconv.keras_to_torch(path)), run(xconv.keras_to_torch(model)))


def test_bfloat16_from_a_keras_file_and_not_from_h5(under: Any, tmp_path: Path) -> None:
    under("bfloat16")
    model = network()
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")  # which Keras writes and cannot load
    np.testing.assert_array_equal(run(xconv.keras_to_torch(tmp_path / "model.keras")), run(xconv.keras_to_torch(model)))
    with pytest.raises(xconv.Unreadable, match=r"bfloat16 in a \.h5"):
        xconv.keras_to_torch(tmp_path / "model.h5")


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16", "float64"])
def test_a_sequential_whose_file_holds_no_casts(under: Any, tmp_path: Path, policy: str) -> None:
    under(policy)
    layers = [
        keras.layers.Conv1D(4, 3),
        keras.layers.LSTM(5, recurrent_initializer="glorot_uniform"),
        keras.layers.Dense(2, dtype="float32"),
    ]
    model = keras.Sequential([keras.Input((7, 3)), *layers])
    xconv.randomize(model)
    model.save(tmp_path / "model.keras")
    for source in (model, tmp_path / "model.keras"):
        report = xconv.verify(model, xconv.keras_to_torch(source))
        assert report.ok, report


def test_a_nested_model_takes_its_input_in_the_type_that_it_declares(under: Any) -> None:
    under("mixed_float16")
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2, dtype="float32")])
    x = keras.Input((5,))
    model = keras.Model(x, inner(keras.layers.Dense(4)(x)))
    xconv.randomize(model)
    report = xconv.verify(model, xconv.keras_to_torch(model))
    assert report.ok, report


class Gain(keras.layers.Layer):
    """A custom layer with a variable of its own, which Keras casts where it is used."""

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(shape[-1],), name="gain")

    def call(self, x: Any) -> Any:
        return x * self.gain


def test_the_variable_of_a_custom_layer_is_cast(under: Any) -> None:
    under("mixed_float16")
    x = keras.Input((5,))
    model = keras.Model(x, Gain()(keras.layers.Dense(4)(x)))
    xconv.randomize(model)
    module = xconv.keras_to_torch(model).eval()
    data = np.random.default_rng(1).normal(size=(3, 5)).astype("float32")
    assert module(torch.tensor(data)).dtype is torch.float16
    np.testing.assert_allclose(module(torch.tensor(data)).detach().double(), array(model(data)), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_a_mixed_model_as_a_plain_one(under: Any, policy: str) -> None:
    under(policy)
    model = network()
    module = xconv.keras_to_torch(model, dtype="float32")
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert not any("Computing" in type(part).__name__ or type(part).__name__ == "Cast" for part in module.modules())
    plain = keras.models.clone_model(model, clone_function=_plain)
    plain.set_weights(model.get_weights())
    assert xconv.verify(plain, module).ok


def _plain(layer: Any) -> Any:
    return type(layer).from_config({**layer.get_config(), "dtype": "float32"})


def test_a_dtype_that_is_no_policy_is_refused() -> None:
    with pytest.raises(InvalidInput, match="float8"):
        xconv.keras_to_torch(network(), dtype="float8")
    with pytest.raises(InvalidInput, match="lora='drop'"):
        xconv.keras_to_torch(network(), lora="drop")
    for option in ({"dtype": "float32"}, {"dequantize": True}, {"lora": "keep"}):
        with pytest.raises(InvalidInput, match="direct route"):
            xconv.keras_to_torch(network(), route="onnx", **option)


def test_a_wrapper_of_another_policy_than_its_layer_is_refused() -> None:
    x = keras.Input((3, 4))
    inner = keras.layers.LSTM(2, dtype="mixed_float16")
    model = keras.Model(x, keras.layers.Bidirectional(inner, dtype="float32")(x))
    with pytest.raises(Unsupported, match="mixed_float16"):
        xconv.keras_to_torch(model)


def test_such_a_module_is_copied_pickled_and_saved(under: Any, tmp_path: Path) -> None:
    under("mixed_float16")
    module = xconv.keras_to_torch(network()).eval()
    xconv.save(module, tmp_path / "module.safetensors")
    unpickled = pickle.loads(pickle.dumps(module))  # noqa: S301 - its own
    for other in (copy.deepcopy(module), unpickled, xconv.load(tmp_path / "module.safetensors")):
        np.testing.assert_array_equal(run(other), run(module))
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    np.testing.assert_array_equal(run(compiled), run(module))


# ---------------------------------------------------------------- quantised layers


IDS = np.random.default_rng(5).integers(0, 11, (4, 7))


def text(**adapted: Any) -> Any:
    ids = keras.Input((7,), dtype="int32")
    x = keras.layers.Embedding(11, 6, name="table")(ids)
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Conv1D(5, 3, name="conv")(x))
    x = keras.layers.Dense(9, activation="relu", name="hidden")(x)
    model = keras.Model(ids, keras.layers.Dense(3, name="head")(x))
    xconv.randomize(model)
    for layer in filter(lambda layer: layer.name in adapted, model.layers):
        _adapt(layer, adapted[layer.name])
    return model


def _adapt(layer: Any, rank: int) -> None:
    layer.enable_lora(rank, lora_alpha=3.0)
    matrix = layer.lora_embeddings_b if hasattr(layer, "lora_embeddings_b") else layer.lora_kernel_b
    matrix.assign(np.random.default_rng(rank).normal(size=matrix.shape))


def quantised(mode: Any) -> Any:
    model = text()
    for layer in model.layers:
        kinds = (keras.layers.Dense,) if mode == "float8" else (keras.layers.Dense, keras.layers.Embedding)
        if isinstance(layer, kinds):
            layer.quantize(mode)
    return model


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_quantised_model_is_refused_with_the_remedy(tmp_path: Path, mode: str) -> None:
    model = quantised(mode)
    model.save(tmp_path / "model.keras")
    for source in (model, tmp_path / "model.keras"):
        with pytest.raises(Unsupported, match=r"head.*quanti[sz]ed.*dequantize=True"):
            xconv.keras_to_torch(source)


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_dequantised_weights_are_those_that_keras_computes_with(tmp_path: Path, mode: str) -> None:
    model = quantised(mode)
    model.save(tmp_path / "model.keras")
    live, filed = (xconv.keras_to_torch(s, dequantize=True).eval() for s in (model, tmp_path / "model.keras"))
    with torch.no_grad():
        found = live(torch.tensor(IDS)).numpy()
        np.testing.assert_array_equal(filed(torch.tensor(IDS)).numpy(), found)
    exact = mode == "int4"  # whose layers do not round what they are called on
    np.testing.assert_allclose(found, array(model(IDS)), atol=1e-6 if exact else 0.2)
    if mode != "float8":
        eye = np.eye(9, dtype="float32")
        head = model.get_layer("head")
        kernel = array(head(eye)) - array(head(np.zeros((1, 9), "float32")))
        np.testing.assert_allclose(live.head.weight.detach().numpy().T, kernel, rtol=1e-5, atol=1e-6)
    notes = " ".join(xconv.record(live).notes)
    assert f"was quantised in {mode}" in notes


def test_int4_in_one_group_for_each_output() -> None:
    from keras.quantizers import Int4QuantizationConfig

    model = text()
    model.get_layer("hidden").quantize("int4", config=Int4QuantizationConfig(block_size=None))
    model.get_layer("head").quantize("int4", config=Int4QuantizationConfig(block_size=4))
    module = xconv.keras_to_torch(model, dequantize=True).eval()
    np.testing.assert_allclose(module(torch.tensor(IDS)).detach(), array(model(IDS)), atol=1e-5)


@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_weights_of_four_bits_in_groups_of_inputs(mode: str) -> None:
    layer = keras.layers.Dense(5)
    model = keras.Sequential([keras.Input((6,)), layer])
    make = getattr(keras.quantizers, f"{mode.upper()}Config")
    layer.quantize(mode, config=make(dataset=None, tokenizer=None, weight_bits=4, group_size=3))
    rng = np.random.default_rng(7)
    layer.quantized_kernel.assign(rng.integers(0, 256, layer.quantized_kernel.shape))
    layer.kernel_scale.assign(rng.uniform(0.1, 1, layer.kernel_scale.shape))
    layer.kernel_zero.assign(rng.integers(0, 16, layer.kernel_zero.shape))
    layer.g_idx.assign(np.arange(6) // 3)
    if mode == "awq":
        layer.awq_scales.assign(rng.uniform(0.5, 2, 6))
    setattr(layer, f"is_{mode}_calibrated", True)
    module = xconv.keras_to_torch(model, dequantize=True).eval()
    data = rng.normal(size=(4, 6)).astype("float32")
    np.testing.assert_allclose(module(torch.tensor(data)).detach(), array(model(data)), rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------- LoRA


@pytest.mark.parametrize("lora", ["merge", "keep"])
def test_lora_is_exact(lora: str) -> None:
    model = text(table=2, conv=3, hidden=2)
    module = xconv.keras_to_torch(model, lora=lora)
    report = xconv.verify(model, module)
    assert report.ok, report
    assert report.outputs[0].float64.max_rel < 1e-10


def test_merged_lora_is_one_weight() -> None:
    module = xconv.keras_to_torch(text(hidden=2))
    plain = xconv.keras_to_torch(text())
    assert list(module.state_dict()) == list(plain.state_dict())
    assert module.hidden.weight.requires_grad


def test_kept_lora_trains_alone_and_is_saved(tmp_path: Path) -> None:
    module = xconv.keras_to_torch(text(hidden=2, table=3), lora="keep").eval()
    named = dict(module.named_parameters())
    assert {n for n, p in named.items() if not p.requires_grad} == {"hidden.weight", "table.weight"}
    assert tuple(named["hidden.weight_lora_a"].shape) == (5, 2)
    module(torch.tensor(IDS)).sum().backward()
    assert float(named["hidden.weight_lora_b"].grad.abs().max()) > 0
    xconv.save(module, tmp_path / "module.safetensors")
    again = xconv.load(tmp_path / "module.safetensors").eval()
    assert torch.equal(again(torch.tensor(IDS)), module(torch.tensor(IDS)))
    assert xconv.record(module).unused == ()


def test_the_way_back_holds_what_lora_makes_of_a_kernel() -> None:
    model = text(hidden=2)
    for lora in ("merge", "keep"):
        back = xconv.torch_to_keras(xconv.keras_to_torch(model, lora=lora))
        np.testing.assert_allclose(array(back(IDS)), array(model(IDS)), rtol=1e-5, atol=1e-5)


def test_a_file_holds_lora_merged(tmp_path: Path) -> None:
    model = text(hidden=2, conv=2)
    model.save(tmp_path / "model.keras")
    module = xconv.keras_to_torch(tmp_path / "model.keras").eval()
    np.testing.assert_allclose(module(torch.tensor(IDS)).detach(), array(model(IDS)), rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------- torch to Keras


def policies(model: Any) -> list[tuple[str, str]]:
    return [(type(layer).__name__, layer.dtype_policy.name) for layer in model.layers if layer.weights]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_the_way_back_has_the_policies(under: Any, tmp_path: Path, policy: str) -> None:
    under(policy)
    layers = keras.layers
    image = layers.Input((9, 8, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3)(image)))
    model = keras.Model(image, layers.Dense(3, dtype="float32")(layers.GlobalMaxPooling2D()(x)))
    xconv.randomize(model)
    under("float32")
    back = xconv.torch_to_keras(xconv.keras_to_torch(model))
    norm = "mixed_float16" if policy == "float16" else policy
    assert policies(back)[::2] == [("Conv2D", policy), ("Dense", "float32")]
    assert policies(back)[1] in (("BatchNormalization", policy), ("BatchNormalization", norm))
    assert xconv.verify(model, back).ok
    back.save(tmp_path / "back.keras")
    np.testing.assert_array_equal(array(keras.models.load_model(tmp_path / "back.keras")(IMAGE)), array(back(IMAGE)))


class Mixed(torch.nn.Module):
    """What a person writes for mixed precision by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 5)
        self.gain = torch.nn.Parameter(torch.full((5,), 1.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        functional = torch.nn.functional
        x = functional.conv2d(x.half(), self.conv.weight.half(), self.conv.bias.half())
        x = functional.relu(self.norm(x.float()).half()).mean((2, 3))
        x = functional.linear(x, self.head.weight.half(), self.head.bias.half())
        return torch.softmax((x * self.gain.half()).float(), -1)


def test_explicit_casts_become_policies() -> None:
    module = Mixed().eval()
    xconv.randomize(module, 0, inputs=torch.randn(2, 3, 7, 6))
    model = xconv.torch_to_keras(module, torch.randn(2, 3, 7, 6))
    wanted = {("Conv2D", "mixed_float16"), ("BatchNormalization", "mixed_float16"), ("Dense", "mixed_float16")}
    assert wanted <= set(policies(model))
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    report = xconv.verify(model, module)
    assert report.ok, report


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_module_in_half_precision(dtype: Any) -> None:
    nn = torch.nn
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3)).eval()
    xconv.randomize(module, 0, inputs=torch.randn(2, 3, 7, 6))
    module = module.to(dtype)
    model = xconv.torch_to_keras(module, torch.randn(2, 3, 7, 6, dtype=dtype))
    assert {policy for _, policy in policies(model)} == {str(dtype).removeprefix("torch.")}
    assert xconv.verify(model, module).ok


def test_an_autocast_region_is_refused_by_name() -> None:
    class Auto(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return self.head(x)

    with pytest.raises(Unsupported, match="autocast"):
        xconv.torch_to_keras(Auto().eval(), torch.randn(2, 4))
