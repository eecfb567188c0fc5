"""Every class of keras.ops has a rule, or a reason why not; every rule of an operation has a generated case."""

import importlib

import keras
from keras.src.ops.operation import Operation

from tests.layers.operation_strategies import ELSEWHERE, STRATEGIES, WITHIN
from xconv.layers import RULES
from xconv.layers.refused import REFUSED

FILES = ("core", "image", "linalg", "math", "nn", "numpy")


def classes_of_keras() -> set[str]:
    """The operations that a graph can hold."""
    found = set()
    for name in FILES:
        module = importlib.import_module(f"keras.src.ops.{name}")
        for kind, item in vars(module).items():
            if isinstance(item, type) and issubclass(item, Operation) and item.__module__ == module.__name__:
                found.add(f"ops.{kind}")
    return found


def test_every_operation_of_keras_is_read_or_refused():
    assert keras.__version__ >= "3"
    read = {kind for kind in RULES if kind.startswith("ops.")}
    refused = {kind for kind in REFUSED if kind.startswith("ops.")}
    assert classes_of_keras() - read - refused == set()
    assert read & refused == set()


def test_every_rule_of_an_operation_has_a_generated_case():
    rules = {kind for kind in RULES if kind.startswith("ops.")}
    assert rules - set(STRATEGIES) - set(WITHIN) - set(ELSEWHERE) == set()
    assert set(STRATEGIES) - rules == set()
    assert set(WITHIN) - rules == set()
