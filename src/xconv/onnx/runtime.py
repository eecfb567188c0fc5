"""An ONNX model that is run by onnxruntime: one side of a verification, or a witness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xconv import axes
from xconv.errors import InvalidInput, Unsupported
from xconv.frameworks import require
from xconv.inputs import Feed, as_dtype
from xconv.onnx.files import open_model
from xconv.sides import Named, NoKernel, Whole
from xconv.statistics import Array
from xconv.torch.record import Port, Record
from xconv.torch.run import fitting

__all__ = ["OnnxSide"]

TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{f"tensor({name})": name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
}
KEPT_LAYOUT = ("tf2onnx", "keras")
"""Who writes images as Keras has them."""


class OnnxSide(Whole):
    """An ONNX model in onnxruntime on the CPU, in the precision in which it is written and in no other.

    `assume` says how its layouts correspond to those of the other side, as for a torch module.
    """

    framework = "onnx"

    def __init__(self, source: Any, name: str = "", record: Record | None = None) -> None:
        runtime = require("onnxruntime", "onnx", "running an ONNX model")
        self.model, own = open_model(source)
        self.name = name or own
        self.record: Record | None = record
        self.notes: list[str] = []
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 0
        try:
            self.session = runtime.InferenceSession(
                self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's errors have no common class but this
            text = str(error).strip().partition("\n")[0]
            what = f"onnxruntime {runtime.__version__} cannot run it: {text}"
            kind = NoKernel if "NOT_IMPLEMENTED" in text else Unsupported
            raise kind(what, place=self.name, remedy="export it with another opset, or in float32") from error

    @property
    def dtype(self) -> str:
        """The precision of the model's numbers."""
        kinds = [TYPES.get(item.type, "") for item in (*self.session.get_outputs(), *self.session.get_inputs())]
        return next((kind for kind in kinds if kind.startswith("float")), "float32")

    def assume(self, record: Record) -> None:
        """Take the ports of this record for the model's own, where they fit; Keras's exporters keep Keras's layouts."""
        kept = self.model.producer_name in KEPT_LAYOUT
        ports = [
            replace(port, order=axes.identity(len(port.order))) if kept or not _fits(port, feed) else port
            for port, feed in zip(record.inputs, self._own(), strict=False)
        ]
        self.record = replace(record, inputs=tuple(ports))
        if any(not axes.is_identity(port.order) for port in ports):
            self.notes.append(f"{self.name}: images are fed channels-first, its images turned back")

    def feeds(self) -> tuple[Feed, ...]:
        """The inputs that it asks for, as the record's source writes them; without a record as the model does."""
        own = self._own()
        if self.record is None:
            return own
        ports = self.record.inputs
        return tuple(
            replace(feed, name=port.name, shape=axes.apply(feed.shape, axes.inverse(port.order)))
            for feed, port in zip(own, ports, strict=False)
        )

    def _own(self) -> tuple[Feed, ...]:
        found = []
        for item in self.session.get_inputs():
            kind = TYPES.get(item.type)
            if kind is None:
                raise Unsupported(f"an input of type {item.type}", place=item.name, remedy="give a model of numbers")
            sizes = [size if isinstance(size, int) else None for size in item.shape]
            found.append(Feed(item.name, tuple(sizes), "float32" if "float" in kind else kind))
        return tuple(found)

    def outputs(self, inputs: Sequence[Array], dtype: str) -> tuple[Named, ...]:
        """The outputs in the source's written layout.

        Raises:
            NoKernel: the model is written in another precision.
            InvalidInput: it does not take these inputs.
        """
        if dtype != self.dtype:
            raise NoKernel(f"the model is written in {self.dtype}", place=self.name, remedy="export it again")
        names = [item.name for item in self.session.get_inputs()]
        held = [np.ascontiguousarray(array) for array in self._held(as_dtype(inputs, dtype))]
        if len(held) != len(names):
            raise InvalidInput(f"it takes {len(names)} inputs, not {len(held)}", place=self.name)
        try:
            found = self.session.run(None, dict(zip(names, held, strict=True)))
        except Exception as error:  # onnxruntime's errors have no common class but this
            text = str(error).strip().partition("\n")[0]
            raise InvalidInput(
                f"onnxruntime cannot run it: {text}", place=self.name, remedy="check the inputs"
            ) from error
        results = self.session.get_outputs()
        return tuple(Named(item.name, array) for item, array in zip(results, self._written(found), strict=True))

    def _held(self, inputs: Sequence[Array]) -> Iterator[Array]:
        ports = self.record.inputs if self.record is not None else ()
        for place, array in enumerate(inputs):
            yield array.transpose(ports[place].order) if place < len(ports) else array

    def _written(self, found: Sequence[Array]) -> Iterator[Array]:
        from xconv.inputs import leaves

        ports = [port for _, port in leaves(self.record.outputs)] if self.record is not None else []
        kept = self.record is None or self.model.producer_name in KEPT_LAYOUT or len(ports) != len(found)
        for place, array in enumerate(found):
            yield array if kept else array.transpose(axes.inverse(fitting(array.shape, ports[place])))


def _fits(port: Port, feed: Feed) -> bool:
    """Whether the model's input has the port's shape as a torch module holds it."""
    held = axes.apply(port.shape, port.order)
    pairs = zip(held, feed.shape, strict=False)
    return len(held) == len(feed.shape) and all(None in pair or pair[0] == pair[1] for pair in pairs)
