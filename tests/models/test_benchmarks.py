"""The benchmarks run: one small row, the pages written from rows, and the helpers' examples. Nothing is timed."""

import doctest
import json

import pytest

from benchmarks import (
    applications,
    applications_page,
    keras_traits,
    measure,
    performance_page,
    rivals,
    table,
    to_keras,
    torch_models,
    torch_models_page,
    torch_zoo,
    traits,
)
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


@pytest.mark.parametrize(
    "module", [keras_traits, measure, table, torch_models, traits], ids=lambda module: module.__name__
)
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
    no_runs = {"to_keras": tmp_path / "none.jsonl", "forward_keras": tmp_path / "none.jsonl"}
    performance_page.write(conversion, forward, tmp_path / "page.md", **no_runs)
    text = (tmp_path / "page.md").read_text()
    assert len(last_run(conversion)) == 6
    assert "12 MB (1.20)" in text
    assert "failed: killed by SIGKILL" in text
    assert "| N | 1 | 0.200 s | 0.200 s |" in text


def test_an_arm_that_fails_says_why():
    assert "No module named" in measure.run_arm("benchmarks.no_such_arm")["error"]


def test_an_arm_that_needs_too_much_memory_or_time_is_ended():
    limits = {"memory": 1 << 20}
    assert "bytes of memory" in measure.run_arm("benchmarks.file_xconv", "nothing.keras", **limits)["error"]
    assert measure.run_arm("benchmarks.file_xconv", "nothing.keras", timeout=0.1)["error"] == "not finished in 0 s"


RESNET = torch_zoo.TorchModel("torchvision", "resnet18", "resnet", 97, 113)
CONTEXT = {"versions": {"xconv": "1"}, "commit": "abc"}
EXACT = {
    "parameters": 1_000,
    "reduced": "",
    "export_seconds": 0.2,
    "convert_seconds": 0.1,
    "missing": [],
    "verdict": "exact",
    "ok": True,
    "float64": 1e-15,
    "float32_ratio": 1.0,
    "layers": 9,
    "transposes": 2,
    "interior_transposes": 1,
    "named_modules": 4,
    "names_kept": 3,
}


def _row(model, **facts):
    machine = {"processor": "one", "cores": 2, "memory_gib": 8}
    place = {name: getattr(model, name) for name in ("library", "name", "family", "height", "width")}
    return {**place, **CONTEXT, "machine": machine, **facts}


def test_known_torch_models_are_not_measured_again():
    assert not torch_models.is_known(RESNET, [], CONTEXT)
    good, bad = _row(RESNET, **EXACT), _row(RESNET, reason="differs", error="fc")
    assert torch_models.is_known(RESNET, [bad, good], CONTEXT)
    assert torch_models.is_known(RESNET, [good], {**CONTEXT, "commit": "def"})
    assert not torch_models.is_known(RESNET, [good], {**CONTEXT, "versions": {"xconv": "2"}})
    assert not torch_models.is_known(RESNET, [{**good, "height": 224}], CONTEXT)
    assert torch_models.is_known(RESNET, [bad], CONTEXT)  # the same code fails again
    assert not torch_models.is_known(RESNET, [bad], {**CONTEXT, "commit": "def"})
    assert not torch_models.is_known(RESNET, [{**bad, "commit": "abc+"}], {**CONTEXT, "commit": "abc+"})


