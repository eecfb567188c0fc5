"""The code in docs/onnx.md runs, in order, and prints what the page shows."""

import contextlib
import io
import re
from importlib.util import find_spec
from pathlib import Path

import keras
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_page_prints_what_it_shows():
    for package in ("onnx2torch", "onnxruntime", "tf2onnx"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    keras.utils.clear_session()
    names = {}
    assert len(BLOCKS) > 3
    for code, expected in BLOCKS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, PAGE.name, "exec"), names)  # noqa: S102 - the page's own code
        assert printed.getvalue() == expected
