"""How much each tool covers, counted in its own tables: `-m benchmarks.coverage_counts` answers with every count."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from benchmarks.measure import answer
from benchmarks.rival_operators import IN_NETWORKS, NOBUCO, ONNX2TF
from tests.loading import torch_first

__all__ = ["counts", "layers_of_keras", "operations_of_keras"]

Row = dict[str, Any]

NO_LAYERS = {"InputSpec", "Layer"}
"""Public classes of keras.layers that are no layers: a specification, and the base of all."""
PLACES = ("core", "image", "linalg", "math", "nn", "numpy")
"""Modules of keras.src.ops."""


def counts() -> list[Row]:
    """Rows of what is counted, for which tool, how many of how many, and which are missing."""
    from xconv.support import supported

    rows = supported()
    known = {row.kind for row in rows}
    converted = {row.kind: row.directions for row in rows if not row.refused}
    classes = layers_of_keras()
    operations = [f"ops.{name}" for name in operations_of_keras()]
    found = [
        _of_classes("keras.layers", classes, converted, known),
        _of_classes("keras.ops, classes", {name: {name} for name in operations}, converted, known),
        _functions(converted),
    ]
    return [*found, *_aten(), _classes_of_torch(), *_onnx()]


def layers_of_keras() -> dict[str, set[str]]:
    """The public layers: one name of each class, and all of them."""
    import keras

    names: dict[type, set[str]] = {}
    for name, item in vars(keras.layers).items():
        if isinstance(item, type) and name not in NO_LAYERS:
            names.setdefault(item, set()).add(name)
    return {min(given, key=lambda name: (name != kind.__name__, name)): given for kind, given in names.items()}


def operations_of_keras() -> list[str]:
    """The classes of operations, without those that only others inherit from."""
    operation: Any = importlib.import_module("keras.src.ops.operation").Operation
    found = set()
    for place in PLACES:
        module = importlib.import_module(f"keras.src.ops.{place}")
        kinds = [item for item in vars(module).values() if isinstance(item, type) and issubclass(item, operation)]
        found |= {
            kind.__name__ for kind in kinds if kind.__module__ == module.__name__ and kind.call is not operation.call
        }
    return sorted(found)


def _of_classes(what: str, wanted: Mapping[str, Collection[str]], converted: Mapping[str, str], known: set[str]) -> Row:
    """Converted both ways, to torch alone, refused by name, and absent; a class may have several names."""
    found: dict[str, list[str]] = {"both": [], "to torch": [], "refused": [], "absent": []}
    for name, names in wanted.items():
        directions = [converted[other] for other in names if other in converted]
        found[directions[0] if directions else "refused" if known & set(names) else "absent"].append(name)
    row: Row = {"what": what, "tool": "xconv", "total": len(wanted)}
    row["covered"] = len(found["both"]) + len(found["to torch"])
    return row | {key.replace(" ", "_"): sorted(names) for key, names in found.items() if key != "both"}


def _functions(converted: Mapping[str, str]) -> Row:
    """The public functions of keras.ops that put a node into a graph."""
    import keras

    made = {}
    for name, item in vars(keras.ops).items():
        if inspect.isfunction(item):
            classes = set(
                re.findall(r"\b([A-Z]\w*)\([^()]*(?:\([^()]*\)[^()]*)*\)\s*\.symbolic_call", inspect.getsource(item))
            )
            if classes:
                made[name] = {f"ops.{kind}" for kind in classes}
    absent = sorted(name for name, kinds in made.items() if not kinds <= converted.keys())
    row: Row = {"what": "keras.ops, functions", "tool": "xconv", "total": len(made)}
    return row | {"covered": len(made) - len(absent), "absent": absent}


def _aten() -> Iterable[Row]:
    """The core operators of ATen that a forward program can hold, and those of real networks."""
    import torch

    core = {
        name
        for name in dir(torch.ops.aten)
        if hasattr(packet := getattr(torch.ops.aten, name), "overloads")
        and any(torch.Tag.core in getattr(packet, overload).tags for overload in packet.overloads())
    }
    forward = {name for name in core if not name.endswith("_backward")}
    networks = set(IN_NETWORKS.split())
    for what, wanted in (("core ATen", forward), ("ATen in 269 networks", networks)):
        ways = {name: _way(name) for name in wanted}
        row: Row = {"what": what, "tool": "xconv", "total": len(wanted), "covered": sum(map(bool, ways.values()))}
        row["rules"] = sum(way == "rule" for way in ways.values())
        yield row | {"absent": sorted(name for name, way in ways.items() if not way)}
    functions = networks - set(NOBUCO.never.split())
    row = {"what": what, "tool": "nobuco", "total": len(functions), "covered": len(functions & NOBUCO.operators)}
    yield row | {"absent": sorted(functions - NOBUCO.operators)}


def _classes_of_torch() -> Row:
    """The classes of torch.nn that compute something."""
    from xconv.layers.torch_classes import torch_classes

    outcomes = {row.name: row.outcome for row in torch_classes() if row.outcome != "holder"}
    refused = sorted(name for name, outcome in outcomes.items() if outcome == "refused")
    row: Row = {"what": "torch.nn, classes", "tool": "xconv", "total": len(outcomes)}
    return row | {"covered": len(outcomes) - len(refused), "absent": refused}


def _way(name: str) -> str:
    """How xconv reads an operator: a rule, as what does nothing or makes a constant, or as torch decomposes it."""
    from torch._decomp import core_aten_decompositions

    from xconv.layers import ATEN_RULES
    from xconv.torch.reading.operators import ASSERTIONS, FACTORIES, FILLS, NOTHING

    if name in ATEN_RULES:
        return "rule"
    if name in NOTHING | ASSERTIONS | FILLS | FACTORIES.keys() or name.startswith("sym_"):
        return "read"
    decomposed = {operator._schema.name.partition("::")[2] for operator in core_aten_decompositions()}
    return "decomposed" if name in decomposed else ""


def _onnx() -> Iterable[Row]:
    """The operators of ONNX itself, for what reads ONNX; TensorFlow's, for what writes it."""
    import onnx

    from xconv.onnx.operators import OPERATORS

    current = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain and not schema.deprecated}
    registry = importlib.import_module("onnx2torch.node_converters.registry")._CONVERTER_REGISTRY
    tables = {
        "xconv": set(OPERATORS),
        "onnx2torch": {key.operation_type for key in registry if not key.domain},
        "onnx2tf": ONNX2TF.operators,
    }
    for tool, operators in tables.items():
        row: Row = {"what": "ONNX", "tool": tool, "total": len(current), "covered": len(current & operators)}
        yield row | {"absent": sorted(current - operators)}
    importlib.import_module("tf2onnx.tfonnx")
    opsets = importlib.import_module("tf2onnx.handler").tf_op.get_opsets()
    registered = {name for opset in opsets[""] for name in opset}
    yield {"what": "operations of TensorFlow", "tool": "tf2onnx", "covered": len(registered), "absent": []}


def main() -> None:
    torch_first()
    answer({"counts": counts()})


if __name__ == "__main__":
    main()
