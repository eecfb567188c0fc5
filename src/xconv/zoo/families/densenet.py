"""DenseNet 121, 169 and 201."""

from __future__ import annotations

from xconv.zoo.owners import KERAS, KERNELS, keras, timm, torchvision
from xconv.zoo.records import Library, Network, Partner, Published

__all__ = ["NETWORKS"]


def _network(
    depth: int,
    counts: tuple[int, int],
    accuracy: float,
    digests: tuple[str, str],
    own: Published,
    *tags: tuple[str, float],
) -> Network:
    name = f"densenet{depth}"
    total, trainable = counts

    def partner(library: Library, published: tuple[Published, ...]) -> Partner:
        differences = ("epsilon", "momentum")
        return Partner(library, name, "adapted", differences=differences, parameters=trainable, published=published)

    return Network(
        name,
        f"DenseNet{depth}",
        size=224,
        mode="torch",
        parameters=total,
        trainable=trainable,
        partners=(
            partner("torchvision", (own,)),
            partner("timm", timm(name, *((tag, top1, 224) for tag, top1 in tags))),
        ),
        published=(keras(f"{KERAS}/densenet/{name}{KERNELS}", accuracy, digests=digests),),
    )


NETWORKS = (
    _network(
        121,
        (8_062_504, 7_978_856),
        75.0,
        ("9d60b8095a5708f2dcce2bca79d332c7", "30ee3e1110167f948a6b9946edeeb738"),
        torchvision("IMAGENET1K_V1", 74.434, "densenet121-a639ec97"),
        ("tv_in1k", 74.75),
        ("ra_in1k", 75.574),
    ),
    _network(
        169,
        (14_307_880, 14_149_480),
        76.2,
        ("d699b8f76981ab1b30698df4c175e90b", "b8c4d4c20dd625c148057b9ff1c1176b"),
        torchvision("IMAGENET1K_V1", 75.6, "densenet169-b2777c0a"),
        ("tv_in1k", 75.922),
    ),
    _network(
        201,
        (20_242_984, 20_013_928),
        77.3,
        ("1ceb130c1ea1b78c3bf6114dbdfd8807", "c13680b51ded0fb44dff2d8f86ac8bb1"),
        torchvision("IMAGENET1K_V1", 76.896, "densenet201-c1103571"),
        ("tv_in1k", 77.284),
    ),
)
