"""LSTM, GRU and SimpleRNN with weights in torch's order of gates; `recurrent_weights` puts them so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from xconv.errors import Unsupported
from xconv.onnx.call import Call

__all__ = ["GATES", "RECURRENT", "recurrent_weights"]

GATES: Mapping[str, tuple[int, ...]] = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where each of torch's gates stands in ONNX: input, output, forget, cell; update, reset, new."""
INPUTS: Mapping[str, Sequence[int]] = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}
ACTIVATIONS: Mapping[str, tuple[bytes, ...]] = {"LSTM": (b"Sigmoid", b"Tanh", b"Tanh"), "GRU": (b"Sigmoid", b"Tanh")}


def recurrent_weights(kind: str, arrays: Sequence[Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The kernels and biases of an ONNX layer under torch's names; `arrays` are its inputs W, R and, if given, B."""
    weights: dict[str, np.ndarray[Any, Any]] = {}
    for direction in range(arrays[0].shape[0]):
        suffix = "_l0_reverse" if direction else "_l0"
        for name, array in zip(("weight_ih", "weight_hh"), arrays, strict=False):
            weights[name + suffix] = _gates(kind, array[direction])
        if len(arrays) > 2:
            halves = np.split(arrays[2][direction], 2)
            for name, half in zip(("bias_ih", "bias_hh"), halves, strict=True):
                weights[name + suffix] = _gates(kind, half)
    return weights


def _gates(kind: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    parts = np.split(array, len(GATES[kind]))
    return np.concatenate([parts[place] for place in GATES[kind]])


def _recurrent(call: Call) -> tuple[torch.Tensor, ...]:
    """One layer in one or both directions: the sequence as (steps, directions, batch, units), then final states."""
    hidden, directions = call.get("hidden_size"), 2 if call.get("direction", b"forward") == b"bidirectional" else 1
    backwards, batch_first = call.get("direction", b"forward") == b"reverse", bool(call.get("layout", 0))
    if batch_first:
        raise Unsupported(f"{call.kind} with layout=1", remedy="export the model with steps first")
    activation = _check(call, directions)
    value = torch.flip(call.tensor(0), [0]) if backwards else call.tensor(0)
    states = [_state(call, place, value, directions, hidden) for place in INPUTS[call.kind]]
    weights = list(call.weights.values())
    options = (weights, len(weights) > 2 * directions, 1, 0.0, False, directions == 2, True)
    rows = value.transpose(0, 1)
    if call.kind == "LSTM":
        sequence, *final = torch.lstm(rows, states, *options)
    elif call.kind == "GRU":
        sequence, *final = torch.gru(rows, states[0], *options)
    else:
        run = torch.rnn_relu if activation == b"Relu" else torch.rnn_tanh
        sequence, *final = run(rows, states[0], *options)
    sequence = sequence.transpose(0, 1)
    sequence = torch.flip(sequence, [0]) if backwards else sequence
    if directions == 1:
        return sequence.unsqueeze(1), *final
    return torch.stack([sequence[..., i * hidden : (i + 1) * hidden] for i in range(2)], dim=1), *final


def _check(call: Call, directions: int) -> bytes:
    """Refuse what torch's layers have no setting for; the activation of a simple layer."""
    found = tuple(call.get("activations") or ())
    call.only("clip", 0.0)
    call.only("input_forget", 0)
    for name in ("activation_alpha", "activation_beta"):
        call.only(name, [], None)
    if call.kind == "GRU" and not call.get("linear_before_reset", 0):
        raise Unsupported("GRU that resets before its product (linear_before_reset=0)", remedy="use reset_after=True")
    if call.has(4) and not _is_whole(call):
        raise Unsupported(f"{call.kind} over sequences of several lengths", remedy="pad them")
    if call.has(7):
        raise Unsupported(f"{call.kind} with peepholes", remedy="no framework here has them")
    wanted = ACTIVATIONS.get(call.kind)
    if wanted is None:
        if len(set(found)) > 1 or (found and found[0] not in (b"Tanh", b"Relu")):
            raise Unsupported(f"RNN with the activations {found}")
        return found[0] if found else b"Tanh"
    if found and found != wanted * directions:
        raise Unsupported(f"{call.kind} with the activations {[name.decode() for name in found]}")
    return b""


def _is_whole(call: Call) -> bool:
    """Whether all sequences are as long as the input has steps."""
    lengths = call.inputs[4]
    steps = call.tensor(0).shape[0]
    return isinstance(lengths, np.ndarray) and all(item == steps for item in lengths.reshape(-1))


def _state(call: Call, place: int, value: torch.Tensor, directions: int, hidden: int) -> torch.Tensor:
    """A state to begin with: as given, or zeros."""
    if call.has(place):
        return call.tensor(place)
    return torch.zeros(directions, value.shape[1], hidden, dtype=value.dtype)


RECURRENT: Mapping[str, Callable[[Call], Any]] = dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent)
