"""The generated pages are what would be generated now."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_of_layers_is_current() -> None:
    """`python docs/layers_page.py` writes it."""
    page = runpy.run_path(str(DOCS / "layers_page.py"))["page"]
    assert (DOCS / "layers.md").read_text(encoding="utf-8") == page()
