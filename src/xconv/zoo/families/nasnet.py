"""NASNetMobile and NASNetLarge."""

from __future__ import annotations

from xconv.zoo.owners import KERAS, timm
from xconv.zoo.records import File, Network, Partner, Published

__all__ = ["NETWORKS"]


def _weights(kind: str, accuracy: float, size: int, digest: str, no_top: str) -> tuple[Published, ...]:
    """The names in Keras's cache are not those of the files."""
    stem = f"{KERAS}/nasnet/NASNet-{kind}"
    file = File(f"{stem}.h5", f"nasnet_{kind}.h5", digest)
    return (Published("imagenet", accuracy, size, file, File(f"{stem}-no-top.h5", f"nasnet_{kind}_no_top.h5", no_top)),)


MOBILE = Network(
    "nasnet_mobile",
    "NASNetMobile",
    size=224,
    mode="tf",
    parameters=5_326_716,
    trainable=5_289_978,
    published=_weights("mobile", 74.4, 224, "020fb642bf7360b370c678b08e0adf61", "1ed92395b5b598bdda52abe5c0dbfd63"),
)

LARGE = Network(
    "nasnet_large",
    "NASNetLarge",
    size=331,
    mode="tf",
    parameters=88_949_818,
    trainable=88_753_150,
    partners=(
        Partner(
            "timm",
            "nasnetalarge",
            "adapted",
            differences=("pooling", "momentum"),
            parameters=88_753_150,
            published=timm("nasnetalarge", ("tf_in1k", 82.638, 331)),
        ),
    ),
    published=_weights("large", 82.5, 331, "11577c9a518f0070763c2b964a382f17", "d81d89dc07e6e56530c4e77faddd61b5"),
)

NETWORKS = (MOBILE, LARGE)
