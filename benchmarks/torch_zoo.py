"""The torch networks that are converted to Keras: torchvision's, and one of every family of timm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.loading import load_torchvision

__all__ = ["LIBRARIES", "TorchModel", "build", "cut_to", "made", "torch_models"]

LIBRARIES = ("torchvision", "segmentation", "timm")
SMALL = (97, 113)
"""Odd and unequal, so that a swapped or a lost pixel shows."""

SIZES = {
    "maxvit_t": (224, 224),
    **dict.fromkeys(("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32"), (64, 64)),
    "vit_h_14": (56, 56),
}
"""Where torchvision fixes the size, or a part of it."""

OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {"image_size": size[0]} for name, size in SIZES.items() if name.startswith("vit")},
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
}


@dataclass(frozen=True, slots=True)
class TorchModel:
    """A network by its name in a library, its family there, and the image that it is given."""

    library: str
    name: str
    family: str
    height: int
    width: int


def torch_models(libraries: Sequence[str] = LIBRARIES) -> Iterator[TorchModel]:
    """Every network to convert."""
    for library in libraries:
        yield from _timm() if library == "timm" else _torchvision(library)


def _torchvision(library: str) -> Iterator[TorchModel]:
    load_torchvision()
    from torchvision import models

    module = models.segmentation if library == "segmentation" else models
    for name in models.list_models(module=module):
        family = models.get_model_builder(name).__module__.rpartition(".")[2]
        yield TorchModel(library, name, family, *SIZES.get(name, SMALL))


def _timm() -> Iterator[TorchModel]:
    from benchmarks.timm_zoo import FAMILIES

    for family, members in FAMILIES.items():
        for name, size in members.items():
            yield TorchModel("timm", name, family, *(size if isinstance(size, tuple) else (size, size)))


def build(library: str, name: str, size: tuple[int, int]) -> Any:
    """The network with random, live weights and the BatchNorm statistics of noise, disturbed; in inference mode."""
    import torch

    import xconv

    load_torchvision()
    noise = torch.randn(8, 3, *size, generator=torch.Generator().manual_seed(0))
    return xconv.randomize(made(library, name, size), seed=0, inputs=noise).eval()


def made(library: str, name: str, size: Sequence[int]) -> Any:
    """The network as its library makes it, without pretrained weights; `size` matters to timm alone."""
    if library == "timm":
        return _made_by_timm(name, size)
    from torchvision import models

    backbone = {"weights_backbone": None} if library == "segmentation" else {}
    return models.get_model(name, weights=None, **backbone, **OPTIONS.get(name, {}))


def _made_by_timm(name: str, size: Sequence[int]) -> Any:
    """timm's network; it is told the size where its constructor takes one and was made for another."""
    import timm

    network = timm.create_model(name, pretrained=False)
    if tuple(network.pretrained_cfg["input_size"][-2:]) == tuple(size) or not network.pretrained_cfg.get(
        "fixed_input_size"
    ):
        return network
    return timm.create_model(name, pretrained=False, img_size=tuple(size))


def cut_to(network: Any, limit: int) -> str:
    """Shortens the repeated blocks of a network with more than `limit` parameters, in place; says what was left out.

    A run of blocks of the same class with parameters of the same shapes keeps its first two: any function of
    the network's own kind is left, and of each kind of block there is one that follows another.
    """
    from torch import nn

    if _size(network) <= limit:
        return ""
    said = []
    for name, child in list(network.named_modules()):
        if isinstance(child, nn.Sequential):
            gone = _repeated(child)
            for place in gone:
                del child._modules[place]
            said += [f"{name} keeps {len(child)} of {len(child) + len(gone)} blocks"] if gone else []
    return "; ".join(said)


def _repeated(blocks: Any) -> list[str]:
    """The names of the blocks after the second of a run that are all alike."""
    kinds = [(type(block), [tuple(value.shape) for value in block.parameters()]) for block in blocks]
    names = list(blocks._modules)
    return [names[i] for i in range(2, len(names)) if kinds[i][1] and kinds[i] == kinds[i - 1] == kinds[i - 2]]


def _size(network: Any) -> int:
    return sum(value.numel() for value in network.parameters())
