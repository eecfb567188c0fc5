"""Keras files to a `KerasModel`, without Keras: .keras, .h5, .weights.h5 with a configuration, sharded weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from xconv.errors import InvalidInput, Mismatch, Problem, Unreadable, Unsupported, XConvError, XConvWarning
from xconv.keras import json_text
from xconv.keras.composites import Part, is_model, part_of
from xconv.keras.hdf5 import Tree
from xconv.keras.legacy_weights import LegacyWeights
from xconv.keras.model_files import Contents, Opening
from xconv.keras.parse import ModelParser
from xconv.keras.records import KerasModel
from xconv.keras.stored_array import StoredArray
from xconv.keras.weight_groups import WeightGroups
from xconv.keras.zip_window import Limits

__all__ = ["read_file"]

ConfigSource: TypeAlias = "str | PathLike[str] | Mapping[str, Any]"

_NEWEST = 3


def read_file(
    path: str | PathLike[str],
    *,
    config: ConfigSource | None = None,
    weights: str | PathLike[str] | None = None,
    verify_crc: bool = True,
    limits: Limits | None = None,
) -> KerasModel:
    """The model in a Keras file; nothing in it is executed, and its weights are read only when they are used.

    Args:
        path: a .keras file (or the directory that it unpacks to), a whole-model .h5, weights, or a configuration.
        config: where `path` holds weights only: the configuration, as a path of any of these files, a JSON text, or
            an object.
        weights: where `path` holds a configuration only, or its weights are not wanted: the path of the weights.
        verify_crc: compare the weights of a .keras file with their checksum; 0.05 s for 100 MB.
        limits: how much the file may ask for.

    Raises:
        NotFound: there is no such file (a FileNotFoundError).
        Unreadable: truncated, damaged, unsafe, or a file of another format; the message names the loader to use.
        Unsupported: a subclassed model, which has no graph; a Sequential without input shape.
        Mismatch: weights are missing, left over, or of another shape than the configuration asks for.
    """
    with ExitStack() as stack:
        opening = Opening(stack, limits or Limits(), verify_crc)
        main = opening.read(Path(path), with_weights=weights is None)
        described = main if config is None else _described(config, opening)
        weighted = main if weights is None else opening.read(Path(weights))
        checked = [*main.checks, *weighted.checks] if weighted is not main else main.checks
        try:
            model = _join(described, weighted, opening.limits)
        except Unreadable:
            for check in checked:
                check()
            raise
        for check in checked:
            check()
        return model


def _described(config: ConfigSource, opening: Opening) -> Contents:
    if isinstance(config, Mapping):
        return Contents("the given configuration", config)
    if isinstance(config, str) and config.lstrip()[:1] == "{":
        return Contents("the given configuration", json_text.load(config, "the given configuration"))
    if not isinstance(config, (str, PathLike)):
        raise InvalidInput(f"config is a {type(config).__name__}, not a path, a JSON text or a mapping")
    return opening.read(Path(config), with_weights=False)


def _join(described: Contents, weighted: Contents, limits: Limits) -> KerasModel:
    if described.config is None:
        raise Unreadable(
            "holds weights only, and no configuration of the model that they belong to",
            place=described.place,
            remedy="pass config= the model's .json, .keras or .h5 file, or model.to_json()",
        )
    if weighted.tree is None:
        raise Unreadable(
            "holds a configuration only, and no weights",
            place=weighted.place,
            remedy="pass weights= the path of the model's .weights.h5 file",
        )
    _check_version(described)
    try:
        model, problems = _read(described, described.config, weighted, weighted.tree, limits)
    except Mismatch as error:
        raise _in_file(error.problems, weighted.place) from error
    if problems:
        raise _in_file(problems, weighted.place)
    return model


def _read(
    described: Contents, config: Mapping[str, Any], weighted: Contents, tree: Tree, limits: Limits
) -> tuple[KerasModel, list[Problem]]:
    """The model, and what does not fit between its configuration and its weights."""
    source: LegacyWeights | WeightGroups | None = None
    try:
        part = part_of(config, "the configuration") if "class_name" in config else Part("Functional", config)
        if is_model(part):
            source = WeightGroups(tree, part) if weighted.base is None else LegacyWeights(tree, weighted.base, part)
    except Unreadable as error:
        raise error.at(described.place) from error.__cause__
    parser = ModelParser(source.own if source else None, described.place, described.version, limits)
    model = parser.model(config)
    left = source.left(parser.weights.unknown) if source else []
    return model, [*parser.weights.problems, *(_left_over(name, array) for name, array in left)]


def _in_file(problems: Sequence[Problem], place: str) -> XConvError:
    error = Mismatch(f"{place}: the weights do not fit the configuration", problems=problems)
    return error.at(place) if len(problems) == 1 else error


def _left_over(name: str, array: StoredArray) -> Problem:
    return Problem(
        name,
        f"the file holds an array of shape {array.shape} that no layer of the configuration uses",
        "give the configuration that was saved with these weights",
    )


def _check_version(described: Contents) -> None:
    major = described.version.partition(".")[0]
    config = described.config or {}
    if major == "1" and "module" not in config and described.base is not None:
        raise Unsupported(
            f"was saved by Keras {described.version}, whose layers have other names and arguments",
            place=described.place,
            remedy="load it in Keras 2 and save it again",
        )
    if major.isdecimal() and int(major) > _NEWEST:
        warnings.warn(
            f"{described.place} was saved by Keras {described.version}; xconv knows versions 2 and 3 and will refuse "
            "what it does not recognise",
            XConvWarning,
            stacklevel=4,
        )
