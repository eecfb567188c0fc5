"""What a route through ONNX loses, measured from the two networks: BatchNorm, names, what trains, transposes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Losses", "losses"]

NOISE = ("Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout", "SpatialDropout", "DropPath", "StochasticDepth")
TURNS = ("permute", "transpose", "onnxtranspose", "moveaxis", "movedim", "swapaxes")


@dataclass(frozen=True, slots=True)
class Traits:
    """What is counted in one network."""

    batch_norms: int
    random: int
    """Layers that act in training alone: dropout, noise."""
    trainable: int
    """Numbers that an optimiser would change."""
    held: int
    """Numbers that it would not: statistics, frozen weights, constants."""
    transposes: int
    names: frozenset[str]
    """The paths of layers with weights, as torch writes them."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Counts of the source and of the result, each as a pair; `str()` is one sentence.

    >>> print(Losses((2, 0), (1, 0), (3, 0), (100, 90), (8, 0), (0, 1)))
    0 of 2 BatchNorm layers are left, 0 of 1 layers of dropout or noise, 0 of 3 layers with weights keep their names, \
90 of 100 numbers train, 1 transpose inside
    """

    batch_norms: tuple[int, int]
    random: tuple[int, int]
    names: tuple[int, int]
    """The layers with weights, and how many of their names the result has."""
    trainable: tuple[int, int]
    held: tuple[int, int]
    transposes: tuple[int, int]

    @property
    def nothing(self) -> bool:
        """Whether the result has all that the source had."""
        pairs = (self.batch_norms, self.random, self.names, self.trainable)
        return all(before == after for before, after in pairs) and self.transposes[1] <= self.transposes[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {key: list(value) for key, value in asdict(self).items()}

    def __str__(self) -> str:
        def of(pair: tuple[int, int], what: str) -> str:
            return f"{pair[1]:,} of {pair[0]:,} {what}" if any(pair) else ""

        turns = self.transposes[1]
        parts = (
            of(self.batch_norms, "BatchNorm layers are left"),
            of(self.random, "layers of dropout or noise"),
            of(self.names, "layers with weights keep their names"),
            of(self.trainable, "numbers train"),
            f"{turns} transpose{'s' if turns != 1 else ''} inside",
        )
        return ", ".join(filter(None, parts))


def losses(source: Any, result: Any) -> Losses:
    """What `result` lacks of what `source` has; each is a live Keras model or a torch module.

    Names are compared as torch writes them: `layer1.0.conv1` and Keras's `layer1>0>conv1` are the same.
    """
    before, after = traits(source), traits(result)
    return Losses(
        (before.batch_norms, after.batch_norms),
        (before.random, after.random),
        (len(before.names), len(before.names & after.names)),
        (before.trainable, after.trainable),
        (before.held, after.held),
        (before.transposes, after.transposes),
    )


def traits(network: Any) -> Traits:
    """The counts of one network."""
    kinds = {kind.__module__.partition(".")[0] for kind in type(network).__mro__}
    return _of_keras(network) if kinds & {"keras", "tf_keras"} else _of_torch(network)


def _of_keras(model: Any) -> Traits:
    from math import prod

    from xconv.keras.names import torch_path
    from xconv.keras.walk import all_layers

    layers = [layer for layer in all_layers(model)[1:] if not hasattr(layer, "layers")]
    operations = [type(item).__name__ for item in getattr(model, "operations", layers)]

    def count(weights: Any) -> int:
        return sum(prod(int(size) for size in weight.shape) for weight in weights)

    return Traits(
        sum(type(layer).__name__ == "BatchNormalization" for layer in layers),
        sum(_is_noise(type(layer).__name__) for layer in layers),
        count(model.trainable_weights),
        count(model.non_trainable_weights),
        sum(name in ("Permute", "Transpose", "Moveaxis", "Swapaxes") for name in operations),
        frozenset(torch_path(layer.name) for layer in layers if layer.weights),
    )


def _of_torch(module: Any) -> Traits:
    from torch import nn

    modules: Mapping[str, nn.Module] = dict(module.named_modules())
    parameters = list(module.parameters())
    trainable = sum(item.numel() for item in parameters if item.requires_grad)
    held = sum(item.numel() for item in (*parameters, *module.buffers())) - trainable
    return Traits(
        sum(isinstance(child, nn.modules.batchnorm._BatchNorm) for child in modules.values()),
        sum(_is_noise(type(child).__name__) for child in modules.values()),
        trainable,
        held,
        sum(any(turn in name for turn in TURNS) for name in _calls(module, modules)),
        _names_in(module, modules),
    )


def _names_in(module: Any, modules: Mapping[str, Any]) -> frozenset[str]:
    """The paths of modules with parameters; the source's names for them where the module remembers those."""
    from xconv.torch.record import KEY

    record = getattr(module, "meta", {}).get(KEY)
    if record is not None and record.weights:
        return frozenset(mapped.layer.replace("/", ".") for mapped in record.weights)
    return frozenset(path for path, child in modules.items() if list(child.parameters(recurse=False)))


def _calls(module: Any, modules: Mapping[str, Any]) -> Iterator[str]:
    """What a graph module calls, in lower case; nothing for another module, whose text is not looked at."""
    for node in getattr(getattr(module, "graph", None), "nodes", ()):
        if node.op == "call_module":
            yield type(modules[str(node.target)]).__name__.lower()
        elif node.op in ("call_function", "call_method"):
            yield str(getattr(node.target, "__name__", node.target)).lower()


def _is_noise(name: str) -> bool:
    return name.startswith(NOISE)
