"""InceptionV3 and InceptionResNetV2."""

from __future__ import annotations

from xconv.zoo.owners import KERAS, KERNELS, keras, timm, torchvision
from xconv.zoo.records import Network, Partner

__all__ = ["NETWORKS"]

GAMMAS = "{:,} gammas in torch, which Keras's BatchNorms lack: they are 1"

V3 = Network(
    "inception_v3",
    "InceptionV3",
    size=299,
    mode="tf",
    parameters=23_851_784,
    trainable=23_817_352,
    smallest=75,
    partners=(
        Partner(
            "torchvision",
            "inception_v3",
            "adapted",
            differences=("pooling", "momentum", "dropout"),
            options={"aux_logits": False, "transform_input": False, "init_weights": False},
            own_options={"transform_input": True, "init_weights": False},
            parameters=23_834_568,
            surplus=f"{GAMMAS.format(17_216)}; 27,161,264 with torchvision's auxiliary classifier, which Keras lacks",
            published=(torchvision("IMAGENET1K_V1", 77.294, "inception_v3_google-0cc3c7bd", 299),),
        ),
        Partner(
            "timm",
            "inception_v3",
            "adapted",
            differences=("pooling", "momentum"),
            parameters=23_834_568,
            surplus=GAMMAS.format(17_216),
            published=timm("inception_v3", ("tf_in1k", 77.866, 299), ("tv_in1k", 77.472, 299)),
        ),
    ),
    published=(
        keras(
            f"{KERAS}/inception_v3/inception_v3{KERNELS}",
            77.9,
            299,
            digests=("9a0d58056eeedaa3f26cb7ebd46da564", "bcbd6486424b2319ff4ef7d526e38f63"),
        ),
    ),
)

RESNET_V2 = Network(
    "inception_resnet_v2",
    "InceptionResNetV2",
    size=299,
    mode="tf",
    parameters=55_873_736,
    trainable=55_813_192,
    smallest=75,
    partners=(
        Partner(
            "timm",
            "inception_resnet_v2",
            differences=("momentum",),
            parameters=55_843_464,
            surplus=GAMMAS.format(30_272),
            published=timm("inception_resnet_v2", ("tf_in1k", 80.434, 299)),
        ),
    ),
    published=(
        keras(
            f"{KERAS}/inception_resnet_v2/inception_resnet_v2{KERNELS}",
            80.3,
            299,
            digests=("e693bd0210a403b3192acc6073ad2e96", "d19885ff4a710c122648d3b5c3b684e4"),
        ),
    ),
)

NETWORKS = (V3, RESNET_V2)