def test_page_of_torch_models(tmp_path):
    swin = torch_zoo.TorchModel("timm", "swin_tiny", "swin", 224, 224)
    rows = [_row(RESNET, reason="differs", error="old"), _row(RESNET, **EXACT)]
    rows.append(_row(swin, reason="not supported", error="x", missing=["roll", "pad"], problems=["x"]))
    for row in rows:
        append(tmp_path / "rows.jsonl", row)
    torch_models_page.write(tmp_path / "rows.jsonl", tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "1 of 1 networks (1 families) of torchvision: classification are exact" in text
    assert "| resnet18 | resnet | 97x113 | 1,000 | 1.0e-15 | 1.00 | exact | 9 | 2 (1) | 75.0% |" in text
    assert "| swin_tiny | not supported | no rule for roll, pad |" in text
    assert "| roll | 1 | swin_tiny |" in text


def test_repeated_blocks_are_left_out_of_large_networks():
    from torch import nn

    network = nn.Sequential(nn.Linear(4, 8), *(nn.Linear(8, 8) for _ in range(5)), nn.Linear(8, 2))
    assert torch_zoo.cut_to(network, 10_000) == ""
    assert torch_zoo.cut_to(nn.ModuleDict({"blocks": network}), 100) == "blocks keeps 4 of 7 blocks"
    assert [block.in_features for block in network] == [4, 8, 8, 8]
    assert [block.out_features for block in network] == [8, 8, 8, 2]


def test_every_family_of_timm_is_measured():
    timm = pytest.importorskip("timm")
    found = list(torch_zoo.torch_models(["timm"]))
    assert {model.family for model in found} == set(timm.list_modules())
    assert all(timm.is_model(model.name) for model in found)


def test_operators_without_a_rule_are_found_behind_one_another():
    import torch

    class Odd(torch.nn.Module):
        def forward(self, image):
            return torch.special.bessel_j0(torch.special.bessel_j1(image.relu()) + 1)

    program = torch.export.export(Odd(), (torch.ones(2, 3),))
    assert torch_models.missing_operators(program) == ["special_bessel_j0", "special_bessel_j1"]
    assert torch_models.operators_of(program)["relu"] == 1


def test_names_are_found_whatever_holds_their_parts_together():
    names = [("net", "layer1", "0", "conv1"), ("net", "fc", "kernel")]
    assert keras_traits.without_common_start(names) == [("layer1", "0", "conv1"), ("fc", "kernel")]


def test_to_keras_page(tmp_path):
    run, source = {"run": "one"}, {"kind": "to_keras_source", "network": "resnet18", "size": 97}
    facts = {"right": True, "difference": 1e-6, "open_batch": True, "layers": 9, "interior_transposes": 0}
    facts |= {"batch_norms": 2, "trainable": 10, "names_kept": 3, "reloads": True, "saved_model": True}
    timed = {"seconds": TIMING, "export_seconds": TIMING, "peak_bytes": 12e6}
    arm = {**run, "kind": "to_keras", "network": "resnet18"}
    sides = {"xconv": TIMING, "applications": TIMING, "ratio": TIMING, "noise": TIMING, "difference": 1e-7}
    place = {**run, "kind": "forward_keras", "network": "N", "allocator": "default"}
    conversion, forward = tmp_path / "conversion.jsonl", tmp_path / "forward.jsonl"
    append(conversion, {**run, "kind": "machine", **MACHINE})
    numbers = {"weight_bytes": 1e7, "parameters": 10, "batch_norms": 2, "named_modules": 4}
    append(conversion, {**run, **source, **numbers})
    append(conversion, {**arm, "arm": "xconv_live", **facts, **timed})
    append(conversion, {**arm, "arm": "onnx2tf", "error": "not finished in 600 s"})
    append(forward, {**run, "kind": "machine", **MACHINE})
    append(forward, {**place, "backend": "tensorflow", "batches": {"1": sides}})
    append(forward, {**place, "backend": "jax", "error": "jax is not installed"})
    none, page = tmp_path / "none.jsonl", tmp_path / "page.md"
    performance_page.write(none, none, page, to_keras=conversion, forward_keras=forward)
    text = page.read_text()
    assert "| xconv, live module | 1 of 1 | 1 of 1 | 0.200 s |" in text
    assert "| xconv, live module | 0.200 s (0.200 s) | 3 | 12 MB (1.20) | 1.0e-06 | yes |" in text
    assert "failed: not finished in 600 s" in text
    assert "| N | tensorflow | default | 1 | 0.200 s | 0.200 s | 0.200 (0.10 to 0.30) |" in text
    assert "jax is not installed" in text


def test_rounds_are_merged_and_a_missing_rival_says_how_to_get_it(tmp_path):
    rounds = [{"seconds": 3.0, "peak_bytes": 5, "layers": 1}, {"seconds": 1.0, "peak_bytes": 4, "layers": 1}]
    assert to_keras.merged(rounds)["seconds"]["median"] == 2.0
    assert to_keras.merged(rounds)["peak_bytes"] == 5
    assert to_keras.merged([*rounds, {"error": "x"}]) == {"error": "x"}
    assert "benchmarks.rivals --make --only nobuco" in rivals.absent("nobuco", tmp_path)
