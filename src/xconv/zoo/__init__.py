"""The zoo: which public checkpoints correspond, loaded in either framework.

Importing it loads no framework: every name below is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconv.lazy import loader

if TYPE_CHECKING:
    from xconv.zoo.catalogue import find
    from xconv.zoo.folders import save_folder
    from xconv.zoo.listing import Table, table
    from xconv.zoo.loading import load
    from xconv.zoo.origins import Origin, origin
    from xconv.zoo.predicting import Prediction, Predictions, predict

__all__ = ["Origin", "Prediction", "Predictions", "Table", "find", "load", "origin", "predict", "save_folder", "table"]

_HOMES = {
    "Origin": "xconv.zoo.origins",
    "Prediction": "xconv.zoo.predicting",
    "Predictions": "xconv.zoo.predicting",
    "Table": "xconv.zoo.listing",
    "find": "xconv.zoo.catalogue",
    "load": "xconv.zoo.loading",
    "origin": "xconv.zoo.origins",
    "predict": "xconv.zoo.predicting",
    "save_folder": "xconv.zoo.folders",
    "table": "xconv.zoo.listing",
}

# Hidden from type checkers, which would otherwise take any misspelt name for an object.
if not TYPE_CHECKING:
    __getattr__ = loader(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
