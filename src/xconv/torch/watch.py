"""The modules of any torch network, watched as they run: what each returns, and another tensor in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from xconv.inputs import leaves
from xconv.keras.walk import Key
from xconv.torch.module_names import Names

__all__ = ["Visitor", "watched"]

Visitor: TypeAlias = Callable[[Key, torch.Tensor], "torch.Tensor | None"]
"""Is given what a module returned, by its path, call and place; may give another tensor instead."""


@contextmanager
def watched(
    module: nn.Module, visit: Visitor | None = None, enter: Callable[[str], None] = lambda path: None
) -> Iterator[Callable[..., Any]]:
    """Calls the module with `visit` told every result of an innermost module, and `enter` which module is running.

    `enter` is told the innermost module that has been entered and not left: what a module computes between the calls
    of its own modules belongs to it.
    """
    keys = _keys(module) if isinstance(module, fx.GraphModule) else {}
    if keys and isinstance(module, fx.GraphModule):
        yield _Interpreter(module, keys, visit, enter).run_nested
        return
    calls: Counter[str] = Counter()
    entered = [""]

    def after(path: str) -> Callable[..., Any]:
        def hook(_module: nn.Module, _args: Any, result: Any) -> Any:
            calls[path] += 1
            return _visited(visit, path, calls[path] - 1, result) if visit else None

        return hook

    def before(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any) -> None:
            entered.append(path)
            enter(path)

        return hook

    def left(_module: nn.Module, _args: Any, _result: Any) -> None:
        entered.pop()
        enter(entered[-1])

    inner = [(path, child) for path, child in module.named_modules() if path]
    handles = [child.register_forward_hook(after(path)) for path, child in inner if not list(child.children())]
    handles += [child.register_forward_pre_hook(before(path)) for path, child in inner]
    handles += [child.register_forward_hook(left) for _, child in inner]
    try:
        yield module
    finally:
        for handle in handles:
            handle.remove()


def _visited(visit: Visitor, path: str, call: int, result: Any) -> Any:
    """The result with the tensors that the visitor gives instead; None where it gives none."""
    found = [
        (place, visit(Key(path.replace(".", "/"), call, place), value))
        for place, (_, value) in enumerate(leaves(result))
        if isinstance(value, torch.Tensor)
    ]
    if isinstance(result, torch.Tensor):
        return found[0][1]
    return None


def _keys(module: fx.GraphModule) -> dict[str, Key]:
    """For an exported program, the node that gives each innermost module's result, by name."""
    names = Names({})
    found: dict[tuple[str, int], str] = {}
    for node in module.graph.nodes:
        if node.op == "call_function" and node.meta.get("nn_module_stack"):
            found[names.owner(node), names.call(node)] = node.name
    outer = {path[:place] for path, _ in found for place, sign in enumerate(path) if sign == "."}
    return {
        name: Key(path.replace(".", "/"), call) for (path, call), name in found.items() if path and path not in outer
    }


class _Interpreter(fx.Interpreter):
    """Runs an exported program node by node."""

    def __init__(
        self,
        module: fx.GraphModule,
        keys: Mapping[str, Key],
        visit: Visitor | None = None,
        enter: Callable[[str], None] = lambda path: None,
    ) -> None:
        super().__init__(module)
        self.program = module
        self.keys, self.visit, self.enter, self.names = keys, visit, enter, Names({})

    def run_nested(self, *args: Any, **kwargs: Any) -> Any:
        """The program's result for its own arguments."""
        found = self.run(*pytree.tree_leaves((args, kwargs)), enable_io_processing=False)
        return self.program.graph.process_outputs(found)

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "call_function":
            self.enter(self.names.owner(n))
        value = super().run_node(n)
        key = self.keys.get(n.name)
        if key is None or self.visit is None or not isinstance(value, torch.Tensor):
            return value
        other = self.visit(key, value)
        return value if other is None else other
