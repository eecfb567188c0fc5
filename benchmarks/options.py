"""What the command lines of all benchmarks share: a quick form, and a folder for the results."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT

__all__ = ["QUICK_FOLDER", "parsed"]

QUICK_FOLDER = ROOT / "build" / "benchmarks"
"""Where quick results go unless another folder is named: never among the full ones."""


def parsed(parser: argparse.ArgumentParser, quick: Mapping[str, Any]) -> argparse.Namespace:
    """The options of a benchmark, with `--quick` and `--folder`.

    Args:
        parser: knows the benchmark's own options; those whose default is a path are its files of results.
        quick: what `--quick` sets; an option on the command line comes before it.

    In another folder than benchmarks/results nothing is rendered: `python -m benchmarks.render --results FOLDER` does.
    """
    parser.add_argument("--quick", action="store_true", help="few and small, some minutes at most; see --folder")
    parser.add_argument("--folder", type=Path, help=f"for the results; with --quick {QUICK_FOLDER.relative_to(ROOT)}")
    said, _ = parser.parse_known_args()
    if said.quick:
        parser.set_defaults(**quick)
    folder = said.folder or (QUICK_FOLDER if said.quick else None)
    if folder is not None:
        files = {name: value.name for name, value in vars(said).items() if _is_results(parser, name, value)}
        parser.set_defaults(no_render=True, **{name: folder / file for name, file in files.items()})
    return parser.parse_args()


def _is_results(parser: argparse.ArgumentParser, name: str, value: object) -> bool:
    """Whether an option is a file of results that stands where it always does."""
    return isinstance(value, Path) and value.suffix == ".jsonl" and value == parser.get_default(name)
