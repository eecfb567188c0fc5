"""What is done to a picture before a network sees it: size, colours, numbers."""

from __future__ import annotations
