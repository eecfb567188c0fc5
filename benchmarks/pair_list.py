"""Networks of keras.applications and their partners in torchvision and timm, with what is known to differ (`PAIRS`).

What differs was measured by hand, apart from xconv: weights copied, one setting after the other changed until the
outputs agreed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["PAIRS", "Pair", "compared", "is_good"]

Row = dict[str, Any]

SOME = 0
"""In the place of a number of places: any."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A network of keras.applications and one of torchvision or timm; `back` moves weights from torch to Keras."""

    keras: str
    library: str
    torch: str
    causes: Mapping[str, int] = field(default_factory=dict)
    """What differs, and in how many places; `SOME` where that was not counted."""
    size: int = 96
    back: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    """For torch's builder."""
    keras_options: Mapping[str, Any] = field(default_factory=dict)
    stock: bool = False
    """Whether weights alone make it exact."""
    inference_only: bool = False
    """Whether it takes folds that hold in inference alone."""
    drops_biases: bool = False
    """Whether the naive copy leaves biases out that the target has no place for."""

    @property
    def name(self) -> str:
        """What `--only` takes: `MobileNetV2(alpha=0.5)-timm.mobilenetv2_050`."""
        ends = _called(self.keras, self.keras_options), f"{self.library}.{_called(self.torch, self.options)}"
        return "-".join(reversed(ends) if self.back else ends)


def _called(name: str, options: Mapping[str, Any]) -> str:
    said = ",".join(f"{key}={value}" for key, value in options.items())
    return f"{name}({said})" if said else name


NORM = {"epsilon": SOME, "momentum": SOME}
PADS = {"padding": 5, **NORM}
SAME = {"pad_type": "same", "bn_eps": 1e-3}
INCEPTION = {"aux_logits": False, "init_weights": False}
NO_SCALING = {"include_preprocessing": False}
RESNET = Pair("", "torchvision", "", {"stride": 6, "bias": SOME, **NORM}, drops_biases=True)
RESNET_V2 = Pair("", "timm", "", {"stride": SOME, "pooling": 2, "bias": SOME, **NORM}, drops_biases=True)
MOBILE_V3 = Pair("", "torchvision", "", {"scaling": 1, "padding": 5, "momentum": SOME})
TF_MOBILE_V3 = Pair("", "timm", "", {"scaling": 1, "momentum": SOME, "dropout": 1}, stock=True)
TF_EFFICIENT = Pair("", "timm", "", {"scaling": SOME, "momentum": SOME, "dropout": SOME}, stock=True)
TF_EFFICIENT_V2 = Pair("", "timm", "", {"scaling": SOME, "dropout": SOME}, size=64, stock=True)
ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
TIMM_ALPHAS = {0.5: "mobilenetv2_050", 1.0: "mobilenetv2_100", 1.4: "mobilenetv2_140"}


def _residual() -> list[Pair]:
    pairs = []
    for depth in (50, 101, 152):
        here = replace(RESNET, keras=f"ResNet{depth}", torch=f"resnet{depth}")
        pairs += [here, replace(here, library="timm")]
        pairs.append(replace(RESNET_V2, keras=f"ResNet{depth}V2", torch=f"resnetv2_{depth}"))
    for depth in (121, 169, 201):
        pairs += [Pair(f"DenseNet{depth}", library, f"densenet{depth}", NORM) for library in ("torchvision", "timm")]
    return pairs


def _mobile() -> list[Pair]:
    first = Pair("MobileNet", "timm", "mobilenetv1_100", PADS | {"dropout": 1})
    pairs = [first, replace(first, causes={"momentum": SOME, "dropout": 1}, options=SAME, stock=True)]
    for alpha in ALPHAS:
        own = {"alpha": alpha} if alpha != 1 else {}
        width = {"width_mult": alpha} if alpha != 1 else {}
        second = Pair("MobileNetV2", "torchvision", "mobilenet_v2", PADS | {"dropout": 1}, keras_options=own)
        pairs.append(replace(second, options=width))
        if alpha in TIMM_ALPHAS:
            there = replace(second, library="timm", torch=TIMM_ALPHAS[alpha], causes=PADS)
            pairs += [there, replace(there, causes={"momentum": SOME}, options=SAME, stock=True)]
    for size in ("Large", "Small"):
        keras, name = f"MobileNetV3{size}", f"mobilenetv3_{size.lower()}"
        pairs.append(replace(MOBILE_V3, keras=keras, torch=f"mobilenet_v3_{size.lower()}"))
        causes = {"scaling": 1, "dropout": 1, **PADS}
        pairs.append(Pair(keras, "timm", f"{name}_100", causes))
        for end, options in (("100", {}), ("075", {"alpha": 0.75}), ("minimal_100", {"minimalistic": True})):
            pairs.append(replace(TF_MOBILE_V3, keras=keras, torch=f"tf_{name}_{end}", keras_options=options))
    return pairs


def _plain() -> list[Pair]:
    pairs = []
    for depth in (16, 19):
        here = Pair(f"VGG{depth}", "torchvision", f"vgg{depth}", {"dropout": 2}, size=224, stock=True)
        pairs += [here, replace(here, library="timm", causes={})]
    third = Pair("InceptionV3", "torchvision", "inception_v3", {"pooling": 9, "momentum": SOME, "dropout": 1})
    return [
        *pairs,
        replace(third, options=INCEPTION),
        replace(third, library="timm", causes={"pooling": 9, "momentum": SOME}),
        Pair("InceptionResNetV2", "timm", "inception_resnet_v2", {"momentum": SOME}, stock=True),
        Pair("Xception", "timm", "legacy_xception", {"padding": SOME, **NORM}),
        Pair("NASNetLarge", "timm", "nasnetalarge", {"pooling": SOME, "momentum": SOME}),
    ]


