"""docs/zoo.md, written from the results of `benchmarks.zoo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, in_short
from benchmarks.stored import FOLDER, GENERATED, read
from benchmarks.table import markdown, scientific
from xconv.zoo.catalogue import networks

__all__ = ["write"]

Row = dict[str, Any]

PAGE = """\
# The zoo: pretrained networks in either framework

{generated}

```python
import xconv.zoo

module = xconv.zoo.load("resnet50")  # Keras's weights as a torch module, with Keras's names
model = xconv.zoo.load("mobilenet_v3_large", source="torchvision", framework="keras")  # torchvision's as a Keras model
stock = xconv.zoo.load("mobilenet_v2", destination="stock", library="torchvision")  # torchvision's own class and keys
vectors = xconv.zoo.load("densenet121", include_top=False, pooling="avg")

print(xconv.zoo.origin(stock))  # whose weights, whose class, exact or under which condition, what is to be done outside
```

`xconv.zoo.table()`, or `xconv zoo list`, shows the {count} networks of keras.applications and their partners in
torchvision and timm: which class takes the weights as it stands, what differs elsewhere, and how the numbers of
parameters add up. `xconv zoo load resnet50 -o resnet50.safetensors` loads, converts and writes.

## Whose weights

| `weights=` | |
|---|---|
| `"imagenet"` | what the owner gives by default: Keras's file, torchvision's `DEFAULT`, timm's first tag |
| `"IMAGENET1K_V2"`, `"tv_in1k"` | by the owner's own name |
| a path | `.h5`, `.weights.h5`, `.keras`; `.pth`, `.pt`, `.bin`, `.safetensors`: read as data, nothing is executed |
| a state_dict, a live model | of the same architecture |
| `None` | random; live ones with `seed=` |

Published files are fetched as their owner does it, into its own cache, and what is there already is used. A file that
does not fit is one error with every name and shape. Without the top, a file of torch with its top will do.

## What comes back

- `destination="converted"`: a model with the source's names.
- `destination="stock"`: the class of torchvision or timm with its own keys (`library=`), or the network of
  keras.applications. Where that is not the same function, `geometry="adapted"` changes its settings first and
  `"rotated"` turns the kernels: then the class stays, and its pictures are turned by 180 degrees. `"unchanged"`
  refuses, with every place and cause; it takes up another epsilon in the variances, which is exact in inference.
- The result takes what its source takes, but for what a class has no place for: a softmax behind the classes, the
  scaling of pixels that some Keras models begin with. `origin(model).notes` has the line of code for each,
  `origin(model).pixels` says what is done to pixels before the model.
- `include_top`, `pooling`, `classes`, `input_shape`, `alpha`, `minimalistic`, `classifier_activation` and
  `include_preprocessing` are Keras's, for every source. Without the top a network gives the map before its last pool,
  or its mean or maximum: as long and in the same order as Keras gives it, also where timm's `num_classes=0` gives
  another vector (MobileNetV3: 960, not 1280; VGG: 512, not 4096).
- Where pads depend on the size of the picture (`input_shape`), they are those of this size.

Three things that are easily got wrong are taken care of:

- The published files of EfficientNet hold standard deviations where the layer expects their squares. Keras mends that
  for `weights="imagenet"` and not for the same file by its path; here both are mended.
- torchvision's Inception scales its input once more. What it is made into does not, and takes pictures of -1 to 1,
  which `origin(model).pixels` says.
- ConvNeXt's last normalisation belongs to what `include_top=False` gives, behind the pool where there is one.

## A folder that timm loads

```python
xconv.zoo.save_folder(xconv.zoo.load("mobilenet_v2", destination="stock", library="timm"), "mobilenet_v2_keras")
timm.create_model("local-dir:mobilenet_v2_keras", pretrained=True)
```

The folder is laid out like one of the Hugging Face hub: `config.json` with the architecture, the arguments that its
class needs (`pad_type="same"`, `bn_eps=0.001`) and the pictures that it takes, `model.safetensors`, and a card. It is
loaded by timm and compared before it gets its name. A network whose class had to be changed has no such folder, and is
refused.

## Every network

Whole networks with seeded weights, written as their owners publish them, loaded from caches under their published
names, and compared in float64 with what the files were written from. {summary}

- **converted** is the model with the source's names. **stock** is the class of torchvision or timm, or the network of
  keras.applications, as it stands or adapted; **rotated** is turned by 180 degrees.
- The numbers are the largest errors, relative to the largest output. At most 1e-10, or at most the network's own noise
  floor of less than 1e-8, is exact.
- Pictures are of the size in the column **px**. Measured on {machine}.

    python -m benchmarks.zoo

{table}
"""
HEAD = (
    "network",
    "class",
    "px",
    "converted",
    "stock",
    "stock, no top",
    "rotated",
    "to Keras",
    "stock Keras",
    "rotated",
)
FORMS = (
    ("converted", "with top", "without top"),
    ("stock", "with top"),
    ("stock", "without top"),
    ("rotated", "with top"),
    ("converted", "from torch"),
    ("stock", "from torch"),
    ("rotated", "from torch"),
)


def write(results: Path = FOLDER / "zoo.jsonl", target: Path = ROOT / "docs" / "zoo.md") -> None:
    """Writes docs/zoo.md from the newest row of each pair."""
    newest = {row["row"]: row for row in read(results)}
    if not newest:
        return
    order = {network.name: place for place, network in enumerate(networks())}
    rows = sorted(newest.values(), key=lambda row: order.get(row["network"], len(order)))
    ways = [way for row in rows for way in row.get("ways", ())]
    summary = f"{sum(bool(way['ok']) for way in ways)} of {len(ways)} are exact."
    stopped = [row for row in rows if "error" in row]
    if stopped:
        summary += f" {len(stopped)} rows were not finished; the table says why."
    if missing := [name for name in _known() if name not in newest]:
        summary += f" Not measured yet: {', '.join(missing)}."
    text = PAGE.format(
        generated=GENERATED,
        count=len(networks()),
        summary=summary,
        machine=in_short(rows[-1]["machine"]),
        table=markdown(HEAD, map(_cells, rows)),
    )
    target.write_text(text.rstrip() + "\n", encoding="utf-8")


def _known() -> list[str]:
    """The names of all rows, as `benchmarks.zoo` gives them."""
    return [
        network.name if partner is None else f"{network.name}/{partner.library}.{partner.name}"
        for network in networks()
        for partner in (None, *network.partners)
    ]


def _cells(row: Row) -> list[str]:
    name = [row["network"], f"{row['library']} {row['class']}".strip() or "-", "x".join(map(str, row["size"]))]
    if "error" in row:
        return [*name, row["error"], *["-"] * (len(FORMS) - 1)]
    return [*name, *(_errors(row, kind, forms) for kind, *forms in FORMS)]


def _errors(row: Row, kind: str, forms: list[str]) -> str:
    """The largest error of one kind; marked where one of them is not exact."""
    stock = ("unchanged", "adapted")
    found = [
        way
        for way in row["ways"]
        if way["form"] in forms and (way["way"] in stock if kind == "stock" else way["way"] == kind)
    ]
    if not found:
        return "-"
    worst = max(way["error"] or 0.0 for way in found)
    return scientific(worst) + ("" if all(way["ok"] for way in found) else " **differs**")
