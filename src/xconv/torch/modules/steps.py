"""Recurrent layers step by step, for what torch's kernels cannot say; and masks, step by step or through a kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from xconv.layers.activation import Activation, activation_op
from xconv.torch.targets import resolve_target

__all__ = ["Cell", "Drops", "Named", "Weights", "drawn", "function_of", "masked_kernel", "masked_step", "stepwise"]

Named: TypeAlias = "str | tuple[str, dict[str, Any]]"
"""An activation by Keras's name, or by its name and its parameters."""

Drops: TypeAlias = "Sequence[Tensor]"
"""What inputs or states are multiplied by in training: nothing, one tensor for all gates, or one for each gate."""

Kernel: TypeAlias = Callable[[Tensor, "Sequence[Tensor]"], "tuple[Tensor, Sequence[Tensor]]"]


@dataclass(frozen=True, slots=True)
class Weights:
    """Rows in Keras's order of gates; for a GRU that resets after the product, `bias` is two, one after the other."""

    kernel: Tensor
    recurrent: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """What one step computes: 'lstm', 'gru' or 'rnn', with the functions of its state and of its gates."""

    kind: str
    activation: Callable[[Tensor], Tensor]
    gate: Callable[[Tensor], Tensor]
    reset_after: bool = True


def function_of(name: Named) -> nn.Module:
    """The module of an activation.

    >>> function_of("hard_sigmoid"), function_of(("elu", {"alpha": 0.5}))
    (Hardsigmoid(), ELU(alpha=0.5))
    """
    spec = activation_op(name).spec if isinstance(name, str) else Activation(name[0], tuple(name[1].items()))
    call = spec.to_torch({}, ())
    module: nn.Module = resolve_target(call.target)(**call.config)
    return module


def drawn(x: Tensor, rate: float, count: int) -> Drops:
    """One dropout mask like `x` for all gates, or one for each of `count`; none where nothing is dropped."""
    return [functional.dropout(torch.ones_like(x), rate) for _ in range(count)] if rate else ()


def stepwise(
    cell: Cell,
    weights: Weights,
    x: Tensor,
    states: Sequence[Tensor],
    mask: Tensor | None = None,
    *,
    zeros: bool = False,
    drops: tuple[Drops, Drops] = ((), ()),
) -> tuple[Tensor, Sequence[Tensor]]:
    """The outputs of all steps and the final states, one step after the other; `drops` are of inputs and of states.

    A step that the mask leaves out keeps the states and repeats the output before it (zeros at first), or with
    `zeros` gives zeros.
    """
    inputs, (recurrent, state_bias) = _prepared(cell, weights, x, drops[0])
    outputs: list[Tensor] = []
    for place, step in enumerate(inputs.unbind(1)):
        made = _step(cell, step, states, Weights(weights.kernel, recurrent, state_bias), drops[1])
        output = made[0]
        if mask is not None:
            before = outputs[-1] if outputs and not zeros else torch.zeros_like(output)
            output, made = masked_step(mask[:, place], output, before, made, states)
        outputs.append(output)
        states = made
    return torch.stack(outputs, 1), states


def masked_step(
    valid: Tensor, output: Tensor, before: Tensor, made: Sequence[Tensor], states: Sequence[Tensor]
) -> tuple[Tensor, Sequence[Tensor]]:
    """The output and the states after a step that counts only where it is valid."""
    counts = valid.reshape(-1, *(1,) * (output.dim() - 1))
    kept = [torch.where(counts, new, old) for new, old in zip(made, states, strict=True)]
    return torch.where(counts, output, before), kept


def _prepared(cell: Cell, weights: Weights, x: Tensor, drops: Drops) -> tuple[Tensor, tuple[Tensor, Tensor | None]]:
    """The inputs' part of all gates of all steps; the recurrent weights, and the bias of the states."""
    bias, state_bias = weights.bias, None
    if cell.kind == "gru" and cell.reset_after and bias is not None:
        bias, state_bias = bias.chunk(2)
    inputs = _product(x, weights.kernel, [drop.unsqueeze(1) for drop in drops])
    return inputs if bias is None else inputs + bias, (weights.recurrent, state_bias)


def _product(x: Tensor, weight: Tensor, drops: Drops) -> Tensor:
    """x times a weight, with what is dropped of x, for all gates or for each of them."""
    if len(drops) < 2:
        return functional.linear(x * drops[0] if drops else x, weight)
    parts = zip(weight.chunk(len(drops)), drops, strict=True)
    return torch.cat([functional.linear(x * drop, part) for part, drop in parts], -1)


def _step(cell: Cell, step: Tensor, states: Sequence[Tensor], weights: Weights, drops: Drops) -> Sequence[Tensor]:
    """The states after one step; the first of them is the output."""
    h = states[0]
    if cell.kind == "gru":
        return (_gru(cell, step, h, weights, drops),)
    product = step + _product(h, weights.recurrent, drops)
    if cell.kind == "rnn":
        return (cell.activation(product),)
    enter, forget, new, out = product.chunk(4, -1)
    c = cell.gate(forget) * states[1] + cell.gate(enter) * cell.activation(new)
    return cell.gate(out) * cell.activation(c), c


def _gru(cell: Cell, step: Tensor, h: Tensor, weights: Weights, drops: Drops) -> Tensor:
    size = 2 * h.shape[-1]
    if cell.reset_after:
        product = _product(h, weights.recurrent, drops)
        product = product if weights.bias is None else product + weights.bias
        update, reset = cell.gate(step[:, :size] + product[:, :size]).chunk(2, -1)
        new = reset * product[:, size:]
    else:
        gates, last = weights.recurrent[:size], weights.recurrent[size:]
        update, reset = cell.gate(step[:, :size] + _product(h, gates, drops[:2])).chunk(2, -1)
        new = functional.linear(reset * (h * drops[-1] if drops else h), last)
    return update * h + (1 - update) * cell.activation(step[:, size:] + new)


def masked_kernel(
    kernel: Kernel, x: Tensor, states: Sequence[Tensor], mask: Tensor, *, zeros: bool
) -> tuple[Tensor, Tensor]:
    """The outputs and the final h of a kernel that knows no masks: the valid steps of each row come first.

    What the kernel computes of the steps behind them is not taken.
    """
    order = torch.argsort((~mask).to(torch.int8), dim=1, stable=True)
    outputs, _ = kernel(_taken(x, order), states)
    place = mask.long().cumsum(1) - 1
    spread = _taken(outputs, place.clamp(min=0))
    counts = mask if zeros else place >= 0
    last = place[:, -1:]
    h = torch.where(last >= 0, _taken(outputs, last.clamp(min=0))[:, 0], states[0])
    return torch.where(counts.unsqueeze(-1), spread, torch.zeros_like(spread)), h


def _taken(x: Tensor, places: Tensor) -> Tensor:
    """For every row, the steps at these places."""
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
