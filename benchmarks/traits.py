"""What is left of a network in a torch module: BatchNorm, trainable values, names; transposes, calls; its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Facts", "difference", "exported_traits", "module_traits", "names_left", "reference", "source_facts"]

TRANSPOSES = {"permute", "transpose", "movedim", "moveaxis", "swapaxes", "t", "numpy_T"}

Facts = dict[str, Any]


def source_facts(model: Any) -> Facts:
    """What a live Keras model holds: bytes of weights, BatchNorm layers, trainable values, layers that own weights."""
    layers = [layer for layer in model._flatten_layers() if layer.weights and not hasattr(layer, "layers")]
    return {
        "layers": len(model.layers),
        "weight_bytes": sum(int(weight.value.numpy().nbytes) for weight in model.weights),
        "batch_norms": sum(type(layer).__name__ == "BatchNormalization" for layer in layers),
        "trainable": sum(int(weight.value.numpy().size) for weight in model.trainable_weights),
        "names": [layer.name for layer in layers],
    }


def module_traits(module: Any, image: Any) -> Facts:
    """The traits of an fx.GraphModule; `image` is an input for torch.export, batch 1.

    Calls and transposes are those of the exported program. Where torch.export refuses the module (`exports` is
    false) they are those of its fx graph, where one node may be several calls.
    """
    import torch

    module.eval()
    try:
        with torch.no_grad():
            found = {**exported_traits(torch.export.export(module, (image,), strict=False)), "exports": True}
    except RuntimeError:
        found = {**graph_traits(module), "exports": False}
    kept = sum(value.numel() for value in module.parameters() if value.requires_grad)
    return {**found, "trainable": kept, "keys": list(module.state_dict())}


def graph_traits(module: Any) -> Facts:
    """Calls and transposes of an fx graph."""
    calls = [node for node in module.graph.nodes if node.op.startswith("call_")]
    inputs = {node.name for node in module.graph.nodes if node.op == "placeholder"}
    kinds = {node: _kind(module, node) for node in calls}
    transposes = [node for node, kind in kinds.items() if kind in TRANSPOSES]
    return {
        "nodes": len(calls),
        "transposes": len(transposes),
        "interior_transposes": sum(not _at_border(node, inputs) for node in transposes),
        "batch_norms": sum("batchnorm" in kind for kind in kinds.values()),
    }


def _kind(module: Any, node: Any) -> str:
    """What a node of an fx graph calls: the module's class in lower case, without onnx2torch's 'Onnx'."""
    if node.op == "call_module":
        return type(module.get_submodule(node.target)).__name__.lower().removeprefix("onnx")
    return str(node.target if node.op == "call_method" else getattr(node.target, "__name__", ""))


def exported_traits(exported: Any) -> Facts:
    """The traits of an ExportedProgram."""
    calls = [node for node in exported.graph.nodes if node.op == "call_function"]
    borders = set(exported.graph_signature.user_inputs)
    transposes = [node for node in calls if _operator(node) in TRANSPOSES]
    interior = [node for node in transposes if not _at_border(node, borders)]
    return {
        "nodes": len(calls),
        "transposes": len(transposes),
        "interior_transposes": len(interior),
        "batch_norms": sum("batch_norm" in _operator(node) for node in calls),
        "trainable": sum(value.numel() for value in exported.parameters() if value.requires_grad),
        "keys": list(exported.state_dict),
    }


def _operator(node: Any) -> str:
    """The name of the ATen operator that a node calls.

    >>> import operator, types
    >>> _operator(types.SimpleNamespace(target=operator.add))
    'add'
    """
    schema = getattr(node.target, "_schema", None)
    return schema.name.partition("::")[2] if schema is not None else getattr(node.target, "__name__", "")


def _at_border(node: Any, inputs: set[str]) -> bool:
    """Whether a transpose only turns what the user gives or gets."""
    given = any(item.name in inputs for item in node.all_input_nodes)
    return given or all(user.op == "output" for user in node.users)


def names_left(names: list[str], keys: list[str]) -> int:
    """How many layer names stand in the keys of a state_dict: as a part of a key, perhaps with TensorFlow's "_1" added.

    >>> names_left(["conv1", "bn1", "fc"], ["model/conv1_1.weight", "bn_1.weight", "fc.bias"])
    2
    """
    parts = {part for key in keys for part in key.replace("/", ".").split(".")}
    parts |= {part.removesuffix("_1") for part in parts}
    return sum(name in parts for name in names)


def reference(folder: Path) -> tuple[Any, Any]:
    """The stored input (channels-last) and Keras's output for it."""
    import numpy as np

    with np.load(folder / "reference.npz") as stored:
        return stored["image"], stored["output"]


def difference(actual: Any, expected: Any) -> float:
    """max|actual - expected| / max|expected|; infinite where shapes differ.

    >>> import numpy as np
    >>> difference(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    0.5
    """
    import numpy as np

    if actual.shape != expected.shape:
        return float("inf")
    return float(np.abs(actual - expected).max() / np.abs(expected).max())
