"""Loads torch before TensorFlow (the other order can crash), with what torchvision may lack."""

import os

import torch


def torch_first() -> None:
    """Sets torch up for a test process; importing this module has loaded it before TensorFlow."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        # A torchvision built for CUDA beside a torch without it cannot load its own operators and then fails to
        # import. Its networks use none of them: declared names are enough.
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    except ModuleNotFoundError:
        return  # tests that need torchvision skip themselves
