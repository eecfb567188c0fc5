"""The arms of `benchmarks.throughput`, each with one network in a process of its own.

`-m benchmarks.throughput_arms ARM TASK`, where TASK is JSON. Answers are printed cell by cell, so that a cell that
fails (memory, an operator that a compiler does not know) costs itself alone.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import MARK, spent
from benchmarks.traits import difference

Row = dict[str, Any]
Task = dict[str, Any]
Run = Callable[[Any], Any]

INPUT_SETS = 4
WARM_UP = {"cuda": 10, "cpu": 2}
TORCH_SOURCES = ("ViTB16",)
LIKE_FLOAT32 = 5e-3
"""The relative error up to which a float32 arm computes what the source computes; others are told, not judged."""


def source(task: Task) -> None:
    """Stores the Keras network, images and its float32 outputs, on whatever backend there is."""
    import numpy as np

    from benchmarks.networks import batch, make

    folder = Path(task["folder"])
    if task["network"] in TORCH_SOURCES:
        model = _of_torch(task)
    else:
        model = make(task["network"], _size(task), **task["options"])
    images = batch(model, 2)
    outputs = np.asarray(_numpy(model(images, training=False)))
    np.savez(folder / "reference.npz", images=images, outputs=outputs)
    model.save(folder / "model.keras")


def _of_torch(task: Task) -> Any:
    """A network that Keras does not have: torchvision's, converted to Keras."""
    import xconv
    from benchmarks.twins import twin

    return xconv.torch_to_keras(twin(task["network"]), input_shape=(3, *_size(task)))


# -- modules of torch: (batch, 3, height, width) ----------------------------------------------------------------------


def converted(task: Task) -> Any:
    """What xconv makes of the Keras network."""
    import xconv

    return xconv.keras_to_torch(Path(task["folder"]) / "model.keras").eval()


def folded(task: Task) -> Any:
    """The same with BatchNorm inside the convolutions."""
    import torch

    from xconv.api import read_keras
    from xconv.layout import resolve
    from xconv.optimization.folds import fold_batch_norms
    from xconv.passes import AFTER_LAYOUT, BEFORE_LAYOUT, run
    from xconv.torch.precision import in_precision
    from xconv.torch.write import write

    graph = run(BEFORE_LAYOUT, read_keras(Path(task["folder"]) / "model.keras"))
    graph = run(AFTER_LAYOUT, resolve(graph, "first", "channels_first"))
    with torch.no_grad():
        return in_precision(write(fold_batch_norms(graph)[0], "channels_first").eval(), "float32")


def handwritten(task: Task) -> Any:
    """torchvision's own class; its own weights, because its function is another one."""
    from benchmarks.twins import twin

    return twin(task["network"])


def keras_torch(task: Task) -> Any:
    """Keras on its torch backend; images as Keras takes them."""
    return _channels_last_of(_loaded_by_keras(task))


def keras_export(task: Task) -> Any:
    """Keras's own export from its torch backend, read again; it is made for one batch, so for every batch anew."""
    import torch

    model, folder = _loaded_by_keras(task), Path(task["folder"])

    def exported(batch: int) -> Any:
        import keras

        path = folder / f"exported_{batch}.pt2"
        signature = [keras.InputSpec(shape=(batch, *model.input_shape[1:]), dtype="float32")]
        model.export(path, format="torch", input_signature=signature, verbose=False)
        try:
            return torch.export.load(path).module()
        finally:
            path.unlink()

    return _PerBatch(exported)


def onnx(task: Task) -> Any:
    """tf2onnx, then onnx2torch; TensorFlow must be there."""
    from benchmarks.loading import load_torchvision

    load_torchvision()
    import onnx2torch
    import tensorflow as tf
    import tf2onnx

    model = _loaded_by_keras(task)
    signature = (tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image"),)
    function = tf.function(lambda image: model(image, training=False))
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=17)
    return _channels_last_of(onnx2torch.convert(proto).eval())


