"""Live weights for a network without pretrained ones: `randomize(model)`, for Keras, tf_keras and torch models."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from xconv.errors import InvalidInput

__all__ = ["draw", "randomize"]

Model = TypeVar("Model")
Floats = npt.NDArray[np.float32]

STATISTICS = {"moving_mean": "mean", "running_mean": "mean", "moving_variance": "variance", "running_var": "variance"}
RANGES = {"variance": (0.2, 1.8), "gamma": (0.5, 1.5), "layer_scale": (0.1, 1.0), "slope": (0.05, 0.4)}
DEVIATIONS = {"bias": 0.1, "beta": 0.2, "mean": 0.2, "embedding": 1.0}
DEPTHWISE = {"DepthwiseConv1D", "DepthwiseConv2D"}
CALM = 0.5
"""The mean gain of a BatchNorm that an example settles. At 1 a network of hundreds of gated layers is chaotic: the last
bit of its input decides its output, and nothing can be compared."""
UNNAMED = re.compile(r"variable_\d+")
"""What Keras calls a variable without a name: the number counts those of the whole process."""
TRANSPOSED = {"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"}


def randomize(model: Model, seed: int = 0, *, inputs: Any = None) -> Model:
    """Gives a live Keras model or a torch module live weights and BatchNorm statistics, in place, and returns it.

    Args:
        model: a built Keras or tf_keras model, or a torch module.
        seed: the same seed gives the same numbers.
        inputs: of a torch module, an example to run it on (as for `torch_to_keras`): BatchNorm
            statistics are then those of the example, disturbed, so that activations neither vanish nor explode through
            hundreds of layers. Eight images are better than one: what the example does not show, another input may.
            A Keras model needs none: its graph is known.

    Kernels are normal with deviation sqrt(2 / fan_in), in a Keras model less before BatchNorm and at the end of
    residual branches (see `gains`); biases N(0, 0.1), beta and means N(0, 0.2), gamma U(0.5, 1.5), variances
    U(0.2, 1.8), LayerScale U(0.1, 1), slopes of PReLU U(0.05, 0.4).
    Integer variables, seeds and a torch module's other buffers (masks, tables of places) stay. Every variable is drawn
    in float32 from a generator of its own, seeded by `seed` and the variable's place and name, so that the result does
    not depend on the order of drawing.

    Raises:
        InvalidInput: neither a built Keras model nor a torch module; `inputs` given with a Keras model.
    """
    kinds = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    if "torch" in kinds and "keras" not in kinds:
        _randomize_torch(model, seed)
        if inputs is not None:
            _settle_statistics(model, inputs, seed)
    elif inputs is not None:
        raise InvalidInput("inputs are for torch modules", remedy="call randomize(model, seed)")
    elif kinds & {"keras", "tf_keras"}:
        _randomize_keras(model, seed)
    else:
        raise InvalidInput(
            f"cannot randomize a {type(model).__name__}", remedy="give a live keras.Model or a torch.nn.Module"
        )
    return model


def draw(role: str, shape: Sequence[int], deviation: float, name: str, seed: int = 0) -> Floats:
    """The values of one variable: what `role` asks for, seeded by `seed` and `name`; kernels N(0, `deviation`).

    `role` is one of kernel, bias, beta, mean, embedding (normal) and gamma, variance, layer_scale, slope (uniform).

    >>> bool((draw("variance", (4,), 1.0, "bn/moving_variance") > 0.2).all())
    True
    """
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = np.random.Generator(np.random.SFC64(int.from_bytes(digest[:8], "little")))
    size = tuple(shape)
    if role in RANGES:
        low, high = RANGES[role]
        return generator.random(size, dtype=np.float32) * np.float32(high - low) + np.float32(low)
    values = generator.standard_normal(size, dtype=np.float32)
    values *= np.float32(DEVIATIONS.get(role, deviation))
    return values


def keras_role(kind: str, name: str, rank: int) -> str:
    """What a variable called `name` is to a Keras layer of class `kind`.

    >>> keras_role("BatchNormalization", "moving_variance", 1), keras_role("LayerScale", "variable", 1)
    ('variance', 'layer_scale')
    """
    if name in STATISTICS:
        return STATISTICS[name]
    if kind == "Normalization":
        return "variance" if name == "variance" else "mean"
    if name in ("gamma", "scale"):
        return "layer_scale" if kind == "LayerScale" else "gamma"
    if kind == "LayerScale":
        return "layer_scale"
    if kind == "PReLU":
        return "slope"
    if "embedding" in name.lower():
        return "embedding"
    if name in ("beta", "mean"):
        return name
    return "bias" if "bias" in name or rank < 2 else "kernel"


def keras_fan_in(kind: str, name: str, shape: Sequence[int]) -> int:
    """How many products a Keras kernel of this shape sums into one output.

    >>> keras_fan_in("Conv2D", "kernel", (3, 3, 8, 16)), keras_fan_in("DepthwiseConv2D", "kernel", (3, 3, 8, 1))
    (72, 9)
    """
    if len(shape) < 2:
        return 1
    if kind in DEPTHWISE or "depthwise" in name:
        return math.prod(shape[:-2])
    if kind in TRANSPOSED:
        return math.prod(shape[:-2]) * shape[-1]
    return math.prod(shape[:-1])


def torch_role(kind: str, name: str, rank: int) -> str:
    """What a parameter or buffer called `name` is to a torch module of class `kind`.

    >>> torch_role("BatchNorm2d", "running_var", 1), torch_role("Conv2d", "weight", 4)
    ('variance', 'kernel')
    """
    if name in STATISTICS:
        return STATISTICS[name]
    if kind == "Normalization" and name in ("mean", "variance"):
        return name
    if "Norm" in kind:
        return "beta" if name == "bias" else "gamma"
    if kind in ("LayerScale", "CNBlock") or "gamma" in name or "layer_scale" in name:
        return "layer_scale"
    if kind == "PReLU":
        return "slope"
    if kind in ("Embedding", "EmbeddingBag"):
        return "embedding"
    return "bias" if "bias" in name or rank < 2 else "kernel"


def torch_fan_in(kind: str, shape: Sequence[int]) -> int:
    """How many products a torch weight of this shape sums into one output.

    >>> torch_fan_in("Conv2d", (16, 8, 3, 3)), torch_fan_in("Linear", (10, 64))
    (72, 64)
    """
    if len(shape) < 2:
        return 1
    products = math.prod(shape[2:]) * shape[0] if "ConvTranspose" in kind else math.prod(shape[1:])
    return max(products, 1)


def _owned_variables(model: Any) -> Iterator[tuple[Any, Any, str]]:
    """Every weight once, as (layer, variable, name that does not depend on what else the process has built)."""
    seen: set[int] = set()
    for number, layer in enumerate(model._flatten_layers()):
        if layer is model and len(model.layers) > 0:
            continue
        own = [*getattr(layer, "_trainable_variables", ()), *getattr(layer, "_non_trainable_variables", ())]
        own = own or [*getattr(layer, "_trainable_weights", ()), *getattr(layer, "_non_trainable_weights", ())]
        for place, variable in enumerate(own):
            if id(variable) not in seen:
                seen.add(id(variable))
                short = str(variable.name).rpartition("/")[2].partition(":")[0]
                short = "variable" if UNNAMED.fullmatch(short) else short
                yield layer, variable, f"{number}/{type(layer).__name__}/{place}/{short}"


def _randomize_keras(model: Any, seed: int) -> None:
    if not model.built or not hasattr(model, "_flatten_layers"):
        raise InvalidInput(
            f"{type(model).__name__} {getattr(model, 'name', '')!r} is not built",
            remedy="call it on an example, or build(input_shape), so that its weights exist",
        )
    from xconv.gains import keras_gains

    gains = keras_gains(model)
    for layer, variable, name in _owned_variables(model):
        dtype = str(getattr(variable.dtype, "name", variable.dtype))
        if "float" not in dtype:
            continue
        kind, shape, short = type(layer).__name__, tuple(variable.shape), name.rpartition("/")[2]
        role = keras_role(kind, short, len(shape))
        gain = 1.0 if "depthwise" in short and kind.startswith("Separable") else gains.get(id(layer), math.sqrt(2))
        variable.assign(draw(role, shape, gain / math.sqrt(keras_fan_in(kind, short, shape)), name, seed))
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def _randomize_torch(model: Any, seed: int) -> None:
    import torch

    seen: set[int] = set()
    for path, module in model.named_modules():
        kind = type(module).__name__
        live = [(n, b) for n, b in module.named_buffers(recurse=False) if n in STATISTICS or kind == "Normalization"]
        own = [*module.named_parameters(recurse=False), *live]
        for short, tensor in own:
            if id(tensor) in seen or not tensor.is_floating_point():
                continue
            seen.add(id(tensor))
            shape = tuple(tensor.shape)
            deviation = math.sqrt(2 / torch_fan_in(kind, shape))
            values = draw(torch_role(kind, short, len(shape)), shape, deviation, f"{path}.{short}", seed)
            with torch.no_grad():
                tensor.copy_(torch.as_tensor(values))


def _settle_statistics(model: Any, inputs: Any, seed: int) -> None:
    """Gives every BatchNorm, as the example reaches it, the statistics of what reaches it, disturbed."""
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    from xconv.gains import NORM_GAIN
    from xconv.torch.capture import arguments_of

    names = {module: path for path, module in model.named_modules()}
    met: set[Any] = set()

    def settle(module: Any, given: Any) -> None:
        if module in met or module.running_mean is None:
            return
        met.add(module)
        x, count = given[0].detach().double(), module.running_mean.shape
        over = [axis for axis in range(x.dim()) if axis != 1]
        variance = x.var(over, unbiased=False) + 1e-3
        # Deep inside, an example has few pixels, all alike: a channel that it hardly moves would explode under another.
        variance = variance.clamp(min=variance.mean())
        shift, factor = (
            torch.from_numpy(draw(role, count, 1.0, f"{names[module]}.{role}", seed)) for role in ("mean", "variance")
        )
        module.running_mean.copy_(x.mean(over) + shift * variance.sqrt())
        module.running_var.copy_(variance * factor * (NORM_GAIN / CALM) ** 2)

    modes = [(module, module.training) for module in model.modules()]
    handles = [m.register_forward_pre_hook(settle) for m in model.modules() if isinstance(m, _BatchNorm)]
    model.eval()
    try:
        with torch.no_grad():
            arguments, keywords = arguments_of(model, inputs)
            model(*arguments, **keywords)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
