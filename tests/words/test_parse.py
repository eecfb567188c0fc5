"""Configs of Keras 2 and 3, written by hand, parsed with no framework loaded."""

import numpy as np
import pytest

from xconv.errors import Mismatch, Unreadable, Unsupported
from xconv.keras.parse import parse_model
from xconv.keras.records import Call, Ref
from xconv.keras.weight_groups import snake_case
from xconv.weights import NumpySource


def tensor(name, call=0, index=0, shape=(None, 4)):
    config = {"shape": list(shape), "dtype": "float32", "keras_history": [name, call, index]}
    return {"class_name": "__keras_tensor__", "config": config}


def called(*args, **kwargs):
    return {"args": list(args), "kwargs": kwargs}


def entry(kind, name, *nodes, module="keras.layers", **config):
    config = {"name": name, **config}
    return {"module": module, "class_name": kind, "config": config, "name": name, "inbound_nodes": list(nodes)}


def keras3(*layers, inputs=("x", 0, 0), outputs=("y", 0, 0), shape=(None, 4), **config):
    listed = [entry("InputLayer", "x", batch_shape=list(shape)), *layers]
    ends = {"input_layers": _listed(inputs), "output_layers": _listed(outputs)}
    return {"class_name": "Functional", "config": {"name": "m", "layers": listed, **ends, **config}}


def keras2(*layers, outputs=(("y", 0, 0),)):
    listed = [entry("InputLayer", "x", batch_input_shape=[None, 4], module=None), *layers]
    config = {"name": "m", "layers": listed, "input_layers": [["x", 0, 0]], "output_layers": _listed(outputs)}
    return {"class_name": "Functional", "config": config}


def _listed(value):
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def only(config, arrays=None):
    return parse_model(config, arrays).entries[1]


# -- Keras 3 --------------------------------------------------------------------------------------------------------


def test_calls_shapes_and_ends():
    model = parse_model(keras3(entry("ReLU", "y", called(tensor("x"), mask=None))))
    assert model.entries[1].calls == (Call((Ref("x"),), {"mask": None}),)
    assert (model.inputs, model.outputs) == (Ref("x"), Ref("y"))
    assert model.shapes[Ref("x")] == (None, 4)
    assert model.entries[1].config["max_value"] is None


def test_a_bare_get_config_is_read_too():
    assert parse_model(keras3(entry("ReLU", "y", called(tensor("x"))))["config"]).name == "m"


def test_tensors_at_any_depth_of_the_arguments():
    node = called([tensor("x"), {"a": tensor("x")}], other=[1, [tensor("x")]])
    call = only(keras3(entry("Mine", "y", node, module="mine"))).calls[0]
    assert call == Call(([Ref("x"), {"a": Ref("x")}],), {"other": [1, [Ref("x")]]})


def test_constants_are_decoded():
    key = [
        {"class_name": "__slice__", "config": {"start": None, "stop": 3, "step": -1}},
        {"class_name": "__ellipsis__", "config": {}},
        None,
        2,
    ]
    item = only(keras3(entry("GetItem", "y", called(tensor("x"), key), module="keras.src.ops.numpy")))
    assert item.is_op
    assert item.calls[0].args == (Ref("x"), (slice(None, 3, -1), Ellipsis, None, 2))
    values = [
        {"class_name": "__numpy__", "config": {"value": [1, 2], "dtype": "int64"}},
        {"class_name": "__tensor__", "config": {"value": 0.5, "dtype": "bfloat16"}},
        {"class_name": "__tuple__", "items": [1, tensor("x")]},
    ]
    first, second, third = only(keras3(entry("Mine", "y", called(*values), module="mine"))).calls[0].args
    assert (first.dtype, first.tolist()) == (np.int64, [1, 2])
    assert (second.dtype, second.item()) == (np.float32, 0.5)
    assert third == (1, Ref("x"))