class _PerBatch:
    """A module that is made anew for every batch, and takes images as Keras does."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self.make = make


def _channels_last_of(module: Any) -> Any:
    """A module that takes torch's images and hands Keras's on, without a copy where they lie so in memory."""
    from torch import nn

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module
            self.training = False  # an exported program cannot be told so

        def forward(self, image: Any) -> Any:
            return self.inner(image.permute(0, 2, 3, 1))

    return Turned()


def _loaded_by_keras(task: Task) -> Any:
    import keras

    return keras.models.load_model(Path(task["folder"]) / "model.keras", compile=False)


ARMS: dict[str, Callable[[Task], Any]] = {
    "xconv": converted,
    "xconv_folded": folded,
    "handwritten": handwritten,
    "keras_torch": keras_torch,
    "keras_export": keras_export,
    "onnx2torch": onnx,
}


# -- cells ------------------------------------------------------------------------------------------------------------


def measure(arm: str, task: Task) -> Iterator[Row]:
    """One row for every cell: precision, batch and mode."""
    import torch

    torch.set_num_threads(task["threads"])
    made = ARMS[arm](task)
    checked: dict[int, Row] = {}
    for precision in task["precisions"]:
        for mode in task["modes"]:
            for batch in task["batches"]:
                cell = {"precision": precision, "mode": mode, "batch": batch}
                try:
                    module = made.make(batch) if isinstance(made, _PerBatch) else copy.deepcopy(made)
                    module = _channels_last_of(module) if isinstance(made, _PerBatch) else module
                    if arm != "handwritten" and 0 not in checked:
                        checked[0] = _checked(module, task, batch if isinstance(made, _PerBatch) else 0)
                    yield {**cell, **checked.get(0, {}), **_cell(module, task, **cell)}
                except Exception as error:  # noqa: BLE001 - any failure is the cell's result
                    said = (str(error).splitlines() or [""])[0][:160]
                    yield {**cell, "error": f"{type(error).__name__}: {said}"}
                _reset(task)


def _checked(module: Any, task: Task, batch: int) -> Row:
    """How far the module's float32 outputs are from the source's; a wrong arm is an error, not a time.

    Raises:
        ValueError: it computes something else.
    """
    import numpy as np
    import torch

    with np.load(Path(task["folder"]) / "reference.npz") as stored:
        images, outputs = stored["images"], stored["outputs"]
    count = batch or len(images)
    images, outputs = (np.concatenate([item] * count)[:count] for item in (images, outputs))
    device = task["device"]
    with torch.inference_mode(), _precision("float32"):
        image = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device)
        found = difference(module.to(device)(image).float().cpu().numpy(), outputs)
    if not found <= LIKE_FLOAT32:
        raise ValueError(f"its outputs are {found:.2g} from the source's")
    return {"difference": found}


def _cell(module: Any, task: Task, *, precision: str, mode: str, batch: int) -> Row:
    """Milliseconds of a forward pass at p50, p90 and p99, images a second, memory; and of a training step."""
    import torch

    device, dtype = task["device"], torch.bfloat16 if precision == "bfloat16" else torch.float32
    with _precision(precision):
        module = module.to(device=device, dtype=dtype)
        images = _images(task, batch, dtype, last=mode != "eager")
        if mode != "eager":
            module = module.to(memory_format=torch.channels_last)
        with torch.inference_mode() if mode in ("eager", "channels_last") else torch.no_grad():
            start = time.perf_counter()
            run = _moded(module, mode, images)
            run(images[0])
            _synchronise(device)
            first = spent(start)
            times = _timed(run, images, task)
        found = {**_quantiles(times, batch), "first_call": first, "memory": _memory(device)}
        if task["training"] and mode in ("eager", "channels_last"):
            found |= _trained(module, images, task)
    return found


def _trained(module: Any, images: list[Any], task: Task) -> Row:
    """A training step's milliseconds, or why there is none, as of a program that was exported for inference."""
    try:
        return {"training": _quantiles(_timed(_training_step(module), images, task), len(images[0]))}
    except RuntimeError as error:
        return {"training_error": (str(error).splitlines() or [""])[0][:160]}


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    """TF32 only where it is asked for, and cuDNN free to choose its algorithms."""
    import torch

    tf32 = name == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    yield


def _images(task: Task, batch: int, dtype: Any, *, last: bool) -> list[Any]:
    """Sets of fresh noise, so that no cache holds them all."""
    import torch

    generator = torch.Generator().manual_seed(batch)
    sets = [torch.rand((batch, 3, *_size(task)), generator=generator) * 255 for _ in range(INPUT_SETS)]
    layout = torch.channels_last if last else torch.contiguous_format
    return [images.to(device=task["device"], dtype=dtype).contiguous(memory_format=layout) for images in sets]


def _moded(module: Any, mode: str, images: list[Any]) -> Run:
    """The module as the mode runs it; all but 'eager' hold weights and images channels-last."""
    import torch

    if mode in ("eager", "channels_last"):
        return module  # type: ignore[no-any-return]
    if mode == "cuda_graph":
        return _graphed(module, images[0])
    if not images[0].is_cuda:
        return _frozen(module, mode, images[0])
    return torch.compile(module, mode={"compile": None, "max_autotune": "max-autotune"}[mode])  # type: ignore[no-any-return]


def _frozen(module: Any, mode: str, example: Any) -> Run:
    """A program with its weights frozen in; the setting must be the process's, as an option it has no effect."""
    import torch
    import torch._inductor.config

    run = torch.compile(module.requires_grad_(False), mode={"compile": None, "max_autotune": "max-autotune"}[mode])
    with torch._inductor.config.patch(freezing=True):
        run(example)
    return run  # type: ignore[no-any-return]


