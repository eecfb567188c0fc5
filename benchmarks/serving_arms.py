"""The arms of `benchmarks.serving`, each run in a process of its own: `-m benchmarks.serving_arms ARM TASK`.

Every arm gives a function for one batch; it is compared with the stored outputs and then timed on inputs in rotation.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import answer, spent
from benchmarks.traits import difference

__all__ = ["ARMS", "SAME"]

INPUT_SETS = 4
WARM_UP = 3
SAME = 1e-4
"""The relative difference in float32 up to which an arm computes what the network computes."""

Task = dict[str, Any]
Row = dict[str, Any]
Run = Callable[[Any], Any]


def source(task: Task) -> Row:
    """Stores the Keras network, its inputs and TensorFlow's outputs for them, and its ONNX export."""
    import torch  # noqa: F401  before TensorFlow

    import numpy as np  # isort: skip

    from benchmarks.networks import batch, make

    model = make(task["network"], _shape(task))
    folder = Path(task["folder"])
    model.save(folder / "model.keras")
    for count in task["batches"]:
        images = np.stack([batch(model, count, seed) for seed in range(INPUT_SETS)])
        np.savez(folder / f"batch{count}.npz", images=images, outputs=np.asarray(model(images[0], training=False)))
    return _exported(model, folder)


def _exported(model: Any, folder: Path) -> Row:
    """tf2onnx's export, which onnxruntime and OpenVINO run."""
    import xconv

    try:
        xconv.keras_to_onnx(model, folder / "model.onnx")
    except xconv.XConvError as error:
        return {"onnx": str(error)}
    return {"onnx": "made"}


# -- arms: a task and the images of one batch, channels-last as NumPy, make the function and its own inputs ------------


def xconv_eager(task: Task, images: Any) -> tuple[Run, list[Any], Row]:
    """The converted module as it is."""
    return _converted(task), _first(images), {}


def xconv_optimized(task: Task, images: Any, *, compiled: Any = True) -> tuple[Run, list[Any], Row]:
    """`xconv.optimize` for this batch."""
    import xconv

    given = _first(images)
    rounds = rounds_of(task, len(given[0]))
    found = xconv.optimize(_converted(task), given[0], compiled=compiled, rounds=rounds)
    return found.module, given, {"optimized": found.to_dict()}


def xconv_openvino(task: Task, images: Any) -> tuple[Run, list[Any], Row]:
    """The same where OpenVINO may compute what it has the faster program for."""
    return xconv_optimized(task, images, compiled="openvino")


def torchvision_eager(task: Task, images: Any) -> tuple[Run, list[Any], Row]:
    """The hand-written module."""
    return _twin(task), _first(images), {}


def torchvision_compiled(task: Task, images: Any) -> tuple[Run, list[Any], Row]:
    """The hand-written module, by torch.compile with frozen weights."""
    import torch
    import torch._inductor.config

    module = _twin(task)
    run = torch.compile(copy.deepcopy(module).requires_grad_(False), dynamic=False)
    given = _first(images)
    with torch.no_grad(), torch._inductor.config.patch(freezing=True):  # as an option it has no effect
        error = difference(run(given[0]).numpy(), module(given[0]).numpy())
    return run, given, {"difference": error}


def tensorflow(task: Task, images: Any) -> tuple[Run, list[Any], Row]:
    """Keras on TensorFlow as one graph."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(task["threads"])
    model = keras.models.load_model(Path(task["folder"]) / "model.keras", compile=False)
    run = tf.function(lambda image: model(image, training=False))
    return lambda image: run(image).numpy(), [tf.constant(item) for item in images], {}


def onnxruntime(task: Task, images: Any) -> tuple[Run, list[Any], Row]:
    """onnxruntime on the export, with all its optimisations."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = task["threads"]
    path = Path(task["folder"]) / "model.onnx"
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0], list(images), {}


