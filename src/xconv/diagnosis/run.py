"""`xconv.diagnose(a, b)`: both models read and aligned, every cause looked for, every remedy tried on a copy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from xconv.causes import CAUSES, STATES
from xconv.comparison.case import Case, open_case
from xconv.comparison.evaluation import Memory, run_graph
from xconv.comparison.opened import is_keras
from xconv.comparison.trial import Trial, apart
from xconv.diagnosis.as_given import Outcome, run_as_given
from xconv.diagnosis.feeding import feeds_of
from xconv.diagnosis.records import Diagnosis, Finding
from xconv.diagnosis.trials import Trials
from xconv.errors import InvalidInput, XConvError
from xconv.inputs import perturbed
from xconv.statistics import Array, compare

__all__ = ["diagnose"]

NUDGE = 1e-15
NOISY = 1e-6
"""An error below this may be the network's own noise."""
FORMS = frozenset({"attention", "features", "input_layout", "layer_order", "missing_layers", "residual"})
"""Causes that are another way of saying the same where two networks agree; a setting such as ReLU6 for ReLU is not: it
may show on other inputs."""
SEEN = 1e-5
"""A departure below this is rounding."""
CALLS = 4
"""So often a model is called that is not what it means, until it shows that this is chance."""
SIZE = 65, 79, 43
"""What to try for sizes that both models leave open."""


def diagnose(
    a: Any,
    b: Any,
    inputs: Any = None,
    *,
    inputs_b: Any = None,
    input_shape: Any = None,
    seed: int = 0,
    batch: int = 2,
    rtol: float = 1e-10,
) -> Diagnosis:
    """Why two models differ: every cause with its places, its measured effect and its remedy.

    Both are read into one form and aligned without looking at names. Every difference that is found is tried: its
    remedy is applied to a copy of `b`, both are run in float64, and what is left of the error tells its effect. What
    the models are as they stand (training mode, chance, low precision) is measured by running them. Neither model is
    changed.

    Two preprocessings are compared in the same way: callables, or names such as "keras.applications.resnet50" and
    "torchvision ResNet50_Weights.IMAGENET1K_V2". `inputs` is then an image: a path, an array, or None for a picture
    that xconv makes.

    Args:
        a: What `b` should be: a live Keras or tf_keras model, a torch module, an ExportedProgram, or the path of a
            .keras, .h5, .pt2 or .safetensors file.
        b: The same.
        inputs: Arrays, nested as `a` takes them and in its layout; by default seeded noise.
        inputs_b: What `b` is fed, where its own preprocessing makes something else of the same examples, in its layout.
        input_shape: The shape of an input without the batch, channels-first, or a list of shapes; needed where neither
            model says it (two torch modules), and for sizes that both leave open.
        seed: Of the noise.
        batch: Its number of examples.
        rtol: The relative error in float64 up to which two outputs are the same.

    Returns:
        A `Diagnosis`: findings ranked by effect, the error as it is and with all remedies together, and where what no
        remedy removes begins. `str()` is text, `to_dict()` plain data.

    Raises:
        InvalidInput: neither model tells its input shape, or inputs that do not fit.
        Unreadable, Unknown, Unsupported: a model that cannot be read.
    """
    from xconv.probing import diagnose_preprocessing, is_preprocessing

    if is_preprocessing(a) and is_preprocessing(b):
        return diagnose_preprocessing(a, b, inputs)
    for given in (a, b):
        if is_preprocessing(given) and not is_keras(given) and not hasattr(given, "parameters"):
            what = f"{getattr(given, '__qualname__', None) or given} is a preprocessing, the other is a model"
            remedy = "give two models or two preprocessings; what each model is fed goes into inputs= and inputs_b="
            raise InvalidInput(what, remedy=remedy)
    started = time.perf_counter()
    case = open_case(a, b, input_shape=input_shape, meant=True)
    feeds = feeds_of(case, inputs, inputs_b, seed, batch, SIZE)
    case = replace(case, feeds=feeds, given=inputs is not None)
    memory = Memory()
    sides = _outcomes(case, memory)
    plain = Trial(case.a.graph, case.b.graph, *case.feeds)
    suspicions = [suspicion for cause in CAUSES for suspicion in cause(case)]
    if apart(sides[0].meant, sides[1].meant) <= rtol:
        suspicions = [suspicion for suspicion in suspicions if suspicion.cause not in FORMS]
    trials = Trials(plain, suspicions, sides[0].meant, sides[1].meant, memory).told(rtol)
    mended, left = trials.together()
    found = [*trials.findings(), *_of_states(case, sides)]
    return Diagnosis(
        a=f"{case.a.name} ({case.a.framework})",
        b=f"{case.b.name} ({case.b.framework})",
        findings=tuple(sorted(found, key=_rank)),
        error=trials.error([]),
        left=left,
        as_given=sides[1].given.against(sides[0].given.first or ()),
        tolerance=rtol,
        floor=_floor(case, sides[0].meant, seed) if rtol < left < NOISY else 0.0,
        unexplained=_beginning(case, mended, left, memory) if left > rtol else "",
        notes=tuple(_notes(case, sides)),
        seconds=time.perf_counter() - started,
    )


