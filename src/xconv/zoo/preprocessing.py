"""The preprocessing that belongs to published weights, as one description."""

from __future__ import annotations

from typing import Any

from xconv.errors import InvalidInput, Unsupported
from xconv.frameworks import require
from xconv.preprocessing.description import Preprocessing
from xconv.preprocessing.keras_owners import load_img, pixels, resizing, smart_resize, tf_resize
from xconv.preprocessing.pictures import Size
from xconv.preprocessing.steps import Step, normalise
from xconv.preprocessing.torch_owners import timm, torchvision
from xconv.preprocessing.value_maps import IMAGENET_MEAN, IMAGENET_STD
from xconv.zoo.catalogue import find, partner_of
from xconv.zoo.records import Network

__all__ = ["of"]

WAYS = {"load_img": load_img, "smart_resize": smart_resize, "Resizing": resizing, "tf.image.resize": tf_resize}
LIBRARIES = ("keras", "torchvision", "timm")
CONVNEXT = normalise([255 * one for one in IMAGENET_MEAN], [255 * one for one in IMAGENET_STD])
INSIDE = {
    "MobileNetV3": (Step.of("multiply", 1 / 127.5), Step.of("add", -1)),
    "EfficientNetV2B": (Step.of("multiply", 1 / 255), *normalise(IMAGENET_MEAN, IMAGENET_STD)),
    "EfficientNetV2": (Step.of("multiply", 1 / 128), Step.of("add", -1)),
    "ConvNeXt": CONVNEXT,
}
"""What Keras's constructors put into the model, by how their names begin."""


def of(
    model: Any,
    library: str | None = None,
    *,
    weights: str | None = None,
    size: int | Size | None = None,
    resize: str | None = "load_img",
    interpolation: str | None = None,
    include_preprocessing: bool = True,
    given: str = "pillow",
) -> Preprocessing:
    """The preprocessing of a published checkpoint.

    Args:
        model: A name of the zoo, of keras.applications, torchvision or timm; a member of an enum of torchvision's
            weights; or a model that timm made.
        library: Whose weights: 'keras', 'torchvision' or 'timm'. May be left out for an object.
        weights: Their tag, 'IMAGENET1K_V2' or 'tv2_in1k'; the library's default where None.
        size: Of Keras's input, where it is not the network's usual one.
        resize: Which of Keras's ways brings a picture to that size: 'load_img', 'smart_resize', 'Resizing' or
            'tf.image.resize'; None leaves the size alone.
        interpolation: Of that way; its own default where None. `load_img` takes the nearest pixel.
        include_preprocessing: Whether the Keras model scales pixels itself, where its constructor does so.
        given: What torchvision's transforms are given: a 'pillow' image, a 'uint8 tensor in float32' (which is how they
            resize such a tensor), or a 'float tensor'.

    >>> print(of("resnet50", "keras"))
    opened as red, green and blue in 0..255; EXIF orientation not followed
    resize to 224x224: nearest
    channels: BGR
    numbers: - (103.939, 116.779, 123.68), each in float32
    result: float32 (height, width, channels)

    Raises:
        InvalidInput: there is no such model, weights or way; the error says what is like it.
        Unsupported: the weights are of no network for pictures.
        MissingFramework: the library is not installed.
    """
    if not isinstance(model, str):
        return _of_object(model, given)
    if library not in LIBRARIES:
        remedy = f"give library= one of {', '.join(map(repr, LIBRARIES))}"
        raise InvalidInput(f"{model!r} of library {library!r}", remedy=remedy)
    if library == "keras":
        if weights not in (None, "imagenet"):
            raise InvalidInput(f"Keras has no weights {weights!r}", remedy="leave weights out, or give 'imagenet'")
        return _of_keras(find(model), size, resize, interpolation, include=include_preprocessing)
    changed = [name for name, value in (("size", size), ("interpolation", interpolation)) if value is not None]
    if changed:
        said = f"{' and '.join(changed)} of weights of {library}"
        raise InvalidInput(said, remedy=f"xconv.preprocessing.{library}(...) describes any size and interpolation")
    return _of_torchvision(model, weights, given) if library == "torchvision" else _of_timm(model, weights)


