"""EfficientNetV2 B0 to B3, S, M and L."""

from __future__ import annotations

from dataclasses import dataclass

from xconv.zoo.owners import KERAS, keras, timm, torchvision
from xconv.zoo.records import Network, Partner, Published

__all__ = ["NETWORKS"]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What tells one size from another; `counts` are the parameters, and those that train."""

    size: int
    counts: tuple[int, int]
    accuracy: float
    digests: tuple[str, str]
    timm: tuple[tuple[str, float, int], ...]
    torchvision: tuple[Published, ...] = ()


FACTS = {
    "b0": _Facts(
        224,
        (7_200_312, 7_139_704),
        78.7,
        ("21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff"),
        (("in1k", 76.876, 192),),
    ),
    "b1": _Facts(
        240,
        (8_212_124, 8_141_052),
        79.8,
        ("069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37"),
        (("in1k", 77.934, 192),),
    ),
    "b2": _Facts(
        260,
        (10_178_374, 10_096_086),
        80.5,
        ("424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb"),
        (("in1k", 79.208, 208),),
    ),
    "b3": _Facts(
        300,
        (14_467_622, 14_358_406),
        82.0,
        ("1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856"),
        (("in1k", 80.708, 240), ("in21k_ft_in1k", 81.078, 240)),
    ),
    "s": _Facts(
        384,
        (21_612_360, 21_458_488),
        83.9,
        ("e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070"),
        (("in1k", 83.162, 300), ("in21k_ft_in1k", 83.348, 300)),
        (torchvision("IMAGENET1K_V1", 84.228, "efficientnet_v2_s-dd5fe13b", 384),),
    ),
    "m": _Facts(
        480,
        (54_431_388, 54_139_356),
        85.3,
        ("a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342"),
        (("in1k", 84.554, 384), ("in21k_ft_in1k", 84.768, 384)),
        (torchvision("IMAGENET1K_V1", 85.112, "efficientnet_v2_m-dc08266a", 480),),
    ),
    "l": _Facts(
        480,
        (119_027_848, 118_515_272),
        85.7,
        ("27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615"),
        (("in1k", 85.202, 384), ("in21k_ft_in1k", 85.846, 384)),
        (torchvision("IMAGENET1K_V1", 85.808, "efficientnet_v2_l-59c71312", 480),),
    ),
}


def _partners(kind: str, facts: _Facts) -> tuple[Partner, ...]:
    name = f"tf_efficientnetv2_{kind}"
    trainable = facts.counts[1]
    partners = [
        Partner("timm", name, differences=("dropout",), parameters=trainable, published=timm(name, *facts.timm))
    ]
    if facts.torchvision:
        partners.append(
            Partner(
                "torchvision",
                f"efficientnet_v2_{kind}",
                "adapted",
                rotates=True,
                differences=("padding",) if kind == "s" else ("padding", "dropout"),
                parameters=trainable,
                published=facts.torchvision,
            )
        )
    return tuple(partners)


NETWORKS = tuple(
    Network(
        f"efficientnet_v2_{kind}",
        f"EfficientNetV2{kind.upper()}",
        size=facts.size,
        mode="inside",
        parameters=facts.counts[0],
        trainable=facts.counts[1],
        inside={"include_preprocessing": False},
        partners=_partners(kind, facts),
        published=(
            keras(f"{KERAS}/efficientnet_v2/efficientnetv2-{kind}", facts.accuracy, facts.size, digests=facts.digests),
        ),
    )
    for kind, facts in FACTS.items()
)
