"""What is left of a network in a Keras model: layers, transposes, BatchNorm, trainable values, names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

__all__ = ["keras_traits", "names_kept"]

TRANSPOSES = {"Permute", "Transpose", "Moveaxis", "MoveAxis", "Swapaxes", "SwapAxes"}
TENSORFLOW_TRANSPOSES = {"tf.transpose"}

Facts = dict[str, Any]


def keras_traits(model: Any) -> Facts:
    """The traits of a live Functional model, of Keras 3 or of Keras 2."""
    steps = list(_steps(model))
    turns = [step for step in steps if _is_transpose(step)]
    inside = [step for step in turns if not _at_border(step, model)]
    layers = list(_layers(model))
    return {
        "layers": len(model.layers),
        "operations": len(steps),
        "transposes": sum(_calls(step) for step in turns),
        "interior_transposes": sum(_calls(step) for step in inside),
        "batch_norms": sum(type(layer).__name__ == "BatchNormalization" for layer in layers),
        "trainable": sum(_size(variable) for variable in model.trainable_weights),
    }


def names_kept(modules: Iterable[str], model: Any) -> int:
    """How many dotted module paths are found again in the names of layers that own weights.

    A path counts where a layer is called by it, or begins with it, whatever stands between its parts
    ('layer1.0.conv1' is found in 'layer1>0>conv1' and in 'layer1_0_conv1/kernel'), and whatever all names begin with.
    """
    names = without_common_start([_plain(layer.name) for layer in _layers(model) if layer.weights])
    begun = {name[:length] for name in names for length in range(1, len(name) + 1)}
    return sum(_plain(path) in begun for path in modules)


def without_common_start(names: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The names without the parts that all of them begin with.

    >>> without_common_start([("net", "a", "b"), ("net", "c")])
    [('a', 'b'), ('c',)]
    """
    common = 0
    while (
        len(names) > 1 and all(len(name) > common + 1 for name in names) and len({name[common] for name in names}) == 1
    ):
        common += 1
    return [name[common:] for name in names]


def _plain(name: str) -> tuple[str, ...]:
    """The parts of a name, which dots, slashes, underscores and the like hold apart.

    >>> _plain("layer1.0>conv_1")
    ('layer1', '0', 'conv', '1')
    """
    return tuple("".join(letter if letter.isalnum() else " " for letter in name).split())


def _layers(model: Any) -> Iterator[Any]:
    """Every layer that is no model."""
    for layer in model._flatten_layers(include_self=False):
        if not hasattr(layer, "layers"):
            yield layer


def _steps(model: Any) -> Iterator[Any]:
    """Layers and operations, those of nested models too."""
    for step in getattr(model, "operations", None) or model.layers:
        if hasattr(step, "layers"):
            yield from _steps(step)
        else:
            yield step


def _is_transpose(step: Any) -> bool:
    return type(step).__name__ in TRANSPOSES or getattr(step, "symbol", "") in TENSORFLOW_TRANSPOSES


def _calls(step: Any) -> int:
    return max(len(step._inbound_nodes), 1)


def _at_border(step: Any, model: Any) -> bool:
    """Whether a transpose only turns what the user gives or gets."""
    ends = {id(tensor) for tensor in [*model.inputs, *model.outputs]}
    return any(id(tensor) in ends for node in step._inbound_nodes for tensor in _tensors(node))


def _tensors(node: Any) -> Iterator[Any]:
    """The symbolic tensors that a node takes and gives."""
    for name in ("input_tensors", "output_tensors", "keras_inputs", "outputs"):
        found = getattr(node, name, None)
        yield from found if isinstance(found, list | tuple) else [] if found is None else [found]


def _size(variable: Any) -> int:
    size = 1
    for length in variable.shape:
        size *= int(length)
    return size