@pytest.mark.parametrize(
    "value",
    [
        {"class_name": "__numpy__", "config": {"value": [[1], [1, 2]], "dtype": "float32"}},
        {"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "O"}},
        {"class_name": "__numpy__", "config": {"value": [1], "dtype": "no such"}},
        {"class_name": "__slice__", "config": {"start": "1"}},
        {"class_name": "__slice__", "config": 3},
        {"class_name": "__keras_tensor__", "config": {"keras_history": "xyz"}},
    ],
)
def test_constants_that_are_none(value):
    with pytest.raises(Unreadable, match=r"m\.json/y"):
        parse_model(keras3(entry("ReLU", "y", called(tensor("x"), value))), source="m.json")


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (("y", 0, 0), Ref("y")),
        ((("y", 0, 0),), [Ref("y")]),
        ((("y", 0, 0), ("x", 0, 0)), [Ref("y"), Ref("x")]),
        ({"a": ["y", 0, 0], "b": [["y", 1, 0]]}, {"a": Ref("y"), "b": [Ref("y", 1)]}),
    ],
)
def test_structure_of_outputs_is_kept(outputs, expected):
    layer = entry("Dense", "y", called(tensor("x")), called(tensor("y")), units=4)
    assert parse_model(keras3(layer, outputs=outputs)).outputs == expected


def inner(name="inner"):
    return keras3(entry("Dense", "y", called(tensor("x")), units=4))["config"] | {"name": name}


def nested(*nodes):
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": inner(),
        "name": "inner",
        "inbound_nodes": list(nodes),
    }


def test_nested_functional_counts_from_one_only_at_the_ends():
    model = nested(called(tensor("x")), called(tensor("inner")))
    read = parse_model(keras3(model, outputs=(("inner", 2, 0), ("inner", 1, 0))))
    assert read.outputs == [Ref("inner", 1), Ref("inner", 0)]
    assert read.entries[1].calls[1].args == (Ref("inner", 0),)
    assert [each.name for each in read.entries[1].inner.entries] == ["x", "y"]
    with pytest.raises(Unreadable, match="refers to call 3"):
        parse_model(keras3(model, outputs=("inner", 3, 0)))


def test_nested_sequential_counts_from_zero():
    sequence = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [entry("ReLU", "r")], "build_input_shape": [None, 4]},
        "name": "s",
        "inbound_nodes": [called(tensor("x")), called(tensor("s"))],
    }
    read = parse_model(keras3(sequence, outputs=(("s", 1, 0),)))
    assert read.outputs == [Ref("s", 1)]
    assert [each.name for each in read.entries[1].inner.entries] == ["s_input", "r"]


def test_sequential_is_a_chain():
    layers = [entry("InputLayer", "in", batch_shape=[None, 4]), entry("ReLU", "a"), entry("ReLU", "b")]
    model = parse_model({"class_name": "Sequential", "config": {"name": "s", "layers": layers}})
    assert (model.inputs, model.outputs) == (Ref("in"), Ref("b"))
    assert [each.calls for each in model.entries] == [(), (Call((Ref("in"),)),), (Call((Ref("a"),)),)]


@pytest.mark.parametrize(
    ("first", "config"),
    [
        ({}, {"build_input_shape": [None, 4]}),
        ({"batch_input_shape": [None, 4]}, {}),
        ({"batch_shape": [None, 4]}, {}),
    ],
)
def test_input_shape_of_a_sequential(first, config):
    layers = [entry("Dense", "a", units=3, **first)]
    model = parse_model({"class_name": "Sequential", "config": {"name": "s", "layers": layers, **config}})
    assert model.entries[0].config["batch_shape"] == (None, 4)
    assert "batch_input_shape" not in model.entries[1].config


def test_keras_1_sequential_is_a_list():
    layers = [entry("Dense", "a", units=3, batch_input_shape=[None, 4])]
    assert parse_model({"class_name": "Sequential", "config": layers}).outputs == Ref("a")


