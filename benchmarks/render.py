"""Writes the generated pages of docs from the stored results.

python -m benchmarks.render [--results FOLDER] [--pages FOLDER]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import (
    applications_page,
    cases_page,
    coverage_page,
    diagnosis_page,
    pairs_page,
    performance_page,
    plots,
    serving_page,
    throughput_page,
    torch_functions_page,
    torch_models_page,
    zoo_page,
)
from benchmarks.machine import ROOT
from benchmarks.stored import FOLDER

PAGES = {
    "applications": applications_page.write,
    "diagnosis": diagnosis_page.write,
    "pairs": pairs_page.write,
    "torch_functions": torch_functions_page.write,
    "torch_models": torch_models_page.write,
    "zoo": zoo_page.write,
    "serving": serving_page.write,
    "throughput": throughput_page.write,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=FOLDER, help="the folder of the .jsonl files")
    parser.add_argument("--pages", type=Path, default=ROOT / "docs", help="where the pages go")
    options = parser.parse_args()
    write(options.results, options.pages)


def write(results: Path = FOLDER, pages: Path = ROOT / "docs") -> None:
    """Every page and plot that there are results for; performance.md last, because it links to the others."""
    pages.mkdir(parents=True, exist_ok=True)
    plots.write(results, pages / "plots")
    for name, page in PAGES.items():
        page(results / f"{name}.jsonl", pages / f"{name}.md")
    cases_page.write(results / "cases.jsonl", pages / "laws.md")
    coverage_page.write(results / "coverage.jsonl", pages / "comparison.md")
    performance_page.write(
        results / "conversion.jsonl",
        results / "forward.jsonl",
        pages / "performance.md",
        to_keras=results / "to_keras.jsonl",
        forward_keras=results / "forward_keras.jsonl",
    )


if __name__ == "__main__":
    main()
