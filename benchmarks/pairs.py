"""One network in two libraries: what a plain copy of its weights gets wrong, and what `adapt=True` makes of it.

python -m benchmarks.pairs [--only ResNet50-torchvision ...] [--no-render]

One process for each pair. The source has random, live weights. All are moved into the other library's own class as far
as they go (`strict=False`): the naive error. `xconv.diagnose` names what differs. `xconv.transfer(adapt=True)` changes
the class's geometry, and `xconv.verify` compares in float64. The exit code is 1 where a pair is not exact.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import pairs_page
from benchmarks.loading import load_torchvision
from benchmarks.machine import describe, versions
from benchmarks.measure import answer, run_arm, spent
from benchmarks.stored import FOLDER, append, read

RESULTS = FOLDER / "pairs.jsonl"
VERSIONS = ("xconv", "torch", "torchvision", "timm", "keras", "tensorflow", "numpy")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """A network of keras.applications and one of torchvision or timm; `back` moves weights from torch to Keras."""

    keras: str
    library: str
    torch: str
    size: int = 96
    back: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    """For torch's builder."""

    @property
    def name(self) -> str:
        """What `--only` takes."""
        return f"{self.library}-{self.keras}" if self.back else f"{self.keras}-{self.library}"


PAIRS = (
    Pair("ResNet50", "torchvision", "resnet50"),
    Pair("ResNet50", "timm", "resnet50"),
    Pair("ResNet50V2", "timm", "resnetv2_50"),
    Pair("MobileNet", "timm", "mobilenetv1_100"),
    Pair("MobileNetV2", "torchvision", "mobilenet_v2"),
    Pair("MobileNetV2", "timm", "mobilenetv2_100"),
    Pair("MobileNetV3Small", "torchvision", "mobilenet_v3_small"),
    Pair("MobileNetV3Large", "torchvision", "mobilenet_v3_large"),
    Pair("InceptionV3", "torchvision", "inception_v3", options={"aux_logits": False, "init_weights": False}),
    Pair("Xception", "timm", "legacy_xception"),
    Pair("NASNetLarge", "timm", "nasnetalarge"),
    Pair("EfficientNetB0", "torchvision", "efficientnet_b0"),
    Pair("EfficientNetV2S", "torchvision", "efficientnet_v2_s"),
    Pair("DenseNet121", "torchvision", "densenet121"),
    Pair("ResNet50", "torchvision", "resnet50", back=True),
    Pair("MobileNetV2", "torchvision", "mobilenet_v2", back=True),
    Pair("MobileNetV3Small", "torchvision", "mobilenet_v3_small", back=True),
)


def main() -> int:
    options = _options()
    if options.row:
        answer(measure(next(pair for pair in PAIRS if pair.name == options.row)))
        return 0
    facts = describe()
    machine = {key: facts[key] for key in ("processor", "cores", "memory_gib")}
    context = {"versions": versions(*VERSIONS), "commit": facts["commit"], "machine": machine}
    wanted = [pair for pair in PAIRS if not options.only or pair.name in options.only]
    for pair in wanted:
        found = run_arm("benchmarks.pairs", "--row", pair.name, timeout=options.seconds)
        row = {"pair": pair.name, **asdict(pair), **found, **context}
        append(options.results, row)
        print(_line(row), flush=True)
    if not options.no_render:
        pairs_page.write()
    newest = {row["pair"]: row for row in read(options.results)}
    good = [pair for pair in wanted if newest.get(pair.name, {}).get("ok")]
    print(f"{len(good)} of {len(wanted)} exact")
    return 0 if len(good) == len(wanted) else 1


def measure(pair: Pair) -> Row:
    """One row: the naive error, what differs, what was changed, the error after."""
    import xconv

    source, target = build(pair)
    shape = (3, pair.size, pair.size)
    xconv.transfer(source, target, strict=False, input_shape=shape)
    naive = error_of(xconv.verify(bare(source), bare(target)))
    start = time.perf_counter()
    diagnosis = xconv.diagnose(source, target, input_shape=shape)
    row: Row = {"naive": naive, "diagnose_seconds": spent(start)}
    row |= {"left": diagnosis.to_dict()["left"], "unexplained": diagnosis.unexplained}
    row["findings"] = [
        {"cause": found.cause, "places": len(found.places), "alone": found.alone} for found in diagnosis.findings
    ]
    start = time.perf_counter()
    report = xconv.transfer(source, target, adapt=True, input_shape=shape)
    row |= {"transfer_seconds": spent(start), "changes": counted(item.after for item in report.adapted)}
    row["outside"] = [note for note in report.notes if "yourself" in note]
    after = xconv.verify(bare(source), bare(report.target))
    row |= {"after": error_of(after), "noise_floor": after.noise_floor, "ok": report.ok and after.ok}
    return row | {"verdict": str(after.verdict), "verify_notes": list(after.notes)}


def build(pair: Pair) -> tuple[Any, Any]:
    """The source with random weights, and the target in float64, so that what is folded is not rounded."""
    load_torchvision()
    import keras
    import torch

    import xconv

    module = torch_model(pair).eval()
    if pair.back:
        keras.config.set_dtype_policy("float64")
    model = keras_model(pair)
    if pair.back:
        keras.config.set_dtype_policy("float32")
        xconv.randomize(module, 0, inputs=torch.randn(8, 3, pair.size, pair.size))
        return module, model
    xconv.randomize(model)
    return model, module.double()


def keras_model(pair: Pair) -> Any:
    """The network of keras.applications, up to its logits."""
    import keras

    kind = getattr(keras.applications, pair.keras)
    # The way back begins at images that torch's own preprocessing has made.
    options = {"include_preprocessing": False} if pair.back and "V3" in pair.keras else {}
    shape = (pair.size, pair.size, 3)
    return kind(weights=None, input_shape=shape, classifier_activation=None, **options)


def torch_model(pair: Pair) -> Any:
    """The network of torchvision or timm."""
    if pair.library == "timm":
        import timm

        return timm.create_model(pair.torch, **pair.options)
    import torchvision

    return getattr(torchvision.models, pair.torch)(weights=None, **pair.options)


def bare(model: Any) -> Any:
    """The model without the scaling that it begins with, which its partner does not have inside."""
    import keras

    if not isinstance(model, keras.Model):
        return model
    first = model.input
    for layer in model.layers[1:]:
        if not isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)):
            break
        first = layer.output
    return model if first is model.input else keras.Model(first, model.output, name=model.name)


def error_of(report: Any) -> float | None:
    """The float64 error at the logits."""
    return max((one.float64.max_rel for one in report.outputs if one.float64), default=None)


def counted(after: Iterable[str]) -> dict[str, int]:
    """How many places were changed in the same way, by the setting or the layer that is named first.

    >>> counted(["stride (2, 2)", "stride (1, 1)", "MaxPool2d(kernel_size=1) before input 1"])
    {'stride': 2, 'MaxPool2d': 1}
    """
    return dict(Counter(text.split("(")[0].split()[0].rstrip(",") for text in after))


def _line(row: Row) -> str:
    if "error" in row:
        return f"{row['pair']}: {row['error']}"
    causes = ", ".join(f"{found['cause']} ({found['places']})" for found in row["findings"])
    return f"{row['pair']}: {row['naive']:.2g} -> {row['after']:.2g} {row['verdict']}; {causes}; {row['changes']}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="names of pairs, such as ResNet50-torchvision")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seconds", type=float, default=1200, help="the most that one pair may take")
    parser.add_argument("--no-render", action="store_true", help="leave docs/pairs.md as it is")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
