"""One network in two libraries: what a plain copy of its weights gets wrong, and what `adapt=True` makes of it.

python -m benchmarks.pairs [--only ResNet50-torchvision ...] [--no-render]

One process for each pair. The source has random, live weights. They are copied into the other library's own class, and
biases that it has no place for are left out: the naive error. `xconv.diagnose` names what differs, and must name what
is known to differ (`pair_list`) and nothing else. Where weights alone make the pair exact, `xconv.transfer` must do so
without `adapt=True`. With it, it changes the class's geometry, and `xconv.verify` compares in float64. The exit code is
1 where a pair is not exact, or something else is named.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import pairs_page
from benchmarks.loading import load_torchvision
from benchmarks.machine import context_of
from benchmarks.measure import answer, run_arm, spent
from benchmarks.options import parsed
from benchmarks.pair_list import PAIRS, Pair, compared, is_good
from benchmarks.stored import FOLDER, append, read

RESULTS = FOLDER / "pairs.jsonl"
QUICK = {"only": ["MobileNetV2-torchvision"]}
VERSIONS = ("xconv", "torch", "torchvision", "timm", "keras", "tensorflow", "numpy")

Row = dict[str, Any]


def main() -> int:
    options = _options()
    if options.row:
        answer(measure(next(pair for pair in PAIRS if pair.name == options.row)))
        return 0
    context = context_of(*VERSIONS)
    wanted = [pair for pair in PAIRS if not options.only or pair.name.startswith(tuple(options.only))]
    for pair in wanted:
        found = run_arm("benchmarks.pairs", "--row", pair.name, timeout=options.seconds)
        row = {"pair": pair.name, **asdict(pair), **found, **context}
        append(options.results, row)
        print(_line(pair, row), flush=True)
    if not options.no_render:
        pairs_page.write()
    newest = {row["pair"]: row for row in read(options.results)}
    good = [pair for pair in wanted if is_good(pair, newest.get(pair.name, {}))]
    print(f"{len(good)} of {len(wanted)} as they should be")
    return 0 if len(good) == len(wanted) else 1


def measure(pair: Pair) -> Row:
    """One row: the naive error, what differs, what was changed, the error after."""
    import xconv

    source, target = build(pair)
    shape = (3, pair.size, pair.size)
    copy_plainly(pair, source, target)
    naive = error_of(xconv.verify(bare(source), bare(target)))
    start = time.perf_counter()
    diagnosis = xconv.diagnose(source, target, input_shape=shape)
    row: Row = {"naive": naive, "diagnose_seconds": spent(start)}
    row |= {"left": diagnosis.to_dict()["left"], "explained": diagnosis.explained, "unexplained": diagnosis.unexplained}
    row["findings"] = [
        {"cause": found.cause, "places": len(found.places), "alone": found.to_dict()["alone"]}
        for found in diagnosis.findings
    ]
    if pair.stock:
        moved = xconv.transfer(source, target, input_shape=shape)
        plain = xconv.verify(bare(source), bare(moved.target))
        row |= {"plain": error_of(plain), "plain_ok": moved.ok and plain.ok, "plain_verdict": str(plain.verdict)}
    start = time.perf_counter()
    report = xconv.transfer(source, target, adapt=True, inference_only=pair.inference_only, input_shape=shape)
    row |= {"transfer_seconds": spent(start), "changes": counted(item.after for item in report.adapted)}
    row["outside"] = [note for note in report.notes if "yourself" in note]
    after = xconv.verify(bare(source), bare(report.target))
    row |= {"after": error_of(after), "noise_floor": after.noise_floor, "ok": report.ok and after.ok}
    row |= {"verdict": str(after.verdict), "verify_notes": list(after.notes)}
    return row | {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def copy_plainly(pair: Pair, source: Any, target: Any) -> None:
    """Every weight into its place, as a loop over names does it: a bias without one is lost, and nothing makes up."""
    import xconv

    biases = [layer.bias for layer in source.layers if _is_biased(layer)] if pair.drops_biases else []
    kept = [bias.numpy() for bias in biases]
    for bias in biases:
        bias.assign(0 * bias)
    xconv.transfer(source, target, strict=False, input_shape=(3, pair.size, pair.size))
    for bias, numbers in zip(biases, kept, strict=True):
        bias.assign(numbers)


def _is_biased(layer: Any) -> bool:
    return type(layer).__name__ == "Conv2D" and layer.use_bias


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
    shape = (pair.size, pair.size, 3)
    return kind(weights=None, input_shape=shape, classifier_activation=None, **pair.keras_options)


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


def _line(pair: Pair, row: Row) -> str:
    if "error" in row:
        return f"{row['pair']}: {row['error']}"
    named = {**compared(pair, row["findings"]), "unexplained": row["unexplained"]}
    causes = ", ".join(f"{found['cause']} ({found['places']})" for found in row["findings"])
    plain = f" plain {row['plain']:.2g} {row['plain_verdict']}" if "plain" in row else ""
    wrong = "".join(f"; {key.upper()}: {value}" for key, value in named.items() if value)
    errors = f"{row['naive']:.2g} ->{plain} {row['after']:.2g} {row['verdict']}"
    return f"{row['pair']}: {errors}; {causes}; {row['changes']}{wrong}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="names of pairs, or how they begin: ResNet50-torchvision.resnet50")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seconds", type=float, default=1200, help="the most that one pair may take")
    parser.add_argument("--no-render", action="store_true", help="leave docs/pairs.md as it is")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    return parsed(parser, QUICK)


if __name__ == "__main__":
    sys.exit(main())
