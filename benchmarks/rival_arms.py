"""The other converters from torch to Keras, run with the python of their own environment.

PYTHON -m benchmarks.rival_arms ARM NETWORK FOLDER
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import answer_arm, spent
from benchmarks.to_keras_traits import Facts, source_module, stored, timed, traits


def nobuco(network: str, folder: Path) -> Facts:
    """nobuco from the live module, as its readme shows."""
    import torch

    module = source_module(network, folder)
    import keras
    import nobuco as converter

    images, _ = stored(folder)
    image = torch.from_numpy(images[:1])

    def convert() -> tuple[Any, Facts]:
        order = converter.ChannelOrder.TENSORFLOW
        shapes = {image: (None, *image.shape[1:])}
        return converter.pytorch_to_keras(
            module, args=[image], input_shapes=shapes, inputs_channel_order=order, save_trace_html=False
        ), {}

    model, found = timed(convert)
    return found | traits(model, folder, keras.models.load_model)


def onnx2tf(network: str, folder: Path) -> Facts:
    """torch.onnx.export, then onnx2tf, which also writes its model to files."""
    import numpy as np
    import torch

    module = source_module(network, folder)
    os.chdir(folder)
    noise = np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
    np.save("calibration_image_sample_data_20x128x128x3_float32.npy", noise)  # or onnx2tf would download photographs
    import onnx2tf as converter
    import tf_keras

    images, _ = stored(folder)
    image = torch.from_numpy(images[:1])

    def convert() -> tuple[Any, Facts]:
        start = time.perf_counter()
        torch.onnx.export(module, (image,), "model.onnx", verbose=False)
        exported = spent(start)
        start = time.perf_counter()
        model = converter.convert(
            input_onnx_file_path="model.onnx", output_folder_path="onnx2tf", output_keras_v3=True, non_verbose=True
        )
        return model, {"export_seconds": exported, "convert_seconds": spent(start)}

    model, found = timed(convert)
    return found | traits(model, folder, tf_keras.models.load_model)


ARMS: dict[str, Callable[[str, Path], Facts]] = {"nobuco": nobuco, "onnx2tf": onnx2tf}


if __name__ == "__main__":
    answer_arm(ARMS)
