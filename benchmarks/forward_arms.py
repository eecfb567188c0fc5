"""The arms of `benchmarks.forward`, each run in a process of its own: `-m benchmarks.forward_arms ARM ...`."""

from __future__ import annotations

import copy
import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import answer, spent, summary
from benchmarks.traits import difference

INPUT_SETS = 4

Task = dict[str, Any]
Row = dict[str, Any]


def keras_tensorflow(task: Task) -> Row:
    """Keras on TensorFlow, as one graph; it also stores the network, the inputs and its outputs for the others."""
    import torch  # noqa: F401  before TensorFlow

    import numpy as np  # isort: skip
    import tensorflow as tf

    from benchmarks.networks import batch, make

    tf.config.threading.set_intra_op_parallelism_threads(task["threads"])
    model = make(task["network"], _shape(task), **task["options"])
    model.save(Path(task["folder"]) / "model.keras")
    run = tf.function(lambda image: model(image, training=False))
    found = {}
    for count in task["batches"]:
        images = [batch(model, count, seed) for seed in range(INPUT_SETS)]
        tensors = [tf.constant(image) for image in images]
        outputs = [run(tensor).numpy() for tensor in tensors]
        np.savez(Path(task["folder"]) / f"batch{count}.npz", images=np.stack(images), outputs=np.stack(outputs))
        times = interleaved({"only": lambda place, held=tensors: run(held[place]).numpy()}, rounds_of(task, count))
        found[str(count)] = summary(times["only"]).to_dict()
    return found


def keras_torch(task: Task) -> Row:
    """Keras's torch backend, eager, checked against TensorFlow's outputs."""
    import torch

    from benchmarks.networks import make

    torch.set_num_threads(task["threads"])
    model = make(task["network"], _shape(task), **task["options"])
    found = {}
    with torch.inference_mode():
        for count in task["batches"]:
            images, outputs = _stored(task, count)
            tensors = [torch.from_numpy(image) for image in images]
            error = difference(model(tensors[0], training=False).numpy(), outputs[0])
            arms = {"only": lambda place, held=tensors: model(held[place], training=False)}
            times = interleaved(arms, rounds_of(task, count))
            found[str(count)] = {**summary(times["only"]).to_dict(), "difference": error}
    return found


def converted(task: Task) -> Row:
    """The converted module and torchvision's, in turn, in both memory formats; torchvision's twice as the noise."""
    import torch

    import xconv
    from benchmarks.twins import twin

    torch.set_num_threads(task["threads"])
    module = xconv.keras_to_torch(Path(task["folder"]) / "model.keras").eval()
    other = twin(task["network"])
    arms = {"xconv": module, "torchvision": other, "again": copy.deepcopy(other)}
    if task["channels_last"]:
        last = {f"{name}_last": _channels_last(copy.deepcopy(arms[name])) for name in ("xconv", "torchvision")}
        arms |= last
    found = {}
    with torch.inference_mode():
        for count in task["batches"]:
            found[str(count)] = _against(arms, task, count)
    return found


def _against(arms: Mapping[str, Any], task: Task, count: int) -> Row:
    """Seconds of each module on the same inputs, and the ratios round by round."""
    import torch

    images, outputs = _stored(task, count)
    plain = [torch.from_numpy(image).permute(0, 3, 1, 2).contiguous() for image in images]
    last = [image.contiguous(memory_format=torch.channels_last) for image in plain]
    error = difference(arms["xconv"](plain[0]).numpy(), outputs[0])
    runs = {name: _on(module, last if name.endswith("_last") else plain) for name, module in arms.items()}
    times = interleaved(runs, rounds_of(task, count))
    found: Row = {name: summary(values).to_dict() for name, values in times.items()}
    found["difference"] = error
    found["ratio"] = ratios(times["xconv"], times["torchvision"])
    found["noise"] = ratios(times["again"], times["torchvision"])
    if "xconv_last" in times:
        found["ratio_last"] = ratios(times["xconv_last"], times["torchvision_last"])
    return found


def _on(module: Any, tensors: Sequence[Any]) -> Callable[[int], Any]:
    return lambda place: module(tensors[place])


def ratios(times: Sequence[float], others: Sequence[float]) -> Row:
    return summary([a / b for a, b in zip(times, others, strict=True)]).to_dict()


def _channels_last(module: Any) -> Any:
    import torch

    return module.to(memory_format=torch.channels_last)


def interleaved(arms: Mapping[str, Callable[[int], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each arm: every round runs all of them once, in a new order, on another input."""
    order = random.Random(0)  # noqa: S311
    times: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(-3, rounds):
        for name in order.sample(sorted(arms), len(arms)):
            start = time.perf_counter()
            arms[name](number % INPUT_SETS)
            if number >= 0:  # the rounds before are to warm up
                times[name].append(spent(start))
    return times


def rounds_of(task: Task, count: int) -> int:
    return max(task["rounds"] // max(count // 4, 1), 3)


def _shape(task: Task) -> tuple[int, int] | None:
    return (task["size"],) * 2 if task["size"] else None


def _stored(task: Task, count: int) -> tuple[Any, Any]:
    import numpy as np

    with np.load(Path(task["folder"]) / f"batch{count}.npz") as stored:
        return stored["images"], stored["outputs"]


def profile(task: Task) -> Row:
    """Where the time of the converted module and of torchvision's goes, by operator: milliseconds and calls."""
    import torch

    import xconv
    from benchmarks.twins import twin

    torch.set_num_threads(task["threads"])
    arms = {
        "xconv": xconv.keras_to_torch(Path(task["folder"]) / "model.keras").eval(),
        "torchvision": twin(task["network"]),
    }
    return {name: _operators(module, task) for name, module in arms.items()}


def _operators(module: Any, task: Task) -> Row:
    import torch

    image = torch.from_numpy(_stored(task, task["batches"][0])[0][0]).permute(0, 3, 1, 2).contiguous()
    repeat = 10
    with torch.inference_mode():
        for _ in range(3):
            module(image)
        with torch.profiler.profile() as profiler:
            for _ in range(repeat):
                module(image)
    spans = sorted(profiler.key_averages(), key=lambda span: -span.self_cpu_time_total)
    return {span.key: [round(span.self_cpu_time_total / 1e3 / repeat, 3), span.count / repeat] for span in spans[:20]}


ARMS: dict[str, Callable[[Task], Row]] = {
    "keras_tensorflow": keras_tensorflow,
    "keras_torch": keras_torch,
    "converted": converted,
    "profile": profile,
}


def main() -> None:
    answer(ARMS[sys.argv[1]](json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
