"""A part of an open file read as a file of its own: small reads from pages, large ones as they are, nothing beyond."""

from __future__ import annotations

import random
from pathlib import Path

from xconv.keras.zip_window import PAGE, PAGES, SMALL, Window


def test_any_read_gives_the_bytes_of_the_part(tmp_path: Path) -> None:
    start, size = 37, PAGE * (PAGES + 3) + 11  # more pages than are kept
    content = random.Random(0).randbytes(start + size + 1000)  # noqa: S311
    path = tmp_path / "file"
    path.write_bytes(content)
    part = content[start : start + size]
    choice = random.Random(1)  # noqa: S311
    with path.open("rb") as file:
        window = Window(file.fileno(), start, size)
        for _ in range(3000):
            count = choice.choice((1, 8, 300, SMALL, SMALL + 1, 3 * PAGE))
            place = choice.choice((choice.randrange(size), size - count // 2, PAGE - count // 2))
            window.seek(max(place, 0))
            found = bytearray(count)
            done = window.readinto(found)
            assert found[:done] == part[max(place, 0) : max(place, 0) + done]
            assert done == min(count, size - max(place, 0))
            assert window.tell() == max(place, 0) + done
        assert len(window._pages) <= PAGES
        window.seek(size)
        assert window.read(4) == b""
