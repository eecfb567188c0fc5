"""Every network of the zoo, every partner, both ways: files as they are published, loaded, converted, compared.

python -m benchmarks.zoo [--only resnet50 resnet50/torchvision.resnet50 ...] [--no-render]

One process for each row, small networks first. The networks are whole, with seeded, live weights. Their files are
written in the layout in which their owners publish them, into caches of their own, and `xconv.zoo.load` finds them
there under their published names. What it returns is compared with what the file was written from, in float64. The
pictures are small, for the time that it takes. The exit code is 1 where a row is not exact.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import zoo_page
from benchmarks.loading import load_torchvision
from benchmarks.machine import context_of
from benchmarks.measure import answer, run_arm, spent
from benchmarks.options import parsed
from benchmarks.stored import FOLDER, append, read
from xconv.zoo.catalogue import networks
from xconv.zoo.records import Network, Partner

RESULTS = FOLDER / "zoo.jsonl"
QUICK = {"only": ["mobilenet_v2/torchvision.mobilenet_v2"]}
VERSIONS = ("xconv", "torch", "torchvision", "timm", "keras", "tensorflow", "numpy")
SIZE = (65, 79)
SIZES = {
    "MobileNet": (64, 96),  # its uneven pads are those of 'same' on even maps alone
    "VGG16": (224, 224),  # in torch its classifier wants a map of 7 x 7
    "VGG19": (224, 224),
    "InceptionV3": (79, 97),
    "InceptionResNetV2": (79, 97),
    "Xception": (74, 96),
}
DEVIATIONS = {"mean": (0.485, 0.456, 0.406), "variance": (0.229, 0.224, 0.225)}
"""What the published files of EfficientNet hold."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A network by itself, converted, or with one partner."""

    network: Network
    partner: Partner | None = None

    @property
    def name(self) -> str:
        """What `--only` takes; the network's name takes all its rows."""
        own = self.network.name
        return own if self.partner is None else f"{own}/{self.partner.library}.{self.partner.name}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pictures, channels last."""
        return (*SIZES.get(self.network.keras, SIZE), 3)


def cases() -> list[Case]:
    """All rows, small networks first."""
    found = [Case(network, partner) for network in networks() for partner in (None, *network.partners)]
    return sorted(found, key=lambda case: case.network.trainable)


def main() -> int:
    options = _options()
    if options.row:
        answer(measure(next(case for case in cases() if case.name == options.row)))
        return 0
    context = context_of(*VERSIONS)
    only = options.only or ()
    wanted = [case for case in cases() if not only or {case.name, case.network.name} & {*only}]
    if options.resume:
        done = {row["row"] for row in read(options.results) if row.get("ok")}
        wanted = [case for case in wanted if case.name not in done]
    for case in wanted:
        memory = int(options.memory * 2**30)
        found = run_arm("benchmarks.zoo", "--row", case.name, timeout=options.seconds, memory=memory)
        row = {"row": case.name, **_described(case), **found, **context}
        append(options.results, row)
        print(_line(row), flush=True)
        if not options.no_render:
            zoo_page.write()
    newest = {row["row"]: row for row in read(options.results)}
    good = [case for case in wanted if newest.get(case.name, {}).get("ok")]
    print(f"{len(good)} of {len(wanted)} exact")
    return 0 if len(good) == len(wanted) else 1


def measure(case: Case) -> Row:
    """One row: every way, its error and the time that loading took."""
    load_torchvision()
    from tests.published import caches

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, caches(Path(folder)):
        ways = list(_from_keras(case))
        if case.partner is not None:
            gc.collect()
            ways += _from_torch(case)
    return {"ways": ways, "ok": all(way["ok"] for way in ways), "seconds": spent(start)}


# -- from Keras -------------------------------------------------------------------------------------------------------


def _from_keras(case: Case) -> Iterator[Row]:
    """From the files of keras.applications: converted, or into the partner's class."""
    from tests.published import plant
    from xconv import zoo

    network, form = case.network, {"input_shape": case.shape, "framework": "keras"}
    for top in (True, False):
        shape = {"include_top": top, "pooling": None if top else "avg"}
        seeded = zoo.load(network.name, weights=None, seed=1, **form, **shape)
        _as_published(seeded)
        published = network.published[0]
        planted = plant(published.file if top else published.no_top, "keras", seeded)
        digests = _digests(seeded)
        del seeded
        gc.collect()
        yield from _planted(case, planted, digests, top=top)


def _digests(model: Any) -> list[str]:
    """Of every weight of a Keras model, in float64: the model itself need not be held to be compared."""
    return [sha256(array.astype("float64").tobytes()).hexdigest() for array in model.get_weights()]


def _planted(case: Case, planted: Any, digests: Sequence[str], *, top: bool) -> Iterator[Row]:
    from tests.published import republished
    from xconv.zoo.fetch import fetch

    with republished(planted):
        # With their top Keras takes published weights at one size alone, and the file at any.
        weights = fetch(planted, "keras") if top else "imagenet"
        options = {"weights": weights, "input_shape": case.shape, "dtype": "float64", "classifier_activation": None}
        options |= {"include_top": top, "pooling": None if top else "avg"}
        yield from _compared(case, digests, options, "with top" if top else "without top")


