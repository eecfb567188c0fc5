"""This tier loads both frameworks."""

from tests.loading import torch_first

torch_first()

from tests.layers import gradients  # noqa: E402, F401