def _graphed(module: Any, example: Any) -> Run:
    """The eager calls captured once and replayed; an image is copied to where the graph reads it."""
    import torch

    if not example.is_cuda:
        raise ValueError("CUDA graphs need CUDA")
    held, graph, stream = example.clone(), torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            module(held)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        output = module(held)

    def run(image: Any) -> Any:
        held.copy_(image)
        graph.replay()
        return output

    return run


def _training_step(module: Any) -> Run:
    """Forward, cross-entropy, backward, SGD with momentum."""
    import torch

    module = copy.deepcopy(module).train().requires_grad_(True)
    optimiser = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9)

    def step(image: Any) -> None:
        optimiser.zero_grad(set_to_none=True)
        output = module(image).float()
        target = torch.arange(len(output), device=output.device) % output.shape[-1]
        torch.nn.functional.cross_entropy(output, target).backward()
        optimiser.step()

    return step


def _timed(run: Run, images: list[Any], task: Task) -> list[float]:
    """Seconds of every call: by CUDA events, or by the clock."""
    import torch

    device = task["device"]
    for number in range(WARM_UP[device]):
        run(images[number % len(images)])
    _synchronise(device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(task["rounds"])]
        for number, (begin, end) in enumerate(events):
            begin.record()
            run(images[number % len(images)])
            end.record()
        torch.cuda.synchronize()
        return [begin.elapsed_time(end) / 1e3 for begin, end in events]
    times = []
    for number in range(task["rounds"]):
        start = time.perf_counter()
        run(images[number % len(images)])
        times.append(spent(start))
    return times


def _quantiles(times: list[float], batch: int) -> Row:
    import numpy as np

    middle, high, highest = (float(np.quantile(times, share)) for share in (0.5, 0.9, 0.99))
    return {"p50": middle, "p90": high, "p99": highest, "images_per_second": batch / middle, "rounds": len(times)}


def _memory(device: str) -> int | None:
    import torch

    return torch.cuda.max_memory_allocated() if device == "cuda" else None


def _synchronise(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def _reset(task: Task) -> None:
    """Nothing of a cell is left for the next one."""
    import gc

    import torch

    torch._dynamo.reset()
    gc.collect()
    if task["device"] == "cuda":
        torch.cuda.empty_cache()


def _size(task: Task) -> tuple[int, int]:
    return (task["size"],) * 2


def _numpy(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


# -- Keras on JAX ------------------------------------------------------------------------------------------------------


def keras_jax(task: Task) -> Iterator[Row]:
    """Keras on JAX, compiled by XLA; in float32, and in bfloat16 by its dtype policy."""
    import jax
    import numpy as np

    model = _loaded_by_keras(task)
    if jax.default_backend() != {"cuda": "gpu", "cpu": "cpu"}[task["device"]]:
        raise ValueError(f"JAX runs on {jax.default_backend()}")
    run = jax.jit(lambda image: model(image, training=False))
    for batch in task["batches"]:
        generator = np.random.default_rng(batch)
        sets = [jax.device_put(generator.random((batch, *_size(task), 3), np.float32) * 255) for _ in range(INPUT_SETS)]
        start = time.perf_counter()
        run(sets[0]).block_until_ready()
        first, times = spent(start), []
        for number in range(-WARM_UP[task["device"]], task["rounds"]):
            start = time.perf_counter()
            run(sets[number % INPUT_SETS]).block_until_ready()
            if number >= 0:
                times.append(spent(start))
        cell = {"precision": "float32", "mode": "xla", "batch": batch}
        yield {**cell, **_quantiles(times, batch), "first_call": first}


def limits(task: Task) -> Iterator[Row]:
    """The peaks of the device in every precision, and the bound that follows for every batch."""
    import torch

    from benchmarks.roofline import bound, ceilings, works_of

    module = converted(task)
    works = works_of(module, (3, *_size(task)))
    for precision in task["precisions"]:
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        with _precision(precision):
            found = ceilings(task["device"], dtype)
        bytes_each = torch.empty((), dtype=dtype).element_size()
        peaks = {"bandwidth": found.bandwidth, "operations": found.operations}
        bounds = {str(batch): bound(works, found, batch, bytes_each) for batch in task["batches"]}
        yield {"precision": precision, **peaks, "bound": bounds}


def main() -> None:
    arm, task = sys.argv[1], json.loads(sys.argv[2])
    if arm == "source":
        source(task)
        return
    rows = {"keras_jax": keras_jax, "limits": limits}.get(arm, lambda given: measure(arm, given))(task)
    answered = []
    for row in rows:
        answered.append(row)
        print(MARK + json.dumps({"cells": answered}), flush=True)
        if os.environ.get("XCONV_SHOW"):
            print(arm, row, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
