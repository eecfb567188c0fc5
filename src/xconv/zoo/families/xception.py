"""Xception."""

from __future__ import annotations

from xconv.zoo.owners import KERAS, KERNELS, keras
from xconv.zoo.records import File, Network, Partner, Published

__all__ = ["NETWORKS"]

RELEASE = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene"
FILE = "xception-43020ad28.pth"
"""timm keeps it as a file of a release, not on the hub."""

NETWORKS = (
    Network(
        "xception",
        "Xception",
        size=299,
        mode="tf",
        parameters=22_910_480,
        trainable=22_855_952,
        smallest=71,
        partners=(
            Partner(
                "timm",
                "legacy_xception",
                "adapted",
                differences=("padding", "epsilon", "momentum"),
                parameters=22_855_952,
                published=(Published("tf_in1k", 79.058, 299, File(f"{RELEASE}/{FILE}", FILE, "43020ad28")),),
            ),
        ),
        published=(
            keras(
                f"{KERAS}/xception/xception{KERNELS}",
                79.0,
                299,
                digests=("0a58e3b7378bc2990ea3b43d5981f1f6", "b0042744bf5b25fce3cb969f33bebb97"),
            ),
        ),
    ),
)