def _efficient() -> list[Pair]:
    pairs = []
    for number in range(8):
        keras, size = f"EfficientNetB{number}", 96 if number < 3 else 64
        pairs.append(replace(TF_EFFICIENT, keras=keras, torch=f"tf_efficientnet_b{number}", size=size))
        # torchvision's B5 to B7 have the epsilon and momentum that TensorFlow's have.
        causes = {"scaling": SOME, **PADS} if number < 5 else {"scaling": SOME, "padding": 5}
        pairs.append(Pair(keras, "torchvision", f"efficientnet_b{number}", causes, size))
    for kind in ("B0", "B1", "B2", "B3", "S", "M", "L"):
        keras = f"EfficientNetV2{kind}"
        pairs.append(replace(TF_EFFICIENT_V2, keras=keras, torch=f"tf_efficientnetv2_{kind.lower()}"))
        if kind in "SML":
            causes = {"scaling": SOME, "padding": SOME} | ({} if kind == "S" else {"dropout": 1})
            pairs.append(Pair(keras, "torchvision", f"efficientnet_v2_{kind.lower()}", causes, 64))
    return pairs


def _convnext() -> list[Pair]:
    pairs = []
    for kind in ("Tiny", "Small", "Base", "Large", "XLarge"):
        there = Pair(f"ConvNeXt{kind}", "timm", f"convnext_{kind.lower()}", {"scaling": 1}, 64, stock=True)
        pairs.append(there)
        if kind != "XLarge":
            pairs.append(replace(there, library="torchvision", causes={"scaling": 1, "dropout": SOME}))
    return pairs


def _back() -> list[Pair]:
    here = Pair("", "", "", back=True)
    small = {"padding": 5, "momentum": SOME}
    inception = {"pooling": 9, "statistics": SOME, "momentum": SOME, "dropout": 1}
    stock = replace(here, stock=True, library="timm")
    tv, timm = (replace(here, library=name) for name in ("torchvision", "timm"))
    return [
        replace(tv, keras="ResNet50", torch="resnet50", causes={"stride": 6, **NORM}),
        replace(timm, keras="ResNet50V2", torch="resnetv2_50", causes={"stride": SOME, "pooling": 2, **NORM}),
        replace(tv, keras="DenseNet121", torch="densenet121", causes=NORM),
        replace(timm, keras="MobileNet", torch="mobilenetv1_100", causes=PADS | {"dropout": 1}),
        replace(tv, keras="MobileNetV2", torch="mobilenet_v2", causes=PADS | {"dropout": 1}),
        replace(timm, keras="MobileNetV2", torch="mobilenetv2_100", causes=PADS),
        replace(tv, keras="MobileNetV3Large", torch="mobilenet_v3_large", causes=small, keras_options=NO_SCALING),
        replace(tv, keras="MobileNetV3Small", torch="mobilenet_v3_small", causes=small, keras_options=NO_SCALING),
        *(
            replace(
                timm,
                keras=f"MobileNetV3{size}",
                torch=f"mobilenetv3_{size.lower()}_100",
                causes=PADS | {"dropout": 1},
                keras_options=NO_SCALING,
            )
            for size in ("Large", "Small")
        ),
        *(
            replace(
                stock,
                keras=f"MobileNetV3{size}",
                torch=f"tf_mobilenetv3_{size.lower()}_100",
                causes={"momentum": SOME, "dropout": 1},
                keras_options=NO_SCALING,
            )
            for size in ("Large", "Small")
        ),
        replace(stock, keras="VGG16", library="torchvision", torch="vgg16", causes={"dropout": 2}, size=224),
        replace(
            tv, keras="InceptionV3", torch="inception_v3", causes=inception, options=INCEPTION, inference_only=True
        ),
        replace(stock, keras="EfficientNetB0", torch="tf_efficientnet_b0", causes=TF_EFFICIENT.causes),
        replace(
            stock,
            keras="EfficientNetV2B0",
            torch="tf_efficientnetv2_b0",
            causes={"dropout": SOME},
            keras_options=NO_SCALING,
        ),
        replace(stock, keras="ConvNeXtTiny", torch="convnext_tiny", causes={}, keras_options=NO_SCALING),
    ]


def compared(pair: Pair, findings: Sequence[Row]) -> Row:
    """What is named though it is not known to differ, in as many places; and what is known and not named.

    >>> compared(Pair("A", "timm", "a", {"padding": 5, "epsilon": 0}), [{"cause": "padding", "places": 4}])
    {'unexpected': {'padding': 4}, 'missing': {'padding': 5, 'epsilon': 0}}
    """
    counts: Counter[str] = Counter()
    for found in findings:
        counts[found["cause"]] += found["places"]
    wanted = pair.causes
    unexpected = {cause: count for cause, count in counts.items() if wanted.get(cause, -1) not in (0, count)}
    missing = {cause: count for cause, count in wanted.items() if not counts[cause] or count not in (0, counts[cause])}
    return {"unexpected": unexpected, "missing": missing}


def is_good(pair: Pair, row: Row) -> bool:
    """Whether a measured row shows what it should."""
    named = "findings" in row and not any(compared(pair, row["findings"]).values())
    return named and bool(row["explained"]) and bool(row["ok"]) and bool(row.get("plain_ok", True))


PAIRS = (*_residual(), *_mobile(), *_plain(), *_efficient(), *_convnext(), *_back())
