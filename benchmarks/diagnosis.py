"""How often `xconv.diagnose` names the right cause at the right place: mistakes planted one, two and three at a time.

python -m benchmarks.diagnosis [--only vgg lstm] [--times] [--seed 0] [--no-render]

Every mistake of benchmarks/mutations.py is planted in a copy of a network that agrees with its Keras twin. The first
finding must be that cause, and one of its places the one where it was planted; where several are planted, all must be
found. Twins without a mistake must give no finding. With --times, ResNets of keras.applications are also diagnosed
against torchvision's, for the seconds and how they grow with the nodes; `--only --times` measures nothing else. The
tables go into docs/diagnosis.md.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import diagnosis_page
from benchmarks.loading import load_torchvision
from benchmarks.machine import context_of
from benchmarks.mutations import SUBJECTS, Mutation, Subject, mutations_of, planted
from benchmarks.options import parsed
from benchmarks.stored import FOLDER, append

RUNS = 2
RESULTS = FOLDER / "diagnosis.jsonl"
QUICK = {"only": ["lstm"]}
VERSIONS = ("xconv", "torch", "torchvision", "keras", "tensorflow", "numpy")

Row = dict[str, Any]


def main() -> int:
    options = _options()
    load_torchvision()
    context = context_of(*VERSIONS)
    names = options.only if options.only is not None else list(SUBJECTS)
    rows = []
    for row in itertools.chain(*(measure(SUBJECTS[name], options.seed) for name in names)):
        append(options.results, {"kind": "planted", **row, **context})
        rows.append(row)
        print(_line(row), flush=True)
    for row in times() if options.times else ():
        append(options.results, {"kind": "time", **row, **context})
        print(_time_line(row), flush=True)
    if not options.no_render:
        diagnosis_page.write()
    good = [row for row in rows if row["cause_right"] and row["place_right"]]
    print(f"{len(good)} of {len(rows)}: right causes at the right places")
    return 0 if len(good) == len(rows) else 1


def times(sizes: Sequence[int] = (64, 96)) -> Iterator[Row]:
    """Rows of seconds for ResNets of growing depth, keras.applications against torchvision, live weights in both.

    Everything is loaded before, by a small pair. Of two runs the shorter counts. Processor seconds are those that this
    process was given; other work beside it changes them less.
    """
    import keras
    from torchvision import models

    import xconv
    from xconv.alignment import align
    from xconv.comparison.opened import open_pair

    xconv.diagnose(*twins(SUBJECTS["vgg"]))
    for depth in (50, 101, 152):
        build = getattr(keras.applications, f"ResNet{depth}")
        reference = xconv.randomize(build(weights=None, input_shape=(*sizes, 3), classifier_activation=None))
        module = models.get_model(f"resnet{depth}", weights=None).eval()
        ours, theirs = open_pair(reference, module)
        nodes = len(ours.graph.nodes)
        aligning = min(_spent(lambda: align(ours.graph, theirs.graph)) for _ in range(RUNS))  # noqa: B023
        diagnosing = min(_spent(lambda: xconv.diagnose(reference, module)) for _ in range(RUNS))  # noqa: B023
        row = {"align_processor": aligning[0], "align_seconds": aligning[1]}
        row |= {"diagnose_processor": diagnosing[0], "diagnose_seconds": diagnosing[1]}
        per_node = {key.replace("_processor", "_per_node"): row[key] / nodes for key in row if "_processor" in key}
        yield {"subject": f"ResNet{depth}", "nodes": nodes, **row, **per_node}


def _spent(work: Callable[[], Any]) -> tuple[float, float]:
    """The seconds of the processor, and those of the clock."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - processor, time.perf_counter() - clock


def twins(subject: Subject, seed: int = 0) -> tuple[Any, Any]:
    """A Keras model and the torch module that it was made of, with live weights."""
    import torch

    import xconv

    torch.manual_seed(seed)
    module = subject.build().eval()
    xconv.randomize(module, seed, inputs=(example(subject),))
    return xconv.torch_to_keras(module, example(subject)), module


def example(subject: Subject) -> Any:
    """A batch for the torch module."""
    import torch

    generator = torch.Generator().manual_seed(1)
    if subject.high:
        return torch.randint(0, subject.high, (2, *subject.shape), generator=generator)
    return torch.randn(2, *subject.shape, generator=generator)