def _compared(case: Case, digests: Sequence[str], options: Row, form: str) -> Iterator[Row]:
    from xconv import zoo

    partner = case.partner
    if partner is not None and case.network.inside:
        options = {**options, "include_preprocessing": False}
    reference = zoo.load(case.network.name, framework="keras", **options)
    same = [*digests] == _digests(reference)
    if partner is None:
        yield _way("converted", form, lambda: zoo.load(case.network.name, **options), reference, same)
        return
    options |= {"library": partner.library, "destination": "stock"}
    name, reference = _called(case), _bare(reference)
    for geometry in _geometries(partner) if form == "with top" else [partner.geometry]:
        yield _way(
            geometry,
            form,
            lambda geometry=geometry: zoo.load(name, geometry=geometry, **options),
            reference,
            same,
            turned=geometry == "rotated",
        )


def _as_published(model: Any) -> None:
    """An EfficientNet's Normalization with the numbers that its published files hold."""
    layer = model.layers[2]
    if type(layer).__name__ == "Normalization" and layer.weights:
        for weight in layer.weights:
            if weight.name in DEVIATIONS:
                weight.assign(DEVIATIONS[weight.name])
        layer.finalize_state()


# -- from torch -------------------------------------------------------------------------------------------------------


def _from_torch(case: Case) -> Iterator[Row]:
    """From the partner's files: converted to Keras, or into keras.applications."""
    from contextlib import ExitStack

    import torch

    from tests.published import plant, republished
    from xconv import zoo

    partner, name = case.partner, _called(case)
    own = {"source": partner.library, "input_shape": case.shape}
    seeded = zoo.load(name, weights=None, seed=2, destination="stock", **own)
    published = partner.published[0] if partner.published else None
    with ExitStack() as stack:
        if published is None:
            options = {**own, "weights": seeded.state_dict()}
        else:
            stack.enter_context(republished(plant(published.file, partner.library, seeded)))
            options = {**own, "weights": published.tag}
        loaded = zoo.load(name, destination="stock", **options)
        same = all(torch.equal(a, b) for a, b in zip(seeded.parameters(), loaded.parameters(), strict=True))
        del loaded
        if getattr(seeded, "transform_input", False):
            seeded.transform_input = False  # which nothing that it is made into does
        options |= {"framework": "keras"}
        yield _way("converted", "from torch", lambda: zoo.load(name, **options), seeded, same)
        options |= {"destination": "stock", "dtype": "float64"}
        # Built for weights of its own, such a class has even pads.
        for geometry in ["adapted", "rotated"] if "pad_type" in partner.options else _geometries(partner):
            yield _way(
                geometry,
                "from torch",
                lambda geometry=geometry: zoo.load(name, geometry=geometry, **options),
                seeded,
                same,
                turned=geometry == "rotated",
            )


# -- comparing --------------------------------------------------------------------------------------------------------


def _way(geometry: str, form: str, load: Any, reference: Any, same: bool, *, turned: bool = False) -> Row:
    """One model loaded, and compared with the one that the file was written from."""
    import torch

    import xconv
    from xconv import zoo

    gc.collect()  # models hold themselves in circles, and the largest fit into memory once only
    start = time.perf_counter()
    try:
        model = load()
    except xconv.XConvError as error:
        what = str(error).partition("\n")[0]
        return {"way": geometry, "form": form, "file": same, "error": None, "verdict": what, "ok": False}
    seconds = spent(start)
    a, b = reference, _bare(model) if form == "from torch" and geometry != "converted" else model
    if turned:
        a, b = (_Turned(each) if isinstance(each, torch.nn.Module) else each for each in (a, b))
    report = xconv.verify(a, b)
    error = max((one.float64.max_rel for one in report.outputs if one.float64), default=None)
    return {
        "way": geometry,
        "form": form,
        "file": same,
        "error": error,
        "noise_floor": report.noise_floor,
        "verdict": str(report.verdict),
        "told": zoo.origin(model).verdict,
        "load_seconds": seconds,
        "ok": same and report.ok,
    }


def _Turned(module: Any) -> Any:  # noqa: N802 - it makes a module
    """A torch module that turns its picture by 180 degrees first."""
    import torch

    class Turned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x.flip(-2, -1))

    return Turned()


def _geometries(partner: Partner) -> list[str]:
    return [partner.geometry, *(["rotated"] if partner.rotates else [])]


def _called(case: Case) -> str:
    """The name that means this partner, where its library has several classes of the network."""
    alike = [one for one in case.network.partners if one.library == case.partner.library]
    return case.network.name if len(alike) == 1 else case.partner.name


def _bare(model: Any) -> Any:
    """A Keras model behind the scaling that it begins with; its partners have none."""
    from xconv.zoo.keras_networks import without_scaling

    return without_scaling(model)


def _described(case: Case) -> Row:
    partner = case.partner
    return {
        "network": case.network.name,
        "library": partner.library if partner else "",
        "class": partner.name if partner else "",
        "parameters": case.network.trainable,
        "size": list(case.shape[:2]),
    }


def _line(row: Row) -> str:
    if "error" in row:
        return f"{row['row']}: {row['error']}"
    worst = max((way["error"] or 0 for way in row["ways"]), default=0)
    bad = [f"{way['way']} {way['form']}: {way['verdict']}" for way in row["ways"] if not way["ok"]]
    return f"{row['row']}: {len(row['ways'])} ways, {worst:.1e}, {row['seconds']:.0f} s {'; '.join(bad)}".rstrip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", help="networks, or rows such as resnet50/torchvision.resnet50")
    parser.add_argument("--resume", action="store_true", help="leave out rows that are exact already")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seconds", type=float, default=3600, help="the most that one row may take")
    parser.add_argument("--memory", type=float, default=16, help="the most that it may hold, in GiB")
    parser.add_argument("--no-render", action="store_true", help="leave docs/zoo.md as it is")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    return parsed(parser, QUICK)


if __name__ == "__main__":
    sys.exit(main())
