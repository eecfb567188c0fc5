"""LSTM and GRU: gates in another order, directions or biases in each other's place."""

from __future__ import annotations

from collections.abc import Iterator

from xconv.causes.arrays import Apart, compared
from xconv.causes.forms import Form
from xconv.causes.told import arranged, exchanged_back, names_of, places_of, rearranged_back
from xconv.comparison.case import Case, spelled
from xconv.diagnosis.records import Suspicion
from xconv.layers.recurrent import Recurrent

__all__ = ["gate_order"]

RESET_FIRST = 1, 0, 2
"""The gates of torch's GRU as places in Keras's order: reset, update, new."""


def gate_order(case: Case) -> Iterator[Suspicion]:
    """Recurrent layers whose arrays hold the blocks of `a` in other places."""
    for says, found in arranged(case, "gate_order").items():
        chosen = [item for item, _ in found]
        yield Suspicion(
            "gate_order",
            f"in {', '.join(names_of(chosen))} the numbers are {says}",
            places_of(chosen, "the same numbers", says),
            _remedy(case, *found[0]),
            rearranged_back(found),
            hint="Keras and torch both order an LSTM as i, f, c, o; a GRU is z, r, h in Keras and r, z, n in torch",
        )
    swapped = [item for item in compared(case).apart if item.source != item.role and isinstance(item.b.spec, Recurrent)]
    if swapped:
        yield Suspicion(
            "gate_order",
            f"in {', '.join(names_of(swapped))} the forward and the backward direction have each other's numbers",
            places_of(swapped, "its own", "that of the other direction"),
            "xconv.transfer(a, b)",
            exchanged_back(swapped),
        )


def _remedy(case: Case, apart: Apart, form: Form) -> str:
    spec = apart.b.spec
    module = _module(case, apart)
    if not module or not form.order or not isinstance(spec, Recurrent) or spec.both:
        return "xconv.transfer(a, b)"
    order = form.order
    if spec.kind == "gru":
        order = tuple(RESET_FIRST.index(form.order[place]) for place in RESET_FIRST)
    parts = f"w.data.chunk({len(order)})[i] for i in {order}"
    return f"for w in {module}.parameters(): w.data = torch.cat([{parts}])"


def _module(case: Case, apart: Apart) -> str:
    """The torch module of one layer that has the parameters of this one alone."""
    if case.b.framework != "torch" or not hasattr(case.b.model, "get_submodule"):
        return ""
    module = case.b.model.get_submodule(apart.b.layer or apart.b.name)
    return spelled(case.b, apart.b) if getattr(module, "num_layers", 0) == 1 else ""