def measure(subject: Subject, seed: int = 0) -> Iterator[Row]:
    """The rows of one subject: without a mistake, with each, with seeded pairs and triples."""
    reference, module = twins(subject, seed)
    table = mutations_of(subject.name)
    yield judge(subject, reference, module, ())
    for mutation in table:
        yield judge(subject, reference, module, (mutation,))
    for several in together(table, seed):
        yield judge(subject, reference, module, several)


def together(table: Sequence[Mutation], seed: int) -> list[tuple[Mutation, ...]]:
    """Pairs and triples of mistakes of different causes at different places, a seeded choice."""
    free = [m for m in table if m.cause not in ("mode", "features", "dtype", "momentum") and m.place]
    chosen = []
    for size, how_many in ((2, 4), (3, 2)):
        fitting = [group for group in itertools.combinations(free, size) if _apart(group)]
        places = np.random.default_rng((seed, size)).permutation(len(fitting))[:how_many]
        chosen += [fitting[place] for place in sorted(places)]
    return chosen


def _apart(group: Sequence[Mutation]) -> bool:
    causes = {m.cause for m in group}
    heads = {m.place.split(".")[0] if m.place.count(".") < 1 else ".".join(m.place.split(".")[:2]) for m in group}
    whole = any("forward" in m.make.__qualname__ and not m.place.count(".") for m in group)
    return len(causes) == len(group) == len(heads) and not whole


def judge(subject: Subject, reference: Any, module: Any, mutations: Sequence[Mutation]) -> Row:
    """One diagnosis against what was planted."""
    import xconv

    start = time.perf_counter()
    found = xconv.diagnose(reference, planted(module, mutations))
    seconds = time.perf_counter() - start
    right = [_found(mutation, found.findings) for mutation in mutations]
    if not mutations:
        causes = places = not found.findings and found.agree
    elif len(mutations) == 1:
        causes = bool(found.findings) and found.findings[0].cause in mutations[0].cause.split("|")
        places = right[0]
    else:
        named = {finding.cause for finding in found.findings}
        causes = all(named & set(mutation.cause.split("|")) for mutation in mutations)
        places = all(right)
    return {
        "subject": subject.name,
        "planted": [f"{m.cause} at {m.place or 'all'}{f': {m.note}' if m.note else ''}" for m in mutations],
        "found": [f.cause for f in found.findings],
        "cause_right": bool(causes),
        "place_right": bool(places),
        "superfluous": max(0, len(found.findings) - len(mutations)),
        "explained": found.explained,
        "error": _plain(found.error),
        "left": _plain(found.left),
        "unexplained": found.unexplained,
        "seconds": seconds,
    }


def _plain(number: float) -> float | str:
    """A number as JSON has it."""
    return number if math.isfinite(number) else str(number)


def _found(mutation: Mutation, findings: Sequence[Any]) -> bool:
    """Whether a finding of the right cause names the place."""
    for finding in findings:
        if finding.cause in mutation.cause.split("|"):
            paths = [path for place in finding.places for path in (place.a.replace(">", "."), place.b)]
            if not mutation.place or any(path.startswith(mutation.place) for path in paths):
                return True
    return False


def _line(row: Row) -> str:
    mark = "ok " if row["cause_right"] and row["place_right"] else "BAD"
    planted_text = "; ".join(row["planted"]) or "nothing"
    extra = "" if row["explained"] else f" unexplained {row['left']}: {row['unexplained'][:120]}"
    return f"{mark} {row['subject']:20} {planted_text}  ->  {', '.join(row['found']) or 'nothing'}{extra}"


def _time_line(row: Row) -> str:
    words = [
        f"{name} {row[f'{name}_processor']:.3g} s of the processor ({row[f'{name}_seconds']:.3g} s of the clock), "
        f"{1000 * row[f'{name}_per_node']:.3g} ms per node"
        for name in ("align", "diagnose")
    ]
    return f"{row['subject']}: {row['nodes']} nodes; {'; '.join(words)}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=tuple(SUBJECTS))
    parser.add_argument("--times", action="store_true", help="also the seconds of ResNets of growing depth")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the choice of several mistakes")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-render", action="store_true", help="leave docs/diagnosis.md as it is")
    return parsed(parser, QUICK)


if __name__ == "__main__":
    sys.exit(main())
