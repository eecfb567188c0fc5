"""What the two models are fed: channels reversed, another scale, axes mistaken, an image resized otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xconv.comparison.case import Case
from xconv.comparison.trial import Mend, Trial
from xconv.diagnosis.records import Place, Suspicion
from xconv.statistics import Array, compare

__all__ = ["feeding"]

EXACT = 1e-5
"""Two images are one up to this share of their range: float32 preprocessing rounds."""
MODES = {
    "x / 127.5 - 1": (1 / 127.5, -1.0),
    "x / 255": (1 / 255, 0.0),
    "x * 255": (255.0, 0.0),
    "(x + 1) * 127.5": (127.5, 127.5),
}


def feeding(case: Case) -> Iterator[Suspicion]:
    """For every input, how what `b` is fed is made of what `a` is fed."""
    for place, (ours, theirs) in enumerate(zip(*case.feeds, strict=False)):
        if ours.shape != theirs.shape or ours.dtype.kind != "f" or np.array_equal(ours, theirs):
            continue
        mistakes = _mistakes(ours.astype(np.float64), theirs.astype(np.float64))
        name = case.a.graph.input_values()[place].node
        for mistake in mistakes:
            yield Suspicion(
                mistake.cause,
                mistake.text,
                (Place(name, case.b.graph.input_values()[place].node, *mistake.said),),
                mistake.remedy,
                _undoing(place, mistake, mistakes),
                hint=mistake.hint,
            )


@dataclass(frozen=True, slots=True)
class Mistake:
    """One step by which what `a` is fed becomes what `b` is fed."""

    cause: str
    text: str
    said: tuple[str, str]
    remedy: str
    made: Callable[[Array], Array]
    hint: str = ""


def _undoing(place: int, mistake: Mistake, mistakes: Sequence[Mistake]) -> Mend:
    """The remedy that leaves one mistake out of what `b` is fed, and makes the others as before."""

    def mend(trial: Trial) -> Trial:
        undone = trial.undone | {f"{place}/{mistake.cause}"}
        array = trial.feeds_a[place]
        for step in mistakes:
            if f"{place}/{step.cause}" not in undone:
                array = step.made(array)
        feeds = tuple(array if i == place else other for i, other in enumerate(trial.feeds_b))
        return replace(trial, feeds_b=feeds, undone=undone)

    return mend


def _mistakes(ours: Array, theirs: Array) -> list[Mistake]:
    """The layout first, then the order of channels, then their scale; what is none of these is told as it is."""
    for layout in (None, *LAYOUTS):
        seen = ours if layout is None else layout.seen(ours)
        if seen is None:
            continue
        for reverse in (False, True):
            if reverse and (seen.ndim < len("NCW") or seen.shape[1] < len("RG")):
                continue
            scale = _scale(seen[:, ::-1] if reverse else seen, theirs)
            if scale is not None:
                return list(_steps(layout, reverse, *scale))
    text = "the two are fed images that no change of layout, channels or scale makes one"
    hint = "another resize, crop or decoder: compare them with xconv.diagnose(preprocess_a, preprocess_b)"
    said = "its image", f"another, {compare(theirs, ours).max_rel:.2g} away"
    return [Mistake("resize", text, said, "feed both the same pixels", lambda _: theirs, hint)]


@dataclass(frozen=True, slots=True)
class Layout:
    """A mistake in the order of the axes, as the arrays are seen channels-first."""

    text: str
    remedy: str
    kind: str

    def made(self, array: Array) -> Array:
        """What a model is fed by this mistake in place of `array`."""
        if self.kind == "view":
            return np.ascontiguousarray(np.moveaxis(array, 1, -1)).reshape(array.shape)
        return array.swapaxes(-1, -2) if self.kind == "sides" else np.moveaxis(array, 1, -1)

    def seen(self, array: Array) -> Array | None:
        """The same where its sizes allow it, else None."""
        if array.ndim < len("NCHW"):
            return None
        made = self.made(array)
        return made if made.shape == array.shape else None


LAYOUTS = (
    Layout("channels-last pixels are read channels-first: reshaped, not permuted", "x.permute(0, 3, 1, 2)", "view"),
    Layout("channels come last where they belong first; the sizes happen to fit", "x.permute(0, 3, 1, 2)", "last"),
    Layout("height and width are exchanged", "x.transpose(-1, -2)", "sides"),
)


def _scale(ours: Array, theirs: Array) -> tuple[Array, Array] | None:
    """Factor and offset of every channel that make the one of the other; None where there are none."""
    axes_over = tuple(axis for axis in range(ours.ndim) if axis != 1)
    if ours.ndim == 1:
        axes_over = (0,)
    mean_a, mean_b = ours.mean(axes_over, keepdims=True), theirs.mean(axes_over, keepdims=True)
    spread = ((ours - mean_a) ** 2).sum(axes_over, keepdims=True)
    if not np.all(spread > 0):
        return None
    factor = ((ours - mean_a) * (theirs - mean_b)).sum(axes_over, keepdims=True) / spread
    offset = mean_b - factor * mean_a
    reach = float(np.ptp(theirs)) or 1.0
    return (factor, offset) if np.abs(factor * ours + offset - theirs).max() <= EXACT * reach else None


def _steps(layout: Layout | None, reverse: bool, factor: Array, offset: Array) -> Iterator[Mistake]:
    if layout is not None:
        yield Mistake("input_layout", layout.text, ("as it is", layout.kind), layout.remedy, layout.made)
    if reverse:
        text, remedy = "the channels come in reverse: BGR against RGB", "x[:, [2, 1, 0]]"
        yield Mistake("channel_order", text, ("RGB", "BGR"), remedy, lambda array: array[:, ::-1])
    if not (np.allclose(factor, 1, atol=1e-6) and np.allclose(offset, 0, atol=1e-6)):
        said = _in_words(factor.ravel(), offset.ravel())
        text = f"b is fed {said}, where x is what a is fed"
        yield Mistake("scaling", text, ("x", said), "scale the images as for a", lambda array: factor * array + offset)


def _in_words(factor: Array, offset: Array) -> str:
    """A scale by its well-known name, or by its numbers.

    >>> _in_words(np.full(3, 1 / 127.5), np.full(3, -1.0))
    'x / 127.5 - 1'
    """
    for name, (f, o) in MODES.items():
        if np.allclose(factor, f, rtol=1e-4) and np.allclose(offset, o, atol=1e-4):
            return name
    if np.ptp(factor) < EXACT * abs(factor[0]) and np.ptp(offset) < EXACT * max(1.0, abs(offset[0])):
        return f"{factor[0]:.6g} * x + {offset[0]:.6g}"
    return f"{_listed(factor)} * x + {_listed(offset)} by channel"


def _listed(numbers: Array) -> str:
    return f"({', '.join(f'{number:.4g}' for number in numbers)})"
