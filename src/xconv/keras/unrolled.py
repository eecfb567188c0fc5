"""An RNN around a cell of the user's own, called step after step, so that it can be traced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["Unrolled", "is_own"]

CELLS = ("LSTMCell", "GRUCell", "SimpleRNNCell")


def is_own(layer: Any) -> bool:
    """Whether any cell of a live RNN is of a class that is not Keras's."""
    return any(type(cell).__name__ not in CELLS or not _is_keras(cell) for cell in _cells(layer.cell))


def _is_keras(cell: Any) -> bool:
    return type(cell).__module__.startswith("keras.")


def _cells(cell: Any) -> Iterator[Any]:
    """The cells, those of nested stacks one after the other."""
    if type(cell).__name__ == "StackedRNNCells" and _is_keras(cell):
        for inner in cell.cells:
            yield from _cells(inner)
    else:
        yield cell


class Unrolled:
    """What the RNN computes, in calls of its cells and operations; a layer as far as tracing asks for one."""

    def __init__(self, layer: Any) -> None:
        self.layer, self.name, self.dtype_policy = layer, layer.name, layer.dtype_policy
        self.autocast, self.compute_dtype = layer.autocast, layer.compute_dtype
        self._convert_input_args = layer._convert_input_args
        self._trainable_variables: list[Any] = []
        self._non_trainable_variables: list[Any] = []
        self.cells = list(_cells(layer.cell))

    def _flatten_layers(self) -> list[Any]:
        """The layer itself and its cells, as Keras's layers list what is in them."""
        found: list[Any] = self.layer._flatten_layers()
        return found

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: Any = None) -> Any:
        """The outputs and states of all steps.

        Raises:
            ValueError: how many steps there are is known at run time only, or what a cell does is not in its call.
        """
        from keras import ops, tree

        self._check(sequences)
        layer = self.layer
        given = tree.flatten(initial_state) if initial_state is not None else self._zeros(sequences)
        states = self._shared_out(given)
        order = range(sequences.shape[1])
        outputs: list[Any] = []
        for place in reversed(order) if layer.go_backwards else order:
            output, made = self._step(sequences[:, place], states)
            if mask is not None:
                valid = ops.expand_dims(mask[:, place], -1)
                before = outputs[-1] if outputs and not layer.zero_output_for_mask else ops.zeros_like(output)
                output = ops.where(valid, output, before)
                made = tree.map_structure(lambda new, old, v=valid: ops.where(v, new, old), made, states)
            outputs.append(output)
            states = made
        result = ops.stack(outputs, 1) if layer.return_sequences else outputs[-1]
        return (result, *tree.flatten(states)) if layer.return_state else result

    def _check(self, sequences: Any) -> None:
        if sequences.shape[1] is None:
            raise ValueError("an RNN around a cell of one's own needs a fixed number of steps")
        if self.layer.stateful:
            raise ValueError("it is stateful: its result depends on the batches before")
        for cell in self.cells:
            if not _is_keras(cell) and hasattr(cell, "get_initial_state"):
                raise ValueError(f"{type(cell).__name__} makes its first states itself; give initial_state")
            if getattr(cell, "dropout", 0) or getattr(cell, "recurrent_dropout", 0):
                raise ValueError(f"{type(cell).__name__} drops the same features in all steps")

    def _sizes(self, cell: Any) -> list[int]:
        sizes = cell.state_size
        return [sizes] if isinstance(sizes, int) else list(sizes)

    def _zeros(self, sequences: Any) -> list[Any]:
        """States of zeros for as many samples as there are."""
        from keras import ops

        nothing = ops.zeros_like(sequences[:, 0, :1])
        return [ops.repeat(nothing, size, axis=-1) for cell in self.cells for size in self._sizes(cell)]

    def _shared_out(self, given: list[Any]) -> list[list[Any]]:
        """The states of each cell."""
        rest = iter(given)
        return [[next(rest) for _ in self._sizes(cell)] for cell in self.cells]

    def _step(self, x: Any, states: list[list[Any]]) -> tuple[Any, list[list[Any]]]:
        """The output of the last cell, and the states of all."""
        from keras import tree

        made = []
        for cell, own in zip(self.cells, states, strict=True):
            x, new = cell(x, own)
            made.append(tree.flatten(new))
        return x, made