def test_names_of_policies_and_functions():
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
    function = {"module": "keras.activations", "class_name": "function", "config": "relu"}
    config = only(keras3(entry("Dense", "y", called(tensor("x")), units=3, dtype=policy, activation=function))).config
    assert (config["dtype"], config["activation"]) == ("mixed_float16", "relu")


def test_operations_of_a_legacy_file_have_no_module():
    layer = entry("Add", "y", called(tensor("x"), 1.0), module=None)
    assert only(keras3(layer)).is_op
    layer["config"]["trainable"] = True
    assert not only(keras3(layer)).is_op


def test_quantized_layers_are_a_problem():
    policy = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}
    assert "quantized (int8)" in only(keras3(entry("Dense", "y", called(tensor("x")), units=3, dtype=policy))).problem


def test_subclassed_model_has_no_graph():
    with pytest.raises(Unsupported, match="live model"):
        parse_model({"class_name": "Net", "config": {"width": 3}})


# -- Keras 2 --------------------------------------------------------------------------------------------------------


def test_list_style_calls():
    layer = entry("Add", "y", [["x", 0, 0, {}], ["x", 0, 0, {}]], module=None, trainable=True)
    model = parse_model(keras2(layer))
    assert model.entries[1].calls == (Call(([Ref("x"), Ref("x")],)),)
    assert (model.inputs, model.outputs) == (Ref("x"), Ref("y"))
    assert model.entries[0].config["batch_shape"] == [None, 4]


def test_tensors_hidden_in_keyword_arguments():
    layer = entry("MultiHeadAttention", "y", [["x", 0, 0, {"value": ["x", 0, 0], "n": [1, 2]}]], trainable=True)
    assert only(keras2(layer)).calls[0] == Call((Ref("x"),), {"value": Ref("x"), "n": [1, 2]})


def test_nested_model_counts_from_one_everywhere():
    config = keras2(entry("Dense", "y", [["x", 0, 0, {}]], units=4, trainable=True))["config"]
    model = {
        "class_name": "Functional",
        "config": config,
        "name": "inner",
        "inbound_nodes": [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]],
    }
    read = parse_model(keras2(model, outputs=(("inner", 2, 0),)))
    assert read.outputs == Ref("inner", 1)
    assert read.entries[1].calls[1].args == (Ref("inner", 0),)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("LeakyReLU", {"alpha": 0.3}, {"negative_slope": 0.3}),
        (
            "LeakyReLU",
            {"alpha": {"class_name": "__numpy__", "config": {"value": 0.5, "dtype": "float32"}}},
            {"negative_slope": 0.5},
        ),
        ("ELU", {"alpha": 0.5}, {"alpha": 0.5}),
        ("ReLU", {"max_value": {"type": "ndarray", "value": 6.0}}, {"max_value": 6.0}),
        ("DepthwiseConv2D", {"groups": 1, "kernel_size": [3, 3]}, {"kernel_size": [3, 3]}),
        ("BatchNormalization", {"axis": [3]}, {"axis": 3}),
        ("LSTM", {"units": 2, "implementation": 2, "time_major": False}, {"units": 2}),
        ("LSTM", {"units": 2, "time_major": True}, {"units": 2, "time_major": True}),
    ],
)
def test_old_words(kind, given, expected):
    config = only(keras2(entry(kind, "y", [["x", 0, 0, {}]], trainable=True, **given))).config
    assert {key: config[key] for key in expected} == expected
    assert not given.keys() - expected.keys() & config.keys()


def function(name, kwargs):
    return entry("TFOpLambda", "y", ["x", 0, 0, kwargs], function=name, module=None, trainable=True)


