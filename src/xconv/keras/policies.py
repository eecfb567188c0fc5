"""The dtype policies of a Keras model that is written from a graph of several floating-point types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from xconv.graph import Graph, Node, Value
from xconv.keras.casting import OWN_INPUTS
from xconv.layers.io import Input, Variable
from xconv.layers.policy_cast import PolicyCast
from xconv.layers.unary import Cast
from xconv.policies import FLOATS, LOW, compute_dtype
from xconv.spec import KerasLayer

__all__ = ["value_types", "with_policies", "written_policy"]


def with_policies(graph: Graph) -> Graph:
    """The graph with layers of mixed precision where it has their parts: casts that a layer makes by itself are gone.

    before   Cast float32, BatchNorm, Cast float16        after   BatchNorm under mixed_float16
    before   Cast float16, Dense under mixed_float16      after   Dense under mixed_float16
    """
    if not any(node.policy for node in graph.nodes):
        return graph
    graph = _named(_with_wide(graph))
    shapes = {Value(node.name, place): shape for node in graph.nodes for place, shape in enumerate(node.shapes)}
    uses, outputs = graph.consumers(), set(graph.output_values())
    gone: dict[str, Node | None] = {}
    aliases: dict[Value, Value] = {}
    for node in graph.nodes:
        value = Value(node.name)
        if _cast_to(node) is None or value in outputs or not uses.get(value):
            continue
        if all(_casts(user, _cast_to(node), shapes) for user in uses[value]):
            gone[node.name], aliases[value] = None, node.inputs[0]
    return graph.rebuilt(gone, aliases)


def _cast_to(node: Node) -> str | None:
    """The floating-point type that a node casts to."""
    return node.spec.dtype if isinstance(node.spec, (Cast, PolicyCast)) and node.spec.dtype in FLOATS else None


def _casts(user: Node, dtype: str | None, shapes: Mapping[Value, Any]) -> bool:
    """Whether a node becomes a layer that casts what it is called on to a type by itself."""
    if compute_dtype(user.policy) != dtype or not user.inputs:
        return False
    layer = user.spec.to_keras(user.weights, [shapes[value] for value in user.inputs])
    plain = not any(isinstance(item, KerasLayer) for item in (*layer.args, *layer.kwargs.values()))
    return plain and not layer.kind.startswith("ops.") and ">" not in layer.kind and layer.kind not in OWN_INPUTS


def _with_wide(graph: Graph) -> Graph:
    """Norms in float32 between casts as the layers of mixed precision that they are in Keras."""
    types, nodes, uses = value_types(graph), graph.by_name(), graph.consumers()
    outputs, changed, aliases = set(graph.output_values()), dict[str, Node | None](), dict[Value, Value]()
    for node in graph.nodes:
        users = uses.get(Value(node.name), [])
        if not node.spec.wide or node.policy != "float32" or len(node.inputs) != 1 or len(users) != 1:
            continue
        before, after = nodes[node.inputs[0].node], users[0]
        given = types.get(before.inputs[0]) if before.inputs else None
        if (
            _cast_to(before) == "float32"
            and given in LOW
            and _cast_to(after) == given
            and Value(node.name) not in outputs
        ):
            policy = f"mixed_{given}"
            changed[node.name] = replace(node, policy=policy, inputs=before.inputs)
            changed[after.name], aliases[Value(after.name)] = None, Value(node.name)
            if len(uses[node.inputs[0]]) == 1 and node.inputs[0] not in outputs:
                changed[before.name] = None
    return graph.rebuilt(changed, aliases)


def _named(graph: Graph) -> Graph:
    """Layers without weights under the mixed policy, where those with weights are."""
    mixed = {compute_dtype(node.policy) for node in graph.nodes if node.policy.startswith("mixed_")}
    changed: dict[str, Node | None] = {
        node.name: replace(node, policy=f"mixed_{node.policy}")
        for node in graph.nodes
        if node.policy in mixed and not node.weights
    }
    return graph.rebuilt(changed)


def value_types(graph: Graph) -> dict[Value, str]:
    """The floating-point type of every value; nothing where no node has a policy."""
    found: dict[Value, str] = {}
    if not any(node.policy for node in graph.nodes):
        return found
    for node in graph.nodes:
        dtype = _type_of(node, found)
        if dtype in FLOATS:
            found.update({Value(node.name, place): dtype for place in range(len(node.shapes))})
    return found


def _type_of(node: Node, found: Mapping[Value, str]) -> str | None:
    if isinstance(node.spec, (Input, Cast, PolicyCast)):
        return node.spec.dtype
    if isinstance(node.spec, Variable):
        return next(iter(node.weights.values())).dtype
    if node.policy:
        return compute_dtype(node.policy)
    return next((found[value] for value in node.inputs if value in found), None)


def written_policy(node: Node, types: Mapping[Value, str]) -> str:
    """The policy of the layers that a node becomes; '' where the whole model has one type."""
    if not types or isinstance(node.spec, (Cast, PolicyCast)):
        return ""
    sources = () if isinstance(node.spec, Variable) else node.inputs  # which only tell where a free weight is looked up
    return node.policy or next((types[v] for v in (*sources, Value(node.name)) if v in types), "float32")
