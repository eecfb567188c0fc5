"""A module that runs another as it is and returns what its named submodules return on the way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from xconv.errors import InvalidInput
from xconv.extraction.shaping import Shaped, Shaping

__all__ = ["Listening", "Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """What is asked for: a name, the path of its module, and which call of it (None: the only one)."""

    name: str
    path: str
    call: int | None


class Listening(nn.Module):
    """Runs the whole of a module whose code cannot be traced; `network` is that module, with all its parameters.

    Tensors are copied when they come, because what follows may write over them.
    """

    def __init__(self, network: nn.Module, places: Sequence[Place], shaping: Shaping, *, outputs: bool) -> None:
        super().__init__()
        self.network = network
        self.places = tuple(places)
        self.shaped = Shaped(shaping) if not shaping.is_nothing else nn.Identity()
        self.outputs = outputs
        self.training = network.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The tensors of the named layers.

        Raises:
            InvalidInput: a layer that was not called, several calls of which none is named, or no single tensor.
        """
        heard: dict[str, list[Any]] = {place.path: [] for place in self.places}
        with ExitStack() as stack:
            for path, found in heard.items():

                def listen(_: nn.Module, __: Any, result: Any, found: list[Any] = found) -> None:
                    found.append(result.clone() if isinstance(result, torch.Tensor) else None)

                stack.callback(self.network.get_submodule(path).register_forward_hook(listen).remove)
            result = self.network(*args, **kwargs)
        tensors = [self.shaped(_chosen(place, heard[place.path])) for place in self.places]
        if self.outputs:
            return [*tensors, *(result if isinstance(result, (list, tuple)) else [result])]
        return tensors[0] if len(tensors) == 1 else tensors


def _chosen(place: Place, heard: Sequence[Any]) -> torch.Tensor:
    if place.call is None and len(heard) > 1:
        choices = f"{place.path}:0 to {place.path}:{len(heard) - 1}"
        raise InvalidInput(f"it is called {len(heard)} times", place=place.name, remedy=f"say which call: {choices}")
    if (place.call or 0) >= len(heard):
        raise InvalidInput(f"it is called {len(heard)} times, counted from 0", place=place.name)
    tensor = heard[place.call or 0]
    if not isinstance(tensor, torch.Tensor):
        raise InvalidInput("it returns no single tensor", place=place.name, remedy="name a layer that returns one")
    return tensor