@pytest.mark.parametrize(
    ("name", "kwargs", "kind", "config", "args"),
    [
        ("nn.relu6", {"name": None}, "Relu6", {}, ()),
        ("__operators__.add", {"y": 1.5}, "Add", {}, (1.5,)),
        ("math.subtract", {"y": ["x", 0, 0]}, "Subtract", {}, (Ref("x"),)),
        ("compat.v1.transpose", {"perm": [0, 2, 1], "conjugate": False}, "Transpose", {"axes": [0, 2, 1]}, ()),
        ("nn.softmax", {}, "Softmax", {"axis": -1}, ()),
        ("nn.leaky_relu", {"alpha": 0.1}, "LeakyRelu", {"negative_slope": 0.1}, ()),
        ("clip_by_value", {"clip_value_min": 0, "clip_value_max": 6}, "Clip", {"x_min": 0, "x_max": 6}, ()),
        ("split", {"num_or_size_splits": 2}, "Split", {"axis": 0, "indices_or_sections": 2}, ()),
        ("linalg.matmul", {"b": ["x", 0, 0], "transpose_a": False}, "Matmul", {}, (Ref("x"),)),
    ],
)
def test_tensorflow_functions(name, kwargs, kind, config, args):
    read = only(keras2(function(name, kwargs)))
    assert (read.kind, read.is_op, read.problem) == (kind, True, "")
    assert read.config == {"name": "y", **config}
    assert read.calls == (Call((Ref("x"), *args)),)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("math.bessel_i0", {}), ("linalg.matmul", {"b": ["x", 0, 0], "transpose_b": True}), (None, {})],
)
def test_tensorflow_functions_without_an_operation(name, kwargs):
    assert "keras.ops" in only(keras2(function(name, kwargs))).problem


def test_constant_as_the_first_argument():
    node = ["_CONSTANT_VALUE", -1, 2.0, {"y": ["x", 0, 0], "name": None}]
    layer = entry("TFOpLambda", "y", node, function="math.subtract", module=None, trainable=True)
    assert only(keras2(layer)).calls == (Call((2.0, Ref("x"))),)


def test_node_of_tensorflow_2_0():
    layer = entry(
        "TensorFlowOpLayer",
        "y",
        [["x", 0, 0, {}]],
        node_def={"name": "mul", "op": "Mul", "input": ["x", "mul/y"]},
        constants={"1": 2.0},
        trainable=True,
    )
    read = only(keras2(layer))
    assert (read.kind, read.calls) == ("Multiply", (Call((Ref("x"), 2.0)),))


# -- weights --------------------------------------------------------------------------------------------------------


def source(*shape):
    return NumpySource(np.zeros(shape, "float32"))


def test_weights_of_layers_inside_layers():
    lstm = {"module": "keras.layers", "class_name": "LSTM", "config": {"name": "f", "units": 2}}
    layer = entry("Bidirectional", "y", called(tensor("x", shape=(None, 5, 4))), layer=lstm)
    cell = (source(4, 8), source(2, 8), source(8))
    read = parse_model(keras3(layer), {("y", side, "cell"): cell for side in ("forward_layer", "backward_layer")})
    keys = [weight.key for weight in read.entries[1].weights]
    assert keys == [f"y/{side}_layer/cell/{i}" for side in ("forward", "backward") for i in range(3)]
    assert set(read.arrays) == set(keys)


def test_paths_are_asked_for_by_name_attribute_and_place():
    cell = {"module": "keras.layers", "class_name": "GRUCell", "config": {"name": "c", "units": 2}}
    cells = {"module": "keras.layers", "class_name": "StackedRNNCells", "config": {"name": "s", "cells": [cell, cell]}}
    model = nested(called(tensor("x")))
    model["config"]["layers"].append(entry("RNN", "r", called(tensor("y")), cell=cells))
    asked = []

    def arrays_of(path):
        asked.append(path)
        return ()

    with pytest.raises(Mismatch, match="inner/r/cell/cells/0"):
        parse_model(keras3(model, outputs=("inner", 1, 0)), arrays_of)
    assert asked == [
        ("x",),
        ("inner", "x"),
        ("inner", "y"),
        ("inner", "r"),
        ("inner", "r", "cell"),
        ("inner", "r", "cell", "cells", "0"),
        ("inner", "r", "cell", "cells", "1"),
    ]


