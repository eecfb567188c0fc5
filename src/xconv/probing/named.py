"""Preprocessing by name: of keras.applications, of torchvision's weights, of timm's; and what is one at all."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import numpy as np

from xconv.errors import InvalidInput
from xconv.frameworks import require
from xconv.preprocessing.description import Preprocessing

__all__ = ["is_preprocessing", "preprocessing"]

KERAS = re.compile(
    r"(?:keras\.applications\.(?P<module>\w+)(?:\.preprocess_input)?|(?P<family>\w+) \(keras\))"
    r"(?: at (?P<height>\d+)(?:x(?P<width>\d+))?(?: by (?P<way>\w+)(?: (?P<interpolation>\w+))?)?)?"
)
TORCHVISION = re.compile(
    r"(?:torchvision[. ])?(?:models\.)?(?P<weights>\w+_Weights\.\w+)"
    r"|(?P<model>\w+) \(torchvision\)|torchvision (?P<plain>\w+)"
)
TIMM = re.compile(r"timm (?P<name>[\w.]+)|(?P<model>[\w.]+) \(timm\)")
WAYS = {
    "load_img": "nearest",
    "Resizing": "bilinear",
    "smart_resize": "bilinear",
    "image_dataset_from_directory": "bilinear",
}
"""Keras's ways to resize, and the interpolation of each where none is named."""
PREPROCESSING_LAYERS = {
    "CenterCrop",
    "InputLayer",
    "Normalization",
    "Permute",
    "Pipeline",
    "Preprocess",
    "Rescaling",
    "Resizing",
}
TRANSFORMS = ("torchvision.transforms", "xconv.preprocessing")
"""Packages whose torch modules prepare pictures."""


def is_preprocessing(given: Any) -> bool:
    """Whether this is a preprocessing: a description, a function of one picture and no model, or a name of one.

    >>> is_preprocessing("keras.applications.resnet50 at 224"), is_preprocessing("resnet50.keras")
    (True, False)
    >>> is_preprocessing(lambda picture: picture / 255)
    True
    """
    if isinstance(given, str):
        return any(pattern.fullmatch(given) for pattern in (KERAS, TORCHVISION, TIMM))
    if _is_weights(given):
        return True
    return callable(given) and not isinstance(given, type) and not _is_model(given)


def preprocessing(given: Any) -> tuple[str, Callable[[Any], Any]]:
    """Its name and the function itself.

    Raises:
        InvalidInput: the name names nothing; the error says what is like it.
        MissingFramework: what it belongs to is not installed.
    """
    if isinstance(given, str):
        return given, _by_name(given)
    if _is_weights(given):
        return str(given), given.transforms()
    if isinstance(given, Preprocessing):
        return f"Preprocessing ({given.frame})", given
    name = getattr(given, "__qualname__", None) or type(given).__name__
    module = getattr(given, "__module__", "") if hasattr(given, "__qualname__") else type(given).__module__
    return (name if module in ("__main__", None, "") else f"{module}.{name}"), given


def _is_weights(given: Any) -> bool:
    """A member of an enum of torchvision's weights."""
    return type(given).__module__.startswith("torchvision.") and callable(getattr(given, "transforms", None))


def _is_model(given: Any) -> bool:
    keras, torch = (sys.modules.get(name) for name in ("keras", "torch"))
    if torch is not None and isinstance(given, torch.nn.Module):
        children = list(given.children()) if isinstance(given, torch.nn.Sequential) else [given]
        known = (type(child).__module__.startswith(TRANSFORMS) for child in children)
        return not children or not all(known)
    if keras is not None and isinstance(given, keras.layers.Layer):
        layers = given.layers if isinstance(given, keras.Model) else [given]
        return any(type(layer).__name__ not in PREPROCESSING_LAYERS for layer in layers)
    return type(given).__module__.startswith("tf_keras.")


