"""What an arm from torch to Keras made: its numbers, what is left of the network, whether it can be saved and loaded.

It runs with any of the environments' Keras, 2 or 3; xconv is not needed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.keras_traits import keras_traits, names_kept
from benchmarks.measure import PeakMemory, spent

__all__ = ["source_module", "stored", "timed", "traits"]

Facts = dict[str, Any]

CLOSE = 1e-4
"""A relative difference below this is rounding in float32; above it the result is wrong."""


def source_module(network: str, folder: Path) -> Any:
    """The torchvision module with the stored weights, in inference mode."""
    import torch

    from benchmarks.loading import load_torchvision
    from benchmarks.torch_zoo import made

    load_torchvision()
    module = made("torchvision", network, ())
    module.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return module.eval()


def stored(folder: Path) -> tuple[Any, Any]:
    """Three seeded images, channels-first, and torch's outputs."""
    import numpy as np

    with np.load(folder / "reference.npz") as found:
        return found["images"], found["outputs"]


def timed(convert: Callable[[], tuple[Any, Facts]]) -> tuple[Any, Facts]:
    """The first conversion in this process: what it made, seconds, and peak memory above what was held before."""
    memory = PeakMemory()
    start = time.perf_counter()
    model, facts = convert()
    return model, {"seconds": spent(start), "peak_bytes": memory.above(), **facts}


def traits(model: Any, folder: Path, load: Callable[[str], Any]) -> Facts:
    """The facts about a Keras model; `load` is that Keras's load_model."""
    names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    images, outputs = stored(folder)
    one = _difference(model, images[:1], outputs[:1])
    return {
        **keras_traits(model),
        "difference": one,
        "right": one is not None and one < CLOSE,
        "open_batch": (_difference(model, images, outputs) or 1.0) < CLOSE,
        "names_kept": names_kept(names, model),
        **_reloaded(model, folder, load),
    }


def _difference(model: Any, images: Any, outputs: Any) -> float | None:
    """max|Keras - torch| / max|torch|, whichever of the two image layouts the model takes; None where it takes none."""
    import numpy as np

    for given in (images.transpose(0, 2, 3, 1), images):
        try:
            found = np.asarray(model(given, training=False))
        except Exception:  # noqa: BLE001, S112  a model that does not take this layout, or this batch
            continue
        if found.shape == outputs.shape:
            return float(np.abs(found - outputs).max() / np.abs(outputs).max())
    return None


def _reloaded(model: Any, folder: Path, load: Callable[[str], Any]) -> Facts:
    """Whether the model can be saved as `.keras` and as a SavedModel, and gives the same numbers once loaded."""
    import numpy as np

    images, outputs = stored(folder)
    facts: Facts = {"reloads": False, "reload_error": ""}
    path = folder / "saved.keras"
    try:
        model.save(path)
        facts["file_bytes"] = path.stat().st_size
        again = _difference(load(str(path)), images[:1], outputs[:1])
        facts["reloads"] = again is not None and np.isclose(again, _difference(model, images[:1], outputs[:1]) or 0)
    except Exception as error:  # noqa: BLE001  the reason goes into the row
        facts["reload_error"] = " ".join(str(error).split())[:200]
    finally:
        path.unlink(missing_ok=True)
    facts["reloads"] = bool(facts["reloads"])
    facts["saved_model"] = _saves_as_saved_model(model, folder)
    return facts


def _saves_as_saved_model(model: Any, folder: Path) -> bool:
    import tensorflow as tf

    try:
        tf.saved_model.save(model, str(folder / "saved"))
    except Exception:  # noqa: BLE001  only whether it can matters
        return False
    return True
