"""The examples of recurrent layers: every class and option of Keras's and torch's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from xconv.layers.recurrent import GATES, KINDS
from xconv.spec import Example, Slot, TorchExample

__all__ = ["recurrent_examples", "recurrent_torch_examples"]

STEPS = (6, 5)
"""Six steps of five features."""

VALID: dict[str, Any] = {"args": (Slot(0),), "kwargs": {"mask": Slot(1)}, "values": "normal boolean"}
"""What an example with a mask is called with."""

Shapes = tuple[tuple[int, ...], ...]


def recurrent_examples() -> Iterator[Example]:
    """Keras's classes."""
    for kind in KINDS:
        yield from _plain(kind)
        yield from _masked(kind)
        yield from _wrapped(kind)
        yield from _random(kind)
        yield from _stateful(kind)
    yield from _activations()
    yield from _reset_before()
    yield from _unlike()
    yield from _of_cells()
    yield from _cells()


def shapes_of(kind: str, units: int = 3, features: int = 5, *, use_bias: bool = True, rows: int = 2) -> Shapes:
    """The weights of a layer or a cell; `rows` is how many biases a GRU has."""
    wide = GATES[KINDS[kind]] * units
    bias = (rows, wide) if kind == "GRU" and rows > 1 else (wide,)
    return ((features, wide), (units, wide), *((bias,) if use_bias else ()))


def serialised(kind: str, **config: Any) -> dict[str, Any]:
    """A layer inside another's config."""
    named = {"name": "inner", **config}
    return {"module": "keras.layers", "class_name": kind, "registered_name": None, "config": named}


def _plain(kind: str) -> Iterator[Example]:
    """All steps and the last one, states given and taken, backward, without a bias, unrolled."""
    shapes = shapes_of(kind)
    yield Example(kind, (STEPS,), {"units": 3}, shapes)
    yield Example(kind, (STEPS,), {"units": 3, "return_sequences": True, "go_backwards": True}, shapes)
    config = {"units": 3, "return_state": True, "use_bias": False, "unroll": True}
    yield Example(kind, (STEPS,), config, shapes_of(kind, use_bias=False))
    count = 2 if kind == "LSTM" else 1
    states = [Slot(place) for place in range(1, count + 1)]
    given: dict[str, Any] = {"args": (Slot(0),), "kwargs": {"initial_state": states}}
    yield Example(kind, (STEPS, *((3,),) * count), {"units": 3, "return_state": True}, shapes, **given)


def _masked(kind: str) -> Iterator[Example]:
    """A mask with all steps and with the last one, zeros, backward, states given and taken, both ways."""
    shapes, inputs = shapes_of(kind), (STEPS, (6,))
    yield Example(kind, inputs, {"units": 3}, shapes, **VALID)
    backward = {"units": 3, "return_sequences": True, "go_backwards": True}
    yield Example(kind, inputs, backward, shapes, **VALID)
    zeros = {"units": 3, "return_sequences": True, "zero_output_for_mask": True}
    yield Example(kind, inputs, zeros, shapes, **VALID)
    count = 2 if kind == "LSTM" else 1
    states = [Slot(place) for place in range(2, count + 2)]
    given = {**VALID, "kwargs": {"initial_state": states, "mask": Slot(1)}}
    given["values"] = " ".join(["normal", "boolean", *["normal"] * count])
    config = {"units": 3, "return_sequences": True, "return_state": True}
    yield Example(kind, (*inputs, *((3,),) * count), config, shapes, **given)
    for sequences in (True, False):
        both = _bidirectional(kind, "concat", return_sequences=sequences, return_state=sequences)
        yield Example("Bidirectional", inputs, both, shapes * 2, **VALID)


def _wrapped(kind: str) -> Iterator[Example]:
    """Every merge of a Bidirectional, states given and taken."""
    shapes = shapes_of(kind)
    for merge in ("concat", "sum", "mul", "ave"):
        config = _bidirectional(kind, merge, return_sequences=merge in ("concat", "ave"))
        yield Example("Bidirectional", (STEPS,), config, shapes * 2)
    config = _bidirectional(kind, None, return_sequences=True, return_state=True)
    yield Example("Bidirectional", (STEPS,), config, shapes * 2)
    count = 4 if kind == "LSTM" else 2
    states = [Slot(place) for place in range(1, count + 1)]
    given: dict[str, Any] = {"args": (Slot(0),), "kwargs": {"initial_state": states}}
    config = _bidirectional(kind, "sum", return_state=True)
    yield Example("Bidirectional", (STEPS, *((3,),) * count), config, shapes * 2, **given)


