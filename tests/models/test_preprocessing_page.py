"""The code in docs/preprocessing.md runs, in order, and prints what the page shows."""

import contextlib
import io
import re
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "preprocessing.md"
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_prints_what_it_shows() -> None:
    for package in ("PIL", "keras", "tensorflow", "timm", "torchvision"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    if int(version("pillow").partition(".")[0]) < 13:
        pytest.skip("the page shows what Pillow 13 does")
    names: dict[str, object] = {}
    assert len(BLOCKS) >= 5
    for code, expected in BLOCKS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, PAGE.name, "exec"), names)  # noqa: S102 - the page's own code
        assert printed.getvalue() == expected
