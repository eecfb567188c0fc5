"""`load`: a network of the zoo with published, given or random weights, in either framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xconv.preprocessing.value_maps import RGB, ValueMap
from xconv.zoo.destinations import Arrived, converted_to_keras, converted_to_torch, into_keras, into_torch
from xconv.zoo.keras_networks import scaling_within
from xconv.zoo.origins import Destination, Framework, Origin, remember
from xconv.zoo.records import Geometry, Library
from xconv.zoo.routes import Route, route_of
from xconv.zoo.sources import Given, keras_source, torch_source
from xconv.zoo.wanted import AS_SOURCE, Pooling, Wanted, picture_shape, refuse_settings, refuse_unknown

if TYPE_CHECKING:
    from xconv.transfers.report import TransferReport

__all__ = ["load"]


def load(  # noqa: PLR0913 - every option has a name of its own
    name: str,
    *,
    source: Library = "keras",
    framework: Framework = "torch",
    weights: Any = "imagenet",
    destination: Destination = "converted",
    library: Library | None = None,
    geometry: Geometry = "adapted",
    include_top: bool = True,
    pooling: Pooling = None,
    classes: int = 1000,
    input_shape: tuple[int | None, ...] | None = None,
    alpha: float | None = None,
    minimalistic: bool | None = None,
    classifier_activation: str | None = AS_SOURCE,
    include_preprocessing: bool | None = None,
    seed: int | None = None,
    dtype: str | None = None,
) -> Any:
    """A network with the weights of one library, in either framework; `xconv.zoo.origin(model)` tells what it is.

    Args:
        name: 'resnet50', as the zoo, Keras, torchvision or timm call it. timm has several classes of some networks:
            'tf_efficientnet_b0' means that one, on either side.
        source: whose weights: 'keras', 'torchvision' or 'timm'.
        framework: what is returned: a torch module, in inference mode, or a Keras model.
        weights: the tag under which they are published ('imagenet' is their owner's default), which fetches them as
            their owner does; the path of a file (`.h5`, `.weights.h5`, `.keras`; `.pth`, `.pt`, `.bin`,
            `.safetensors`); a state_dict or a live model of the same architecture; None for random ones.
        destination: 'converted' is a model with the source's names; 'stock' is the class of `library` with its own
            names. A source of the same framework needs no conversion: it is returned as its library builds it.
        library: whose class a stock one is; by default the nearest of the zoo's partners.
        geometry: how a stock class takes weights that it is not made for. 'adapted': its settings are changed first.
            'rotated': it stays, kernels are turned by 180 degrees, and from then on it wants its pictures turned.
            'unchanged': refused where it is not the same function.
        include_top: with the classifier, or up to the map before the last pool.
        pooling: without the top, the mean ('avg') or the maximum ('max') of the map, equal in length and order to what
            Keras gives.
        classes: of the classifier; 1000 with published weights.
        input_shape: of a picture, (height, width, 3) in either framework; by default the size that Keras takes, and
            without the top an open one.
        alpha: the width of a MobileNet.
        minimalistic: the plain form of a MobileNetV3.
        classifier_activation: of Keras's classifier; by default a softmax in keras.applications and none in torch.
        include_preprocessing: of keras.applications: whether it scales pixels itself, where its constructor asks.
        seed: of random weights, which are then live (`xconv.randomize`); by default they are its library's initial
            ones.
        dtype: 'float64' builds and fills the models in this precision, 'float16' and 'bfloat16' in theirs; by default
            in float32.

    Raises:
        InvalidInput: what no constructor takes, or the published weights do not fit; as Keras refuses it.
        Mismatch: weights that do not fit, or a stock class that is not the same function: every place and its cause.
        Unreadable, NotFound: a file that is not what it should be, or cannot be fetched.
        MissingFramework: Keras, torchvision or timm is needed and not installed.

    >>> load("vgg16", source="jax")
    Traceback (most recent call last):
    xconv.errors.InvalidInput: source: 'jax' is none; use 'keras', 'torchvision', 'timm'
    """
    words = {"source": source, "framework": framework, "destination": destination, "geometry": geometry}
    route = route_of(name, words, library, alpha=alpha, minimalistic=minimalistic)
    wanted = Wanted(
        include_top, pooling, classes, picture_shape(input_shape), classifier_activation, include_preprocessing
    )
    refuse_settings(seed, dtype)
    refuse_unknown(wanted, route.network, torch=route.theirs is not None or route.ours is not None)
    start = _start(route, wanted, weights, seed, dtype)
    arrived = _arrive(route, wanted, start.model, dtype)
    return remember(arrived.model, _origin(route, wanted, start, arrived))


def _start(route: Route, wanted: Wanted, weights: Any, seed: int | None, dtype: str | None) -> Given:
    """The model that the weights are of."""
    if route.theirs is None:
        return keras_source(route.network, wanted, weights, seed, dtype)
    return torch_source(route.network, route.theirs, wanted, weights, seed, dtype, own=route.stays)


def _arrive(route: Route, wanted: Wanted, model: Any, dtype: str | None) -> Arrived:
    """The model that is returned."""
    if route.stays:
        return Arrived(model)
    if route.ours is not None:
        return into_torch(model, route.network, route.ours, wanted, route.geometry, dtype)
    if route.destination == "stock":
        return into_keras(model, route.network, wanted, route.geometry, dtype, stands=route.stands)
    if route.framework == "torch":
        return converted_to_torch(model)
    return converted_to_keras(model, wanted.channels_first(route.network))


def _geometry(route: Route, report: TransferReport | None) -> Geometry:
    """How a stock class holds the weights; one that had nothing to be adapted is as it stands."""
    if report is None or (route.geometry == "adapted" and not report.adapted):
        return "unchanged"
    return route.geometry


def _origin(route: Route, wanted: Wanted, start: Given, arrived: Arrived) -> Origin:
    """What the result is."""
    network, report = route.network, arrived.report
    moved = report is not None
    loses = route.ours is not None and route.theirs is None
    lost = scaling_within(start.model) if loses and start.scaling else None
    activation = wanted.classifier_activation
    return Origin(
        network.name,
        route.source,
        network.keras if route.theirs is None else route.theirs.name,
        start.weights,
        route.framework,
        route.destination,
        route.library,
        route.ours.name if route.ours is not None else network.keras if route.library else "",
        _geometry(route, report),
        report.verdict if report is not None else "exact",
        wanted.include_top,
        wanted.pooling,
        wanted.classes,
        wanted.shape(network),
        softmax=(start.softmax and not loses) or (moved and activation == "softmax" and route.framework == "keras"),
        scaling=start.scaling and not loses,
        pixels=start.pixels if lost is None else ValueMap(RGB, lost),
        published=start.published,
        notes=(*start.notes, *(report.notes if report is not None else ()), *arrived.notes),
        changes=tuple(map(str, report.adapted)) if report is not None else (),
    )
