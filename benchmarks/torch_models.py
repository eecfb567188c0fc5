"""Torch networks to Keras: every builder of torchvision, one network of every family of timm; converted and verified.

python -m benchmarks.torch_models [--library torchvision timm] [--only resnet50 ...] [--jobs 2] [--fresh]

One process for each network, with a time and a memory limit. Rows that benchmarks/results/torch_models.jsonl holds
for the same versions are not measured again; failures are measured again once the code has changed. The last line
counts what is exact; the exit code is 1 where anything is not.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import torch_models_page
from benchmarks.keras_traits import keras_traits, names_kept
from benchmarks.machine import describe, versions
from benchmarks.measure import answer, run_arm, spent
from benchmarks.options import parsed
from benchmarks.stored import FOLDER, append, read
from benchmarks.table import scientific, seconds
from benchmarks.torch_zoo import LIBRARIES, TorchModel, build, cut_to, torch_models

RESULTS = FOLDER / "torch_models.jsonl"
QUICK = {"only": ["mobilenet_v2", "vit_tiny_patch16_224"], "jobs": 1}
VERSIONS = ("xconv", "torch", "torchvision", "timm", "keras", "tensorflow", "numpy")
MACHINE = ("processor", "cores", "memory_gib")
GIB = 2**30

Row = dict[str, Any]


def main() -> int:
    options = _options()
    if options.row:
        library, name, height, width, limit = options.row
        answer(measure(library, name, (int(height), int(width)), int(float(limit))))
        return 0
    wanted = [model for model in torch_models(options.library) if not options.only or model.name in options.only]
    facts = describe()
    context = {"versions": versions(*VERSIONS), "commit": facts["commit"]}
    machine = {key: value for key, value in facts.items() if key in MACHINE}
    known = [] if options.fresh else read(options.results)
    missing = [model for model in wanted if not is_known(model, known, context)]
    print(f"{len(wanted)} networks, {len(wanted) - len(missing)} of them known", flush=True)
    for model, found in _run(missing, options):
        row = {**asdict(model), **found, **context, "machine": machine}
        append(options.results, row)
        _show(row)
    if not options.no_render:
        torch_models_page.write()
    newest = torch_models_page.newest(read(options.results))
    good = [model for model in wanted if newest.get((model.library, model.name), {}).get("ok")]
    print(f"{len(good)} of {len(wanted)} exact")
    return 0 if len(good) == len(wanted) else 1


def is_known(model: TorchModel, rows: Sequence[Row], context: Row) -> bool:
    """Whether the newest row for the network has the same versions and input, and is exact or of the same commit."""
    place = asdict(model)
    same = [row for row in rows if all(row.get(key) == place[key] for key in place)]
    if not same or same[-1]["versions"] != context["versions"]:
        return False
    commit = context["commit"]
    return bool(same[-1].get("ok")) or (same[-1]["commit"] == commit and not commit.endswith("+"))


def measure(library: str, name: str, size: tuple[int, int], limit: int) -> Row:
    """Exports one network, converts it, verifies it, saves and loads it; one row, plain data."""
    from xconv.torch.capture import capture, examples_of
    from xconv.torch.read import survey

    module = build(library, name, size)
    row: Row = {"parameters": _count(module), "reduced": cut_to(module, limit)}
    tensors, _ = examples_of((3, *size), next(module.parameters()).dtype)
    start = time.perf_counter()
    try:
        program = capture(module, tensors)
    except Exception as error:  # noqa: BLE001  whatever torch.export raises is the result
        return {**row, "reason": "export refused", "error": in_one_line(error)}
    row |= {"export_seconds": spent(start), "operators": operators_of(program)}
    graph, problems = survey(program)
    without_rule = missing_operators(program)  # where nothing is wrong, torch's own decompositions say them
    row |= {"graph_nodes": len(graph.nodes), "missing" if problems else "decomposed": without_rule}
    if problems:
        said = [str(problem) for problem in problems]
        return {**row, "reason": "not supported", "error": in_one_line(said[0]), "problems": said[:20]}
    return {**row, **_converted(module, program)}


def _converted(module: Any, program: Any) -> Row:
    """The rest of the row of a network whose every operator has a rule."""
    import keras

    import xconv

    keras.config.disable_traceback_filtering()
    start = time.perf_counter()
    try:
        model = xconv.torch_to_keras(program)
    except Exception as error:  # noqa: BLE001  the reason goes into the row
        return {"reason": "not converted", "error": in_one_line(error)}
    row = {"convert_seconds": spent(start), **keras_traits(model)}
    owners = [name for name, child in module.named_modules() if list(child.parameters(recurse=False))]
    row |= {"named_modules": len(owners), "names_kept": names_kept(owners, model)}
    report = xconv.verify(module, model)
    row |= _verdict(report)
    if not report.ok:
        text = str(report.first_difference or report.verdict)
        return {**row, "reason": "differs", "error": in_one_line(text)}
    row |= _reloaded(model)
    return row if row["ok"] else {**row, "reason": "not the same after load_model"}


def _verdict(report: Any) -> Row:
    output = max(report.outputs, key=lambda one: one.float64.max_rel if one.float64 else one.float32.max_rel)
    return {
        "verdict": str(report.verdict),
        "ok": report.ok,
        "float64": output.float64.max_rel if output.float64 else None,
        "noise_floor": report.noise_floor,
        "float32": output.float32.max_rel,
        "float32_ratio": output.ratio,
        "sensitivity": report.sensitivity,
        "outputs": len(report.outputs),
        "constants": len(report.constants),
        "notes": list(report.notes),
        "verify_seconds": report.seconds,
    }


def _reloaded(model: Any) -> Row:
    """Saves the model, loads it again with Keras alone, and compares outputs and weights bit for bit."""
    import keras
    import numpy as np

    from xconv.keras.depth import room_for

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
            with room_for(len(model.operations)):  # Keras walks the graph by recursion
                other = keras.models.load_model(path, safe_mode=True)
        except Exception as error:  # noqa: BLE001  the reason goes into the row
            return {"ok": False, "reloads": False, "error": in_one_line(error)}
        size = path.stat().st_size
    image = np.random.default_rng(1).random((2, *model.input_shape[1:]), dtype=np.float32)
    weights = all(np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True))
    outputs = keras.tree.flatten(model(image, training=False)), keras.tree.flatten(other(image, training=False))
    equal = all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(*outputs, strict=True))
    row = {"reloads": weights and equal, "file_bytes": size}
    return row if weights and equal else {**row, "ok": False, "error": "numbers differ after load_model"}


def operators_of(program: Any) -> dict[str, int]:
    """The ATen operators of a program and how often each is called."""
    found: dict[str, int] = {}
    for node in program.graph.nodes:
        name = _operator(node)
        if name:
            found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def missing_operators(program: Any) -> list[str]:
    """The operators that compute with an input of the network and have no rule, wherever in the graph they stand."""
    from torch import Tensor

    from xconv.layers import ATEN_RULES
    from xconv.torch.reading.operators import ASSERTIONS, NOTHING

    depends = set(program.graph_signature.user_inputs)
    found = set()
    for node in program.graph.nodes:
        if not any(source.name in depends for source in node.all_input_nodes):
            continue
        depends.add(node.name)
        name = _operator(node)
        value = node.meta.get("val")
        if name and isinstance(value, Tensor | tuple | list) and name not in {*ATEN_RULES, *ASSERTIONS, *NOTHING}:
            found.add(name)
    return sorted(found)


def _operator(node: Any) -> str:
    """The operator that a node calls, without its overload and without the mark of the in-place form."""
    if node.op != "call_function":
        return ""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return "" if "getitem" in str(node.target) else getattr(node.target, "__name__", str(node.target))
    name = str(schema.name).partition("::")[2]
    return name if name.startswith("__") else name.removesuffix("_")


def _count(module: Any) -> int:
    return sum(value.numel() for value in module.parameters())


def in_one_line(error: object) -> str:
    r"""The beginning of a message, without line breaks.

    >>> in_one_line("two\n  lines")
    'two lines'
    """
    text = str(error) or type(error).__name__
    if isinstance(error, Exception) and not type(error).__module__.startswith("xconv"):
        text = f"{type(error).__name__}: {text}"
    return " ".join(text.split())[:400]


def _run(models: Sequence[TorchModel], options: argparse.Namespace) -> Iterator[tuple[TorchModel, Row]]:
    """What each network's process answers, as they finish; or one after the other in this process."""
    if options.in_process:
        for model in models:
            start = time.perf_counter()
            found = _here(model, int(options.parameters))
            yield model, {**found, "wall_seconds": spent(start)}
        return
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = {pool.submit(_one, model, options): model for model in models}
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def _here(model: TorchModel, limit: int) -> Row:
    """The row of a network, measured in this process, whose memory is given back before the next."""
    import keras

    try:
        return measure(model.library, model.name, (model.height, model.width), limit)
    except Exception as error:  # noqa: BLE001  the reason goes into the row
        return {"reason": "stopped", "error": in_one_line(error)}
    finally:
        keras.backend.clear_session()
        gc.collect()


