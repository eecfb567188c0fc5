"""A module as a program of OpenVINO, for inference on a CPU."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.utils import _pytree as pytree

from xconv.errors import InvalidInput, Unsupported
from xconv.frameworks import require

__all__ = ["OpenVINOProgram"]

Signature: TypeAlias = tuple[tuple[tuple[int, ...], torch.dtype], ...]


@dataclass(frozen=True, slots=True)
class _Program:
    """One compiled model, for inputs of one signature."""

    request: Any
    dtypes: tuple[torch.dtype, ...]
    structure: Any
    """In which the module returns its tensors."""


class OpenVINOProgram(nn.Module):
    """A module that OpenVINO computes, in float32, on as many threads as torch has when a program is made.

    One program is made for every batch and size that comes, at its first call. The weights are copied into it: what is
    loaded into the module later has no effect on programs that are made.
    """

    def __init__(self, module: nn.Module) -> None:
        """A module in inference mode.

        Raises:
            MissingFramework: OpenVINO is not installed.
        """
        super().__init__()
        self._openvino = require("openvino", "openvino", "a program of OpenVINO")
        self.module = module.eval().requires_grad_(False)
        self._programs: dict[Signature, _Program] = {}
        self._one_at_a_time = threading.Lock()

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The module's outputs, without gradients.

        Raises:
            InvalidInput: a tensor that is not on the CPU.
            Unsupported: OpenVINO cannot say the module.
        """
        if any(item.device.type != "cpu" for item in inputs):
            raise InvalidInput(
                "a program of OpenVINO is given tensors of another device", remedy="move them to the CPU"
            )
        signature = tuple((tuple(item.shape), item.dtype) for item in inputs)
        with self._one_at_a_time:
            program = self._programs.get(signature)
            if program is None:
                program = self._programs[signature] = self._made(inputs)
            found = program.request.infer([item.detach().numpy() for item in inputs], share_inputs=True)
            arrays = [found[place] for place in range(len(program.dtypes))]
        tensors = [torch.from_numpy(one).to(dtype) for one, dtype in zip(arrays, program.dtypes, strict=True)]
        return pytree.tree_unflatten(tensors, program.structure)

    def _made(self, inputs: tuple[torch.Tensor, ...]) -> _Program:
        openvino = self._openvino
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of torch and OpenVINO about their own code
            exported = torch.export.export(self.module, inputs)
            try:
                model = openvino.convert_model(exported)
                # it leaves every size open, and a program of open sizes is a seventh slower
                model.reshape({place: list(item.shape) for place, item in enumerate(inputs)})
                compiled = openvino.Core().compile_model(model, "CPU", settings)
            except Exception as error:  # OpenVINO raises several classes that have Exception alone in common
                said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
                raise Unsupported(f"OpenVINO cannot say this module: {said}") from error
        made = [node.meta["val"] for node in exported.graph.output_node().args[0]]
        if len(made) != len(compiled.outputs):
            raise Unsupported(f"OpenVINO makes {len(compiled.outputs)} outputs of the module's {len(made)}")
        structure = exported.call_spec.out_spec
        return _Program(compiled.create_infer_request(), tuple(item.dtype for item in made), structure)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a program of OpenVINO is not pickled; save the module inside, `optimized.module.module`")
