"""ResNet 50, 101 and 152, and their V2."""

from __future__ import annotations

from dataclasses import dataclass

from xconv.zoo.owners import KERAS, KERNELS, keras, timm, torchvision
from xconv.zoo.records import Library, Mode, Network, Partner, Published

__all__ = ["NETWORKS"]

FIRST = ("stride", "epsilon", "momentum")
"""Strides stand on the first convolution of a block in Keras, on the second in torch."""
SECOND = ("stride", "pooling", "bias", "epsilon", "momentum")
"""Strides stand in a stage's last block in Keras, in the next one's first in timm; the stem's pool pads with zeros."""


@dataclass(frozen=True, slots=True)
class _Weights:
    """What is published: by Keras, by torchvision, by timm."""

    accuracy: float
    digests: tuple[str, str]
    torchvision: tuple[tuple[str, str, float], ...] = ()
    timm: tuple[tuple[str, float, int], ...] = ()


def _network(depth: int, version: int, parameters: int, trainable: int, in_torch: int, weights: _Weights) -> Network:
    second = version == 2
    mode: Mode = "tf" if second else "caffe"
    surplus = f"{trainable - in_torch:,} biases in Keras, which the means of the BatchNorms behind them take up"

    def partner(library: Library, name: str, published: tuple[Published, ...]) -> Partner:
        differences = SECOND if second else FIRST
        return Partner(
            library,
            name,
            "adapted",
            differences=differences,
            parameters=in_torch,
            surplus=surplus,
            published=published,
        )

    timm_name = f"resnetv2_{depth}" if second else f"resnet{depth}"
    partners = [partner("timm", timm_name, timm(timm_name, *weights.timm))]
    if not second:
        own = tuple(torchvision(tag, accuracy, stem) for tag, stem, accuracy in weights.torchvision)
        partners.insert(0, partner("torchvision", f"resnet{depth}", own))
    stem = f"{KERAS}/resnet/resnet{depth}{'v2' if second else ''}{KERNELS}"
    return Network(
        f"resnet{depth}_v2" if second else f"resnet{depth}",
        f"ResNet{depth}V2" if second else f"ResNet{depth}",
        size=224,
        mode=mode,
        parameters=parameters,
        trainable=trainable,
        partners=tuple(partners),
        published=(keras(stem, weights.accuracy, digests=weights.digests),),
    )


NETWORKS = (
    _network(
        50,
        1,
        25_636_712,
        25_583_592,
        25_557_032,
        _Weights(
            74.9,
            ("2cb95161c43110f7111970584f804107", "4d473c1dd8becc155b73f8504c6f6626"),
            (("IMAGENET1K_V1", "resnet50-0676ba61", 76.13), ("IMAGENET1K_V2", "resnet50-11ad3fa6", 80.858)),
            (("tv_in1k", 76.156, 224), ("tv2_in1k", 79.434, 176), ("a1_in1k", 80.382, 224)),
        ),
    ),
    _network(
        101,
        1,
        44_707_176,
        44_601_832,
        44_549_160,
        _Weights(
            76.4,
            ("f1aeb4b969a6efcfb50fad2f0c20cfc5", "88cf7a10940856eca736dc7b7e228a21"),
            (("IMAGENET1K_V1", "resnet101-63fe2227", 77.374), ("IMAGENET1K_V2", "resnet101-cd907fc2", 81.886)),
            (("tv_in1k", 77.404, 224), ("a1_in1k", 81.494, 224)),
        ),
    ),
    _network(
        152,
        1,
        60_419_944,
        60_268_520,
        60_192_808,
        _Weights(
            76.6,
            ("100835be76be38e30d865e96f2aaae62", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
            (("IMAGENET1K_V1", "resnet152-394f9c45", 78.312), ("IMAGENET1K_V2", "resnet152-f82ba261", 82.284)),
            (("tv_in1k", 78.33, 224), ("a1_in1k", 81.998, 224)),
        ),
    ),
    _network(
        50,
        2,
        25_613_800,
        25_568_360,
        25_549_352,
        _Weights(
            76.0,
            ("3ef43a0b657b3be2300d5770ece849e0", "fac2f116257151a9d068a22e544a4917"),
            timm=(("a1h_in1k", 80.41, 224),),
        ),
    ),
    _network(
        101,
        2,
        44_675_560,
        44_577_896,
        44_541_480,
        _Weights(
            77.2,
            ("6343647c601c52e1368623803854d971", "c0ed64b8031c3730f411d2eb4eea35b5"),
            timm=(("a1h_in1k", 82.042, 224),),
        ),
    ),
    _network(
        152,
        2,
        60_380_648,
        60_236_904,
        60_185_128,
        _Weights(78.0, ("a49b44d1979771252814e80f8ec446f9", "ed17cf2e0169df9d443503ef94b23b33")),
    ),
)
