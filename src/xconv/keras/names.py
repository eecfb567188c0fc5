"""torch module paths <-> names that Keras accepts for layers; reversible.

Keras takes no `/`, and its torch backend no `.`; a level of a torch path becomes `>`: `layer1>0>conv1`.
"""

from __future__ import annotations

__all__ = ["layer_name", "torch_path"]


def layer_name(path: str) -> str:
    """The Keras name of a torch module path, or of a path of nested Keras models.

    >>> layer_name("layer1.0.conv1"), layer_name("stem/conv")
    ('layer1>0>conv1', 'stem>conv')
    """
    return path.replace("/", ">").replace(".", ">")


def torch_path(name: str) -> str:
    """The torch path back.

    >>> torch_path("layer1>0>conv1")
    'layer1.0.conv1'
    """
    return name.replace(">", ".")
