"""VGG16 and VGG19."""

from __future__ import annotations

from xconv.zoo.owners import KERAS, KERNELS, keras, timm, torchvision
from xconv.zoo.records import Network, Partner

__all__ = ["NETWORKS"]


def _network(depth: int, parameters: int, digests: tuple[str, str], weights: tuple[str, float], tag: float) -> Network:
    name = f"vgg{depth}"
    file, accuracy = weights
    own = torchvision("IMAGENET1K_V1", accuracy, file)
    return Network(
        name,
        f"VGG{depth}",
        size=224,
        mode="caffe",
        parameters=parameters,
        trainable=parameters,
        partners=(
            Partner("torchvision", name, differences=("dropout",), parameters=parameters, published=(own,)),
            Partner("timm", name, parameters=parameters, published=timm(name, ("tv_in1k", tag, 224))),
        ),
        published=(keras(f"{KERAS}/{name}/{name}{KERNELS}", 71.3, digests=digests),),
    )


NETWORKS = (
    _network(
        16,
        138_357_544,
        ("64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc"),
        ("vgg16-397923af", 71.592),
        71.594,
    ),
    _network(
        19,
        143_667_240,
        ("cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6"),
        ("vgg19-dcbb9e9d", 72.376),
        72.4,
    ),
)
