"""The arm of `benchmarks.forward` towards Keras, in a process of its own: `-m benchmarks.forward_keras_arms TASK`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.forward_arms import INPUT_SETS, interleaved, ratios, rounds_of
from benchmarks.measure import answer, summary
from benchmarks.traits import difference
from benchmarks.twins import OPTIONS

Row = dict[str, Any]


def measure(task: Row) -> Row:
    """Milliseconds and ratios for each batch size, after the outputs were compared with torch's."""
    import torch

    torch.set_num_threads(task["threads"])
    import numpy as np

    import xconv
    from benchmarks.networks import NETWORKS, make
    from benchmarks.twins import twin

    compiled = _compiler(task["threads"])
    size = task["size"] or NETWORKS[task["network"]].size
    module = twin(task["network"])
    model = xconv.torch_to_keras(module, input_shape=(3, size, size))
    own = [make(task["network"], (size, size), **OPTIONS.get(task["network"], {})) for _ in range(2)]
    runs = {"xconv": compiled(model), "applications": compiled(own[0]), "again": compiled(own[1])}
    found: Row = {"layers": len(model.layers), "own_layers": len(own[0].layers), "batches": {}}
    for count in task["batches"]:
        generator = np.random.default_rng(1)
        images = [generator.standard_normal((count, size, size, 3), dtype=np.float32) for _ in range(INPUT_SETS)]
        with torch.inference_mode():
            expected = module(torch.from_numpy(images[0].transpose(0, 3, 1, 2).copy())).numpy()
        error = difference(runs["xconv"](images[0]), expected)
        arms = {name: _on(run, images) for name, run in runs.items()}
        times = interleaved(arms, rounds_of(task, count))
        found["batches"][str(count)] = {
            **{name: summary(values).to_dict() for name, values in times.items()},
            "difference": error,
            "ratio": ratios(times["xconv"], times["applications"]),
            "noise": ratios(times["again"], times["applications"]),
        }
    return found


def _on(run: Callable[[Any], Any], images: Sequence[Any]) -> Callable[[int], Any]:
    return lambda place: run(images[place])


def _compiler(threads: int) -> Callable[[Any], Callable[[Any], Any]]:
    """What compiles a model of the backend in use: array in, array out, as `predict` would."""
    import keras

    return _in_jax if keras.backend.backend() == "jax" else _in_tensorflow(threads)


def _in_tensorflow(threads: int) -> Callable[[Any], Callable[[Any], Any]]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)

    def compiled(model: Any) -> Callable[[Any], Any]:
        graph = tf.function(lambda image: model(image, training=False))
        return lambda image: graph(tf.constant(image)).numpy()

    return compiled


def _in_jax(model: Any) -> Callable[[Any], Any]:
    import jax
    import numpy as np

    held = [variable.value for variable in model.trainable_variables]
    rest = [variable.value for variable in model.non_trainable_variables]
    graph = jax.jit(lambda held, rest, image: model.stateless_call(held, rest, image, training=False)[0])
    return lambda image: np.asarray(graph(held, rest, image))


def main() -> None:
    answer(measure(json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
