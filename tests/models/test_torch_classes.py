"""Every class of torch.nn: an example of a family, one of these, a holder of others, or refused with its reason."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import xconv
from xconv.errors import Unsupported
from xconv.layers.torch_classes import COMPOSED, REFUSED_CLASSES, torch_classes

RANDOM = torch.Generator().manual_seed(3)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=RANDOM)


def share(*shape: int) -> torch.Tensor:
    """Numbers between 0.05 and 0.95."""
    return torch.rand(shape, dtype=torch.float64, generator=RANDOM) * 0.9 + 0.05


class Calling(nn.Module):
    """A function of the inputs and of modules."""

    def __init__(self, function: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.function(*inputs, *self.parts)


LABELS, SIGNS = torch.tensor([0, 3, 2]), torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
PLANE = torch.tensor([[[0, 4], [1, 2]], [[3, 3], [2, 0]], [[1, 1], [0, 4]]])
ROWS, IMAGES, VOLUMES = noise(3, 4, 9), noise(3, 4, 9, 8), noise(3, 4, 6, 5, 7)
PAIR = noise(3, 4), noise(3, 4)


def unpooled(pool: nn.Module, back: nn.Module) -> nn.Module:
    """A pool, and its maxima at their places again."""
    return Calling(lambda x, pool, back: back(*pool(x)), pool, back)


CASES: dict[str, list[tuple[nn.Module, tuple[torch.Tensor, ...]]]] = {
    "AdaptiveLogSoftmaxWithLoss": [
        (
            Calling(lambda x, layer: layer.log_prob(x), nn.AdaptiveLogSoftmaxWithLoss(32, 12, [4, 8], div_value=2.0)),
            (noise(3, 32),),
        )
    ],
    "ChannelShuffle": [(nn.ChannelShuffle(2), (IMAGES,))],
    "ConstantPad1d": [(nn.ConstantPad1d((1, 2), 0.3), (ROWS,))],
    "ConstantPad3d": [(nn.ConstantPad3d((1, 2, 0, 1, 2, -1), 0.3), (VOLUMES,))],
    "CosineSimilarity": [(nn.CosineSimilarity(), (IMAGES, noise(3, 4, 9, 8))), (nn.CosineSimilarity(-1, 0.5), PAIR)],
    "Dropout1d": [(nn.Dropout1d(), (ROWS,))],
    "Dropout2d": [(nn.Dropout2d(), (IMAGES,))],
    "Dropout3d": [(nn.Dropout3d(), (VOLUMES,))],
    "EmbeddingBag": [
        (nn.EmbeddingBag(7, 3, mode=mode), (torch.tensor([[0, 6, 2], [1, 1, 5], [4, 3, 0]]),))
        for mode in ("sum", "mean", "max")
    ],
    "FeatureAlphaDropout": [(nn.FeatureAlphaDropout(), (IMAGES,))],
    "Flatten": [(nn.Flatten(), (IMAGES,)), (nn.Flatten(2), (IMAGES,))],
    "Identity": [(nn.Identity(), (IMAGES,))],
    "LPPool1d": [(nn.LPPool1d(2, 3), (ROWS,)), (nn.LPPool1d(1.5, 2, stride=1), (share(3, 4, 9),))],
    "LPPool2d": [(nn.LPPool2d(2, (3, 2)), (IMAGES,)), (nn.LPPool2d(3, 3, ceil_mode=True), (share(3, 4, 9, 8),))],
    "LPPool3d": [(nn.LPPool3d(2, 2).float(), (VOLUMES.float(),))],
    "Linear": [(nn.Linear(4, 5), (PAIR[0],)), (nn.Linear(8, 2, bias=False), (IMAGES,))],
    "MaxUnpool1d": [(unpooled(nn.MaxPool1d(2, return_indices=True), nn.MaxUnpool1d(2)), (noise(3, 4, 8),))],
    "MaxUnpool2d": [(unpooled(nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)), (noise(3, 4, 8, 6),))],
    "MaxUnpool3d": [
        (unpooled(nn.MaxPool3d(2, return_indices=True), nn.MaxUnpool3d(2)), (noise(3, 2, 4, 6, 2).float(),))
    ],
    "PairwiseDistance": [(nn.PairwiseDistance(), PAIR), (nn.PairwiseDistance(1, keepdim=True), PAIR)],
    "PixelShuffle": [(nn.PixelShuffle(2), (IMAGES,))],
    "PixelUnshuffle": [(nn.PixelUnshuffle(2), (noise(3, 4, 8, 6),))],
    "Transformer": [(nn.Transformer(8, 2, 1, 1, 16, batch_first=True), (noise(3, 5, 8), noise(3, 4, 8)))],
    "TransformerDecoder": [
        (
            nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), 2),
            (noise(3, 5, 8), noise(3, 4, 8)),
        )
    ],
    "TransformerEncoder": [
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), (noise(3, 5, 8),))
    ],
    "Unflatten": [(nn.Unflatten(1, (2, 2)), (IMAGES,))],
    "UpsamplingNearest2d": [(nn.UpsamplingNearest2d(scale_factor=2), (IMAGES,))],
    "BCELoss": [(nn.BCELoss(), (share(3, 4), share(3, 4)))],
    "BCEWithLogitsLoss": [
        (nn.BCEWithLogitsLoss(), (noise(3, 4), share(3, 4))),
        (nn.BCEWithLogitsLoss(weight=share(4), pos_weight=share(4), reduction="none"), (noise(3, 4), share(3, 4))),
    ],
    "CosineEmbeddingLoss": [(nn.CosineEmbeddingLoss(0.2), (*PAIR, SIGNS))],
    "CrossEntropyLoss": [
        (nn.CrossEntropyLoss(), (noise(3, 5), LABELS)),
        (nn.CrossEntropyLoss(weight=share(5), label_smoothing=0.1), (noise(3, 5), LABELS)),
        (nn.CrossEntropyLoss(), (noise(3, 5), torch.softmax(noise(3, 5), 1))),
        (nn.CrossEntropyLoss(ignore_index=2), (noise(3, 5, 2, 2), PLANE)),
    ],
    "HingeEmbeddingLoss": [(nn.HingeEmbeddingLoss(), (noise(3), SIGNS))],
    "HuberLoss": [(nn.HuberLoss(delta=0.7), PAIR)],
    "KLDivLoss": [
        (nn.KLDivLoss(reduction="batchmean"), (noise(3, 4), share(3, 4))),
        (nn.KLDivLoss(log_target=True, reduction="sum"), PAIR),
    ],
    "L1Loss": [(nn.L1Loss(), PAIR), (nn.L1Loss(reduction="none"), PAIR)],
    "LinearCrossEntropyLoss": [(nn.LinearCrossEntropyLoss(4, 5), (noise(3, 4), LABELS))],
    "MSELoss": [(nn.MSELoss(), PAIR)],
    "MarginRankingLoss": [(nn.MarginRankingLoss(0.1), (noise(3), noise(3), SIGNS))],
    "MultiLabelSoftMarginLoss": [(nn.MultiLabelSoftMarginLoss(weight=share(4)), (noise(3, 4), share(3, 4).round()))],
    "MultiMarginLoss": [(nn.MultiMarginLoss(), (noise(3, 5), LABELS))],
    "NLLLoss": [(nn.NLLLoss(), (noise(3, 5), LABELS)), (nn.NLLLoss(weight=share(5)), (noise(3, 5, 2, 2), PLANE))],
    "NLLLoss2d": [(nn.NLLLoss(ignore_index=1), (noise(3, 5, 2, 2), PLANE))],
    "PoissonNLLLoss": [(nn.PoissonNLLLoss(full=True), (noise(3, 4), share(3, 4) * 5))],
    "SmoothL1Loss": [(nn.SmoothL1Loss(beta=0.5), PAIR)],
    "SoftMarginLoss": [(nn.SoftMarginLoss(), (noise(3, 4), share(3, 4).round() * 2 - 1))],
    "TripletMarginLoss": [(nn.TripletMarginLoss(swap=True), (*PAIR, noise(3, 4)))],
    "TripletMarginWithDistanceLoss": [(nn.TripletMarginWithDistanceLoss(), (*PAIR, noise(3, 4)))],
}
"""A module and its inputs for every class that no family has as an example."""

REFUSED: dict[str, tuple[nn.Module, tuple[torch.Tensor, ...]]] = {
    "CTCLoss": (
        nn.CTCLoss(),
        (noise(9, 3, 5), torch.tensor([[1, 2], [3, 3], [4, 1]]), torch.tensor([9, 8, 9]), torch.tensor([2, 2, 1])),
    ),
    "CrossMapLRN2d": (nn.CrossMapLRN2d(3), (IMAGES,)),
    "FractionalMaxPool2d": (nn.FractionalMaxPool2d(2, output_size=3), (IMAGES,)),
    "FractionalMaxPool3d": (nn.FractionalMaxPool3d(2, output_size=3), (VOLUMES,)),
    "GaussianNLLLoss": (nn.GaussianNLLLoss(), (*PAIR, share(3, 4))),
    "MultiLabelMarginLoss": (nn.MultiLabelMarginLoss(), (noise(3, 4), torch.tensor([[1, 2, -1, 0]] * 3))),
}


def test_every_class_stands_somewhere() -> None:
    """No class of torch.nn is without an answer, and none has two."""
    classes = {name for name, item in vars(nn).items() if inspect.isclass(item) and issubclass(item, nn.Module)}
    assert sorted(classes) == [found.name for found in torch_classes()]
    assert set(CASES) == COMPOSED
    assert set(REFUSED) == set(REFUSED_CLASSES)


@pytest.mark.parametrize("name", CASES)
def test_converted(name: str) -> None:
    """In inference, on the example and on a part of it, whose batch is another."""
    for module, inputs in CASES[name]:
        judged = module.to(inputs[0].dtype) if inputs[0].is_floating_point() else module.double()
        judged = xconv.randomize(judged, 0).eval()
        model = xconv.torch_to_keras(judged, inputs, input_layout="channels_first")
        for given in (inputs, tuple(item[:2] for item in inputs)):
            with torch.no_grad():
                wanted = judged(*given)
            found = np.asarray(model([item.numpy() for item in given] if len(given) > 1 else given[0].numpy()))
            assert found.shape == wanted.shape
            # two poolings of volumes have no kernel in float64 on TensorFlow
            limit = 1e-10 if wanted.dtype == torch.float64 else 1e-5
            assert np.abs(found - wanted.numpy()).max() <= limit * wanted.abs().max()


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    module, inputs = REFUSED[name]
    with pytest.raises(Unsupported, match=re.escape(REFUSED_CLASSES[name].reason)):
        xconv.torch_to_keras(module.double(), inputs)
