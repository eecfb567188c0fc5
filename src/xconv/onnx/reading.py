"""An ONNX model -> Graph: as an nn.Module (`Network`), captured by torch.export and read as every torch network is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from xconv.errors import InvalidInput, Unsupported, XConvError
from xconv.graph import Graph, Value, map_structure
from xconv.inputs import SIZES
from xconv.onnx.files import open_model, opset_of
from xconv.onnx.network import Network
from xconv.onnx.operators.elementwise import torch_type
from xconv.onnx.plan import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xconv.spec import Shape

__all__ = ["network_of", "ports_of", "program_of", "read_onnx"]


def network_of(source: Any) -> Network:
    """An ONNX model or file as a module; its parameters are called as the model calls them.

    Raises:
        NotFound, IsDirectory, Unreadable: the file is not what it should be.
        Unknown: operators that have no rule, all in one error.
    """
    model, name = open_model(source)
    return Network(plan_of(model, name, opset_of(model)))


def ports_of(model: Any) -> list[tuple[str, Shape, torch.dtype]]:
    """Name, shape (None: open) and dtype of every input."""
    held = {tensor.name for tensor in model.graph.initializer}
    return [_port(item) for item in model.graph.input if item.name not in held]


def _port(item: Any) -> tuple[str, Shape, torch.dtype]:
    kind = item.type.tensor_type
    if not kind.elem_type or not kind.HasField("shape"):
        what = "is an input of no known type and shape"
        raise Unsupported(what, place=item.name, remedy="export the model with the shapes of its inputs")
    sizes = tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in kind.shape.dim)
    return item.name, sizes, torch_type(kind.elem_type)


def program_of(source: Any, input_shape: Any = None) -> tuple[Any, str, list[str]]:
    """The exported program of an ONNX model for any batch, its name, and the names of its inputs.

    Args:
        source: an onnx.ModelProto, or the path of an `.onnx` file.
        input_shape: the shape of the input without the batch, or a list of shapes; by default as the model says.

    Raises:
        Unsupported: what torch cannot say, or a model that is made for one batch size only.
    """
    from xconv.torch.capture import capture
    from xconv.torch.exported import TRACED

    model, name = open_model(source)
    network = Network(plan_of(model, name, opset_of(model))).eval()
    ports = _given(ports_of(model), input_shape)
    failed: XConvError | None = None
    is_open = any(None in shape[1:] for _, shape, _ in ports)
    for size in SIZES if is_open else SIZES[:1]:
        examples = [_example(shape, dtype, size, TRACED, seed) for seed, (_, shape, dtype) in enumerate(ports)]
        opened = [[axis for axis, length in enumerate(shape) if length is None and axis] for _, shape, _ in ports]
        try:
            return capture(network, examples, opened), name, [port for port, _, _ in ports]
        except (Unsupported, InvalidInput) as error:
            failed = failed or error
    fixed = [(place, shape) for place, shape, _ in ports if shape and shape[0] is not None]
    if fixed:
        what = f"is made for a batch of {fixed[0][1][0]}"
        raise Unsupported(what, place=fixed[0][0], remedy="export the model with an open batch") from failed
    raise failed or Unsupported("no size fits", place=name)


def _given(ports: list[tuple[str, Shape, torch.dtype]], input_shape: Any) -> list[tuple[str, Shape, torch.dtype]]:
    if input_shape is None:
        return ports
    flat = all(size is None or isinstance(size, int) for size in input_shape)
    shapes = [tuple(input_shape)] if flat else [tuple(shape) for shape in input_shape]
    fits = len(shapes) == len(ports) and all(
        len(shape) + 1 == len(own) for shape, (_, own, _) in zip(shapes, ports, strict=True)
    )
    if not fits:
        said = ", ".join(f"{name} {shape}" for name, shape, _ in ports)
        raise InvalidInput(f"input_shape={input_shape!r} for the inputs {said}", remedy="leave out the batch alone")
    return [(name, (own[0], *shape), dtype) for shape, (name, own, dtype) in zip(shapes, ports, strict=True)]


def _example(shape: Shape, dtype: torch.dtype, size: Sequence[int], batch: int, seed: int) -> torch.Tensor:
    """Noise of a shape, open sizes filled; small whole numbers where the network counts."""
    generator = torch.Generator().manual_seed(seed)
    open_axes = [axis for axis, length in enumerate(shape) if length is None and axis]
    chosen = {axis: size[min(place, len(size) - 1)] for place, axis in enumerate(open_axes)}
    whole = [batch, *(chosen.get(axis, length) or 1 for axis, length in enumerate(shape) if axis)] if shape else []
    if dtype.is_floating_point:
        return torch.randn(whole, generator=generator, dtype=dtype)
    return torch.randint(0, 2, whole, generator=generator).to(dtype)


def read_onnx(source: Any, input_shape: Any = None) -> Graph:
    """The graph of an ONNX model, in the order of axes in which it is written; arguments as for `program_of`.

    Raises:
        Unknown, Unsupported: what cannot be said, in one error.
    """
    from xconv.torch.read import read

    program, name, inputs = program_of(source, input_shape)
    graph = _renamed(read(program, name), inputs)
    shapes = graph.value_shapes()
    if any(shapes[value][:1] not in ((None,), ()) for value in graph.output_values()):
        what = "an output does not have the batch first"
        raise Unsupported(what, place=name, remedy="export the model with an open batch in front")
    return graph


def _renamed(graph: Graph, names: Sequence[str]) -> Graph:
    """The graph with its inputs called as the model calls them, where a node can be called so."""
    nodes = {node.name for node in graph.nodes}
    pairs = zip(graph.input_values(), names, strict=False)
    new = {value.node: name for value, name in pairs if name and name not in nodes and "/" not in name}

    def called(value: Value) -> Value:
        return Value(new.get(value.node, value.node), value.index)

    moved = []
    for node in graph.nodes:
        name = new.get(node.name, node.name)
        layer = name if node.layer == node.name else node.layer
        moved.append(replace(node, name=name, layer=layer, inputs=tuple(map(called, node.inputs))))
    inputs, outputs = (map_structure(called, item) for item in (graph.inputs, graph.outputs))
    return replace(graph, nodes=tuple(moved), inputs=inputs, outputs=outputs)
