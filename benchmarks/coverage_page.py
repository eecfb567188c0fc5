"""docs/comparison.md, written from the results of `benchmarks.coverage`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.capabilities import CAPABILITIES, SOURCES, TOOLS
from benchmarks.machine import ROOT, in_short
from benchmarks.rival_operators import NOBUCO, ONNX2TF
from benchmarks.stored import FOLDER, GENERATED, read
from benchmarks.table import markdown
from xconv.layers import families

__all__ = ["BACKEND", "totals", "write"]

Row = dict[str, Any]

BACKEND = ", as the backend itself"
"""What stands behind an error where Keras gives these numbers on its backend before anything is converted."""

PAGE = """\
# Compared with other converters

{generated}

What xconv and the other ways between Keras and PyTorch cover, counted; and what they can do besides, with the source
of every statement about another tool.

## From Keras to torch, tried

{tried}

## Covered, counted

{counted}

- A class of keras.layers or keras.ops counts as covered where xconv has a rule that the tests hold to the laws;
  [laws.md](laws.md) says how often, and [layers.md](layers.md) what each becomes. Refused by
  name, with the reason: {refused}.
- torch.nn, classes: without those that hold others, or are the base of others.
- keras.ops, functions: the public functions that put a node into a graph.
- Core ATen: the operators with torch's tag `core`, without those of backward passes. xconv has rules for
  {rules} of them; the others that it covers do nothing, make constants, or are written out by torch.
- ATen in 269 networks: what torch.export says 80 networks of torchvision and 189 of timm with.
- nobuco, {nobuco_version}: {nobuco_how}. It reads calls of torch functions, so what only an exported program holds is
  not in its total. Source: <{nobuco_source}>.
- ONNX: operators of ONNX itself, out of those that are not deprecated. xconv, onnx2torch and tf2onnx: their installed
  tables. onnx2tf, {onnx2tf_version}: {onnx2tf_how}. Source: <{onnx2tf_source}>.

{absent}

## What they do

A dash is where a tool's documentation says nothing of it.

{capabilities}

{sources}

## Where others are ahead

- **Files for devices.** onnx2tf writes TFLite, quantised to 8 bits too, which is what it is for [b, c]; Keras itself
  exports LiteRT, OpenVINO and SavedModel [k]. xconv writes `.keras`, `.pt2`, `.safetensors` and ONNX, and leaves
  quantisation to the frameworks.
- **Operators of ONNX.** onnx2tf reads {onnx2tf} of {onnx} operators of ONNX, xconv {xconv_onnx}: a side entrance here.
- **Control flow.** nobuco converts loops and branches that depend on data, once they are marked for it [n]; xconv
  reads what torch.export captures, which has none.
- **Custom operations by hand.** nobuco is built so that a converter for one function is a few lines in a script and
  shows the graph in colours [n]; `xconv.register` is its counterpart, for layers.
- **Nothing to convert.** Keras on its torch backend runs the same model, and exports it whole as a torch program: the
  row above says how often that is right. It is no torch module with parameters of its own, see the table.
"""
HEAD = ("way", "right", "wrong", "refused", "layers right", "in part", "operations right", "in part")
TRIED = """\
{examples} examples of {layers} layers and {operations} operations of Keras, with which xconv's own tests reach every
option{left_families}; in float32 in inference, with random weights, against Keras on TensorFlow. Right is within 1e-4
of the largest value of each output. A layer is right where all its examples are, and in part where some are. {machine};
{software}.

{table}

- The examples were written for xconv: what another tool refuses here may be rare in practice, and what nobody
  thought of is in no row. In training, and in the gradients, only xconv is compared (see [laws.md](laws.md)).
- tf2onnx is run by onnxruntime; then what it writes is read by onnx2torch. Keras's export is its own from its torch
  backend, exported for the very batch that it is compared with.
- {left} examples have no answer on TensorFlow in float32 and are not counted{torch_left}.
{wrong}"""


def write(results: Path = FOLDER / "coverage.jsonl", target: Path = ROOT / "docs" / "comparison.md") -> None:
    """Writes docs/comparison.md from the newest counts, and the newest row of each family."""
    rows = read(results)
    counts = next((row["counts"] for row in reversed(rows) if row["kind"] == "counts" and "counts" in row), None)
    if counts is None:
        return
    tried = {row["family"]: row for row in rows if row["kind"] == "family"}
    of = {(row["what"], row["tool"]): row for row in counts}
    core = of["core ATen", "xconv"]
    text = PAGE.format(
        generated=GENERATED,
        tried=_tried(list(tried.values())) if tried else "Not measured yet.",
        counted=markdown(("what", "tool", "covered", "of"), [_count_cells(row) for row in counts]),
        refused=", ".join(of["keras.layers", "xconv"]["refused"]),
        rules=core["rules"],
        nobuco_version=NOBUCO.version,
        nobuco_how=NOBUCO.how,
        nobuco_source=NOBUCO.source,
        onnx2tf_version=ONNX2TF.version,
        onnx2tf_how=ONNX2TF.how,
        onnx2tf_source=ONNX2TF.source,
        absent=_absent(counts),
        capabilities=_left(markdown(("", *TOOLS), CAPABILITIES)),
        sources="\n".join(f"- [{mark}] {source}" for mark, source in SOURCES.items()),
        onnx=of["ONNX", "onnx2tf"]["total"],
        onnx2tf=of["ONNX", "onnx2tf"]["covered"],
        xconv_onnx=of["ONNX", "xconv"]["covered"],
    )
    target.write_text(text.rstrip() + "\n", encoding="utf-8")


def totals(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """How many examples came out how, for each way."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        for _, _, way, what, _ in row["tried"]:
            of = found.setdefault(way, {"right": 0, "wrong": 0, "refused": 0, "no reference": 0})
            of[what] += 1
    return found


