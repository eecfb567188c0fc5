"""The classes of torch.nn that are no example of a family: said by several families, holders of others, or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from xconv.layers import families
from xconv.layers.refused import Refusal

__all__ = ["COMPOSED", "HOLDERS", "REFUSED_CLASSES", "TorchClass", "table_of_classes", "torch_classes"]

_COMPOSED = (
    "AdaptiveLogSoftmaxWithLoss ChannelShuffle ConstantPad1d ConstantPad3d CosineSimilarity Dropout1d Dropout2d "
    "Dropout3d EmbeddingBag FeatureAlphaDropout Flatten Identity LPPool1d LPPool2d LPPool3d Linear MaxUnpool1d "
    "MaxUnpool2d MaxUnpool3d PairwiseDistance PixelShuffle PixelUnshuffle Transformer TransformerDecoder "
    "TransformerEncoder Unflatten UpsamplingNearest2d "
    "BCELoss BCEWithLogitsLoss CosineEmbeddingLoss CrossEntropyLoss HingeEmbeddingLoss HuberLoss KLDivLoss L1Loss "
    "LinearCrossEntropyLoss MSELoss MarginRankingLoss MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss NLLLoss2d "
    "PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss"
)
COMPOSED = frozenset(_COMPOSED.split())
"""Classes that are converted, and that torch writes with what several families, or one with another example, read."""

_LAZY = (
    "LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d "
    "LazyConvTranspose2d LazyConvTranspose3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d LazyLinear"
)

HOLDERS: Mapping[str, str] = {
    "Container": "the base of holders",
    "DataParallel": "it computes what its `module` does, on several devices; convert that",
    "Module": "the base of all",
    "ModuleDict": "what is called of it is converted",
    "ModuleList": "what is called of it is converted",
    "ParameterDict": "what is used of it is converted",
    "ParameterList": "what is used of it is converted",
    "RNNBase": "the base of LSTM, GRU and RNN",
    "RNNCellBase": "the base of the cells",
    "Sequential": "its modules are converted, one after the other",
    **dict.fromkeys(_LAZY.split(), "its first call makes it the class without Lazy, which is converted"),
}
"""Classes that compute nothing of their own, and what becomes of them."""

REFUSED_CLASSES: Mapping[str, Refusal] = {
    "CTCLoss": Refusal(
        "torch.export cannot say it, because its sum runs over lengths that are values", "train in torch"
    ),
    "CrossMapLRN2d": Refusal("torch.export cannot say it, because it is an autograd.Function", "use LocalResponseNorm"),
    "FractionalMaxPool2d": Refusal("it draws other regions at every call, in inference too", "use AdaptiveMaxPool2d"),
    "FractionalMaxPool3d": Refusal("it draws other regions at every call, in inference too", "use AdaptiveMaxPool3d"),
    "GaussianNLLLoss": Refusal("torch.export cannot say it, because it looks at values", "write its formula"),
    "MultiLabelMarginLoss": Refusal(
        "torch's own words for it compute something else where a row ends early", "use MultiLabelSoftMarginLoss"
    ),
}
"""Classes that are not converted, each with its reason."""


@dataclass(frozen=True, slots=True)
class TorchClass:
    """What becomes of a class of torch.nn."""

    name: str
    outcome: Literal["converted", "holder", "refused"]
    said: str = ""
    """What becomes of a holder; why a class is refused, and what to do instead."""


def torch_classes() -> tuple[TorchClass, ...]:
    """Every class of torch.nn, by name.

    >>> next(found for found in torch_classes() if found.name == "PixelShuffle").outcome
    'converted'
    """
    targets = (example.target for family in families() for example in family.torch_examples())
    classes = (target.removeprefix("torch.nn.") for target in targets if target.startswith("torch.nn."))
    converted = COMPOSED.union(name for name in classes if "." not in name)
    rows = [TorchClass(name, "converted") for name in converted]
    rows += [TorchClass(name, "holder", said) for name, said in HOLDERS.items()]
    rows += [TorchClass(name, "refused", f"{why.reason}; {why.remedy}") for name, why in REFUSED_CLASSES.items()]
    return tuple(sorted(rows, key=lambda row: row.name))


def table_of_classes(rows: Sequence[TorchClass]) -> str:
    """The rows as text.

    >>> print(table_of_classes([TorchClass("Conv2d", "converted"), TorchClass("Module", "holder", "the base of all")]))
    torch.nn  outcome    said
    Conv2d    converted
    Module    holder     the base of all
    """
    lines = [("torch.nn", "outcome", "said"), *((row.name, row.outcome, row.said) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(2)]
    return "\n".join("  ".join([*map(str.ljust, line, widths), line[2]]).rstrip() for line in lines)
