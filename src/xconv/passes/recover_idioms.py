"""Activations that a network spells out: hard-sigmoid and hard-swish in Keras, softsign and tanh-shrink in torch.

    before   add(x, 3) -> relu6 -> multiply(1/6)               after   hard_sigmoid(x)
    before   multiply(x, hard_sigmoid(x))                      after   hard_silu(x)
    before   divide(x, add(abs(x), 1))                         after   softsign(x)
    before   subtract(x, tanh(x))                              after   tanh_shrink(x)

Only where the numbers are exactly these: 3, 6 and the nearest double to 1/6.
"""

from __future__ import annotations

from dataclasses import replace

from xconv.graph import Graph, Node, Value
from xconv.layers.activation import Activation
from xconv.layers.elementwise import Elementwise
from xconv.layers.unary import Unary
from xconv.spec import Slot

__all__ = ["recover_idioms"]


def recover_idioms(graph: Graph) -> Graph:
    """The graph with each of them as one node."""
    for find in (_hard_sigmoid, _hard_swish, _softsign, _tanh_shrink):
        graph = _replace_all(graph, find)
    return graph


def _replace_all(graph: Graph, find: object) -> Graph:
    """Every place where `find` sees its pattern, rewritten; nodes inside a pattern must have no other use."""
    nodes, consumers, outputs = graph.by_name(), graph.consumers(), set(graph.output_values())

    def only_use(value: Value) -> bool:
        return len(consumers.get(value, ())) == 1 and value not in outputs

    changes: dict[str, Node | None] = {}
    for node in graph.nodes:
        found = find(node, nodes)  # type: ignore[operator]
        if found is None:
            continue
        source, name, inner = found
        if not all(only_use(Value(n.name)) for n in inner):
            continue
        note = f"{name} was spelled out as {', '.join(n.name for n in (*inner, node))}"
        spec = Activation(name)
        changes[node.name] = replace(node, spec=spec, inputs=(source,), kind="Activation", notes=(*node.notes, note))
        changes.update({n.name: None for n in inner})
    return graph.rebuilt(changes) if changes else graph


def _hard_sigmoid(node: Node, nodes: dict[str, Node]) -> tuple[Value, str, list[Node]] | None:
    """relu6(x + 3) / 6, ending at `node`."""
    scaled = _with_number(node, "multiply", 1 / 6) or _with_number(node, "divide", 6.0)
    middle = nodes[scaled.node] if scaled else None
    if middle is None or middle.spec != Activation("relu6"):
        return None
    first = nodes[middle.inputs[0].node]
    source = _with_number(first, "add", 3.0)
    return (source, "hard_sigmoid", [first, middle]) if source else None


def _hard_swish(node: Node, nodes: dict[str, Node]) -> tuple[Value, str, list[Node]] | None:
    """x * hard_sigmoid(x), ending at `node`."""
    spec = node.spec
    if not isinstance(spec, Elementwise) or spec.name != "multiply" or len(node.inputs) != 2:
        return None
    for x, gate in (node.inputs, node.inputs[::-1]):
        other = nodes[gate.node]
        if other.spec == Activation("hard_sigmoid") and other.inputs == (x,):
            return x, "hard_silu", [other]
    return None


def _softsign(node: Node, nodes: dict[str, Node]) -> tuple[Value, str, list[Node]] | None:
    """x / (|x| + 1), ending at `node`."""
    if not _is_binary(node, "divide"):
        return None
    x, below = node.inputs
    total = nodes[below.node]
    size = _with_number(total, "add", 1.0)
    if size is None or nodes[size.node].spec != Unary("abs") or nodes[size.node].inputs != (x,):
        return None
    return x, "softsign", [nodes[size.node], total]


def _tanh_shrink(node: Node, nodes: dict[str, Node]) -> tuple[Value, str, list[Node]] | None:
    """x - tanh(x), ending at `node`."""
    if not _is_binary(node, "subtract"):
        return None
    x, other = node.inputs
    inner = nodes[other.node]
    return (x, "tanh_shrink", [inner]) if inner.spec == Activation("tanh") and inner.inputs == (x,) else None


def _is_binary(node: Node, name: str) -> bool:
    """Whether a node is `name` of two tensors."""
    spec = node.spec
    return isinstance(spec, Elementwise) and spec.name == name and spec.operands == (Slot(0), Slot(1))


def _with_number(node: Node, name: str, number: float) -> Value | None:
    """The tensor operand of `name(tensor, number)`, in either order for what commutes."""
    spec = node.spec
    if not isinstance(spec, Elementwise) or spec.name != name or len(node.inputs) != 1:
        return None
    wanted = ((Slot(0), number), (number, Slot(0))) if name != "divide" else ((Slot(0), number),)
    return node.inputs[0] if spec.operands in wanted else None
