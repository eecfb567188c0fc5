"""Plots of the results, as SVG and PNG, where matplotlib is installed (`pip install xconv[report]`).

The same rows give the same bytes: no dates, and names inside an SVG that do not change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import serving_page, throughput_page
from benchmarks.stored import FOLDER, last_run, read

__all__ = ["COLOURS", "write"]

Row = dict[str, Any]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Those of Okabe and Ito, which colour-blind readers tell apart."""
STYLE = {
    "svg.hashsalt": "xconv",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
}


def write(results: Path = FOLDER, target: Path = FOLDER / "plots") -> list[Path]:
    """Every plot that there are results for; none without matplotlib."""
    if find_spec("matplotlib") is None:
        return []
    import matplotlib as mpl

    mpl.use("Agg")
    written = []
    with mpl.rc_context(STYLE):
        for name, draw in PLOTS.items():
            figure = draw(results)
            if figure is not None:
                written += _saved(figure, target / name)
    return written


def _saved(figure: Any, path: Path) -> Iterator[Path]:
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):
        whole = path.with_suffix(suffix)
        figure.savefig(whole, metadata=metadata, dpi=120, bbox_inches="tight")
        yield whole
    plt.close(figure)


def conversion(results: Path) -> Any:
    """Seconds against the number of layers, and against the size of the weights; both axes logarithmic."""
    rows = last_run(results / "conversion.jsonl")
    depth = [row for row in rows if row["kind"] == "growth" and "error" not in row]
    sizes = [row for row in rows if row["kind"] == "size" and "error" not in {**row["live"], **row["file"]}]
    parts = [part for part in (depth, sizes) if part]
    if not parts:
        return None
    import matplotlib.pyplot as plt

    figure, all_axes = plt.subplots(1, len(parts), figsize=(5 * len(parts), 3.6), squeeze=False)
    for axes, part in zip(all_axes[0], parts, strict=True):
        for place, arm in enumerate(("live", "file")):
            if part is depth:
                points = [(row["length"], row[arm]["median"]) for row in part]
            else:
                points = [(row["megabytes"], row[arm]["seconds"]) for row in part]
            label = {"live": "live model", "file": ".keras file"}[arm]
            axes.plot(*zip(*points, strict=True), marker="o", color=COLOURS[place], label=label)
        axes.set(xscale="log", yscale="log", ylabel="conversion (s)")
        axes.set_xlabel("layers" if part is depth else "weights (MB)")
        axes.legend(frameon=False)
    return figure


def serving(results: Path) -> Any:
    """Milliseconds of every arm as bars; a row for each allocator, a column for each network and batch."""
    rows = [row for row in serving_page.current(results / "serving.jsonl") if "median" in row]
    if not rows:
        return None
    import matplotlib.pyplot as plt

    columns = list(dict.fromkeys((row["network"], row["batch"]) for row in rows))
    allocators = [name for name in serving_page.ALLOCATORS if any(row["allocator"] == name for row in rows)]
    size = (3.2 * len(columns), 2.6 * len(allocators))
    figure, all_axes = plt.subplots(len(allocators), len(columns), figsize=size, squeeze=False, layout="constrained")
    for line, allocator in zip(all_axes, allocators, strict=True):
        for axes, (network, batch) in zip(line, columns, strict=True):
            _bars(axes, [row for row in rows if _place(row) == (network, batch, allocator)])
            axes.set_title(f"{network}, batch {batch}\n{allocator}", fontsize=9)
    return figure


def _place(row: Row) -> tuple[str, int, str]:
    return row["network"], row["batch"], row["allocator"]


def _bars(axes: Any, rows: Sequence[Row]) -> None:
    """One bar for each arm, with the tenth and the ninetieth percentile; xconv.optimize stands out."""
    names = [serving_page.TITLES[row["arm"]].replace("`", "") for row in rows]
    values = [1e3 * row["median"] for row in rows]
    spread = [
        [1e3 * (row["median"] - row["low"]) for row in rows],
        [1e3 * (row["high"] - row["median"]) for row in rows],
    ]
    chosen = [COLOURS[1] if row["arm"] == "xconv_optimized" else COLOURS[0] for row in rows]
    axes.barh(names, values, xerr=spread, color=chosen, error_kw={"elinewidth": 1, "ecolor": "#444444"})
    axes.invert_yaxis()
    axes.set_xlabel("one call (ms)")
    axes.tick_params(labelsize=8)


def throughput(results: Path) -> Any:
    """Images a second against the batch: the best mode of every arm, for the newest run of one device."""
    runs = list(throughput_page.newest(read(results / "throughput.jsonl")))
    cells = [
        {**cell, "network": row["network"], "arm": row["arm"]}
        for row in (runs[0] if runs else ())
        if row["kind"] == "throughput"
        for cell in row.get("cells", ())
        if "images_per_second" in cell
    ]
    if not cells:
        return None
    import matplotlib.pyplot as plt

    panels = list(dict.fromkeys((cell["network"], cell["precision"]) for cell in cells))
    width = min(3, len(panels))
    height = -(-len(panels) // width)
    figure, all_axes = plt.subplots(height, width, figsize=(4 * width, 3 * height), squeeze=False, layout="constrained")
    for axes in all_axes.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (network, precision) in zip(all_axes.flat, panels, strict=False):
        mine = [cell for cell in cells if (cell["network"], cell["precision"]) == (network, precision)]
        for place, arm in enumerate(dict.fromkeys(cell["arm"] for cell in mine)):
            points = _best([cell for cell in mine if cell["arm"] == arm])
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=throughput_page.TITLES[arm])
        axes.set(xscale="log", yscale="log", xlabel="batch (images)", ylabel="images/s")
        axes.set_title(f"{network}, {precision}", fontsize=9)
    all_axes.flat[0].legend(frameon=False, fontsize=7)
    return figure


def _best(cells: Sequence[Row]) -> list[tuple[int, float]]:
    """The fastest mode of each batch."""
    found: dict[int, float] = {}
    for cell in cells:
        found[cell["batch"]] = max(found.get(cell["batch"], 0.0), cell["images_per_second"])
    return sorted(found.items())


PLOTS: dict[str, Callable[[Path], Any]] = {"conversion": conversion, "serving": serving, "throughput": throughput}