def _random(kind: str) -> Iterator[Example]:
    """Dropout of inputs and of states."""
    shapes = shapes_of(kind)
    yield Example(kind, (STEPS,), {"units": 3, "dropout": 0.25}, shapes, trains=False)
    config = {"units": 3, "dropout": 0.25, "recurrent_dropout": 0.5, "return_sequences": True}
    yield Example(kind, (STEPS,), config, shapes, trains=False)


def _stateful(kind: str) -> Iterator[Example]:
    """States that are kept from call to call: all steps, the last one, with a mask, both ways, of several cells."""
    shapes, kept = shapes_of(kind), {"units": 3, "stateful": True}
    yield Example(kind, (STEPS,), {**kept, "return_sequences": True, "go_backwards": True}, shapes)
    yield Example(kind, (STEPS, (6,)), {**kept, "return_state": True}, shapes, **VALID)
    both = _bidirectional(kind, "concat", stateful=True, return_sequences=True)
    yield Example("Bidirectional", (STEPS,), both, shapes * 2)
    cells = _stack(serialised(f"{kind}Cell", units=3), serialised("GRUCell", units=2))
    yield Example("RNN", (STEPS,), {"cell": cells, "stateful": True}, (*shapes, *shapes_of("GRU", 2, 3)))


def _activations() -> Iterator[Example]:
    """Activations that torch's kernels lack, by name and with parameters."""
    yield Example("SimpleRNN", (STEPS,), {"units": 3, "activation": "relu"}, shapes_of("SimpleRNN"))
    yield Example("SimpleRNN", (STEPS,), {"units": 3, "activation": None}, shapes_of("SimpleRNN"))
    other = {"units": 3, "activation": "softsign", "recurrent_activation": "tanh", "return_sequences": True}
    yield Example("LSTM", (STEPS,), other, shapes_of("LSTM"))
    yield Example("GRU", (STEPS,), other, shapes_of("GRU"))
    elu = {"units": 3, "activation": serialised("ELU", alpha=0.5), "return_state": True}
    yield Example("LSTM", (STEPS,), elu, shapes_of("LSTM"))
    both = _bidirectional("GRU", "concat", recurrent_activation="softsign", return_sequences=True)
    yield Example("Bidirectional", (STEPS, (6,)), both, shapes_of("GRU") * 2, **VALID)


def _reset_before() -> Iterator[Example]:
    """A GRU whose reset gate acts before the product."""
    before = {"units": 3, "reset_after": False}
    shapes = shapes_of("GRU", rows=1)
    yield Example("GRU", (STEPS,), before, shapes)
    both = _bidirectional("GRU", "concat", return_sequences=True, return_state=True, reset_after=False)
    yield Example("Bidirectional", (STEPS,), both, shapes * 2)
    yield Example("GRU", (STEPS,), {**before, "use_bias": False, "go_backwards": True}, shapes[:2])
    yield Example("GRU", (STEPS, (6,)), {**before, "return_sequences": True}, shapes, **VALID)


def _unlike() -> Iterator[Example]:
    """A Bidirectional of two layers that are not the same.

    Keras states the shapes of the second as if it were the first, so both have one size and one number of states.
    """
    options = {"units": 3, "return_sequences": True}
    back = serialised("GRU", **options, go_backwards=True)
    config: dict[str, Any] = {"merge_mode": "ave", "layer": serialised("LSTM", **options), "backward_layer": back}
    shapes = (*shapes_of("LSTM"), *shapes_of("GRU"))
    yield Example("Bidirectional", (STEPS,), config, shapes)
    ahead = serialised("SimpleRNN", **options, return_state=True)
    back = serialised("GRU", **options, return_state=True, go_backwards=True)
    config = {"merge_mode": None, "layer": ahead, "backward_layer": back}
    yield Example("Bidirectional", (STEPS, (6,)), config, (*shapes_of("SimpleRNN"), *shapes_of("GRU")), **VALID)
    turned = serialised("LSTM", units=3, activation="relu", go_backwards=True)
    config = {"merge_mode": "concat", "layer": turned, "backward_layer": serialised("LSTM", units=3)}
    yield Example("Bidirectional", (STEPS,), config, shapes_of("LSTM") * 2)
    cells = serialised("RNN", cell=serialised("LSTMCell", units=3), return_sequences=True)
    yield Example("Bidirectional", (STEPS,), {"merge_mode": "mul", "layer": cells}, shapes_of("LSTM") * 2)
    stacked = _stack(serialised("GRUCell", units=2), serialised("GRUCell", units=3))
    cells = serialised("RNN", cell=stacked, return_sequences=True)
    twice = (*shapes_of("GRU", 2), *shapes_of("GRU", 3, 2)) * 2
    yield Example("Bidirectional", (STEPS, (6,)), {"merge_mode": "sum", "layer": cells}, twice, **VALID)


