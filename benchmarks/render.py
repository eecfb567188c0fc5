"""Writes the generated pages of docs from the stored results: `python -m benchmarks.render`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import applications_page, diagnosis_page, pairs_page, performance_page, torch_models_page


def main() -> None:
    applications_page.write()
    diagnosis_page.write()
    pairs_page.write()
    performance_page.write()
    torch_models_page.write()


if __name__ == "__main__":
    main()
