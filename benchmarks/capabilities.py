"""What the converters can do besides, in words; every statement about another tool has a source, by its letter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["CAPABILITIES", "SOURCES", "TOOLS"]

TOOLS = ("xconv", "tf2onnx + onnx2torch", "Keras on torch, its export", "nobuco", "onnx2tf")

SOURCES: Mapping[str, str] = {
    "m": "measured here: [performance.md](performance.md)",
    "t": "measured here: the table of examples above",
    "p": "a study of ours, November 2026, whose rows are not kept here: 16 networks of keras.applications through "
    "tf2onnx 1.17 and onnx2torch 1.5, and through Keras's export; 37 of torchvision and timm through nobuco 0.17",
    "n": "nobuco's page and readme: <https://pypi.org/project/nobuco>, <https://github.com/AlexanderLutsenko/nobuco>",
    "s": "nobuco's source: <https://github.com/AlexanderLutsenko/nobuco/tree/main/nobuco/node_converters> "
    "(pooling.py, attention.py, normalization.py)",
    "b": "onnx2tf's readme: <https://github.com/PINTO0309/onnx2tf>",
    "c": "onnx2tf's release notes on quantised TFLite: <https://zenodo.org/records/11203517>",
    "o": "onnx2torch's page: <https://pypi.org/project/onnx2torch/1.5.15>",
    "k": "Keras 3.15's own documentation of `Model.export`",
}

CAPABILITIES: Sequence[Sequence[str]] = (
    ("Keras to torch", "yes", "yes, through ONNX [o]", "runs on torch; exported as a program [k]", "- [n]", "- [b]"),
    ("torch to Keras", "yes", "- [o]", "- [k]", "yes, to Keras 2 [n]", "yes, from ONNX [b]"),
    ("Keras 3", "yes, and tf_keras", "yes [t]", "yes [k]", "no: Keras 2 only [n]", "tf-keras 2.16 [b]"),
    (
        "what comes out",
        "an nn.Module of torch's classes; a Functional model of Keras's",
        "an fx.GraphModule of ONNX's operators [o]",
        "an ExportedProgram; ResNet50's has 2,424 nodes, 161 of them permutes [p]",
        "layers and calls of TensorFlow in a Keras model [n, s]",
        "a Keras model for inference [b]",
    ),
    (
        "names",
        "of layers and weights, with a record of each",
        "at most half of the layers' [p]",
        "Keras's, as `_torch_params.c1/kernel` [p]",
        "lost [p]",
        "its layers hold no weights [p]",
    ),
    (
        "BatchNorm stays and trains",
        "yes; training differs by n / (n - 1), as it says",
        "no: none of ResNet50's 53 is left [m]",
        "- [k]",
        "yes; training differs, as its source says [s]",
        "inference mode only [b]",
    ),
    ("trainable values that stay", "all", "63 to 99.7% [p]", "all [p]", "all [p]", "not for retraining [b]"),
    (
        "numbers compared",
        "outputs and gradients in float64: the laws, `xconv.verify`",
        "-",
        "-",
        "outputs in float32, on the traced input [n]",
        "outputs in float32 [b]",
    ),
    (
        "masks",
        "followed, as Keras passes them",
        "see the examples [t]",
        "see the examples [t]",
        "`key_padding_mask` is taken and not used [s]",
        "-",
    ),
    (
        "open sizes",
        "the batch always, sizes where the network allows",
        "the batch [m]",
        "with `dynamic_shapes` [k]",
        "as the caller says [n]; the batch froze in 6 of 24 networks [p]",
        "undefined sizes are likely to fail [b]",
    ),
    (
        "pads and pools",
        "as the source has them, uneven ones too",
        "uneven pads refused [t]",
        "see the examples [t]",
        "`ceil_mode` and `count_include_pad` are not read [s]",
        "-",
    ),
    (
        "files without the framework that wrote them",
        "`.keras` to torch without TensorFlow, `.pt2` to `.keras` without Keras",
        "TensorFlow writes the ONNX file [t]",
        "-",
        "the live module is traced [n]",
        "ONNX files [b]",
    ),
    ("files that are not trusted", "read as data; code in them never runs", "-", "-", "-", "-"),
    (
        "what is not known",
        "all of it named before anything is converted, with a remedy",
        "TensorFlow's call stays in the ONNX file, onnx2torch refuses it [t]",
        "-",
        "named in a trace in colours [n]",
        "-",
    ),
    (
        "own layers",
        "`xconv.register`, both ways",
        "a converter for an operator of ONNX [o]",
        "run as they are [k]",
        "a converter for a function or module [n]",
        "parameters replaced by a JSON file [b]",
    ),
    ("why two models differ", "`xconv.diagnose`: causes and remedies", "-", "-", "the layers that differ [n]", "-"),
    ("weights into an existing model", "`xconv.transfer`", "-", "-", "-", "-"),
    ("TFLite", "no", "-", "yes, as LiteRT [k]", "yes, by TensorFlow [n]", "yes, quantised too [b, c]"),
)
"""Rows: what, then a cell for each of TOOLS; '-' where its documentation says nothing of it."""
