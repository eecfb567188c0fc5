"""MobileNet V1, V2 and V3 with all widths of which weights are published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xconv.zoo.owners import KERAS, keras, timm, torchvision
from xconv.zoo.records import EMPTY, Network, Partner, Published

__all__ = ["NETWORKS"]

SAME = {"pad_type": "same", "bn_eps": 1e-3}
"""What timm's builders are told for Keras's pads and epsilon."""

# -- V1 ---------------------------------------------------------------------------------------------------------------

FIRST = {
    1.0: ("1_0", 4_253_864, 4_231_976),
    0.75: ("7_5", 2_601_976, 2_585_560),
    0.5: ("5_0", 1_342_536, 1_331_592),
    0.25: ("2_5", 475_544, 470_072),
}
"""By alpha: how file names say it; the parameters, and those that train."""


def _first(alpha: float) -> Network:
    word, parameters, trainable = FIRST[alpha]
    partner = Partner(
        "timm",
        "mobilenetv1_100",
        differences=("momentum", "dropout"),
        options=SAME,
        parameters=trainable,
        published=timm("mobilenetv1_100", ("ra4_e3600_r224_in1k", 75.388, 224)),
    )
    return Network(
        f"mobilenet{_suffix(alpha)}",
        "MobileNet",
        size=224,
        mode="tf",
        parameters=parameters,
        trainable=trainable,
        variant=_variant(alpha),
        partners=(partner,) if alpha == 1 else (),
        published=tuple(
            keras(
                f"{KERAS}/mobilenet/mobilenet_{word}_{size}_tf",
                70.4 if (alpha, size) == (1, 224) else None,
                size,
                endings=("", "_no_top"),
                numbers=(parameters, parameters - _head(int(1024 * alpha))),
            )
            for size in (224, 192, 160, 128)
        ),
    )


# -- V2 ---------------------------------------------------------------------------------------------------------------

SECOND = {
    1.0: (3_538_984, 3_504_872),
    0.35: (1_691_208, 1_677_128),
    0.5: (1_987_224, 1_968_680),
    0.75: (2_663_064, 2_636_424),
    1.3: (5_431_048, 5_386_792),
    1.4: (6_156_712, 6_108_776),
}
"""By alpha: the parameters, and those that train."""
SECOND_TIMM = {
    1.0: ("mobilenetv2_100", (("ra_in1k", 72.91, 224),)),
    0.35: ("mobilenetv2_035", ()),
    0.5: ("mobilenetv2_050", (("lamb_in1k", 65.928, 224),)),
    0.75: ("mobilenetv2_075", ()),
    1.4: ("mobilenetv2_140", (("ra_in1k", 76.528, 224),)),
}
SECOND_TORCHVISION = (
    torchvision("IMAGENET1K_V1", 71.878, "mobilenet_v2-b0353104"),
    torchvision("IMAGENET1K_V2", 72.154, "mobilenet_v2-7ebf99e0"),
)


def _second(alpha: float) -> Network:
    parameters, trainable = SECOND[alpha]
    width = EMPTY if alpha == 1 else {"width_mult": alpha}
    in_torchvision = Partner(
        "torchvision",
        "mobilenet_v2",
        "adapted",
        rotates=True,
        differences=("padding", "epsilon", "momentum", "dropout"),
        options=width,
        own_options=width,
        parameters=trainable,
        published=SECOND_TORCHVISION if alpha == 1 else (),
    )
    stem = f"{KERAS}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}"
    return Network(
        f"mobilenet_v2{_suffix(alpha)}",
        "MobileNetV2",
        size=224,
        mode="tf",
        parameters=parameters,
        trainable=trainable,
        variant=_variant(alpha),
        partners=(*_second_in_timm(alpha, trainable), in_torchvision),
        published=tuple(
            keras(
                f"{stem}_{size}",
                71.3 if (alpha, size) == (1, 224) else None,
                size,
                endings=("", "_no_top"),
                numbers=(parameters, parameters - _head(int(1280 * max(1, alpha)))),
            )
            for size in (224, 192, 160, 128, 96)
        ),
    )


def _second_in_timm(alpha: float, trainable: int) -> tuple[Partner, ...]:
    if alpha not in SECOND_TIMM:
        return ()
    name, tags = SECOND_TIMM[alpha]
    differences, published = ("momentum",), timm(name, *tags)
    return (Partner("timm", name, differences=differences, options=SAME, parameters=trainable, published=published),)


# -- V3 ---------------------------------------------------------------------------------------------------------------

THIRD: dict[tuple[str, float, bool], tuple[int, int, float, tuple[str, str]]] = {
    ("large", 1.0, False): (
        5_507_432,
        5_483_032,
        75.6,
        ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    ),
    ("large", 0.75, False): (
        4_012_616,
        3_993_528,
        73.3,
        ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    ),
    ("large", 1.0, True): (
        3_948_688,
        3_924_288,
        72.3,
        ("675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973"),
    ),
    ("small", 1.0, False): (
        2_554_968,
        2_542_856,
        68.1,
        ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    ),
    ("small", 0.75, False): (
        2_051_552,
        2_041_872,
        65.4,
        ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    ),
    ("small", 1.0, True): (
        2_056_848,
        2_044_736,
        61.9,
        ("99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4"),
    ),
}
"""By size, alpha, and whether minimalistic: the parameters, those that train, top-1, digests."""
THIRD_TORCHVISION: dict[str, tuple[Published, ...]] = {
    "large": (
        torchvision("IMAGENET1K_V1", 74.042, "mobilenet_v3_large-8738ca79"),
        torchvision("IMAGENET1K_V2", 75.274, "mobilenet_v3_large-5c1a4163"),
    ),
    "small": (torchvision("IMAGENET1K_V1", 67.668, "mobilenet_v3_small-047dcff4"),),
}
THIRD_TIMM = {
    "tf_mobilenetv3_large_100": ("in1k", 75.51),
    "tf_mobilenetv3_large_075": ("in1k", 73.442),
    "tf_mobilenetv3_large_minimal_100": ("in1k", 72.27),
    "tf_mobilenetv3_small_100": ("in1k", 67.922),
    "tf_mobilenetv3_small_075": ("in1k", 65.706),
    "tf_mobilenetv3_small_minimal_100": ("in1k", 62.892),
    "mobilenetv3_large_100": ("ra_in1k", 75.784),
    "mobilenetv3_small_100": ("lamb_in1k", 67.636),
    "mobilenetv3_small_075": ("lamb_in1k", None),
}


def _third(size: str, alpha: float, minimalistic: bool) -> Network:
    parameters, trainable, accuracy, digests = THIRD[size, alpha, minimalistic]
    suffix = "_minimalistic" if minimalistic else _suffix(alpha)
    stem = f"{KERAS}/mobilenet_v3/weights_mobilenet_v3_{size}{'_minimalistic' * minimalistic}_224_{alpha}_float"
    return Network(
        f"mobilenet_v3_{size}{suffix}",
        f"MobileNetV3{size.title()}",
        size=224,
        mode="inside",
        parameters=parameters,
        trainable=trainable,
        variant={"minimalistic": True} if minimalistic else _variant(alpha),
        inside={"include_preprocessing": False},
        partners=_third_partners(size, alpha, minimalistic),
        published=(keras(stem, accuracy, digests=digests, endings=("", "_no_top_v2")),),
    )


def _third_partners(size: str, alpha: float, minimalistic: bool) -> tuple[Partner, ...]:
    trainable = THIRD[size, alpha, minimalistic][1]
    name = f"mobilenetv3_{size}{'_minimal' * minimalistic}_{100 * alpha:03.0f}"
    partners = [_third_in_timm(f"tf_{name}", trainable, ("momentum", "dropout"))]
    if minimalistic:
        return tuple(partners)
    if alpha == 1:
        partners.append(
            Partner(
                "torchvision",
                f"mobilenet_v3_{size}",
                "adapted",
                rotates=True,
                differences=("padding", "momentum"),
                parameters=trainable,
                published=THIRD_TORCHVISION[size],
            )
        )
    partners.append(_third_in_timm(name, trainable, ("padding", "epsilon", "momentum", "dropout")))
    return tuple(partners)


def _third_in_timm(name: str, trainable: int, differences: tuple[str, ...]) -> Partner:
    tags = [(*THIRD_TIMM[name], 224)] if name in THIRD_TIMM else []
    unchanged = name.startswith("tf_")
    return Partner(
        "timm",
        name,
        "unchanged" if unchanged else "adapted",
        rotates=not unchanged,
        differences=differences,
        parameters=trainable,
        published=timm(name, *tags),
    )


def _suffix(alpha: float) -> str:
    """What follows the name of a network of another width than 1, in timm's words."""
    return "" if alpha == 1 else f"_{100 * alpha:03.0f}"


def _head(features: int) -> int:
    """How many numbers classify features into 1,000 classes."""
    return 1000 * features + 1000


def _variant(alpha: float) -> Mapping[str, Any]:
    return EMPTY if alpha == 1 else {"alpha": alpha}


NETWORKS = (*map(_first, FIRST), *map(_second, SECOND), *(_third(*key) for key in THIRD))
