"""The remedies as lines of code: what to write in the preprocessing that should do as the other one does."""

from __future__ import annotations

from xconv.kernels import Kernel
from xconv.preprocessing.arithmetic import FLOAT, PILLOW, TORCH, in_words
from xconv.preprocessing.frames import Frame
from xconv.preprocessing.value_maps import RGB, ValueMap
from xconv.probing.feeding import CHW
from xconv.probing.geometry import Geometry
from xconv.probing.recipes import Recipe

__all__ = ["batch", "crop", "dtype", "frame", "layout", "mirrored", "order", "scaling", "turned"]

PILLOW_NAMES = {"lanczos3": "LANCZOS"}
TORCH_MODES = {
    Kernel("nearest", False, "old"): 'mode="nearest"',
    Kernel("nearest", False): 'mode="nearest-exact"',
    Kernel("bilinear", False): 'mode="bilinear", antialias=False',
    Kernel("bilinear", True): 'mode="bilinear", antialias=True',
    Kernel("bilinear", False, "corners"): 'mode="bilinear", align_corners=True',
    Kernel("bicubic", False, variant="a=-0.75"): 'mode="bicubic", antialias=False',
    Kernel("bicubic", True, variant="a=-0.5"): 'mode="bicubic", antialias=True',
    Kernel("bicubic", False, "corners", "a=-0.75"): 'mode="bicubic", align_corners=True',
    Kernel("area", True, variant="adaptive mean"): 'mode="area"',
}


def frame(a: Recipe) -> str:
    """Crop, resize and crop as `a` does them."""
    if a.geometry is None:
        return ""
    found = a.geometry
    steps = []
    if found.frame.rule in ("aspect", "fraction", "middle"):
        steps.append(_first_crop(found.frame))
    if found.frame.size is not None and found.kernel is not None:
        steps.append(_resize(found, found.kernel))
    if found.frame.crop is not None:
        steps.append(crop(a, found.frame))
    return "; ".join(steps) or "leave out the resize"


def _first_crop(found: Frame) -> str:
    if found.rule == "fraction":
        return f"x = tf.image.central_crop(x, {found.fraction:g})"
    if found.rule == "middle" and found.first is not None:
        return _crop(found.first, found.offset, pillow=False)
    height, width = found.size or (0, 0)
    high, wide = f"int(x.shape[1] * {height} / {width})", f"int(x.shape[0] * {width} / {height})"
    size = f"h, w = min(x.shape[0], {high}), min(x.shape[1], {wide})"
    return f"{size}; x = x[(x.shape[0] - h) // 2 :, (x.shape[1] - w) // 2 :][:h, :w]"


def _resize(found: Geometry, kernel: Kernel) -> str:
    """The resize, in the words of the library that does it so."""
    size, rounding = found.frame.size or (0, 0), in_words(found.arithmetic)
    shorter = found.frame.rule == "shorter"
    if rounding in (PILLOW, TORCH) and kernel.interpolation in ("bilinear", "bicubic"):
        given = f"{size[0]}" if shorter else f"({size[0]}, {size[1]})"
        mode = f"torchvision.transforms.InterpolationMode.{kernel.interpolation.upper()}"
        what = "image" if rounding == PILLOW else "uint8_tensor"
        return f"{what} = torchvision.transforms.v2.Resize({given}, {mode}, antialias={kernel.antialias})({what})"
    height, width = (f"{side}" for side in size)
    if shorter:
        grow = "int" if found.frame.long == "rounded down" else "round"
        height, width = (f"{grow}({size[0]} * {side} / min(h, w))" for side in "hw")
    if rounding == PILLOW:
        name = PILLOW_NAMES.get(kernel.interpolation, kernel.interpolation.upper())
        before = "w, h = image.size; " if shorter else ""
        return f"{before}image = image.resize(({width}, {height}), PIL.Image.Resampling.{name})"
    return _in_floats(kernel, height, width, shorter=shorter) + _after(rounding)


def _in_floats(kernel: Kernel, height: str, width: str, *, shorter: bool) -> str:
    mode = TORCH_MODES.get(kernel)
    tensorflow = kernel.grid == "half-pixel" and kernel.variant != "a=-0.75"
    if mode is None and tensorflow and kernel.interpolation not in ("box", "hamming"):
        before = "h, w = x.shape[:2]; " if shorter else ""
        last = f'method="{kernel.interpolation}", antialias={kernel.antialias}'
        return f"{before}x = tf.image.resize(x, ({height}, {width}), {last})"
    if mode is None:
        return f"resize to ({height}, {width}): {kernel}"
    before = "h, w = x.shape[-2:]; " if shorter else ""
    return f"{before}x = torch.nn.functional.interpolate(x, ({height}, {width}), {mode})"


