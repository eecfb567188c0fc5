"""Keras layer names <-> names that torch accepts for modules; reversible, but that a level may be `/` or `>`."""

from __future__ import annotations

import builtins
import keyword
import re

import torch

__all__ = ["escape", "identifier", "module_path", "unescape"]

RESERVED = frozenset(dir(torch.fx.GraphModule(torch.nn.Module(), torch.fx.Graph()))) | {"meta", ""}


def escape(name: str) -> str:
    """A name under which torch can register a module; `%` marks what was changed.

    >>> escape("conv1"), escape("block.1"), escape("forward"), escape("in"), escape("50%")
    ('conv1', 'block%2E1', 'forward%', 'in%', '50%25')
    """
    safe = name.replace("%", "%25").replace(".", "%2E")
    return f"{safe}%" if safe in RESERVED or keyword.iskeyword(safe) else safe


def unescape(name: str) -> str:
    """The Keras name back.

    >>> unescape("block%2E1"), unescape("forward%"), unescape("50%25")
    ('block.1', 'forward', '50%')
    """
    return name.removesuffix("%").replace("%2E", ".").replace("%25", "%")


def module_path(path: str) -> str:
    """The torch module path of a Keras layer path; `>` is a level too, as in the names that come from torch.

    >>> module_path("stem/conv.1"), module_path("layer1>0>conv1")
    ('stem.conv%2E1', 'layer1.0.conv1')
    """
    return ".".join(escape(part) for part in path.replace(">", "/").split("/"))


def identifier(name: str) -> str:
    """A Python identifier as near to the name as can be, for arguments and class names; torch.fx takes no built-ins.

    >>> identifier("input-1"), identifier("class"), identifier("1x1"), identifier("sum")
    ('input_1', 'class_', '_1x1', 'sum_1')
    """
    safe = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
    safe = f"_{safe}" if safe[0].isdigit() else safe
    if safe in vars(builtins) or safe == "self":
        return f"{safe}_1"
    return f"{safe}_" if keyword.iskeyword(safe) else safe