def _of_object(model: Any, given: str) -> Preprocessing:
    if type(model).__module__.startswith("torchvision.") and callable(getattr(model, "transforms", None)):
        return _of_transforms(model.transforms(), str(model), given)
    if isinstance(getattr(model, "pretrained_cfg", None), dict):
        return _of_config(model.pretrained_cfg)
    said = f"{type(model).__name__} does not say how pictures are prepared for it"
    raise InvalidInput(said, remedy="give a name and library=, a member of torchvision's weights, or a model of timm")


def _of_keras(
    network: Network, size: int | Size | None, resize: str | None, interpolation: str | None, *, include: bool
) -> Preprocessing:
    if resize is None:
        if size is not None or interpolation is not None:
            raise InvalidInput("a size or an interpolation without a resize", remedy="leave them out, or name a way")
        made = pixels(network.mode)
    elif resize not in WAYS:
        remedy = f"write one of {', '.join(map(repr, WAYS))}, or None"
        raise InvalidInput(f"Keras does not resize by {resize!r}", remedy=remedy)
    else:
        options: Any = (
            {} if interpolation is None else {"method" if resize[0] == "t" else "interpolation": interpolation}
        )
        way: Any = WAYS[resize]
        made = way(network.size if size is None else size, mode=network.mode, **options)
    return made if include or network.mode != "inside" else made.then(_inside(network))


def _inside(network: Network) -> tuple[Step, ...]:
    """What the model would do to pixels itself."""
    for beginning, steps in INSIDE.items():
        if network.keras.startswith(beginning):
            return steps
    said = f"keras.applications.{network.keras} has no argument that leaves its scaling out"
    raise InvalidInput(
        said, remedy="leave include_preprocessing=True, or lift it out: xconv.split_preprocessing(model)"
    )


def _of_torchvision(name: str, tag: str | None, given: str) -> Preprocessing:
    models = require("torchvision.models", "zoo", "a preprocessing of torchvision")
    if name not in models.list_models():
        name = partner_of(find(name), "torchvision").name
    members = models.get_model_weights(name)
    if tag is not None and tag not in members.__members__:
        there = ", ".join(members.__members__) or "none"
        raise InvalidInput(f"torchvision's {name} has no weights {tag!r}", remedy=f"it has {there}")
    found = members.DEFAULT if tag is None else members[tag]
    return _of_transforms(found.transforms(), str(found), given)


def _of_transforms(transforms: Any, name: str, given: str) -> Preprocessing:
    """What torchvision's presets do, by their names."""
    kind = type(transforms).__name__
    if kind == "ObjectDetection":
        return torchvision(given=given, mean=None, std=None)
    if kind not in ("ImageClassification", "SemanticSegmentation"):
        raise Unsupported(f"its transforms are {kind}, which take no single picture", place=name)
    resize = transforms.resize_size
    resize = resize[0] if isinstance(resize, (list, tuple)) and len(resize) == 1 else resize
    return torchvision(
        tuple(resize) if isinstance(resize, list) else resize,
        tuple(transforms.crop_size) if kind == "ImageClassification" else None,
        transforms.interpolation.value,
        antialias=bool(transforms.antialias),
        given=given,
        mean=transforms.mean,
        std=transforms.std,
    )


def _of_timm(name: str, tag: str | None) -> Preprocessing:
    models = require("timm", "zoo", "a preprocessing of timm")
    plain = name.partition(".")[0]
    if not models.is_model(plain):
        name = plain = partner_of(find(plain), "timm").name
    full = f"{plain}.{tag}" if tag is not None else name
    try:
        found = models.get_pretrained_cfg(full, allow_unregistered=False)
    except RuntimeError as error:
        tags = ", ".join(one.partition(".")[2] for one in models.list_pretrained(f"{plain}.*")) or "none"
        raise InvalidInput(f"timm has no weights {full!r}", remedy=f"tags of {plain}: {tags}") from error
    return _of_config(found.to_dict())


def _of_config(given: dict[str, Any]) -> Preprocessing:
    """As `timm.data.create_transform` reads a pretrained config."""
    data = require("timm.data", "zoo", "a preprocessing of timm")
    config = data.resolve_data_config(pretrained_cfg=given)
    channels, height, width = config["input_size"]
    if channels != 3:
        raise Unsupported(f"its input has {channels} channels", place=str(given.get("architecture", "timm")))
    return timm(
        (height, width),
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
    )
