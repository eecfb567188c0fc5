"""Laws 1 and 5 without a framework: what a rule reads it can say, and it reads everything or refuses."""

import pathlib
from dataclasses import replace

import pytest

import xconv.layers
from xconv.errors import Unsupported
from xconv.keras.defaults import DEFAULTS
from xconv.keras.read import read
from xconv.keras.rules import NO_EFFECT, TRAINING_ONLY
from xconv.layers import ATEN_FILES, FILES, RULES, families
from xconv.layers.io import Variable
from xconv.spec import KerasLayer, Op, Slot, Spec
from xconv.support import model_of

CASES = [(family, example) for family in families() for example in family.examples()]
NAMES = [f"{family.__name__}-{example.kind}-{number}" for number, (family, example) in enumerate(CASES)]

every_example = pytest.mark.parametrize("example", [example for _, example in CASES], ids=NAMES)


def operations(record):
    """The Ops of a record, always as a tuple."""
    ops = RULES[record.kind].from_keras(record)
    return (ops,) if isinstance(ops, Op) else tuple(ops)


def with_defaults(record):
    """The record as the reader would give it: Keras's defaults where the config is silent, tensors as arguments."""
    args = record.args or tuple(Slot(i) for i in range(len(record.inputs)))
    return replace(record, config={**DEFAULTS.get(record.kind, {}), **record.config}, args=args, unread=set())


def can_be_said(spec):
    return type(spec).to_keras is not Spec.to_keras


@every_example
def test_the_words_of_every_operation_come_back(example):
    record = example.layer(DEFAULTS)
    shapes = record.inputs
    made = []
    for op in operations(record):
        assert can_be_said(op.spec)
        shapes = shapes if op.inputs is None else [taken(item, record.inputs, made) for item in op.inputs]
        said = None if isinstance(op.spec, Variable) else op.spec.to_keras(op.weights, shapes)
        if said is not None and not any(isinstance(item, KerasLayer) for item in said.args):
            said = with_defaults(said)  # what takes several layers is read back in tests/layers
            (back,) = operations(said)
            assert back.spec == op.spec
            assert dict(back.weights) == dict(op.weights)
        shapes = op.spec.out_shapes(*shapes)
        made.append(shapes)


def taken(item, given, made):
    """The shape of a tensor of the call, or of what an earlier operation makes."""
    return given[item.index] if isinstance(item, Slot) else made[item.op][item.index]


@every_example
def test_every_word_of_the_configuration_is_read(example):
    record = replace(example.layer(DEFAULTS), unread=set())
    record = replace(record, config={**record.config, "surprise": 1}, kwargs={}, unread=set())
    operations(record)
    left = {key for key in record.unread if not key.endswith(TRAINING_ONLY) and record.config.get(key) is not None}
    assert left - NO_EFFECT == {"surprise"}


@every_example
def test_an_unknown_word_is_refused_by_the_name_of_its_layer(example):
    model = model_of(example)
    *before, layer = model.entries
    changed = replace(layer, config={**layer.config, "surprise": 1})
    with pytest.raises(Unsupported, match=r"the_layer.*surprise=1"):
        read(replace(model, entries=(*before, changed)))


def test_no_kind_belongs_to_two_families():
    kinds = [kind for family in families() for kind in family.keras_kinds]
    assert sorted(kinds) == sorted(set(kinds))


def test_the_table_of_files_is_what_the_files_say():
    files = {path.stem for path in (pathlib.Path(xconv.layers.__file__).parent).glob("*.py")} - {"__init__"}
    said = {name: set() for name in FILES}
    for family in filter(lambda family: family.keras_kinds, families()):
        said[family.__module__.rpartition(".")[2]].update(family.keras_kinds)
    assert {name: set(kinds.split()) for name, kinds in FILES.items()} == said
    shared = {
        "attention_examples",
        "attention_scores",
        "geometry",
        "places",
        "placing",
        "policy_cast",
        "recipe",
        "recurrent_examples",
        "recurrent_keras",
        "recurrent_stack",
        "refused",
        "steps",
        "torch_classes",
        "writes",
    }
    assert files - set(FILES) - set(ATEN_FILES) == shared, "a family's file is missing in xconv.layers.FILES"


def test_every_kind_that_a_family_reads_has_an_example():
    """Operations included: without one, no law is held and the table of support says nothing of it."""
    shown = {example.kind for _, example in CASES}
    assert set(RULES) - shown == {"InputLayer"}


def test_restrictions_are_of_layers_that_the_family_reads():
    for family in families():
        assert set(family.restrictions) <= set(family.keras_kinds), family.__name__