def openvino(task: Task, images: Any) -> tuple[Run, list[Any], Row]:
    """OpenVINO on the export, for latency, and told to stay in float32 where the processor has bfloat16."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(Path(task["folder"]) / "model.onnx")
    model.reshape(images[0].shape)
    wishes = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    program = core.compile_model(model, "CPU", {**wishes, "INFERENCE_NUM_THREADS": task["threads"]})
    return lambda image: program(image)[0], list(images), {}


ARMS: dict[str, Callable[[Task, Any], tuple[Run, list[Any], Row]]] = {
    "xconv_eager": xconv_eager,
    "xconv_optimized": xconv_optimized,
    "xconv_openvino": xconv_openvino,
    "torchvision_eager": torchvision_eager,
    "torchvision_compiled": torchvision_compiled,
    "tensorflow": tensorflow,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}
OF_TORCH = ("xconv_eager", "xconv_optimized", "xconv_openvino", "torchvision_eager", "torchvision_compiled")


def measure(arm: str, task: Task) -> Row:
    """Seconds of every call for each batch, and what the arm tells beside them.

    Raises:
        ValueError: the arm computes something else than the network.
    """
    import numpy as np

    if arm in OF_TORCH:
        import torch

        torch.set_num_threads(task["threads"])
    found = {}
    for count in task["batches"]:
        with np.load(Path(task["folder"]) / f"batch{count}.npz") as stored:
            images, outputs = stored["images"], stored["outputs"]
        start = time.perf_counter()
        with _inference(arm):
            run, inputs, facts = ARMS[arm](task, images)
            result = np.asarray(run(inputs[0]))
            first = spent(start)
            if "difference" not in facts and not arm.startswith("torchvision"):
                facts["difference"] = difference(result, outputs)
            if not facts.get("difference", 0) <= SAME:
                raise ValueError(f"batch {count}: its outputs are {facts['difference']:.2g} from TensorFlow's")
            times = _timed(run, inputs, rounds_of(task, count))
            profile = _profiled(arm, run, inputs, task) if task["profile"] else {}
        found[str(count)] = {"seconds": times, "first_call": first, **facts, **profile}
    return found


def rounds_of(task: Task, count: int) -> int:
    """Fewer calls for larger batches."""
    return max(task["rounds"] // max(count // 4, 1), 5)


def _inference(arm: str) -> Any:
    """What torch's users run under; nothing for the others."""
    import contextlib

    if arm not in OF_TORCH:
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


def _timed(run: Run, inputs: list[Any], rounds: int) -> list[float]:
    for number in range(WARM_UP):
        run(inputs[number % len(inputs)])
    times = []
    for number in range(rounds):
        start = time.perf_counter()
        run(inputs[number % len(inputs)])
        times.append(spent(start))
    return times


def _profiled(arm: str, run: Run, inputs: list[Any], task: Task) -> Row:
    """Milliseconds by operator: of torch by its profiler, of onnxruntime by its own.

    A program that is called from C++ shows no operators; the same one called from Python is profiled instead.
    """
    if arm in OF_TORCH:
        from xconv.optimization.serving import Compiled

        if isinstance(run, Compiled):
            run = Compiled(run.module, None, inputs[0].device)
            run(inputs[0])
        return {"operators": of_torch(run, inputs)}
    return {"operators": _of_onnxruntime(task, inputs)} if arm == "onnxruntime" else {}


def of_torch(run: Run, inputs: list[Any], repeat: int = 10) -> dict[str, list[float]]:
    """Milliseconds and calls of every operator in one call; the largest first."""
    import torch

    with torch.profiler.profile() as profiler:
        for number in range(repeat):
            run(inputs[number % len(inputs)])
    spans = sorted(profiler.key_averages(), key=lambda span: -span.self_cpu_time_total)
    return {span.key: [round(span.self_cpu_time_total / 1e3 / repeat, 3), span.count / repeat] for span in spans[:20]}


def _of_onnxruntime(task: Task, inputs: list[Any], repeat: int = 10) -> dict[str, list[float]]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = task["threads"]
    options.enable_profiling = True
    options.profile_file_prefix = str(Path(task["folder"]) / "profile")
    session = ort.InferenceSession(Path(task["folder"]) / "model.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for number in range(repeat):
        session.run(None, {name: inputs[number % len(inputs)]})
    spans: dict[str, list[float]] = {}
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            span = spans.setdefault(event["args"]["op_name"], [0.0, 0.0])
            span[0] += event["dur"] / 1e3 / repeat
            span[1] += 1 / repeat
    ordered = sorted(spans.items(), key=lambda item: -item[1][0])
    return {key: [round(value, 3) for value in span] for key, span in ordered[:20]}


def _converted(task: Task) -> Any:
    import xconv

    return xconv.keras_to_torch(Path(task["folder"]) / "model.keras").eval()


def _twin(task: Task) -> Any:
    from benchmarks.twins import twin

    return twin(task["network"])


def _first(images: Any) -> list[Any]:
    """Images as torch has them."""
    import torch

    return [torch.from_numpy(item).permute(0, 3, 1, 2).contiguous() for item in images]


def _shape(task: Task) -> tuple[int, int] | None:
    return (task["size"],) * 2 if task["size"] else None


def main() -> None:
    arm, task = sys.argv[1], json.loads(sys.argv[2])
    answer(source(task) if arm == "source" else measure(arm, task))


if __name__ == "__main__":
    main()
