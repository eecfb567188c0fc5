"""Discretization, CategoryEncoding, Hashing, HashedCrossing, IntegerLookup  <->  modules of the same names.

Strings are refused elsewhere: torch has no tensors of them. Hashes of whole numbers are TensorFlow's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xconv.errors import Unsupported
from xconv.layers.described import REQUIRED, Defaults, Described, settings_of
from xconv.spec import Example, KerasLayer, Op, Order, Shape, Slot, TorchCall, Weights

__all__ = ["Categories"]

KINDS: Mapping[str, Defaults] = {
    "CategoryEncoding": {"num_tokens": REQUIRED, "output_mode": "multi_hot"},
    "Discretization": {"bin_boundaries": None, "output_mode": "int"},
    "HashedCrossing": {"num_bins": REQUIRED, "output_mode": "int"},
    "Hashing": {"num_bins": REQUIRED, "mask_value": None, "salt": None, "output_mode": "int"},
    "IntegerLookup": {
        "vocabulary": None,
        "max_tokens": None,
        "num_oov_indices": 1,
        "mask_token": None,
        "oov_token": -1,
        "idf_weights": None,
        "invert": False,
        "output_mode": "int",
        "pad_to_max_tokens": False,
        "oov_method": "floormod",
        "salt": None,
    },
}
INERT = ("epsilon", "num_bins", "vocabulary_dtype", "vocabulary_size")
"""What counts while a layer is adapted, or follows from the rest."""
ADAPTED = "a vocabulary that is not in the configuration: it was learnt, or stands in a file"


@dataclass(frozen=True, slots=True)
class Categories(Described):
    """A layer that makes categories of numbers; `kind` and `settings` are Keras's, the vocabulary without specials."""

    order = Order.WRITTEN
    keras_kinds = tuple(KINDS)
    restrictions: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("CategoryEncoding", "Hashing", "HashedCrossing"), "sparse results"),
        "Discretization": "sparse results; bins that were never learnt",
        "IntegerLookup": "sparse results; a vocabulary that was learnt and is not in the configuration",
    }

    @classmethod
    def from_keras(cls, layer: KerasLayer) -> Op:
        """The settings, in one way to say each."""
        if layer.get("sparse"):
            raise Unsupported("sparse=True, which gives a sparse tensor", remedy="use sparse=False")
        settings = settings_of(layer, KINDS[layer.kind])
        for key in INERT:
            layer.get(key)
        layer.argument(1, "count_weights")
        settings["output_mode"] = _mode(settings["output_mode"])
        if settings.get("salt") is not None and isinstance(settings["salt"], int):
            settings["salt"] = (settings["salt"],) * 2
        if layer.kind == "Discretization" and settings["bin_boundaries"] is None:
            raise Unsupported("bins that were never learnt", remedy="call adapt, or give bin_boundaries")
        if layer.kind == "IntegerLookup":
            _check_vocabulary(settings)
        _check_rank(layer, settings["output_mode"])
        return Op(cls(layer.kind, tuple(settings.items())))

    def to_keras(self, weights: Weights, inputs: Sequence[Shape]) -> KerasLayer:
        """The layer itself."""
        slots = tuple(Slot(place) for place in range(len(inputs)))
        args = (list(slots),) if self.kind == "HashedCrossing" else slots[:1]
        named = {"count_weights": slots[1]} if self.kind == "CategoryEncoding" and len(slots) > 1 else {}
        config = dict(self.settings)
        if self.kind.startswith("Hash") and config["output_mode"] == "int":
            config["dtype"] = "int64"
        if config.get("idf_weights") is not None:  # Keras takes those of the special places only with these places
            special = [config["oov_token"]] * config["num_oov_indices"]
            config["vocabulary"] = (*special, *config["vocabulary"])
            config["idf_weights"] = config["idf_weights"][: len(config["vocabulary"])]
        return KerasLayer(self.kind, config, inputs=tuple(inputs), args=args, kwargs=named)

    def to_torch(self, weights: Weights, inputs: Sequence[Shape]) -> TorchCall:
        """xconv's module."""
        slots = tuple(Slot(place) for place in range(len(inputs)))
        return TorchCall(f"xconv.torch.modules.{self.kind}", slots, config=dict(self.settings))

    def out_shape(self, *inputs: Shape) -> Shape:
        """One more axis for the categories, in place of one of size 1 or of that which is summed over."""
        given, mode = inputs[0], self.setting("output_mode")
        if mode == "int":
            return given
        if mode == "one_hot":
            return (*(given[:-1] if len(given) > 1 and given[-1] == 1 else given), self._depth())
        return (given[0], *given[2:], self._depth())

    def _depth(self) -> int:
        settings = dict(self.settings)
        match self.kind:
            case "CategoryEncoding":
                return int(settings["num_tokens"])
            case "Discretization":
                return len(settings["bin_boundaries"]) + 1
            case "IntegerLookup":
                full = settings["num_oov_indices"] + len(settings["vocabulary"])
                return int(settings["max_tokens"] if settings["pad_to_max_tokens"] else full)
        return int(settings["num_bins"])

    @classmethod
    def examples(cls) -> Iterator[Example]:
        """Every layer in every mode, and every option of each."""
        whole: dict[str, Any] = {"values": "integers"}
        modes = ("int", "one_hot", "multi_hot", "count")
        for mode in modes:
            kept = mode == "one_hot"
            if mode != "int":
                config = {"num_tokens": 5, "output_mode": mode}
                yield Example("CategoryEncoding", ((3,),), config, **whole)
                yield Example("CategoryEncoding", ((1,),), config, **whole)
            edges = {"bin_boundaries": (-0.5, 0.1, 1.0), "output_mode": mode}
            yield Example("Discretization", ((4,),), edges)
            yield Example("Discretization", ((4, 3),), edges)
            for shape in ((1,),) if kept else ((4,), (1,)):
                yield Example("Hashing", (shape,), {"num_bins": 4, "output_mode": mode}, **whole)
            words = {"vocabulary": (3, 1), "output_mode": mode}
            yield Example("IntegerLookup", ((4,),), words, **whole)
            more = {**words, "num_oov_indices": 3, "mask_token": 2, "max_tokens": 9, "pad_to_max_tokens": True}
            yield Example("IntegerLookup", ((4,),), more, **whole)
        yield Example("Hashing", ((4,),), {"num_bins": 7, "salt": (133, 137)}, **whole)
        yield Example("Hashing", ((2, 4),), {"num_bins": 7, "mask_value": 2}, **whole)
        yield Example("IntegerLookup", ((4,),), {"vocabulary": (0, 2, 1, 3), "num_oov_indices": 0}, **whole)
        yield Example("IntegerLookup", ((4,),), {"vocabulary": (7, 9), "invert": True, "mask_token": 5}, **whole)
        far = {"vocabulary": (3, 1), "num_oov_indices": 4, "oov_method": "farmhash"}
        yield Example("IntegerLookup", ((4,),), far, **whole)
        yield Example("IntegerLookup", ((4,),), {**far, "salt": (1, 2)}, **whole)
        weights = {"vocabulary": (3, 1), "idf_weights": (0.25, 0.75), "output_mode": "tf_idf"}
        yield Example("IntegerLookup", ((4,),), weights, float64=False, **whole)  # in Keras's default dtype
        for mode in ("int", "one_hot"):
            pair = ([Slot(0), Slot(1)],)
            yield Example("HashedCrossing", ((1,), (1,)), {"num_bins": 6, "output_mode": mode}, args=pair, **whole)
        weighted = {"num_tokens": 5, "output_mode": "count"}
        values: dict[str, Any] = {"values": "integers normal", "kwargs": {"count_weights": Slot(1)}, "args": (Slot(0),)}
        yield Example("CategoryEncoding", ((3,), (3,)), weighted, **values)


