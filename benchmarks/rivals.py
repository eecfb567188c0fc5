"""The other converters from torch to Keras, each in a virtual environment of its own, because their pins clash.

python -m benchmarks.rivals --make [FOLDER] [--only nobuco]

Without FOLDER they are made in `xconv-rivals` in the user's cache. `python -m benchmarks.conversion` finds them there,
or in the folder that its --rivals names. They need Python 3.11 or older, since TensorFlow 2.15 does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

__all__ = ["FOLDER", "RIVALS", "Rival", "absent", "interpreter", "make"]

FOLDER = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache") / "xconv-rivals"
"""Where the environments are, unless another folder is named."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A converter: what pip installs with its dependencies, and then what without them.

    torchvision comes without: it would bring a build of torch for CUDA. Keras is what each was written for.
    """

    name: str
    packages: Sequence[str]
    bare: Sequence[str]


RIVALS = {
    rival.name: rival
    for rival in (
        Rival(
            "nobuco",
            (
                *("torch==2.13.0", "tensorflow-cpu==2.15.1", "tensorflow-addons==0.23.0", "nobuco==0.17.0"),
                *("numpy<2", "pillow"),
            ),
            ("torchvision==0.28.0",),
        ),
        Rival(
            "onnx2tf",
            (
                *("torch==2.13.0", "tensorflow-cpu==2.19.0", "numpy==1.26.4", "onnx==1.19.1", "onnxruntime==1.23.0"),
                *("onnxsim==0.4.36", "opencv-python-headless==4.11.0.86", "onnx-graphsurgeon==0.5.8", "psutil==5.9.5"),
                *("ai-edge-litert==2.1.0", "protobuf==4.25.5", "h5py==3.11.0", "ml-dtypes==0.5.1", "requests"),
                *("onnxscript", "pillow"),
            ),
            (
                *("onnx2tf==1.29.24", "tf-keras==2.19.0", "simple-onnx-processing-tools==1.1.32"),
                *("sng4onnx==2.0.1", "onnxoptimizer==0.4.2", "torchvision==0.28.0"),
            ),
        ),
    )
}
"""By name. onnx2tf asks for `tensorflow` and `opencv-python`; the builds without CUDA and without windows stand in."""


def interpreter(name: str, folder: Path = FOLDER) -> Path:
    """The python of a rival's environment, whether it exists or not."""
    return folder / name / "bin" / "python"


def absent(name: str, folder: Path = FOLDER) -> str:
    """Why a rival cannot be run, in words; empty where it can."""
    if not interpreter(name, folder).exists():
        return f"not installed: python -m benchmarks.rivals --make --only {name}"
    status = folder / f"{name}.json"
    found = json.loads(status.read_text(encoding="utf-8")) if status.exists() else {}
    return str(found.get("error", ""))


def make(name: str, folder: Path = FOLDER) -> str:
    """Makes a rival's environment; pip's reason where that fails, also kept beside the environment."""
    rival = RIVALS[name]
    python = interpreter(name, folder)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    commands = [
        [sys.executable, "-m", "venv", str(folder / name)],
        [*pip, *rival.packages],
        [*pip, "--no-deps", *rival.bare],
    ]
    start = time.perf_counter()
    error = next(filter(None, map(_failure, commands)), "")
    found = {"error": f"not installed: {error}"} if error else {"seconds": round(time.perf_counter() - start)}
    (folder / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")
    return error


def _failure(command: Sequence[str]) -> str:
    """What a command says where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()[-1:]
    return " ".join(lines)[:400] if done.returncode else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make", nargs="?", const=FOLDER, type=Path, metavar="FOLDER", required=True)
    parser.add_argument("--only", nargs="*", default=list(RIVALS), choices=list(RIVALS))
    options = parser.parse_args()
    options.make.mkdir(parents=True, exist_ok=True)
    failed = {name: make(name, options.make) for name in options.only}
    for name, error in failed.items():
        print(name, error or f"is ready: {interpreter(name, options.make)}")
    return 1 if any(failed.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
