"""The benchmarks run: one small row, the pages written from rows, and the helpers' examples. Nothing is timed."""

import doctest
import json

import pytest

from benchmarks import applications, applications_page, measure, performance_page, table, traits
from benchmarks.networks import NETWORKS
from benchmarks.stored import append, last_run, read

MACHINE = {
    "processor": "one",
    "cores": 2,
    "memory_gib": 8,
    "system": "Linux",
    "allocator": "glibc",
    "python": "3.11",
    "versions": {"torch": "2"},
    "load": 0.1,
    "threads": 2,
}
TIMING = {"median": 0.2, "low": 0.1, "high": 0.3, "count": 3}


@pytest.mark.parametrize("module", [measure, table, traits], ids=lambda module: module.__name__)
def test_examples(module):
    assert doctest.testmod(module).failed == 0


def test_one_row_of_applications(tmp_path):
    row = applications.measure("MobileNetV2", top=True, shape=(64, 64))
    assert row["ok"], row
    assert row["verdict"] == "exact"
    assert row["file_is_equal"]
    assert row["permutes"] == 0
    results = tmp_path / "rows.jsonl"
    place = {"network": "MobileNetV2", "top": True, "height": 64, "width": 64, "machine": MACHINE}
    append(results, {**place, **row})
    assert read(results) == [{**place, **json.loads(json.dumps(row))}]
    applications_page.write(results, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "1 of 1 rows are exact" in text
    assert "| MobileNetV2 | yes | 64x64 | 3,538,984 |" in text


def test_a_failed_row_is_shown_and_measured_again(tmp_path):
    results = tmp_path / "rows.jsonl"
    task = next(applications.tasks(["VGG16"]))
    append(results, {**task, "error": "out of memory", "versions": {}, "machine": MACHINE})
    applications_page.write(results, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "failed: out of memory" in text
    assert "Not exact: VGG16 (top)" in text
    assert not applications._is_known(task, read(results))


def test_tasks_are_every_network_with_and_without_top():
    found = list(applications.tasks(list(NETWORKS)))
    assert len(NETWORKS) == 40
    assert len(found) == 80
    assert all(task["height"] % 2 and task["height"] != task["width"] for task in found if not task["top"])


def test_performance_page(tmp_path):
    conversion, forward = tmp_path / "conversion.jsonl", tmp_path / "forward.jsonl"
    traits_of = {"nodes": 9, "interior_transposes": 0, "batch_norms": 2, "trainable": 10, "names_left": 3}
    arm = {"kind": "conversion", "network": "N", "seconds": TIMING, "peak_bytes": 12e6, "difference": 1e-7, **traits_of}
    source = {"kind": "source", "network": "N", "layers": 5, "weight_bytes": 10e6, "batch_norms": 2, "trainable": 10}
    append(conversion, {"run": "old", "kind": "machine"})
    append(conversion, {"run": "new", "kind": "machine", **MACHINE})
    append(conversion, {"run": "new", **source, "named_layers": 3})
    append(conversion, {**arm, "run": "new", "arm": "xconv_live"})
    append(
        conversion, {"run": "new", "arm": "onnx", "kind": "conversion", "network": "N", "error": "killed by SIGKILL"}
    )
    append(conversion, {"run": "new", "kind": "process", "network": "N", "xconv": TIMING, "floor": TIMING})
    append(conversion, {"run": "new", "kind": "growth", "length": 10, "live": TIMING, "file": TIMING})
    pair = {"xconv": TIMING, "torchvision": TIMING, "ratio": TIMING, "noise": TIMING, "difference": 1e-7}
    head = {"run": "one", "kind": "forward", "network": "N", "allocator": "default"}
    append(forward, {"run": "one", "kind": "machine", **MACHINE})
    append(forward, {**head, "arm": "converted", "batches": {"1": pair}})
    append(forward, {**head, "arm": "keras_tensorflow", "error": "no such network"})
    performance_page.write(conversion, forward, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert len(last_run(conversion)) == 6
    assert "12 MB (1.20)" in text
    assert "failed: killed by SIGKILL" in text
    assert "| N | 1 | 0.200 s | 0.200 s |" in text


def test_an_arm_that_fails_says_why():
    assert "No module named" in measure.run_arm("benchmarks.no_such_arm")["error"]
