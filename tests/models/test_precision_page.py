"""The code in docs/precision.md runs, in order, and prints what the page shows."""

import contextlib
import io
import re
from pathlib import Path

import keras

PAGE = Path(__file__).parents[2] / "docs" / "precision.md"
BLOCKS = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_prints_what_it_shows() -> None:
    keras.utils.clear_session()
    names: dict[str, object] = {}
    assert len(BLOCKS) > 5
    for code, expected in BLOCKS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, PAGE.name, "exec"), names)  # noqa: S102 - the page's own code
        assert printed.getvalue() == expected
