"""This tier loads both frameworks."""

from tests.loading import torch_first

torch_first()
