"""Loads torchvision where it was built for CUDA and torch was not."""

from __future__ import annotations

__all__ = ["load_torchvision"]


def load_torchvision() -> None:
    """Imports torchvision; declares the operators that a build for CUDA cannot find beside a torch without it."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401