def _by_name(name: str) -> Callable[[Any], Any]:
    for pattern, make in ((KERAS, _of_keras), (TORCHVISION, _of_torchvision), (TIMM, _of_timm)):
        match = pattern.fullmatch(name)
        if match is not None:
            return make(match)
    examples = "'keras.applications.resnet50 at 224', 'torchvision ResNet50_Weights.IMAGENET1K_V2' or 'timm resnet50'"
    raise InvalidInput(f"{name!r} names no preprocessing", remedy=f"write a name such as {examples}")


def _of_keras(match: re.Match[str]) -> Callable[[Any], Any]:
    """Loads the picture as Keras does, resizes it where a size is named, and calls the family's preprocess_input."""
    keras = require("keras", "keras", "a preprocessing of keras.applications")
    family = match["module"] or match["family"]
    families = _keras_families(keras)
    function = families.get(family.lower())
    if function is None:
        near = ", ".join(get_close_matches(family.lower(), families, 3)) or "resnet50, mobilenet_v3 and others"
        raise InvalidInput(f"keras.applications has no {family!r}", remedy=f"it has {near}")
    if match["height"] is None:
        return lambda image: function(keras.utils.img_to_array(image))
    size = int(match["height"]), int(match["width"] or match["height"])
    way = match["way"] or "load_img"
    if way not in WAYS:
        raise InvalidInput(f"Keras does not resize by {way!r}", remedy=f"write one of {', '.join(WAYS)}")
    resize = _keras_resize(keras, way, size, match["interpolation"] or WAYS[way])
    return lambda image: function(resize(image))


def _keras_families(keras: Any) -> dict[str, Callable[[Any], Any]]:
    """The preprocess_input of every module and of every model in keras.applications, by lower-case name."""
    modules = {name: getattr(keras.applications, name) for name in dir(keras.applications)}
    modules = {name: module for name, module in modules.items() if hasattr(module, "preprocess_input")}
    models = {model.lower(): module for module in modules.values() for model in dir(module) if model[0].isupper()}
    return {name: module.preprocess_input for name, module in {**models, **modules}.items()}


def _keras_resize(keras: Any, way: str, size: tuple[int, int], interpolation: str) -> Callable[[Any], Any]:
    def loaded(image: Any) -> Any:
        """From the lossless file that the picture would be."""
        file = io.BytesIO()
        image.save(file, format="PNG")
        file.seek(0)
        picture = keras.utils.load_img(file, target_size=size, interpolation=interpolation)
        return keras.utils.img_to_array(picture)

    def resized(image: Any) -> Any:
        array = np.array(keras.utils.img_to_array(image))
        if way == "smart_resize":
            return np.array(keras.preprocessing.image.smart_resize(array, size, interpolation))
        result = keras.layers.Resizing(*size, interpolation=interpolation)(array)
        return np.array(keras.ops.convert_to_numpy(result))  # a copy: preprocess_input writes over what it is given

    return loaded if way == "load_img" else resized


def _of_torchvision(match: re.Match[str]) -> Callable[[Any], Any]:
    models = require("torchvision.models", "zoo", "a preprocessing of torchvision")
    try:
        if match["weights"]:
            return models.get_weight(match["weights"]).transforms()  # type: ignore[no-any-return]
        name = match["model"] or match["plain"]
        return models.get_model_weights(name).DEFAULT.transforms()  # type: ignore[no-any-return]
    except (ValueError, KeyError, AttributeError) as error:
        remedy = "write a model, or a member of its weights, such as ResNet50_Weights.IMAGENET1K_V2"
        raise InvalidInput(f"torchvision has no {match[0]!r}: {error}", remedy=remedy) from error


def _of_timm(match: re.Match[str]) -> Callable[[Any], Any]:
    timm = require("timm", "zoo", "a preprocessing of timm")
    data = require("timm.data", "zoo", "a preprocessing of timm")
    name = match["name"] or match["model"]
    found = timm.get_pretrained_cfg(name, allow_unregistered=False) if timm.models.is_model(name) else None
    if found is None:
        remedy = "write a name that timm.list_models(pretrained=True) lists"
        raise InvalidInput(f"timm has no {name!r}", remedy=remedy)
    config = data.resolve_data_config(pretrained_cfg=found.to_dict())
    return data.create_transform(**config)  # type: ignore[no-any-return]
