"""Feature extractors: the outputs of named layers, the same in two networks, and where their length comes from."""

from __future__ import annotations
