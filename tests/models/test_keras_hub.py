"""Models of keras-hub, from small configurations, to torch: exact, under the names of their layers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import torch

import xconv

hub: Any = pytest.importorskip("keras_hub", reason="keras-hub is a package of its own").models

WORDS = {
    "vocabulary_size": 37,
    "num_layers": 2,
    "num_heads": 3,
    "hidden_dim": 12,
    "intermediate_dim": 20,
    "max_sequence_length": 16,
}
STACKS = {
    "input_conv_filters": [64],
    "input_conv_kernel_sizes": [7],
    "stackwise_num_filters": [64, 70],
    "stackwise_num_blocks": [1, 1],
    "stackwise_num_strides": [1, 2],
    "image_shape": (33, 41, 3),
}
PATCHES = {"image_shape": (16, 24, 3), "patch_size": 4, "num_layers": 2, "num_heads": 3, "hidden_dim": 12}
PHONE = {
    "stackwise_expansion": [[1, 2], [2, 3]],
    "stackwise_num_blocks": [2, 2],
    "stackwise_num_filters": [[8, 8], [12, 12]],
    "stackwise_kernel_size": [[3, 3], [5, 5]],
    "stackwise_num_strides": [[2, 1], [2, 1]],
    "stackwise_se_ratio": [[0.25, None], [0.25, 0.25]],
    "stackwise_activation": [["relu", "relu"], ["hard_swish", "hard_swish"]],
    "stackwise_padding": [[1, 1], [2, 2]],
    "output_num_filters": 20,
    "input_num_filters": 8,
    "depthwise_filters": 8,
    "depthwise_stride": 1,
    "depthwise_residual": True,
    "squeeze_and_excite": 0.5,
    "last_layer_filter": 16,
    "input_activation": "hard_swish",
    "output_activation": "hard_swish",
    "image_shape": (33, 48, 3),
}
SCALED = {
    "width_coefficient": 0.2,
    "depth_coefficient": 0.3,
    "stackwise_kernel_sizes": [3, 5],
    "stackwise_num_repeats": [2, 2],
    "stackwise_input_filters": [32, 16],
    "stackwise_output_filters": [16, 24],
    "stackwise_expansion_ratios": [1, 6],
    "stackwise_strides": [1, 2],
    "stackwise_squeeze_and_excite_ratios": [0.25, 0.25],
    "stackwise_block_types": ["v1", "fused"],
    "image_shape": (33, 48, 3),
}
CROSS = {
    "stem_filters": 6,
    "stem_kernel_size": 3,
    "stem_strides": 2,
    "stackwise_depth": [1, 2],
    "stackwise_strides": [1, 2],
    "stackwise_num_filters": [8, 12],
    "block_type": "bottleneck_block",
    "stage_type": "csp",
    "bottle_ratio": 0.5,
    "block_ratio": 1.0,
    "expand_ratio": 2.0,
    "image_shape": (33, 48, 3),
}


def resnet(block: str, *, early: bool = False, **changes: Any) -> keras.Model:
    """ResNet of two blocks."""
    model: keras.Model = hub.ResNetBackbone(block_type=block, use_pre_activation=early, **STACKS | changes)
    return model


IMAGES: dict[str, Callable[[], keras.Model]] = {
    "ResNet": lambda: resnet("basic_block"),
    "ResNetV2": lambda: resnet("bottleneck_block", early=True),
    "ResNetD": lambda: resnet("basic_block_vd", input_conv_filters=[4, 4, 64], input_conv_kernel_sizes=[3, 3, 3]),
    "MobileNet": lambda: hub.MobileNetBackbone(**PHONE),
    "EfficientNet": lambda: hub.EfficientNetBackbone(**SCALED),
    "DenseNet": lambda: hub.DenseNetBackbone(stackwise_num_repeats=[1, 2], growth_rate=5, image_shape=(33, 48, 3)),
    "CSPNet": lambda: hub.CSPNetBackbone(**CROSS),
    "ViT": lambda: hub.ViTBackbone(mlp_dim=20, **PATCHES),
    "DeiT": lambda: hub.DeiTBackbone(intermediate_dim=20, **PATCHES),
    "ResNet classifier": lambda: hub.ResNetImageClassifier(backbone=resnet("basic_block"), num_classes=5),
    "ViT classifier": lambda: hub.ViTImageClassifier(backbone=IMAGES["ViT"](), num_classes=5),
}
FEW = {"vocabulary_size": 37, "num_layers": 2, "intermediate_dim": 20}
GROUPED = {**FEW, "num_query_heads": 4, "num_key_value_heads": 2, "hidden_dim": 24}
CASTING: dict[str, Callable[[], keras.Model]] = {
    "Gemma": lambda: hub.GemmaBackbone(head_dim=6, **{**GROUPED, "hidden_dim": 12}),
    "Llama": lambda: hub.LlamaBackbone(**GROUPED),
    "Mistral": lambda: hub.MistralBackbone(**GROUPED),
    "Phi-3": lambda: hub.Phi3Backbone(**GROUPED),
    "Qwen": lambda: hub.QwenBackbone(**GROUPED),
    "Falcon": lambda: hub.FalconBackbone(num_attention_heads=3, hidden_dim=12, **FEW),
    "GPT-NeoX": lambda: hub.GPTNeoXBackbone(num_heads=2, hidden_dim=16, max_sequence_length=16, **FEW),
}
"""Models whose layers ask for float32 in their code: norms, waves, attention."""
TEXTS: dict[str, Callable[[], keras.Model]] = {
    "BERT": lambda: hub.BertBackbone(**WORDS),
    "DistilBERT": lambda: hub.DistilBertBackbone(**WORDS),
    "RoBERTa": lambda: hub.RobertaBackbone(**WORDS),
    "ALBERT": lambda: hub.AlbertBackbone(embedding_dim=7, **WORDS),
    "GPT-2": lambda: hub.GPT2Backbone(**WORDS),
    "OPT": lambda: hub.OPTBackbone(**WORDS),
    "BART": lambda: hub.BartBackbone(**WORDS),
    "T5": lambda: hub.T5Backbone(**{key: value for key, value in WORDS.items() if key != "max_sequence_length"}),
    "BERT classifier": lambda: hub.BertTextClassifier(backbone=TEXTS["BERT"](), num_classes=5),
    "DistilBERT classifier": lambda: hub.DistilBertTextClassifier(backbone=TEXTS["DistilBERT"](), num_classes=5),
    "BERT masked": lambda: hub.BertMaskedLM(backbone=TEXTS["BERT"]()),
    "RoBERTa masked": lambda: hub.RobertaMaskedLM(backbone=TEXTS["RoBERTa"]()),
    "GPT-2 causal": lambda: hub.GPT2CausalLM(backbone=TEXTS["GPT-2"]()),
}


def words(model: keras.Model) -> dict[str, Any]:
    """Two sequences of nine words, the second of which is three words shorter, for every input of a model."""
    draw = np.random.default_rng(0)
    given = {
        "token_ids": draw.integers(1, 37, (2, 9)),
        "padding_mask": np.arange(9) < np.array([[9], [6]]),
        "segment_ids": draw.integers(0, 2, (2, 9)),
        "mask_positions": np.array([[1, 3], [0, 5]]),
    }
    return {item.name: given[re.sub("^(en|de)coder_", "", item.name)].astype("int32") for item in model.inputs}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str) -> None:
    """Backbones and classifiers, images of unequal sides."""
    model = xconv.randomize(IMAGES[name]())
    result = xconv.verify(model, xconv.keras_to_torch(model))
    assert result.ok, str(result)
    assert all(output.float64 is not None for output in result.outputs)


QUIETLY = pytest.mark.filterwarnings("ignore:Layer '.*_attention'", "ignore:Layer '.*' looks like it has unbuilt state")
"""keras-hub's T5 says when it is built that its attention does not pass masks on."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=QUIETLY) if name == "T5" else name for name in TEXTS])
def test_texts(name: str) -> None:
    """Backbones and tasks on padded sequences; the length is open."""
    model = xconv.randomize(TEXTS[name]())
    module = xconv.keras_to_torch(model)
    result = xconv.verify(model, module, inputs=words(model))
    assert result.ok, str(result)
    assert all(output.float64 is not None for output in result.outputs)