def _tried(rows: Sequence[Row]) -> str:
    found = totals(rows)
    kinds = _by_kind(rows)
    some = next(iter(found.values()))
    without = {way: of["no reference"] for way, of in found.items()}
    left = min(without.values())
    newest = rows[-1]
    software = ", ".join(f"{name} {number}" for name, number in newest["versions"].items())
    layers = [kind for kind in kinds if not kind.startswith("ops.")]
    more = without.get("Keras's export", left) - left
    return TRIED.format(
        examples=sum(some.values()),
        left_families=_left_families(rows),
        layers=len(layers),
        operations=len(kinds) - len(layers),
        machine=in_short(newest["machine"]),
        software=software,
        table=markdown(HEAD, [_way_cells(way, of, kinds) for way, of in found.items()]),
        left=left,
        torch_left=f"; {more} more do not run on Keras's torch backend, and count as refused there" if more else "",
        wrong=_wrong(rows),
    )


def _left_families(rows: Sequence[Row]) -> str:
    """How many families were tried, where it is not all of them."""
    there = {family.__name__ for family in families() if any(True for _ in family.examples())}
    tried = there & {row["family"] for row in rows}
    return "" if tried == there else f" ({len(tried)} of {len(there)} families of layers so far)"


def _by_kind(rows: Iterable[Row]) -> dict[str, dict[str, list[str]]]:
    """By class and way, what became of its examples, where there is a reference."""
    found: dict[str, dict[str, list[str]]] = {}
    left = {
        (row["family"], number)
        for row in rows
        for _, number, way, what, _ in row["tried"]
        if way == "xconv" and what == "no reference"
    }
    for row in rows:
        for kind, number, way, what, _ in row["tried"]:
            if (row["family"], number) not in left:
                found.setdefault(kind, {}).setdefault(way, []).append(what)
    return found


def _way_cells(way: str, of: dict[str, int], kinds: dict[str, dict[str, list[str]]]) -> list[str]:
    outcomes = [what for ways in kinds.values() for what in ways.get(way, ())]
    refused = sum(what in ("refused", "no reference") for what in outcomes)
    cells = [way, str(of["right"]), str(of["wrong"]), str(refused)]
    for operations in (False, True):
        mine = [ways.get(way, []) for kind, ways in kinds.items() if kind.startswith("ops.") is operations]
        right = sum(bool(tried) and set(tried) == {"right"} for tried in mine)
        part = sum("right" in tried for tried in mine) - right
        cells += [f"{right} of {len(mine)}", str(part)]
    return cells


def _wrong(rows: Iterable[Row]) -> str:
    """The classes of which a way gives other numbers without a word, and how many of them are the backend's own."""
    found: dict[str, dict[str, int]] = {}
    own: dict[str, int] = {}
    for row in rows:
        for kind, _, way, what, why in row["tried"]:
            if what == "wrong":
                kinds = found.setdefault(way, {})
                kinds[kind] = kinds.get(kind, 0) + 1
                own[way] = own.get(way, 0) + why.endswith(BACKEND)
    lines = []
    for way, kinds in found.items():
        named = ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items()))
        more = f" {own[way]} of them come out of Keras's backend so, before anything is exported." if own[way] else ""
        lines.append(f"- Wrong without a word, {way}: {named}.{more}")
    return "\n".join(lines)


def _count_cells(row: Row) -> list[str]:
    return [row["what"], row["tool"], str(row["covered"]), str(row.get("total", "-"))]


def _absent(counts: Iterable[Row]) -> str:
    """What xconv does not cover, by name."""
    lines = []
    for row in counts:
        names = [*row.get("absent", ()), *(row.get("refused", ()) if "classes" in row["what"] else ())]
        if row["tool"] == "xconv" and names:
            lines.append(f"- Not covered of {row['what']}: {', '.join(f'`{name}`' for name in sorted(names))}.")
    return "\n".join(lines)


def _left(table: str) -> str:
    """Words are set to the left."""
    return table.replace("---:", "---")
