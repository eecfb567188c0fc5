"""How Keras, torchvision and timm name what they publish."""

from __future__ import annotations

from xconv.zoo.records import File, Published

__all__ = ["HUB", "KERAS", "KERNELS", "keras", "timm", "torchvision"]

KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
TORCHVISION = "https://download.pytorch.org/models"
HUB = "https://huggingface.co/timm"
KERNELS = "_weights_tf_dim_ordering_tf_kernels"
"""What most names of Keras's older files end in."""


def keras(
    stem: str,
    accuracy: float | None = None,
    size: int = 224,
    *,
    digests: tuple[str, str] = ("", ""),
    endings: tuple[str, str] = ("", "_notop"),
    numbers: tuple[int, int] = (0, 0),
) -> Published:
    """The weights that a constructor of keras.applications calls 'imagenet', with their top and without.

    Args:
        stem: the address of the files, up to what tells them apart.
        accuracy: top-1 as keras.io states it.
        size: at these pixels.
        digests: of the file with the top, of the one without.
        endings: what tells the two names apart.
        numbers: how many they hold, where there is no digest.

    >>> keras(f"{KERAS}/vgg16/vgg16").no_top.name
    'vgg16_notop.h5'
    """
    facts = zip(endings, digests, numbers, strict=True)
    name = stem.rpartition("/")[2]
    files = (File(f"{stem}{ending}.h5", f"{name}{ending}.h5", digest, count) for ending, digest, count in facts)
    return Published("imagenet", accuracy, size, *files)


def torchvision(tag: str, accuracy: float | None, stem: str, size: int = 224) -> Published:
    """A member of a weights enum; the name of its file ends in the beginning of its SHA-256.

    >>> torchvision("IMAGENET1K_V1", 71.592, "vgg16-397923af").file.digest
    '397923af'
    """
    return Published(tag, accuracy, size, File(f"{TORCHVISION}/{stem}.pth", f"{stem}.pth", stem.rpartition("-")[2]))


def timm(name: str, *tags: tuple[str, float | None, int]) -> tuple[Published, ...]:
    """What timm publishes under a name on the Hugging Face hub: tag, accuracy, and the size of the picture at it.

    >>> timm("vgg16", ("tv_in1k", 71.594, 224))[0].file.url
    'https://huggingface.co/timm/vgg16.tv_in1k/resolve/main/model.safetensors'
    """
    return tuple(
        Published(tag, accuracy, size, File(f"{HUB}/{name}.{tag}/resolve/main/model.safetensors", "model.safetensors"))
        for tag, accuracy, size in tags
    )