def _of_cells() -> Iterator[Example]:
    """RNN around one cell, around several, around stacks in stacks."""
    yield Example("RNN", (STEPS,), {"cell": serialised("LSTMCell", units=3)}, shapes_of("LSTM"))
    stacked = _stack(
        serialised("LSTMCell", units=3), serialised("GRUCell", units=2), serialised("SimpleRNNCell", units=4)
    )
    shapes = (*shapes_of("LSTM"), *shapes_of("GRU", 2, 3), *shapes_of("SimpleRNN", 4, 2))
    config = {"cell": stacked, "return_sequences": True, "return_state": True}
    yield Example("RNN", (STEPS,), config, shapes)
    backward = {**config, "go_backwards": True}
    yield Example("RNN", (STEPS, (6,)), {**backward, "zero_output_for_mask": True}, shapes, **VALID)
    yield Example("RNN", (STEPS, (6,)), {"cell": stacked}, shapes, **VALID)
    nested = _stack(serialised("GRUCell", units=2), _stack(serialised("LSTMCell", units=3)))
    yield Example("RNN", (STEPS,), {"cell": nested}, (*shapes_of("GRU", 2), *shapes_of("LSTM", 3, 2)))


def _cells() -> Iterator[Example]:
    """Cells that are called by themselves."""
    for kind in KINDS:
        count = 2 if kind == "LSTM" else 1
        states = [Slot(place) for place in range(1, count + 1)]
        args = (Slot(0), states)
        yield Example(f"{kind}Cell", ((5,), *((3,),) * count), {"units": 3}, shapes_of(kind), args)
    cells = [serialised("LSTMCell", units=3), serialised("GRUCell", units=2)]
    nested: tuple[Any, ...] = (Slot(0), [[Slot(1), Slot(2)], [Slot(3)]])
    shapes = (*shapes_of("LSTM"), *shapes_of("GRU", 2, 3))
    yield Example("StackedRNNCells", ((5,), (3,), (3,), (2,)), {"cells": cells}, shapes, nested)


def _stack(*cells: Mapping[str, Any]) -> dict[str, Any]:
    return serialised("StackedRNNCells", cells=list(cells))


def _bidirectional(kind: str, merge: str | None, **options: Any) -> dict[str, Any]:
    """The config of a Bidirectional around a layer of 3 units."""
    return {"merge_mode": merge, "layer": serialised(kind, units=3, **options)}


def recurrent_torch_examples() -> Iterator[TorchExample]:
    """torch's classes."""
    for target in ("LSTM", "GRU", "RNN"):
        common = {"input_size": 5, "hidden_size": 3, "batch_first": True}
        name = f"torch.nn.{target}"
        yield TorchExample(name, (STEPS,), common)
        yield TorchExample(name, (STEPS,), {**common, "num_layers": 2, "bidirectional": True})
        yield TorchExample(name, (STEPS,), {**common, "bias": False, "bidirectional": True})
        random = {**common, "num_layers": 2, "dropout": 0.3}
        yield TorchExample(name, (STEPS,), random, trains=False)
        cell = {"input_size": 5, "hidden_size": 3}
        yield TorchExample(f"{name}Cell", ((5,),), cell)
        given: Any = (Slot(1), Slot(2)) if target == "LSTM" else Slot(1)
        shapes = ((5,), (3,), (3,)) if target == "LSTM" else ((5,), (3,))
        yield TorchExample(f"{name}Cell", shapes, {**cell, "bias": False}, args=(Slot(0), given))
    relu = {"input_size": 5, "hidden_size": 3, "batch_first": True, "nonlinearity": "relu"}
    yield TorchExample("torch.nn.RNN", (STEPS,), relu)
    yield TorchExample("torch.nn.RNNCell", ((5,),), {"input_size": 5, "hidden_size": 3, "nonlinearity": "relu"})
