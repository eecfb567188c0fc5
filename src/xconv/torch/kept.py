"""Layers that act in training alone and are no operators of torch: while a module is captured, they leave a trace.

before   StochasticDepth(0.2)(x) in inference is x, and its place in the exported program is gone
after    xconv::drop_path(x, 0.2), which gives x
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, fx, nn

from xconv.torch.replaced import replaced

__all__ = ["kept", "kept_dropouts"]


@torch.library.custom_op("xconv::drop_path", mutates_args=())
def drop_path(x: Tensor, p: float) -> Tensor:  # noqa: ARG001
    """In training, each sample's whole tensor is dropped with probability `p`."""
    return x.clone()


@torch.library.custom_op("xconv::drop_batch", mutates_args=())
def drop_batch(x: Tensor, p: float) -> Tensor:  # noqa: ARG001
    """In training, the tensors of all samples are dropped together with probability `p`."""
    return x.clone()


@torch.library.custom_op("xconv::drop_unscaled", mutates_args=())
def drop_unscaled(x: Tensor, p: float) -> Tensor:  # noqa: ARG001
    """In training, each sample's whole tensor is dropped with probability `p`, and the others stay as they are."""
    return x.clone()


@torch.library.custom_op("xconv::gaussian_dropout", mutates_args=())
def gaussian_dropout(x: Tensor, p: float) -> Tensor:  # noqa: ARG001
    """In training, each element times a normal number of mean 1 and variance p / (1 - p)."""
    return x.clone()


@torch.library.custom_op("xconv::gaussian_noise", mutates_args=())
def gaussian_noise(x: Tensor, p: float) -> Tensor:  # noqa: ARG001
    """In training, normal noise of standard deviation `p` is added."""
    return x.clone()


@torch.library.custom_op("xconv::dropout", mutates_args=())
def dropout(x: Tensor, p: float) -> Tensor:  # noqa: ARG001
    """In training, elements are dropped with probability `p`."""
    return x.clone()


@torch.library.custom_op("xconv::alpha_dropout", mutates_args=())
def alpha_dropout(x: Tensor, p: float) -> Tensor:  # noqa: ARG001
    """The same for SELU networks."""
    return x.clone()


@torch.library.custom_op("xconv::feature_dropout", mutates_args=())
def feature_dropout(x: Tensor, p: float) -> Tensor:  # noqa: ARG001
    """In training, whole channels are dropped with probability `p`."""
    return x.clone()


KEPT = (drop_path, drop_batch, drop_unscaled, gaussian_dropout, gaussian_noise, dropout, alpha_dropout, feature_dropout)
for _operation in KEPT:
    _operation.register_fake(lambda x, p: torch.empty_like(x))


@contextmanager
def kept_dropouts(graph: fx.Graph) -> Iterator[None]:
    """The program with its dropouts as calls that torch's decompositions leave alone; as it was afterwards."""
    own = {"dropout": dropout, "alpha_dropout": alpha_dropout, "feature_dropout": feature_dropout}
    changed = []
    for node in graph.nodes:
        schema = getattr(node.target, "_schema", None)
        operation = own.get(schema.name.removeprefix("aten::").removesuffix("_")) if schema is not None else None
        if operation is not None:
            changed.append((node, node.target, node.args))
            node.target, node.args = operation._opoverload, node.args[:2]
    try:
        yield
    finally:
        for node, target, args in changed:
            node.target, node.args = target, args


def kept(module: nn.Module) -> AbstractContextManager[None]:
    """The module with such layers, recognised by class and attributes, saying what they are; as it was afterwards."""
    return replaced(module, _said)


def _said(module: nn.Module) -> tuple[str, Callable[[Tensor], Tensor]] | None:
    """The method that leaves the trace of such a layer; None for any other."""
    found = _meaning(module)
    return None if found is None else ("forward", _saying(*found))


def _saying(operation: Callable[[Tensor, float], Tensor], amount: float) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        return operation(x, amount)

    return forward


def _meaning(module: nn.Module) -> tuple[Callable[[Tensor, float], Tensor], float] | None:
    """What a layer does in training, and how much of it; None where it does nothing that is known."""
    name = type(module).__name__
    own = type(module).__module__.startswith("xconv.")
    if own and name in ("GaussianDropout", "GaussianNoise"):
        amount = getattr(module, "rate", getattr(module, "stddev", None))
        operation = gaussian_dropout if name == "GaussianDropout" else gaussian_noise
    elif name == "StochasticDepth" and getattr(module, "mode", "row") in ("row", "batch"):
        rows = getattr(module, "mode", "row") == "row"
        amount, operation = getattr(module, "p", None), drop_path if rows else drop_batch
    elif name.endswith("DropPath"):
        scaled = getattr(module, "scale_by_keep", True)
        amount, operation = getattr(module, "drop_prob", None), drop_path if scaled else drop_unscaled
    else:
        return None
    return (operation, float(amount)) if isinstance(amount, (int, float)) and amount > 0 else None
