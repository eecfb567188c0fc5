"""ConvNeXt Tiny, Small, Base, Large and XLarge."""

from __future__ import annotations

from xconv.zoo.owners import KERAS, keras, timm, torchvision
from xconv.zoo.records import Network, Partner

__all__ = ["NETWORKS"]

SIZES = {
    "Tiny": 28_589_128,
    "Small": 50_223_688,
    "Base": 88_591_464,
    "Large": 197_767_336,
    "XLarge": 350_196_968,
}
"""The parameters, the same in every library."""
TORCHVISION = {
    "tiny": ("983f1562", 82.52),
    "small": ("0c510722", 83.616),
    "base": ("6075fbad", 84.062),
    "large": ("ea097f82", 84.414),
}
TIMM = {
    "tiny": (("fb_in1k", 82.066, 224), ("fb_in22k_ft_in1k", 78.95, 288)),
    "small": (("fb_in1k", 83.144, 224), ("fb_in22k_ft_in1k", 84.582, 224)),
    "base": (("fb_in22k_ft_in1k", 85.814, 224), ("fb_in1k", 83.838, 224)),
    "large": (("fb_in22k_ft_in1k", 86.612, 224), ("fb_in1k", 84.304, 224)),
    "xlarge": (("fb_in22k_ft_in1k", 86.97, 224),),
}
"""First what Keras's weights were trained as: Base and larger on ImageNet-22k before."""
DIGESTS = {
    "tiny": (
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
    "small": (
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
    "base": (
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
    "large": (
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
    "xlarge": (
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
}


def _partners(size: str, parameters: int) -> tuple[Partner, ...]:
    name = f"convnext_{size}"
    partners = [Partner("timm", name, parameters=parameters, published=timm(name, *TIMM[size]))]
    if size in TORCHVISION:
        digest, accuracy = TORCHVISION[size]
        own = torchvision("IMAGENET1K_V1", accuracy, f"{name}-{digest}")
        differences = ("dropout",)
        partners.insert(
            0, Partner("torchvision", name, differences=differences, parameters=parameters, published=(own,))
        )
    return tuple(partners)


NETWORKS = tuple(
    Network(
        f"convnext_{size.casefold()}",
        f"ConvNeXt{size}",
        size=224,
        mode="inside",
        parameters=parameters,
        trainable=parameters,
        inside={"include_preprocessing": False},
        partners=_partners(size.casefold(), parameters),
        published=(keras(f"{KERAS}/convnext/convnext_{size.casefold()}", digests=DIGESTS[size.casefold()]),),
    )
    for size, parameters in SIZES.items()
)
