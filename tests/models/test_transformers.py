"""Models of Hugging Face transformers, from small configurations, to Keras: exact, by the names of their arguments."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import xconv

transformers: Any = pytest.importorskip("transformers", reason="transformers is a package of its own")

TEXT = {
    "vocab_size": 37,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
}
IMAGE = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "image_size": (8, 12),
    "patch_size": 4,
    "num_labels": 5,
}
DISTILLED = {
    "vocab_size": 37,
    "dim": 12,
    "n_layers": 2,
    "n_heads": 3,
    "hidden_dim": 20,
    "max_position_embeddings": 16,
}
GENERATIVE = {"vocab_size": 37, "n_embd": 12, "n_layer": 2, "n_head": 3, "n_positions": 16, "use_cache": False}
GENERATIVE |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
GROUPED = {**TEXT, "num_key_value_heads": 1, "use_cache": False}
TWO = {"embedding_size": 7}

MASKED: dict[str, tuple[str, dict[str, Any]]] = {
    "BertModel": ("BertConfig", TEXT),
    "BertForSequenceClassification": ("BertConfig", {**TEXT, "num_labels": 4}),
    "BertForQuestionAnswering": ("BertConfig", TEXT),
    "DistilBertModel": ("DistilBertConfig", DISTILLED),
    "RobertaForMaskedLM": ("RobertaConfig", TEXT),
    "AlbertModel": ("AlbertConfig", TEXT | TWO),
    "ElectraModel": ("ElectraConfig", TEXT | TWO),
    "GPT2Model": ("GPT2Config", GENERATIVE),
    "GPT2ForSequenceClassification": ("GPT2Config", GENERATIVE),
    "CLIPTextModel": ("CLIPTextConfig", TEXT),
}
IMAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "ViTModel": ("ViTConfig", IMAGE),
    "ViTForImageClassification": ("ViTConfig", IMAGE),
    "DeiTModel": ("DeiTConfig", IMAGE),
    "BeitForImageClassification": ("BeitConfig", {**IMAGE, "image_size": 8}),
}


def made(name: str, config: str, settings: dict[str, Any], attention: str = "eager") -> nn.Module:
    """A model of random weights."""
    chosen = getattr(transformers, config)(**settings, attn_implementation=attention)
    module: nn.Module = xconv.randomize(getattr(transformers, name)(chosen).eval())
    return module


def words(*, mask: bool) -> dict[str, torch.Tensor]:
    """Two sequences of nine words, the second of which is three words shorter."""
    ids = torch.randint(3, 37, (2, 9), generator=torch.Generator().manual_seed(0))
    ids[1, 6:] = 0
    return {"input_ids": ids, "attention_mask": (ids != 0).long()} if mask else {"input_ids": ids}


def check(module: nn.Module, inputs: Any) -> keras.Model:
    """Convert and compare in float64, on these inputs and on noise."""
    model: keras.Model = xconv.torch_to_keras(module, inputs)
    given = {key: item.numpy() for key, item in inputs.items()} if isinstance(inputs, dict) else None
    assert xconv.verify(model, module).ok
    if given is not None:
        result = xconv.verify(model, module, inputs=given)
        assert result.ok, str(result)
    return model


@pytest.mark.parametrize("name", MASKED)
def test_text_with_a_mask(name: str) -> None:
    """Padded sequences: what the mask hides changes nothing on either side."""
    attention = "sdpa" if list(MASKED).index(name) % 2 else "eager"
    model = check(made(name, *MASKED[name], attention), words(mask=True))
    assert [item.name for item in model.inputs] == ["input_ids", "attention_mask"]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_text_without_a_mask(attention: str) -> None:
    """One argument by name; outputs under the names that the model gives them."""
    model = check(made("BertModel", *MASKED["BertModel"], attention), words(mask=False))
    outputs = model(words(mask=False)["input_ids"].numpy())
    assert set(outputs) == {"last_hidden_state", "pooler_output"}


@pytest.mark.parametrize(("name", "config"), [("LlamaModel", "LlamaConfig"), ("Qwen2Model", "Qwen2Config")])
def test_rotated_positions(name: str, config: str) -> None:
    """Rotary embeddings, RMS norms, heads that share keys."""
    check(made(name, config, GROUPED, "sdpa"), words(mask=False))


@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str) -> None:
    """Vision encoders, images of unequal sides."""
    module = made(name, *IMAGES[name])
    size = module.config.image_size
    sides = size if isinstance(size, (tuple, list)) else (size, size)
    check(module, torch.randn(2, 3, *sides))


def test_names_are_the_paths_of_modules() -> None:
    """A layer is named after its module."""
    model = xconv.torch_to_keras(made("BertModel", *MASKED["BertModel"]), words(mask=True))
    names = {layer.name for layer in model.layers}
    assert {"embeddings>word_embeddings", "encoder>layer>1>attention>self>query", "pooler>dense"} <= names


def test_a_mask_is_heard() -> None:
    """Words that the mask hides may be any: the first six outputs stay."""
    model = xconv.torch_to_keras(made("BertModel", *MASKED["BertModel"], "sdpa"), words(mask=True))
    given = {key: item.numpy() for key, item in words(mask=True).items()}
    other = {**given, "input_ids": np.where(given["attention_mask"], given["input_ids"], 5)}
    whole = {**given, "attention_mask": np.ones_like(given["attention_mask"])}
    one, two, three = (np.asarray(model(item)["last_hidden_state"])[1, :6] for item in (given, other, whole))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - three).max() > 1e-3
