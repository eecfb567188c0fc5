"""A call of torch's recurrent operators, which are stacks of layers or cells, as one `Op` for each layer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xconv import axes
from xconv.errors import Unsupported
from xconv.layers.activation import Activation
from xconv.layers.concat import Stack
from xconv.layers.dropout import Dropout
from xconv.layers.expand import ExpandDims
from xconv.layers.reshape import Permute
from xconv.layers.slicing import WHOLE, Slicing
from xconv.layers.unary import Unary
from xconv.spec import AtenCall, Computed, Made, Op, Rows, Slot, Spec
from xconv.weights import Weight

__all__ = ["direction_roles", "op_of_whole", "ops_of_cell", "ops_of_stack"]

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

    def __init__(self, call: AtenCall) -> None:
        self.ops: list[Op] = []
        self.kind = call.op.partition("_")[0]
        self.states = 2 if self.kind == "lstm" else 1
        self.layers, self.directions = call["num_layers"], 2 if call["bidirectional"] else 1
        self.params: Sequence[Weight] = call["params"]
        self.has_biases, self.batch_first = bool(call["has_biases"]), bool(call["batch_first"])
        self.per = 2 + self.has_biases * 2
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
            made, held = _weights_of(self.kind, kernel, recurrent, biases)
            computed |= {f"{role}{suffix}": item for role, item in made.items()}
            weights |= {f"{role}{suffix}": item for role, item in held.items()}
        return computed, weights


def _weights_of(
    kind: str, kernel: Weight, recurrent: Weight, biases: Sequence[Weight]
) -> tuple[dict[str, Computed], dict[str, Weight]]:
    """The weights of one direction, those that are computed apart."""
    if kind == "gru":
        made = {
            "kernel": Computed(_update_first(kernel), ORDER),
            "recurrent": Computed(_update_first(recurrent), ORDER),
        }
        if biases:
            made["bias"] = Computed((*_update_first(biases[0]), *_update_first(biases[1])), ORDER)
        return made, {}
    return _summed(biases), {"kernel": kernel, "recurrent": recurrent}


def _summed(biases: Sequence[Weight]) -> dict[str, Computed]:
    """Two biases that count as one."""
    if not biases:
        return {}
    return {"bias": Computed((tuple(Rows(bias, 0, biases[0].shape[0]) for bias in biases),), SUM)}


def ops_of_cell(call: AtenCall, recurrent: Callable[..., Spec]) -> Sequence[Op]:
    """A cell of torch: a layer of one step.

    Raises:
        Unsupported: weights that the network computes, no states, no batch.
    """
    call.get("input")
    kind = call.op.partition("_")[0]
    roles = [role for role in ("w_ih", "w_hh", "b_ih", "b_hh") if call.get(role) is not None]
    held = [call[role] for role in roles]
    if not all(isinstance(weight, Weight) for weight in held):
        raise Unsupported(f"{call.op} with weights that the network computes from its input")
    if len(call.inputs[0]) != 2:
        raise Unsupported(f"{call.op} without a batch", remedy="give it a batch")
    kernel, state, *biases = held
    given = call["hx"]
    states = list(given) if isinstance(given, (list, tuple)) else [given]
    steps = [Op(ExpandDims((1,)), {}, "step", (Slot(0),))]
    if any(isinstance(item, Slot) for item in states):
        zeros = next(item for item in states if isinstance(item, Slot))
        for place, item in enumerate(states):
            if not isinstance(item, Slot):
                steps.append(Op(Unary("zeros_like"), {}, "zeros", (zeros,)))
                states[place] = Made(len(steps) - 1)
    else:
        states = []
    spec = recurrent(
        kind,
        kernel.shape[1],
        state.shape[1],
        sequences=False,
        states=kind == "lstm",
        activation="relu" if "relu" in call.op else "tanh",
    )
    computed, weights = _weights_of(kind, kernel, state, biases)
    place = len(steps)
    returns = (Made(place, 1), Made(place, 2)) if kind == "lstm" else None
    return (*steps, Op(spec, weights, "", (Made(0), *states), computed, returns))


def op_of_whole(call: AtenCall, recurrent: Callable[..., Spec]) -> Op:
    """A layer of xconv's own that is more than a call of torch's kernel."""
    said = json.loads(call["settings"])
    params: Sequence[Weight] = call["params"]
    for key in ("activation", "gate"):
        if not isinstance(said[key], str):
            name, parameters = said[key]
            said[key] = Activation(name, tuple(parameters.items()))
    mask, states = call["mask"], call["states"]
    per = len(params) // (1 + said["both"])
    computed: dict[str, Computed] = {}
    weights: dict[str, Weight] = {}
    for way, suffix in enumerate(("", "_reverse")[: 1 + said["both"]]):
        kernel, state, *biases = params[way * per : (way + 1) * per]
        weights |= {f"kernel{suffix}": kernel, f"recurrent{suffix}": state}
        if said["kind"] == "gru":
            weights |= {f"bias{suffix}": bias for bias in biases}
        else:
            computed |= {f"{role}{suffix}": item for role, item in _summed(biases).items()}
    spec = recurrent(features=params[0].shape[1], units=params[1].shape[1], masked=mask is not None, **said)
    inputs = (call["x"], *(() if mask is None else (mask,)), *states)
    return Op(spec, weights, "", inputs, computed)


def _update_first(weight: Weight) -> tuple[tuple[Rows], ...]:
    """The rows of a GRU's gates, which torch orders reset, update, new, in Keras's order."""
    size = weight.shape[0] // 3
    return tuple((Rows(weight, gate * size, (gate + 1) * size),) for gate in (1, 0, 2))
