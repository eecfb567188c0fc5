"""Names for the calls of an exported program: the owner of the parameters first, the module path second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import fx

from xconv.torch.record import Source

__all__ = ["MARK", "OPERATION", "Names", "source_of"]

MARK = "xconv"
"""Under which a call carries its `Source`, in the metadata that torch.export keeps for its users."""

OPERATION = "xconv_operation"
"""Under which a call that was written for another one says what that was, in its metadata."""

LIBRARY = ("torch.nn.modules.", "xconv.onnx.")
"""Classes from here mean one operation: a call inside one has the module's own name."""


@dataclass(frozen=True, slots=True)
class Names:
    """`owners` holds the full name of the parameter or buffer behind every placeholder."""

    owners: Mapping[str, str]

    def name(self, node: fx.Node) -> str:
        """The name of a call: the layer's own path, or the path of the module around it and the operator.

        >>> graph = fx.Graph()
        >>> x = graph.placeholder("x")
        >>> Names({}).name(graph.call_function(max, (x,)))
        'max'
        """
        said = source_of(node)
        if said is not None:
            return said.name
        owner = self._owner_of_parameters(node)
        if owner:
            return owner
        path, kind = _innermost(node)
        if path and (kind.startswith(LIBRARY) or _is_own(node)):
            return path
        return ".".join(filter(None, (path, _operation(node))))

    def owner(self, node: fx.Node) -> str:
        """The path of the module that a call belongs to; empty for the root."""
        said = source_of(node)
        if said is not None:
            return said.layer
        return self._owner_of_parameters(node) or _innermost(node)[0]

    def call(self, node: fx.Node) -> int:
        """The how-manieth call of its module this is."""
        said = source_of(node)
        if said is not None:
            return said.call
        owner = self.owner(node)
        stack = node.meta.get("nn_module_stack") or {}
        keys = [key for key, (path, _) in stack.items() if _clean(path) == owner]
        number = keys[-1].rpartition("@")[2] if keys and "@" in keys[-1] else ""
        return int(number) if number.isdigit() else 0

    def path(self, node: fx.Node) -> str:
        """Where a call is, for messages."""
        return self.name(node)

    def _owner_of_parameters(self, node: fx.Node) -> str:
        """The module whose parameters the call takes directly, where it is a layer and not a free parameter."""
        name = _operation(node)
        if name in ("to", "to_copy"):
            return ""
        if name in ("add", "mul", "sub", "div", "expand", "index", "cat", "where", "matmul", "permute", "select"):
            return ""
        for given in node.all_input_nodes:
            cast = _operation(given) in ("to", "to_copy") and len(given.all_input_nodes) == 1
            argument = given.all_input_nodes[0] if cast else given
            full = self.owners.get(argument.name)
            if full and argument.op == "placeholder":
                return full.rpartition(".")[0]
        return ""


def source_of(node: fx.Node) -> Source | None:
    """What the call was in the model that the module was made of, where it was captured with its record."""
    said = (node.meta.get("custom") or {}).get(MARK)
    return said if isinstance(said, Source) else None


def _innermost(node: fx.Node) -> tuple[str, str]:
    """The path and class of the innermost module around a call."""
    stack = node.meta.get("nn_module_stack") or {}
    entries = list(stack.values())
    if not entries:
        return "", ""
    path, kind = entries[-1]
    return _clean(path), kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _clean(path: str) -> str:
    """The module path without what torch.export adds to it."""
    path = path.removeprefix("L['self'].").removeprefix("L__self__").lstrip(".")
    return path.partition("@")[0]


def _is_own(node: fx.Node) -> bool:
    """Whether a call is what xconv makes a whole module of while it is captured."""
    return getattr(node.target, "namespace", "") == "xconv" and OPERATION not in node.meta


def _operation(node: fx.Node) -> str:
    if OPERATION in node.meta:
        return str(node.meta[OPERATION]).strip("_")
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return getattr(node.target, "__name__", str(node.target))
    return str(schema.name.partition("::")[2].strip("_"))
