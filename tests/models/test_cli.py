"""The command: every exit code, JSON, quiet, messages without tracebacks, interruption."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
import torch
from keras import layers
from torch import nn

import xconv
from tests.models.small_models import SMALL
from xconv.cli import run


@pytest.fixture(scope="module")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "several.keras"
    SMALL["several"]().save(path)
    return path


@pytest.fixture(scope="module")
def lambda_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "lambda.keras"
    image = keras.Input((6,))
    double = layers.Lambda(lambda t: t * 2, output_shape=(6,), name="double")(image)
    keras.Model(image, layers.Dense(2, name="dense")(double)).save(path)
    return path


@pytest.fixture(scope="module")
def program_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("cli") / "net.pt2"
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(168, 5)).eval()
    free = ({0: torch.export.Dim.DYNAMIC},)
    torch.export.save(torch.export.export(network, (torch.randn(2, 3, 9, 8),), dynamic_shapes=free), path)
    return path


def xconv_command(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "xconv", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_convert_writes_and_says_so(
    keras_file: Path, tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / f"m.{suffix}"
    assert run(["convert", str(keras_file), "-o", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}: 208 parameters\n"
    assert target.exists()


# torch's own copying of an exported program.
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.* is deprecated:FutureWarning")
def test_convert_then_verify_is_a_match(keras_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "m.pt2"
    assert run(["convert", str(keras_file), "-o", str(target), "--verify", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["report"]["verdict"] == "exact"
    assert said["inputs"][0]["order"] == [0, 3, 1, 2]
    assert run(["verify", str(keras_file), str(target)]) == 0
    assert "exact" in capsys.readouterr().out


def test_a_program_becomes_a_keras_file(program_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "net.keras"
    assert run(["convert", str(program_file), "-o", str(target), "--verify", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["report"]["verdict"] == "exact"
    assert said["inputs"][0]["order"] == [0, 2, 3, 1]
    assert (said["output"], said["parameters"]) == (str(target), 957)
    assert keras.saving.load_model(target).name == "net"
    assert run(["verify", str(program_file), str(target), "-q"]) == 0
    back, again = tmp_path / "back.safetensors", tmp_path / "again.keras"
    assert run(["convert", str(target), "-o", str(back), "-q"]) == 0
    assert run(["convert", str(back), "-o", str(again), "--input-layout", "channels_first", "-q"]) == 0
    assert keras.saving.load_model(again).input_shape == (None, 3, 9, 8)


def test_a_keras_file_is_written_without_keras(program_file: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from xconv.cli import run; assert run(['convert', sys.argv[1], '-o', sys.argv[2]]) == 0;"
        "print(sorted({'keras', 'tensorflow', 'tf_keras'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code, str(program_file), str(tmp_path / "m.keras")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == f"{tmp_path / 'm.keras'}: 957 parameters\n[]\n"


def test_what_differs_is_not_written(
    program_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m.keras"
    target.write_bytes(b"old")
    load_model = keras.saving.load_model

    def damaged(*arguments: Any, **options: Any) -> Any:
        model = load_model(*arguments, **options)
        model.set_weights([weight + 0.5 for weight in model.get_weights()])
        return model

    monkeypatch.setattr(keras.saving, "load_model", damaged)
    assert run(["convert", str(program_file), "-o", str(target), "--verify"]) == 1
    assert "nothing was written: the result was not found the same as its source" in capsys.readouterr().out
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("m.keras", b"old")]


def test_pairs_between_which_there_is_nothing_to_convert(
    keras_file: Path, program_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "m.pt"
    weights.touch()
    for source, target, words in (
        (program_file, "m.pt", "are both of PyTorch; write a .keras file"),
        (keras_file, "m.keras", "are both of Keras; write .safetensors, .pt2 or .pt"),
        (weights, "m.keras", "holds weights and no graph; give a .pt2 file"),
        (program_file, "m.h5", "names no format; use .keras or .onnx"),
        (keras_file, "m.tflite", "names no format; use .safetensors, .pt2, .pt or .onnx"),
        (program_file.with_name("none.pt2"), "m.keras", "there is no such file"),
    ):
        assert run(["convert", str(source), "-o", str(tmp_path / target)]) == 2
        assert words in capsys.readouterr().err
    assert run(["convert", str(program_file), "-o", str(tmp_path / "m.keras"), "--config", str(weights)]) == 2
    assert "belong to a Keras model" in capsys.readouterr().err


def test_weights_of_a_program_that_are_not_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = nn.Linear(4, 3).eval()
    nn.init.constant_(network.bias, float("inf"))
    torch.export.save(torch.export.export(network, (torch.randn(2, 4),)), tmp_path / "m.pt2")
    assert run(["convert", str(tmp_path / "m.pt2"), "-o", str(tmp_path / "m.keras")]) == 0
    assert "warning: bias: 3 infinite among 3 numbers" in capsys.readouterr().err
    assert run(["convert", str(tmp_path / "m.pt2"), "-o", str(tmp_path / "strict.keras"), "--strict"]) == 2
    assert not (tmp_path / "strict.keras").exists()


def test_a_model_that_differs_is_exit_code_1(
    keras_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module: Any = xconv.keras_to_torch(keras_file)
    module.dense.bias.data[1] += 0.5
    xconv.save(module, tmp_path / "m.safetensors")
    assert run(["verify", str(keras_file), str(tmp_path / "m.safetensors"), "--json", "--seed", "3"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert run(["verify", str(keras_file), str(tmp_path / "m.safetensors"), "--quiet"]) == 1
    assert capsys.readouterr().out == ""


def test_bad_input_is_exit_code_2_and_one_message(
    keras_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.keras"
    broken.write_bytes(keras_file.read_bytes()[:500])
    for arguments in (
        ["convert", str(broken), "-o", str(tmp_path / "m.pt")],
        ["inspect", str(broken)],
        ["verify", str(broken), str(broken)],
        ["convert", str(keras_file), "-o", str(tmp_path / "m.tflite")],
        ["convert", str(keras_file), "-o", str(tmp_path / "nowhere" / "m.pt")],
        ["inspect", str(tmp_path / "none.keras")],
    ):
        assert run(arguments) == 2, arguments
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("xconv: ")
        assert "Traceback" not in said.err


@pytest.mark.parametrize("arguments", [["convert"], ["nonsense"], ["inspect", "a.keras", "--input-layout", "odd"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Usage: xconv" in capsys.readouterr().err


def test_what_is_unsupported_is_exit_code_3(
    lambda_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["convert", str(lambda_file), "-o", str(tmp_path / "m.pt")]) == 3
    said = capsys.readouterr().err
    assert "double" in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())
    assert run(["inspect", str(lambda_file), "--json"]) == 3
    data = json.loads(capsys.readouterr().out)
    assert [layer["exactness"] for layer in data["layers"]] == ["exact", "unsupported", "not read"]


def test_inspect_prints_a_table(keras_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(keras_file)]) == 0
    assert "0 permutes will remain" in capsys.readouterr().out
    assert run(["inspect", str(keras_file), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_inspect_takes_a_program(program_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(program_file), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["ok"], data["counts"]["unsupported"], data["permutes"]) == (True, 0, [])


def test_weights_and_configuration_apart(keras_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = SMALL["several"]()
    model.save_weights(tmp_path / "m.weights.h5")
    (tmp_path / "m.json").write_text(model.to_json())
    target = tmp_path / "m.safetensors"
    assert (
        run(["convert", str(tmp_path / "m.weights.h5"), "--config", str(tmp_path / "m.json"), "-o", str(target)]) == 0
    )
    again = tmp_path / "again.safetensors"
    assert (
        run(["convert", str(tmp_path / "m.json"), "--weights", str(tmp_path / "m.weights.h5"), "-o", str(again)]) == 0
    )
    capsys.readouterr()
    assert run(["verify", str(keras_file), str(again), "-q"]) == 0


def test_weights_that_are_not_numbers_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = SMALL["sizeless"]()
    kernel, bias = model.get_layer("dense").get_weights()
    kernel[0, 0] = float("nan")
    model.get_layer("dense").set_weights([kernel, bias])
    model.save(tmp_path / "m.keras")
    assert run(["convert", str(tmp_path / "m.keras"), "-o", str(tmp_path / "m.pt")]) == 0
    assert "warning: dense kernel: 1 NaN among 12 numbers" in capsys.readouterr().err
    refused = tmp_path / "refused.pt"
    assert run(["convert", str(tmp_path / "m.keras"), "-o", str(refused), "--strict"]) == 2
    assert "1 NaN among 12 numbers" in capsys.readouterr().err
    assert not refused.exists()


def test_version_and_help_load_no_framework() -> None:
    code = (
        "import sys; from xconv.cli import run; run(['--help']); print(sorted({'torch', 'keras'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
    assert "Exit codes: 0 match or done, 1 the models differ" in done.stdout
    done = xconv_command("--version")
    assert (done.returncode, done.stdout) == (0, f"xconv {xconv.__version__}\n")


def test_a_reader_that_goes_away_is_no_error(keras_file: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as broken:
        command = [sys.executable, "-m", "xconv", "inspect", str(keras_file), "--json"]
        done = subprocess.run(command, stdout=broken, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_leaves_the_old_file_whole(keras_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.pt2"
    target.write_bytes(b"old")
    wait = "os.fsync = lambda handle: (print('syncing', flush=True), time.sleep(100))"
    slow = f"import os, time; {wait}; from xconv.cli import main; main()"
    command = [sys.executable, "-c", slow, "convert", str(keras_file), "-o", str(target)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "syncing\n"  # all is written, and nothing is in its place yet
    assert len(list(tmp_path.iterdir())) == 2
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt2"]


def test_layers_prints_what_becomes_of_keras(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["layers"]) == 0
    said = capsys.readouterr().out
    lines = {line.split()[0]: line for line in said.splitlines()}
    assert "nn.Conv2d" in lines["Conv2D"]
    assert "both" in lines["Conv2D"]
    assert "refused" in lines["StringLookup"]
    assert "torch has no tensors of strings" in lines["StringLookup"]
    assert "einsum" in lines["ops.Einsum"]


def test_layers_shows_one_class_or_those_with_a_part_of_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["layers", "lstm", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["kind"], row["directions"], row["refused"]) == ("LSTM", "both", False)
    assert row["torch"]
    assert run(["layers", "ConvLSTM", "--json"]) == 0
    assert [row["kind"] for row in json.loads(capsys.readouterr().out)] == ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"]


def test_layers_refuses_a_name_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["layers", "LSTN"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "'LSTN'" in said.err
    assert "xconv layers" in said.err


def test_layers_of_torch(capsys: Any) -> None:
    """The classes of torch.nn, all or by a part of their names."""
    assert run(["layers", "--torch", "PixelShuffle"]) == 0
    assert capsys.readouterr().out.split() == ["torch.nn", "outcome", "said", "PixelShuffle", "converted"]
    assert run(["layers", "--torch", "fractional", "--json"]) == 0
    assert {row["outcome"] for row in json.loads(capsys.readouterr().out)} == {"refused"}
    assert run(["layers", "--torch", "Conv4d"]) == 2
    assert "there is no 'Conv4d'" in capsys.readouterr().err


def test_mixed_precision_is_converted_as_it_is_or_in_float32(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = keras.Input((6,))
    dense = layers.Dense(4, dtype="mixed_bfloat16")(image)
    source, target = tmp_path / "mixed.keras", tmp_path / "mixed.safetensors"
    keras.Model(image, layers.Dense(2, dtype="float32")(dense)).save(source)
    numbers = torch.linspace(-1, 1, 12).reshape(2, 6)
    assert run(["convert", str(source), "-o", str(target)]) == 0
    mixed = xconv.load(target)(numbers)
    assert run(["convert", str(source), "-o", str(target), "--dtype", "float32"]) == 0
    plain = xconv.load(target)(numbers)
    assert 0 < (mixed - plain).abs().max() < 0.05
    assert run(["convert", str(source), "-o", str(tmp_path / "m.onnx"), "--dtype", "float32"]) == 2
    assert "for a Keras model that becomes a file of torch" in capsys.readouterr().err
