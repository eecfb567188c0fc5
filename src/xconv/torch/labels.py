"""What the calls of a converted module were in its source, put on them while torch.export runs the module.

torch.export keeps the paths of modules, but no names of functions: an addition would be called `add_7` and not
`conv2_block1_add`. A converted module runs node by node here, and every call takes the `Source` of its node along in
its metadata.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import fx, nn
from torch.fx import traceback

from xconv.torch.module_names import MARK
from xconv.torch.record import Record, Source

__all__ = ["label_inputs", "labelled"]


@contextmanager
def labelled(module: nn.Module, record: Record | None) -> Iterator[None]:
    """The module running node by node, each with its `Source`; any other module is left alone."""
    if record is None or not record.sources or not isinstance(module, fx.GraphModule) or "forward" in vars(module):
        yield
        return
    runner = fx.Interpreter(module)

    def forward(*args: Any, **kwargs: Any) -> Any:
        return runner.run(*_in_order(module, args, kwargs))

    vars(forward)["__signature__"] = inspect.signature(module.forward)
    module.forward = forward
    labels = dict(_labels(module, record.sources))
    for node, label in labels.items():
        node.meta["custom"] = {MARK: label}
    try:
        with traceback.preserve_node_meta():
            yield
    finally:
        del module.forward
        for node in labels:
            del node.meta["custom"]


def label_inputs(program: Any, record: Record) -> None:
    """Give the inputs of a program their names in the source."""
    names = iter(record.inputs)
    given = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in given:
            port = next(names, None)
            if port is not None:
                node.meta["custom"] = {**node.meta.get("custom", {}), MARK: Source(port.name, port.name)}


def _labels(module: fx.GraphModule, sources: Mapping[str, Source]) -> Iterator[tuple[fx.Node, Source]]:
    """The label of every node; those without one of their own are made for the next that has (a pad, a product)."""
    current: Source | None = None
    for node in reversed(module.graph.nodes):
        own = sources.get(node.name)
        if own is not None:
            current = own
            yield node, own
        elif node.op in ("call_function", "call_method", "call_module") and current is not None:
            yield node, replace(current, name=f"{current.name}.{node.name}", notes=())


def _in_order(module: fx.GraphModule, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    names = [str(node.target) for node in module.graph.nodes if node.op == "placeholder"]
    return [*args, *(kwargs[name] for name in names[len(args) :])]
