"""The generated pages are what would be generated now, and the pages name files that are there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_page_of_layers_is_current() -> None:
    """`python docs/layers_page.py` writes it."""
    page = runpy.run_path(str(DOCS / "layers_page.py"))["page"]
    assert (DOCS / "layers.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_files_that_a_page_names_are_there(page: str) -> None:
    """A name in backticks or a link, from the root, beside the page, or as the package is laid out."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`([\w./]+/(?:\w+\.(?:py|md))?)`|\]\(([\w./]+)\)", text)
    for name in {first or second for first, second in named}:
        places = (ROOT, (ROOT / page).parent, ROOT / "src", ROOT / "src/xconv")
        assert any((place / name).exists() for place in places), name
