"""VGG16 and VGG19."""

from __future__ import annotations

from xconv.zoo.records import File, Network, Partner, Published

__all__ = ["NETWORKS"]

URL = "https://storage.googleapis.com/tensorflow/keras-applications"


def _file(name: str, ending: str, digest: str) -> File:
    file = f"{name}_weights_tf_dim_ordering_tf_kernels{ending}.h5"
    return File(f"{URL}/{name}/{file}", file, digest)


NETWORKS = (
    Network(
        "vgg16",
        "VGG16",
        size=224,
        mode="caffe",
        parameters=138_357_544,
        trainable=138_357_544,
        partners=(
            Partner(
                "torchvision",
                "vgg16",
                parameters=138_357_544,
                published=(Published("IMAGENET1K_V1", 71.592),),
            ),
            Partner("timm", "vgg16", parameters=138_357_544, published=(Published("tv_in1k", 71.594),)),
        ),
        published=(
            Published(
                "imagenet",
                71.3,
                file=_file("vgg16", "", "64373286793e3c8b2b4e3219cbf3544b"),
                no_top=_file("vgg16", "_notop", "6d6bbae143d832006294945121d1f1fc"),
            ),
        ),
    ),
)
