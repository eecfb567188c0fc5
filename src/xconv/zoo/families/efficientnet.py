"""EfficientNet B0 to B7."""

from __future__ import annotations

from xconv.zoo.owners import keras, timm, torchvision
from xconv.zoo.records import Network, Partner, Published

__all__ = ["NETWORKS"]

URL = "https://storage.googleapis.com/keras-applications"
"""Not below `tensorflow`, where Keras keeps the rest."""

SIZES = (224, 240, 260, 300, 380, 456, 528, 600)
COUNTS = (
    (5_330_571, 5_288_548),
    (7_856_239, 7_794_184),
    (9_177_569, 9_109_994),
    (12_320_535, 12_233_232),
    (19_466_823, 19_341_616),
    (30_562_527, 30_389_784),
    (43_265_143, 43_040_704),
    (66_658_687, 66_347_960),
)
"""The parameters, and those that train."""
ACCURACIES = (77.1, 79.1, 80.1, 81.6, 82.9, 83.6, 84.0, 84.3)
DIGESTS = (
    ("902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"),
    ("1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"),
    ("b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    ("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"),
    ("18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"),
    ("ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"),
    ("165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"),
    ("8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"),
)
TORCHVISION: tuple[tuple[Published, ...], ...] = (
    (torchvision("IMAGENET1K_V1", 77.692, "efficientnet_b0_rwightman-7f5810bc", 224),),
    (
        torchvision("IMAGENET1K_V1", 78.642, "efficientnet_b1_rwightman-bac287d4", 240),
        torchvision("IMAGENET1K_V2", 79.838, "efficientnet_b1-c27df63c", 240),
    ),
    (torchvision("IMAGENET1K_V1", 80.608, "efficientnet_b2_rwightman-c35c1473", 288),),
    (torchvision("IMAGENET1K_V1", 82.008, "efficientnet_b3_rwightman-b3899882", 300),),
    (torchvision("IMAGENET1K_V1", 83.384, "efficientnet_b4_rwightman-23ab8bcd", 380),),
    (torchvision("IMAGENET1K_V1", 83.444, "efficientnet_b5_lukemelas-1a07897c", 456),),
    (torchvision("IMAGENET1K_V1", 84.008, "efficientnet_b6_lukemelas-24a108a5", 528),),
    (torchvision("IMAGENET1K_V1", 84.122, "efficientnet_b7_lukemelas-c5b4e57e", 600),),
)
TIMM = {
    "aa_in1k": (76.882, 78.84, 80.074, 81.648, 83.04, 83.696, 84.124, 84.424),
    "ap_in1k": (77.1, 79.288, 80.3, 81.842, 83.246, 84.258, 84.794, 85.132),
    "ns_jft_in1k": (78.68, 81.388, 82.412, 84.054, 85.156, 86.096, 86.476, 86.85),
    "in1k": (76.542, 78.546, 79.612, 80.878, 82.598, 83.17),
}
"""Of the names that begin with `tf_`, for B0 and on."""
OTHERS = {
    0: ("ra_in1k", 224),
    1: ("ft_in1k", 224),
    2: ("ra_in1k", 256),
    3: ("ra2_in1k", 288),
    4: ("ra2_in1k", 320),
    5: ("sw_in12k_ft_in1k", 448),
}
"""Of timm's own, with even pads."""


def _twin(number: int) -> Partner:
    name = f"tf_efficientnet_b{number}"
    tags = [(tag, top1[number], SIZES[number]) for tag, top1 in TIMM.items() if number < len(top1)]
    return Partner(
        "timm",
        name,
        differences=("momentum", "dropout"),
        parameters=COUNTS[number][1],
        published=timm(name, *tags),
    )


def _in_torchvision(number: int) -> Partner:
    norms = ("epsilon", "momentum") if number < 5 else ()
    return Partner(
        "torchvision",
        f"efficientnet_b{number}",
        "adapted",
        rotates=True,
        differences=("padding", *norms),
        parameters=COUNTS[number][1],
        published=TORCHVISION[number],
    )


def _in_timm(number: int) -> Partner:
    name = f"efficientnet_b{number}"
    tags = [(tag, None, size) for tag, size in [OTHERS[number]]] if number in OTHERS else []
    return Partner(
        "timm",
        name,
        "adapted",
        rotates=True,
        differences=("padding", "epsilon", "momentum", "dropout"),
        parameters=COUNTS[number][1],
        published=timm(name, *tags),
    )


def _network(number: int) -> Network:
    parameters, trainable = COUNTS[number]
    size = SIZES[number]
    return Network(
        f"efficientnet_b{number}",
        f"EfficientNetB{number}",
        size=size,
        mode="inside",
        parameters=parameters,
        trainable=trainable,
        partners=(_twin(number), _in_torchvision(number), _in_timm(number)),
        published=(keras(f"{URL}/efficientnetb{number}", ACCURACIES[number], size, digests=DIGESTS[number]),),
    )


NETWORKS = tuple(map(_network, range(len(SIZES))))