def _one(model: TorchModel, options: argparse.Namespace) -> Row:
    task = (model.library, model.name, str(model.height), str(model.width), str(options.parameters))
    memory = int(options.memory * GIB)
    found = run_arm("benchmarks.torch_models", "--row", *task, timeout=options.timeout, memory=memory)
    if "error" in found and "reason" not in found:
        limit = "needs more" in found["error"] or "not finished" in found["error"]
        found["reason"] = "needs more time or memory" if limit else "stopped"
    return found


def _show(row: Row) -> None:
    """One line for the terminal."""
    head = f"{row['library']:12} {row['name']:32}"
    if row.get("reason"):
        print(head, f"{row['reason']}: {row.get('error', '')[:150]}", *row.get("missing", []), flush=True)
        return
    times = f"export {seconds(row['export_seconds'])} convert {seconds(row['convert_seconds'])}"
    print(head, row["verdict"], scientific(row["float64"]), f"{row['transposes']} transposes", times, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", nargs="*", default=LIBRARIES, choices=LIBRARIES)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these networks alone")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--in-process", action="store_true", help="no process for each: quicker, without the limits")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one network")
    parser.add_argument("--memory", type=float, default=10, help="GiB for one process")
    parser.add_argument("--parameters", type=float, default=250e6, help="with more, repeated blocks are left out")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--no-render", action="store_true", help="leave docs/torch_models.md as it is")
    parser.add_argument("--row", nargs=5, help=argparse.SUPPRESS)
    return parsed(parser, QUICK)


if __name__ == "__main__":
    sys.exit(main())
