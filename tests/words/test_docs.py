"""The generated pages are what would be generated now, and the pages name files that are there."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_page_of_layers_is_current() -> None:
    """`python docs/layers_page.py` writes it."""
    page = runpy.run_path(str(DOCS / "layers_page.py"))["page"]
    assert (DOCS / "layers.md").read_text(encoding="utf-8") == page()


def test_every_cause_stands_in_the_page_of_causes() -> None:
    """A line for each name that a finding can have, and none besides."""
    table = (DOCS / "diagnosing.md").read_text(encoding="utf-8").split("## The causes")[1].split("\n## ")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    given, known = set[str](), set[str]()
    for path in (ROOT / "src/xconv/causes").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        known |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is str}
        given |= set(_causes(tree))
    assert len(named) == len(set(named))
    assert given <= set(named), f"no line in docs/diagnosing.md: {given - set(named)}"
    assert set(named) <= known, f"no finding has this name: {set(named) - known}"


def _causes(tree: ast.AST) -> Iterator[str]:
    """The names that a file gives to what it finds."""
    places = {"Suspicion": 0, "Mistake": 0, "Form": 0, "Found": 1}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in places:
            place = places[node.func.id]
            argument = node.args[place] if len(node.args) > place else None
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def test_every_difference_of_preprocessings_is_named() -> None:
    """In backticks in docs/diagnosing.md."""
    text = (DOCS / "diagnosing.md").read_text(encoding="utf-8")
    for path in (ROOT / "src/xconv/probing").glob("*.py"):
        for name in re.findall(r'\bDifference\(\s*"(\w+)"', path.read_text(encoding="utf-8")):
            assert f"`{name}`" in text, name


PAGES = ["README.md", "CONTRIBUTING.md", "examples/README.md"]
TOLD = ("architecture", "diagnosing", "features", "onnx", "preprocessing", "questions", "transfer")
PAGES += [f"docs/{name}.md" for name in TOLD]


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page: str) -> None:
    """A name in backticks or a link, from the root, beside the page, or as the package is laid out."""
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`([\w./]+/(?:\w+\.(?:py|md))?)`|\]\(([\w./]+)\)", text)
    for name in {first or second for first, second in named}:
        places = (ROOT, (ROOT / page).parent, ROOT / "src", ROOT / "src/xconv")
        assert any((place / name).exists() for place in places), name