@pytest.mark.parametrize("name", CASTING)
def test_texts_with_float32_in_their_code(name: str) -> None:
    """It is read in float64 on both sides, and said."""
    model = xconv.randomize(CASTING[name]())
    result = xconv.verify(model, xconv.keras_to_torch(model), inputs=words(model))
    assert result.ok, str(result)
    assert result.outputs[0].float64 is not None
    assert result.outputs[0].float64.max_rel < 1e-13
    assert dict(result.constants)["code of layers"].startswith("asks for float32")


def test_names_and_inputs() -> None:
    """Keys are the paths of layers; inputs are given by name."""
    model = xconv.randomize(TEXTS["BERT"]())
    module = xconv.keras_to_torch(model).eval()
    keys = set(module.state_dict())
    assert "position_embedding.embeddings" in keys
    assert "transformer_layer_1.feedforward_intermediate_dense.weight" in keys
    given = {key: torch.tensor(item) for key, item in words(model).items()}
    found = module(**given)
    np.testing.assert_allclose(
        found["pooled_output"].detach(), np.asarray(model(words(model))["pooled_output"]), atol=2e-6
    )


def test_other_lengths() -> None:
    """A converted text model takes sequences of other lengths than it was verified on, none longer than its table."""
    model = xconv.randomize(TEXTS["GPT-2"]())
    module = xconv.keras_to_torch(model).eval()
    for length in (2, 16):
        ids, mask = np.full((3, length), 5, "int32"), np.ones((3, length), "int32")
        found = module(token_ids=torch.tensor(ids), padding_mask=torch.tensor(mask))
        expected = np.asarray(model({"token_ids": ids, "padding_mask": mask}))
        np.testing.assert_allclose(found.detach(), expected, atol=5e-6)


REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "DeBERTa calls a function of TensorFlow's": (lambda: hub.DebertaV3Backbone(**WORDS), "DisentangledSelfAttention"),
    "FNet transforms an axis of open size": (
        lambda: hub.FNetBackbone(**{key: value for key, value in WORDS.items() if key != "num_heads"}),
        r"'FNetEncoder'.*axes fully-defined",
    ),
    "XLNet computes numbers from open sizes": (
        lambda: hub.XLNetBackbone(**{key: value for key, value in WORDS.items() if key != "max_sequence_length"}),
        r"'TwoStreamRelativeAttention'.*sizes known only at run time",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_takes_no_symbolic_tensor_is_refused(why: str) -> None:
    """It is told with the layer's name and what Keras says of it."""
    make, match = REFUSED[why]
    with pytest.raises(xconv.Unsupported, match=match):
        xconv.keras_to_torch(make())
