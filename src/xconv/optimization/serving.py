"""What a module is wrapped in to serve: a lower precision inside, or one compiled program."""

from __future__ import annotations

from typing import Any

import torch
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

    On a CPU its weights are frozen into the program: what is loaded into it later has no effect. Another batch or size
    is compiled when it comes.
    """

    def __init__(self, module: nn.Module, mode: str | None, device: torch.device) -> None:
        super().__init__()
        self.module = module.eval().requires_grad_(False)
        options: dict[str, Any] = {"freezing": True} if device.type == "cpu" else {}
        if mode is not None:
            options |= torch._inductor.list_mode_options(mode)
        self._run = torch.compile(module, options=options)

    def forward(self, *inputs: Any) -> Any:
        """The module's outputs, without gradients."""
        with torch.no_grad():
            return self._run(*inputs)

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError("a compiled module is not pickled; save the module inside, `optimized.module.module`")