def _after(arithmetic: str) -> str:
    if arithmetic == FLOAT:
        return ""
    return "; x = x.round().clip(0, 255)" if "rounded" in arithmetic else "; x = x.floor().clip(0, 255)"


def crop(a: Recipe, found: Frame) -> str:
    """The crop from the middle."""
    pillow = a.fed == "a Pillow image" and found.offset == "rounded"
    return _crop(found.crop or (0, 0), found.offset, pillow=pillow)


def _crop(size: tuple[int, int], offset: str, *, pillow: bool) -> str:
    if pillow:
        return f"image = torchvision.transforms.v2.CenterCrop({size})(image)"
    start = "round((x.shape[{}] - {}) / 2)" if offset == "rounded" else "(x.shape[{}] - {}) // 2"
    top, left = (start.format(axis, side) for axis, side in enumerate(size))
    return f"top, left = {top}, {left}; x = x[top : top + {size[0]}, left : left + {size[1]}]"


def order(b: Recipe, one: ValueMap, other: ValueMap) -> str:
    """The channels of the result in the other's order."""
    places = [other.order.index(channel) for channel in one.order]
    index = "::-1" if places == list(RGB[::-1]) and b.framework != "torch" else str(places)
    if b.layout == CHW:
        return f"x = x[{':, ' if b.batch else ''}{index}]"
    if b.framework == "TensorFlow" and index != "::-1":
        return f"x = tf.gather(x, {places}, axis=-1)"
    return f"x = x[..., {index}]"


def scaling(b: Recipe, one: ValueMap, other: ValueMap) -> str:
    """From the numbers of `b` to those of `a`, or what `a` does from the start."""
    name = str(one.scaling)
    channels = [one.scaling.factor[i] for i in other.order], [one.scaling.offset[i] for i in other.order]
    before = f"  # of the picture in 0..255: {name}"
    if name.startswith("no scaling"):
        return "leave the picture in 0..255: no division, no mean, no deviation"
    factor, offset = (_constant(b, list(values)) for values in channels)
    if name.startswith("minus"):
        return f"x = x + {offset}{before}"
    tail = "" if not any(channels[1]) else f" + {offset}"
    return f"x = x * {factor}{tail}{before}"


def _constant(b: Recipe, values: list[float]) -> str:
    rounded = [float(f"{value:.9g}") for value in values]
    if len(set(rounded)) == 1:
        return f"{rounded[0]:.9g}" if rounded[0] >= 0 else f"({rounded[0]:.9g})"
    maker = {"torch": "torch.tensor", "TensorFlow": "tf.constant"}.get(b.framework, "numpy.array")
    return f"{maker}({rounded})" + (".reshape(3, 1, 1)" if b.layout == CHW else "")


def layout(a: Recipe, b: Recipe) -> str:
    """The axes moved, never reshaped."""
    if "reshape" in b.layout:
        return "transpose the axes in place of the reshape: x.transpose(2, 0, 1) in NumPy, x.permute(2, 0, 1) in torch"
    first = a.layout == CHW
    axes = ((2, 0, 1) if first else (1, 2, 0)) if not b.batch else ((0, 3, 1, 2) if first else (0, 2, 3, 1))
    if b.framework == "TensorFlow":
        return f"x = tf.transpose(x, {axes})"
    return f"x = x.permute{axes}" if b.framework == "torch" else f"x = x.transpose{axes}"


def batch(a: Recipe, b: Recipe) -> str:
    """A batch axis more or less."""
    return "x = x[None]" if a.batch and not b.batch else "x = x[0]"


def dtype(a: Recipe, b: Recipe) -> str:
    """The result in the other dtype, cast before anything is lost."""
    if b.dtype.startswith(("int", "uint")) or b.colours.whole:
        return f"cast to {a.dtype} before the numbers are scaled, and not to {b.dtype} after it"
    if b.framework == "torch":
        return f"x = x.to(torch.{a.dtype})"
    return f'x = tf.cast(x, "{a.dtype}")' if b.framework == "TensorFlow" else f'x = x.astype("{a.dtype}")'


def turned(b: Recipe) -> str:
    """Height and width back in their places."""
    if b.framework == "torch" and b.layout == CHW:
        return "x = x.transpose(-2, -1)"
    return "x = x.swapaxes(0, 1)" if b.framework != "TensorFlow" else "x = tf.image.transpose(x)"


def mirrored(b: Recipe) -> str:
    """Left and right back in their places."""
    return "x = x.flip(-1)" if b.framework == "torch" and b.layout == CHW else "x = x[:, ::-1]"