@pytest.mark.parametrize(
    ("kind", "config", "shape", "weights"),
    [
        ("Dense", {"units": 3}, (None, 4), [(4, 3), (3,)]),
        ("Dense", {"units": 3, "use_bias": False}, (None, 4), [(4, 3)]),
        ("Conv2D", {"filters": 6, "kernel_size": [3, 2], "groups": 2}, (None, 8, 9, 4), [(3, 2, 2, 6), (6,)]),
        (
            "Conv2D",
            {"filters": 6, "kernel_size": 3, "data_format": "channels_first"},
            (None, 4, 8, 9),
            [(3, 3, 4, 6), (6,)],
        ),
        ("Conv1DTranspose", {"filters": 6, "kernel_size": 3}, (None, 8, 4), [(3, 6, 4), (6,)]),
        ("DepthwiseConv2D", {"kernel_size": [3, 2], "depth_multiplier": 2}, (None, 8, 9, 4), [(3, 2, 4, 2), (8,)]),
        (
            "SeparableConv1D",
            {"filters": 5, "kernel_size": 3, "depth_multiplier": 2},
            (None, 8, 4),
            [(3, 4, 2), (1, 8, 5), (5,)],
        ),
        ("BatchNormalization", {"scale": False, "axis": 1}, (None, 8, 9, 4), [(8,)] * 3),
        ("LayerNormalization", {"axis": [1, 2]}, (None, 8, 4), [(8, 4)] * 2),
        ("GroupNormalization", {}, (None, 8, 4), [(4,)] * 2),
        ("Embedding", {"input_dim": 10, "output_dim": 3}, (None, 4), [(10, 3)]),
        ("PReLU", {}, (None, 4), [(4,)]),
        ("ReLU", {}, (None, 4), []),
    ],
)
def test_what_a_layer_needs(kind, config, shape, weights):
    layer = entry(kind, "y", called(tensor("x", shape=shape)), **config)
    read = parse_model(keras3(layer, shape=shape), {("y",): [source(*each) for each in weights]})
    assert [weight.shape for weight in read.entries[1].weights] == weights
    with pytest.raises(Mismatch, match=f"y: {kind} needs {len(weights)} weights"):
        parse_model(keras3(layer, shape=shape), {("y",): [source(*each) for each in [*weights, (1,)]]})
    if kind != "PReLU" and weights:
        with pytest.raises(Mismatch, match=r"has shape \(99,"):
            parse_model(
                keras3(layer, shape=shape),
                {("y",): [source(99, *weights[0]), *(source(*each) for each in weights[1:])]},
            )


def test_all_that_does_not_fit_is_listed():
    layers = [entry("Dense", name, called(tensor("x")), units=3) for name in ("a", "b")]
    with pytest.raises(Mismatch) as caught:
        parse_model(keras3(*layers, outputs=("a", 0, 0)), {("a",): [source(3, 4), source(3)]})
    assert [problem.place for problem in caught.value.problems] == ["a", "b"]


def test_two_layers_with_one_key():
    config = keras3(
        nested(called(tensor("x"))), entry("Dense", "inner/y", called(tensor("x")), units=4), outputs=("x", 0, 0)
    )
    dense = (source(4, 4), source(4))
    with pytest.raises(Mismatch, match="two layers have the key"):
        parse_model(config, {("inner", "y"): dense, ("inner/y",): dense})


def test_snake_case_as_keras_writes_it():
    names = "Conv2D DepthwiseConv2D MaxPooling2D ReLU PReLU LSTM GRUCell ConvLSTM2D InputLayer TFOpLambda"
    assert [snake_case(name) for name in names.split()] == [
        "conv2d",
        "depthwise_conv2d",
        "max_pooling2d",
        "re_lu",
        "p_re_lu",
        "lstm",
        "gru_cell",
        "conv_lstm2d",
        "input_layer",
        "tf_op_lambda",
    ]
