"""A call of torch's recurrent operators, which are stacks of layers, as one `Op` for each layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.concat import Stack
from xconv.layers.dropout import Dropout
from xconv.layers.reshape import Permute
from xconv.layers.slicing import WHOLE, Slicing
from xconv.layers.unary import Unary
from xconv.spec import AtenCall, Computed, Made, Op, Rows, Slot, Spec
from xconv.weights import Weight

__all__ = ["direction_roles", "ops_of_stack"]

SUM = "bias_ih and bias_hh become one bias, their sum, which is all that counts"
ORDER = "the gates stand in Keras's order: update, reset, new"


def direction_roles(weights: Mapping[str, Any], both: bool) -> tuple[str, ...]:
    """The roles of the weights in Keras's order: all of the first direction, then all of the second."""
    roles = [role for role in ("kernel", "recurrent", "bias") if role in weights]
    return (*roles, *(f"{role}_reverse" for role in roles)) if both else tuple(roles)


def ops_of_stack(call: AtenCall, recurrent: Callable[..., Spec]) -> Sequence[Op]:
    """The layers of a call, the dropout between them, and what turns time to the front and back.

    Raises:
        Unsupported: packed sequences, projections, a sequence without a batch.
    """
    if call.get("batch_sizes") is not None:
        raise Unsupported(f"{call.op} on packed sequences", remedy="give it the padded sequences")
    if len(call.inputs[0]) != 3:
        raise Unsupported(f"{call.op} without a batch", remedy="give it a batch of sequences")
    call.get("input")
    call.get("train")
    stack = _Stack(call)
    first = stack.turned(Slot(0))
    current, final = first, []
    for place in range(stack.layers):
        spec = recurrent(
            stack.kind,
            stack.params[place * stack.directions * stack.per].shape[1],
            stack.units,
            stack.directions == 2,
            states=True,
            activation="relu" if call.op == "rnn_relu" else "tanh",
            reset_after=not stack.ours,
        )
        inputs = (current, *stack.initial(place))
        computed, weights = stack.weights(place)
        name = f"l{place}" if stack.layers > 1 else ""
        made = stack.add(Op(spec, weights, name, inputs, computed))
        count = stack.directions * stack.states
        final += [Made(made.op, index) for index in range(1, count + 1)]
        current = made
        if call["dropout"] and place < stack.layers - 1:
            current = stack.add(Op(Dropout(float(call["dropout"])), {}, f"dropout{place}", (current,)))
    outputs = [stack.turned(current)]
    for index in range(stack.states):
        each = tuple(final[index :: stack.states])
        outputs.append(stack.add(Op(Stack(0), {}, "hc"[index], each)))
    *before, last = stack.ops
    return (*before, Op(last.spec, last.weights, last.name, last.inputs, last.computed, tuple(outputs)))


class _Stack:
    """The Ops of one call so far, and what its arguments say."""

    ours: bool
    """Whether it is xconv's own GRU that resets before the product, with Keras's weights."""

    def __init__(self, call: AtenCall) -> None:
        self.ops: list[Op] = []
        self.kind = call.op.partition("_")[0]
        self.ours = call.op == "gru_reset_before"
        self.states = 2 if self.kind == "lstm" else 1
        self.layers, self.directions = call["num_layers"], 2 if call["bidirectional"] else 1
        self.params: Sequence[Weight] = call["params"]
        self.has_biases, self.batch_first = bool(call["has_biases"]), bool(call["batch_first"])
        self.per = 2 + self.has_biases * (1 if self.ours else 2)
        if not all(isinstance(weight, Weight) for weight in self.params):
            raise Unsupported(f"{call.op} with weights that the network computes from its input")
        if len(self.params) != self.layers * self.directions * self.per:
            what = f"{call.op} with proj_size, whose states Keras's layer cannot project"
            raise Unsupported(what, remedy="train it without proj_size")
        self.units = self.params[1].shape[1]
        given = call["hx"]
        self.hx: list[Any] = list(given) if isinstance(given, (list, tuple)) else [given]
        for item in self.hx:
            if not isinstance(item, Slot) and item is not None:
                raise Unsupported(f"{call.op} with initial states that are no tensors of the network")

    def add(self, op: Op) -> Made:
        """One more Op; what it makes."""
        self.ops.append(op)
        return Made(len(self.ops) - 1)

    def turned(self, value: Slot | Made) -> Slot | Made:
        """Time and batch change places where time is first."""
        if self.batch_first:
            return value
        return self.add(Op(Permute(axes.move_axis(3, 0, 1)), {}, "time", (value,)))

    def initial(self, layer: int) -> tuple[Made, ...]:
        """The initial states of each direction of a layer; none where all are zeros."""
        if not any(isinstance(item, Slot) for item in self.hx):
            return ()
        result: list[Made] = []
        for place in range(layer * self.directions, (layer + 1) * self.directions):
            for item in self.hx:
                zeros = not isinstance(item, Slot)
                source = next(other for other in self.hx if isinstance(other, Slot)) if zeros else item
                picked = self.add(Op(Slicing((place, WHOLE, WHOLE)), {}, f"initial{place}", (source,)))
                result.append(self.add(Op(Unary("zeros_like"), {}, "zeros", (picked,))) if zeros else picked)
        return tuple(result)

    def weights(self, layer: int) -> tuple[dict[str, Computed], dict[str, Weight]]:
        """The weights of a layer's directions, those that are computed apart."""
        computed: dict[str, Computed] = {}
        weights: dict[str, Weight] = {}
        for way, suffix in enumerate(("", "_reverse")[: self.directions]):
            start = (layer * self.directions + way) * self.per
            kernel, recurrent, *biases = self.params[start : start + self.per]
            if self.ours:
                weights |= {f"kernel{suffix}": kernel, f"recurrent{suffix}": recurrent}
                weights |= {f"bias{suffix}": bias for bias in biases}
                continue
            if self.kind == "gru":
                computed[f"kernel{suffix}"] = Computed(_update_first(kernel), ORDER)
                computed[f"recurrent{suffix}"] = Computed(_update_first(recurrent), ORDER)
                if biases:
                    blocks = (*_update_first(biases[0]), *_update_first(biases[1]))
                    computed[f"bias{suffix}"] = Computed(blocks, ORDER)
                continue
            weights |= {f"kernel{suffix}": kernel, f"recurrent{suffix}": recurrent}
            if biases:
                size = biases[0].shape[0]
                computed[f"bias{suffix}"] = Computed((tuple(Rows(bias, 0, size) for bias in biases),), SUM)
        return computed, weights


def _update_first(weight: Weight) -> tuple[tuple[Rows], ...]:
    """The rows of a GRU's gates, which torch orders reset, update, new, in Keras's order."""
    size = weight.shape[0] // 3
    return tuple((Rows(weight, gate * size, (gate + 1) * size),) for gate in (1, 0, 2))
