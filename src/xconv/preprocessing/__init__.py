"""What is done to a picture before a network sees it: size, colours, numbers.

A `Preprocessing` is one description that runs as a NumPy function, as a transform of torch, and as Keras layers:

>>> import xconv.preprocessing as preprocessing
>>> preprocessing.load_img(224, mode="caffe").size
(224, 224)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconv.kernels import Kernel
from xconv.lazy import loader
from xconv.preprocessing.description import Preprocessing
from xconv.preprocessing.frames import Frame
from xconv.preprocessing.keras_owners import load_img, pixels, resizing, smart_resize, tf_resize
from xconv.preprocessing.steps import Step, normalise
from xconv.preprocessing.torch_owners import interpolate, timm, torchvision

if TYPE_CHECKING:
    from xconv.zoo.preprocessing import of

__all__ = [
    "Frame",
    "Kernel",
    "Preprocessing",
    "Step",
    "interpolate",
    "load_img",
    "normalise",
    "of",
    "pixels",
    "resizing",
    "smart_resize",
    "tf_resize",
    "timm",
    "torchvision",
]

# Hidden from type checkers, which would otherwise take any misspelt name for an object.
if not TYPE_CHECKING:
    __getattr__ = loader(__name__, {"of": "xconv.zoo.preprocessing"})
