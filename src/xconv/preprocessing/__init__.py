"""What is done to a picture before a network sees it: size, colours, numbers.

A `Preprocessing` is one description that runs as a NumPy function, as a transform of torch, and as Keras layers:

>>> import xconv.preprocessing as preprocessing
>>> preprocessing.load_img(224, mode="caffe").size
(224, 224)
"""

from __future__ import annotations

from xconv.preprocessing.description import Preprocessing
from xconv.preprocessing.frames import Frame
from xconv.preprocessing.keras_owners import load_img, pixels, resizing, smart_resize, tf_resize
from xconv.preprocessing.kernels import Kernel
from xconv.preprocessing.steps import Step, normalise
from xconv.preprocessing.torch_owners import interpolate, timm, torchvision

__all__ = [
    "Frame",
    "Kernel",
    "Preprocessing",
    "Step",
    "interpolate",
    "load_img",
    "normalise",
    "pixels",
    "resizing",
    "smart_resize",
    "tf_resize",
    "timm",
    "torchvision",
]
