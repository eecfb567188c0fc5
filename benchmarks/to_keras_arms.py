"""The arms of `benchmarks.to_keras` that need this environment: `-m benchmarks.to_keras_arms ARM NETWORK FOLDER`."""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import answer_arm, spent
from benchmarks.to_keras_traits import Facts, source_module, timed, traits


def source(network: str, folder: Path, size: str) -> Facts:
    """Makes what all arms use: weights, images with torch's outputs, the names of modules, an exported program."""
    import numpy as np
    import torch

    import xconv
    from benchmarks.loading import load_torchvision
    from benchmarks.torch_zoo import made
    from xconv.torch.capture import capture

    load_torchvision()
    images = torch.from_numpy(np.random.default_rng(1).standard_normal((3, 3, int(size), int(size)), dtype=np.float32))
    module = xconv.randomize(made("torchvision", network, ()), seed=0, inputs=images).eval()
    with torch.no_grad():
        outputs = copy.deepcopy(module).double()(images.double()).float()  # so that the rounding is Keras's alone
    torch.save(module.state_dict(), folder / "weights.pt")
    np.savez(folder / "reference.npz", images=images.numpy(), outputs=outputs.numpy())
    names = [name for name, child in module.named_modules() if list(child.parameters(recurse=False))]
    (folder / "names.json").write_text(json.dumps(names), encoding="utf-8")
    start = time.perf_counter()
    program = capture(module, (images[:2],))
    taken = spent(start)
    torch.export.save(program, folder / "model.pt2")
    values = [*module.parameters(), *module.buffers()]
    return {
        "export_seconds": taken,
        "size": int(size),
        "weight_bytes": sum(value.numel() * value.element_size() for value in values),
        "parameters": sum(value.numel() for value in module.parameters()),
        "batch_norms": sum("BatchNorm" in type(child).__name__ for child in module.modules()),
        "named_modules": len(names),
    }


def xconv_live(network: str, folder: Path) -> Facts:
    """xconv from the live module: torch.export, and then the rest."""
    import torch

    module = source_module(network, folder)
    import keras
    import tensorflow  # noqa: F401  not a part of the conversion

    import xconv
    from xconv.torch.capture import capture

    shape = torch.zeros(_image_shape(folder))

    def convert() -> tuple[Any, Facts]:
        start = time.perf_counter()
        program = capture(module, (shape,))
        exported = spent(start)
        start = time.perf_counter()
        return xconv.torch_to_keras(program), {"export_seconds": exported, "convert_seconds": spent(start)}

    model, found = timed(convert)
    return found | traits(model, folder, keras.models.load_model)


def xconv_file(network: str, folder: Path) -> Facts:
    """xconv from the program's file to a `.keras` file; Keras and TensorFlow stay unloaded until it is written."""
    del network
    import torch  # noqa: F401  its import is not a part of the conversion

    import xconv.cli

    target = folder / "converted.keras"

    def convert() -> tuple[Any, Facts]:
        status = xconv.cli.run(["convert", str(folder / "model.pt2"), "-o", str(target), "--quiet"])
        if status:
            raise RuntimeError(f"xconv convert: exit code {status}")
        return None, {"loaded": sorted({"keras", "tensorflow"} & sys.modules.keys())}

    _, found = timed(convert)
    import keras

    model = keras.models.load_model(target)
    return found | traits(model, folder, keras.models.load_model)


def _image_shape(folder: Path) -> tuple[int, ...]:
    from benchmarks.to_keras_traits import stored

    images, _ = stored(folder)
    return (2, *images.shape[1:])


ARMS: dict[str, Callable[..., Facts]] = {"source": source, "xconv_live": xconv_live, "xconv_file": xconv_file}


if __name__ == "__main__":
    answer_arm(ARMS)
