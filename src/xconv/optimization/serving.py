"""What a module is wrapped in to serve: a lower precision inside, or one compiled program."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch._inductor.config  # not loaded by torch itself
from torch import nn

from xconv.graph import map_structure

__all__ = ["Compiled", "Lowered"]


class Lowered(nn.Module):
    """A module whose weights and sums are in another precision; floating inputs are cast, outputs come as float32."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module = module.to(dtype)
        self.dtype = dtype

    def forward(self, *inputs: Any) -> Any:
        """The module's outputs in float32."""
        cast = (item.to(self.dtype) if item.is_floating_point() else item for item in inputs)
        return map_structure(lambda item: item.float() if item.is_floating_point() else item, self.module(*cast))


class Compiled(nn.Module):
    """A module as one program of torch.compile, for inference.

    On a CPU its weights are frozen into the program, in the order that its kernels read them: what is loaded into the
    module later has no effect. Another batch or size is compiled when it comes; `dynamic` makes one program for all.
    """

    def __init__(
        self,
        module: nn.Module,
        mode: str | None,
        device: torch.device,
        *,
        dynamic: bool | None = None,
        direct: bool = False,
    ) -> None:
        """A module to compile at its first call; `direct`: its kernels are called from C++ and not from Python."""
        super().__init__()
        self.module = module.eval().requires_grad_(False)
        self._freezes = device.type == "cpu"
        options = torch._inductor.list_mode_options(mode) if mode is not None else {}
        if direct:
            options["cpp_wrapper"] = True
        self._run = torch.compile(module, options=options, dynamic=dynamic)

    def forward(self, *inputs: Any) -> Any:
        """The module's outputs, without gradients."""
        with torch.no_grad(), self._freezing():
            return self._run(*inputs)

    def _freezing(self) -> AbstractContextManager[None]:
        """What a program must be compiled under to be frozen.

        torch.compile(options={"freezing": True}) freezes nothing: the tracer, which hands the weights over, asks for
        the setting of the process and not for the options (seen in torch 2.13).
        """
        return torch._inductor.config.patch(freezing=True) if self._freezes else nullcontext()

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a compiled module is not pickled; save the module inside, `optimized.module.module`")