def _mode(word: str) -> str:
    """The output mode by its present name."""
    return {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(word, word)


def _check_rank(layer: KerasLayer, mode: str) -> None:
    """Refuse counts over the samples of a batch, which is what Keras makes of a tensor without another axis."""
    if mode not in ("int", "one_hot") and len(layer.inputs[0]) < 2:
        raise Unsupported(
            f"output_mode={mode!r} of a tensor of one axis counts over the batch", remedy="give it an axis of size 1"
        )


def _check_vocabulary(settings: dict[str, Any]) -> None:
    """The vocabulary without its special numbers, and a weight for every place."""
    words = settings["vocabulary"]
    if not isinstance(words, tuple):
        raise Unsupported(ADAPTED, remedy="build the layer with vocabulary=layer.get_vocabulary()")
    start = int(settings["mask_token"] is not None and settings["output_mode"] == "int")
    special = (settings["mask_token"],) * start + (settings["oov_token"],) * settings["num_oov_indices"]
    told = bool(special) and words[: len(special)] == special
    settings["vocabulary"] = words[len(special) :] if told else words
    if settings["idf_weights"] is not None and not told:
        weights = tuple(float(weight) for weight in settings["idf_weights"])
        missing = len(special) + len(settings["vocabulary"]) - len(weights)
        settings["idf_weights"] = (sum(weights) / len(weights),) * missing + weights
    if settings["idf_weights"] is not None and settings["pad_to_max_tokens"]:
        spare = settings["max_tokens"] - len(settings["idf_weights"])
        settings["idf_weights"] += (0.0,) * spare
