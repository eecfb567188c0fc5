"""Classes by which a live model is made again from its config, where Keras alone would not find or make its layers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from xconv.errors import Unsupported
from xconv.keras.walk import all_layers, graph_of

__all__ = ["live_lambda", "remade_classes"]

LAMBDA = "LiveLambda"


def live_lambda(item: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a Lambda without its code: its function is taken from the live layer of its name."""
    config = {key: value for key, value in item["config"].items() if key in ("name", "dtype", "trainable")}
    return {**item, "module": None, "class_name": LAMBDA, "registered_name": LAMBDA, "config": config}


def remade_classes(model: Any) -> dict[str, Any]:
    """The classes of a model that Keras has not registered, by name, as they are made again from a config.

    A constructor that does not take what its config holds gets what it takes: the dtype policy is the global one then.
    """
    layers = all_layers(model)
    kinds = {type(layer) for layer in layers}
    graphs = [layer for layer in layers if graph_of(layer) is not None]
    kinds |= {type(operation) for graph in graphs for operation in getattr(graph, "operations", ())}
    own = [kind for kind in kinds if not kind.__module__.startswith(("keras.src.", "tf_keras."))]
    found = {kind.__name__: _remade(kind) for kind in own}
    found |= {kind.__name__: kind for kind in kinds if kind.__module__.startswith("keras.src.ops")}
    lambdas = [layer for layer in layers if type(layer).__name__ == "Lambda"]
    return found | {LAMBDA: _live_lambdas(lambdas)} if lambdas else found


def _remade(kind: type[Any]) -> type[Any]:
    """The class with a `from_config` that leaves out what the constructor does not take."""

    def remade(config: Mapping[str, Any], **options: Any) -> Any:
        try:
            return kind.from_config(dict(config), **options)
        except TypeError:
            known = inspect.signature(kind.__init__).parameters
            layer = kind(**{key: value for key, value in config.items() if key in known})
            layer._name = config.get("name", layer.name)
            return layer

    def alone(_: type[Any], config: Mapping[str, Any]) -> Any:
        return remade(config)

    def with_classes(_: type[Any], config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        return remade(config, custom_objects=custom_objects)

    takes = "custom_objects" in inspect.signature(kind.from_config).parameters
    return type(kind.__name__, (kind,), {"from_config": classmethod(with_classes if takes else alone)})


def _live_lambdas(layers: list[Any]) -> type[Any]:
    """A Lambda that takes its function from the live layer of its name."""
    named = {layer.name: layer for layer in layers}

    class LiveLambda(sys.modules["keras"].layers.Lambda):  # type: ignore[misc]
        @classmethod
        def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None, safe_mode: Any = None) -> Any:
            """The live layer's function under another policy."""
            del custom_objects, safe_mode
            live = named[config["name"]]
            if sum(layer.name == live.name for layer in layers) > 1:
                raise Unsupported(f"two Lambdas are called {live.name!r}", remedy="give each its own name")
            shape = live._output_shape
            plain = sys.modules["keras"].layers.Lambda
            return plain(live.function, shape, live.mask, arguments=live.arguments, **config)

    return LiveLambda
