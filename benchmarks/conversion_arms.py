"""The arms of `benchmarks.conversion`, each run in a process of its own: `-m benchmarks.conversion_arms ARM ...`."""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import PeakMemory, answer_arm, spent
from benchmarks.traits import Facts, difference, exported_traits, module_traits, reference, source_facts


def source(network: str, folder: Path) -> Facts:
    """Makes the files that all arms use: the network, its bare arrays, an input and Keras's output for it."""
    import numpy as np
    import torch  # noqa: F401  before TensorFlow

    from benchmarks.networks import batch, make

    model = make(network)
    image = batch(model, 1)
    np.savez(folder / "reference.npz", image=image, output=np.asarray(model(image, training=False)))
    model.save(folder / "model.keras")
    with zipfile.ZipFile(folder / "model.keras") as archive:
        (folder / "bare.h5").write_bytes(archive.read("model.weights.h5"))
    return source_facts(model)


def xconv_live(network: str, folder: Path) -> Facts:
    """xconv from the live model."""
    import torch  # noqa: F401  before TensorFlow

    from benchmarks.networks import make
    from xconv import keras_to_torch

    model = make(network)
    found, module = _timed(lambda: keras_to_torch(model))
    return found | _channels_first_traits(module, folder)


def xconv_file(network: str, folder: Path) -> Facts:
    """xconv from the file; Keras and TensorFlow stay unloaded."""
    del network
    import h5py  # noqa: F401
    import torch  # noqa: F401

    from xconv import keras_to_torch

    found, module = _timed(lambda: keras_to_torch(folder / "model.keras"))
    found["loaded"] = sorted({"keras", "tensorflow", "tf_keras"} & sys.modules.keys())
    return found | _channels_first_traits(module, folder)


def onnx(network: str, folder: Path) -> Facts:
    """tf2onnx, then onnx2torch, in memory."""
    import torch

    from benchmarks.loading import load_torchvision
    from benchmarks.networks import make

    load_torchvision()
    import onnx2torch
    import tensorflow as tf
    import tf2onnx

    model = make(network)
    signature = (tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image"),)

    def convert() -> Any:
        function = tf.function(lambda image: model(image, training=False))
        proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)
        return onnx2torch.convert(proto)

    found, module = _timed(convert)
    image, output = reference(folder)
    module.eval()
    with torch.no_grad():
        found["difference"] = difference(module(torch.from_numpy(image)).numpy(), output)
    return found | module_traits(module, torch.from_numpy(image))


def keras_export(network: str, folder: Path) -> Facts:
    """Keras's own export from its torch backend, written and read again."""
    import torch

    from benchmarks.networks import make

    model = make(network)
    path = folder / "exported.pt2"
    found, _ = _timed(lambda: model.export(path, format="torch", verbose=False))
    exported = torch.export.load(path)
    path.unlink()
    image, output = reference(folder)
    with torch.no_grad():
        result = exported.module()(torch.from_numpy(image))
    found["difference"] = difference(result.numpy(), output)
    return found | exported_traits(exported)


def growth(length: str, folder: Path) -> Facts:
    """Seconds of xconv for a chain of `length` layers, live and from a file: medians after a first conversion."""
    import torch  # noqa: F401  before TensorFlow

    from benchmarks.measure import summary
    from benchmarks.networks import chain
    from xconv import keras_to_torch

    keras_to_torch(chain(6))
    model = chain(int(length))
    path = folder / "chain.keras"
    model.save(path)
    keras_to_torch(path)
    times: dict[str, list[float]] = {"live": [], "file": []}
    for _ in range(7):
        for name, origin in (("live", model), ("file", path)):
            start = time.perf_counter()
            keras_to_torch(origin)
            times[name].append(spent(start))
    return {name: summary(values).to_dict() for name, values in times.items()}


def _timed(convert: Callable[[], Any]) -> tuple[Facts, Any]:
    """The first conversion in this process: its seconds, and its peak memory above what was held before."""
    memory = PeakMemory()
    start = time.perf_counter()
    result = convert()
    return {"seconds": spent(start), "peak_bytes": memory.above()}, result


def _channels_first_traits(module: Any, folder: Path) -> Facts:
    import torch

    image, output = reference(folder)
    moved = torch.from_numpy(image).permute(0, 3, 1, 2).contiguous()
    module.eval()
    with torch.no_grad():
        result = module(moved).numpy()
    return {"difference": difference(result, output), **module_traits(module, moved)}


ARMS: dict[str, Callable[[str, Path], Facts]] = {
    "source": source,
    "xconv_live": xconv_live,
    "xconv_file": xconv_file,
    "onnx": onnx,
    "keras_export": keras_export,
    "growth": growth,
}


if __name__ == "__main__":
    answer_arm(ARMS)
