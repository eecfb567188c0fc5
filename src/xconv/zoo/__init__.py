"""The zoo: which public checkpoints correspond, loaded in either framework."""

from __future__ import annotations