def _outcomes(case: Case, memory: Memory) -> tuple[Outcome, Outcome]:
    """What either side returns as it is, and what it means."""
    found = []
    for opened, feeds in zip((case.a, case.b), case.feeds, strict=True):
        meant = tuple(run_graph(opened.graph, feeds, memory=memory, remember=opened is case.b))
        outcome = Outcome(opened, run_as_given(opened, feeds), meant)
        if outcome.departure > SEEN and not outcome.given.unrest:
            outcome = replace(outcome, given=run_as_given(opened, feeds, CALLS))
        found.append(outcome)
    ours, theirs = found
    return ours, theirs


def _of_states(case: Case, sides: Sequence[Outcome]) -> Iterator[Finding]:
    """What makes a side depart from what it means; of several possible causes the first that finds something."""
    for side, feeds in zip(sides, case.feeds, strict=True):
        found = next((list(found) for cause in STATES if (found := [*cause(case, side, feeds)])), [])
        for suspicion in found:
            alone, after = suspicion.measured or (None, None)
            yield Finding(
                suspicion.cause, suspicion.text, suspicion.places, suspicion.remedy, alone, after, suspicion.hint
            )


def _rank(finding: Finding) -> tuple[bool, float]:
    return finding.alone is None, -(finding.alone or 0.0)


def _floor(case: Case, known: Sequence[Array], seed: int) -> float:
    """How far the outputs of `a` move when its inputs move by a few units in the last place."""
    moved = run_graph(case.a.graph, perturbed(case.feeds[0], NUDGE, seed=seed))
    return max(compare(one, other).max_rel for one, other in zip(moved, known, strict=True))


def _beginning(case: Case, mended: Trial, left: float, memory: Memory) -> str:
    """Where what no remedy removes begins: the first pair of nodes whose values differ."""
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    try:
        run_graph(mended.a, mended.feeds_a, ours, memory)
        run_graph(mended.b, mended.feeds_b, theirs, memory)
    except XConvError as error:
        return f"the mended copy cannot be run: {error}"
    for a, b in case.pairs():
        if a.name not in ours or b.name not in theirs:
            continue
        one, other = ours[a.name], theirs[b.name]
        if one.shape != other.shape:
            return f"{a.name} <-> {b.name}: shape {one.shape} against {other.shape}"
        found = compare(other, one).max_rel
        if found > max(1e-12, left * 1e-3):
            return f"a relative error of {left:.2g}, which begins at {a.name} <-> {b.name} ({found:.2g} there)"
    return f"a relative error of {left:.2g}; no layer that both have shows where it begins"


def _notes(case: Case, sides: Sequence[Outcome]) -> Iterator[str]:
    for side in sides:
        if side.given.first is not None and side.departure:
            name, framework = side.opened.name, side.opened.framework
            yield f"{name} ({framework}), as it is, is {side.departure:.2g} from what it means in float64"
    for pair in case.alignment.unsure:
        yield f"not sure that {pair.a} is {pair.b}: another layer would fit as well"
