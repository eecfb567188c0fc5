"""Every ONNX operator that is read, alone in a model of one node, against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

import xconv
from tests.comparison import assert_same

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from xconv.onnx.operators import OPERATORS  # noqa: E402
from xconv.onnx.reading import network_of  # noqa: E402
from xconv.onnx.runtime import OnnxSide  # noqa: E402

RANDOM = np.random.default_rng(0)
IMAGE = (2, 4, 7, 9)
RELATIVE = 2e-6


def floats(*shape: int) -> np.ndarray[Any, Any]:
    return RANDOM.standard_normal(shape).astype(np.float32)


def sizes(*numbers: int) -> np.ndarray[Any, Any]:
    return np.asarray(numbers, dtype=np.int64)


@dataclass(frozen=True)
class Case:
    """One node: how many of its inputs are given when it runs; the others are in the model."""

    kind: str
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    given: int = 1
    outputs: int = 1
    opset: int = 17

    def model(self) -> Any:
        """The ONNX model."""
        names = [f"x{i}" if array is not None else "" for i, array in enumerate(self.inputs)]
        node = onnx.helper.make_node(
            self.kind, names, [f"y{i}" for i in range(self.outputs)], "/layer/node", **self.attributes
        )
        taken = [self._value(names[i], self.inputs[i]) for i in range(self.given)]
        held = [
            onnx.numpy_helper.from_array(array, names[i])
            for i, array in enumerate(self.inputs)
            if i >= self.given and array is not None
        ]
        results = [onnx.ValueInfoProto(name=f"y{i}") for i in range(self.outputs)]
        graph = onnx.helper.make_graph([node], "one", taken, results, held)
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", self.opset)], ir_version=9)
        model = onnx.shape_inference.infer_shapes(model)
        for item in model.graph.output:
            item.type.tensor_type.elem_type = item.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
        return model

    @staticmethod
    def _value(name: str, array: np.ndarray[Any, Any]) -> Any:
        kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        return onnx.helper.make_tensor_value_info(name, kind, ["batch", *array.shape[1:]])

    def __str__(self) -> str:
        said = "-".join(f"{key}={value}" for key, value in self.attributes.items() if not isinstance(value, bytes))
        return f"{self.kind}-{said}"[:60]


X, Y = floats(*IMAGE), floats(*IMAGE)
UNARY = ("Abs", "Neg", "Exp", "Sqrt", "Floor", "Ceil", "Sign", "Sin", "Cos", "Tan", "Erf", "Tanh", "Sigmoid", "Round")
UNARY += (
    "Reciprocal",
    "Atan",
    "Sinh",
    "Cosh",
    "Asinh",
    "Identity",
    "Relu",
    "Softplus",
    "Softsign",
    "HardSwish",
    "Mish",
)
LSTM = (floats(5, 2, 3), floats(2, 16, 3), floats(2, 16, 4), floats(2, 32))
GRU = (floats(5, 2, 3), floats(1, 12, 3), floats(1, 12, 4), floats(1, 24))
RNN = (floats(5, 2, 3), floats(1, 4, 3), floats(1, 4, 4), floats(1, 8))

CASES = [
    *(Case(kind, (np.abs(X) if kind in ("Sqrt", "Reciprocal") else X,), opset=18) for kind in UNARY),
    Case("Log", (np.abs(X) + 0.1,)),
    *(Case(kind, (np.tanh(X) * np.float32(0.9),)) for kind in ("Asin", "Acos", "Atanh")),
    Case("Acosh", (np.abs(X) + 1,)),
    *(Case(kind, (X, Y), given=2) for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean")),
    *(Case(kind, (X, floats(4, 1, 1))) for kind in ("Add", "Sub", "Mul", "Div")),
    *(Case(kind, (X, np.float32(0.3))) for kind in ("Add", "Sub", "Mul", "Div")),
    Case("Sub", (X, np.full((1, 1, 1, 1, 1), 2, np.float32))),  # the constant gives the result its rank
    Case("Pow", (np.abs(X), np.float32(1.7))),
    Case("Pow", (np.abs(X), np.float32(0.5))),
    Case("Mod", (X, np.float32(0.7)), {"fmod": 1}),
    Case("Mod", (np.arange(-6, 6).reshape(2, 6), np.asarray(4))),
    Case("Div", (np.arange(-6, 6).reshape(2, 6), np.asarray(4))),
    *(Case(kind, (X > 0, Y > 0), given=2) for kind in ("And", "Or")),
    Case("Not", (X > 0,)),
    *(Case(kind, (X, Y), given=2) for kind in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")),
    Case("Less", (X, np.float32(0.2))),
    Case("Where", (X > 0, X, np.float32(-3)), given=2),
    Case("Cast", (X > 0,), {"to": onnx.TensorProto.FLOAT}),
    Case("Cast", (X * 3,), {"to": onnx.TensorProto.INT64}),
    Case("CastLike", (X > 0, np.float32(1))),
    *(Case("Clip", (X, *limits)) for limits in ((np.float32(0), np.float32(6)), (np.float32(-0.3), None))),
    Case("Clip", (X, None, np.float32(0.4))),
    Case("LeakyRelu", (X,), {"alpha": 0.2}),
    *(Case(kind, (X,), {"alpha": 0.7}) for kind in ("Elu", "Celu", "ThresholdedRelu")),
    Case("Selu", (X,)),
    Case("Selu", (X,), {"alpha": 1.3, "gamma": 1.1}),
    *(Case("Gelu", (X,), {"approximate": form}, opset=20) for form in ("none", "tanh")),
    Case("HardSigmoid", (X * 3,)),
    Case("HardSigmoid", (X * 3,), {"alpha": 1 / 6}),
    *(Case(kind, (X,), {"axis": axis}) for kind in ("Softmax", "LogSoftmax") for axis in (1, -1)),
    Case("PRelu", (X, floats(4, 1, 1))),
    Case("PRelu", (X, floats(7, 9))),
    Case("PRelu", (X, floats(1))),
    Case("Dropout", (X,)),
    Case("Conv", (X, floats(6, 4, 3, 2), floats(6)), {"strides": [2, 1], "pads": [1, 0, 0, 1]}),
    Case("Conv", (X, floats(6, 2, 3, 3)), {"group": 2, "dilations": [2, 1], "pads": [2, 1, 2, 1]}),
    *(
        Case("Conv", (X, floats(6, 4, 3, 4)), {"strides": [2, 2], "auto_pad": word})
        for word in ("SAME_UPPER", "SAME_LOWER")
    ),
    Case("Conv", (floats(2, 3, 11), floats(5, 3, 4)), {"auto_pad": "VALID"}),
    Case("Conv", (floats(2, 3, 5, 6, 7), floats(4, 3, 2, 3, 2)), {"pads": [1, 1, 0, 0, 1, 1]}),
    Case("ConvTranspose", (X, floats(4, 3, 3, 2), floats(6)), {"group": 2, "strides": [2, 1], "pads": [1, 0, 1, 0]}),
    Case("ConvTranspose", (X, floats(4, 3, 3, 4)), {"strides": [2, 3], "pads": [0, 1, 1, 0], "output_padding": [1, 0]}),
    *(
        Case("ConvTranspose", (X, floats(4, 3, 3, 4)), {"strides": [2, 3], "auto_pad": word})
        for word in ("SAME_UPPER", "SAME_LOWER")
    ),
    Case("ConvTranspose", (X, floats(4, 3, 3, 3)), {"strides": [2, 2], "output_shape": [15, 18]}),
    Case("MaxPool", (X,), {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 0, 1]}),
    Case("MaxPool", (X,), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 1, 1, 1]}),
    Case("MaxPool", (X,), {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    *(
        Case(
            "AveragePool", (X,), {"kernel_shape": [3, 2], "strides": [2, 2], "count_include_pad": counted, "pads": pads}
        )
        for counted in (0, 1)
        for pads in ([1, 1, 1, 1], [1, 0, 0, 1])
    ),
    Case("AveragePool", (X,), {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    *(Case(kind, (array,)) for kind in ("GlobalAveragePool", "GlobalMaxPool") for array in (X, floats(2, 3, 11))),
    *(Case("DepthToSpace", (floats(2, 12, 3, 5),), {"blocksize": 2, "mode": mode}) for mode in ("DCR", "CRD")),
    Case("SpaceToDepth", (floats(2, 3, 6, 4),), {"blocksize": 2}),
    *(
        Case("Resize", (X, None, np.asarray([1, 1, 2, 3], np.float32)), {"mode": mode, **rest})
        for mode, rest in (
            ("nearest", {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}),
            ("nearest", {"coordinate_transformation_mode": "half_pixel"}),
            ("linear", {"coordinate_transformation_mode": "half_pixel"}),
            ("linear", {"coordinate_transformation_mode": "align_corners"}),
        )
    ),
    Case("Resize", (X, None, None, sizes(2, 4, 11, 6)), {"mode": "linear"}),
    Case("BatchNormalization", (X, floats(4), floats(4), floats(4), np.abs(floats(4)) + 0.1), {"epsilon": 1e-3}),
    Case("InstanceNormalization", (X, floats(4), floats(4)), {"epsilon": 1e-2}),
    Case("GroupNormalization", (X, floats(4), floats(4)), {"num_groups": 2, "epsilon": 1e-2}, opset=21),
    Case("LayerNormalization", (X, floats(7, 9), floats(7, 9)), {"axis": 2, "epsilon": 1e-2}),
    Case("LayerNormalization", (X, floats(9)), {"axis": -1}),
    Case("LpNormalization", (X,), {"axis": 1, "p": 2}),
    Case("Gemm", (floats(3, 5), floats(4, 5), floats(4)), {"transB": 1}),
    Case("Gemm", (floats(3, 5), floats(5, 4), floats(4)), {"alpha": 0.5, "beta": 2.0}),
    Case("MatMul", (X, floats(9, 5))),
    Case("MatMul", (floats(7, 4), floats(4, 6)), given=2),
    Case("Einsum", (X, floats(4, 9)), {"equation": "nchw,cw->nh"}),
    Case("LSTM", (*LSTM,), {"hidden_size": 4, "direction": "bidirectional"}, outputs=3),
    Case(
        "LSTM",
        tuple(part[:1] if i else part for i, part in enumerate(LSTM)),
        {"hidden_size": 4, "direction": "reverse"},
    ),
    Case(
        "LSTM",
        (*(part[:1] if i else part for i, part in enumerate(LSTM)), None, floats(1, 2, 4), floats(1, 2, 4)),
        {"hidden_size": 4},
        outputs=3,
    ),
    Case("GRU", GRU, {"hidden_size": 4, "linear_before_reset": 1}, outputs=2),
    Case("RNN", RNN, {"hidden_size": 4}, outputs=2),
    Case("RNN", RNN[:3], {"hidden_size": 4, "activations": ["Relu"]}),
    *(
        Case(kind, (X,), {"axes": [1, 3], "keepdims": keep})
        for kind in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare")
        for keep in (0, 1)
    ),
    Case("ReduceLogSumExp", (X,), {"axes": [2]}),
    Case("ReduceMean", (X, sizes(1, -1)), opset=18),
    Case("ReduceSum", (X, sizes(2)), {"keepdims": 0}),
    *(Case(kind, (X,), {"axis": 1, "keepdims": 0}) for kind in ("ArgMax", "ArgMin")),
    Case("CumSum", (X, np.asarray(1))),
    Case("Reshape", (X, sizes(0, -1, 3))),
    Case("Flatten", (X,)),
    Case("Flatten", (X,), {"axis": 3}),
    Case("Flatten", (X,), {"axis": -2}),
    Case("Transpose", (X,), {"perm": [0, 2, 3, 1]}),
    Case("Transpose", (X,)),
    Case("Squeeze", (floats(2, 1, 5, 1), sizes(1, -1))),
    Case("Unsqueeze", (X, sizes(-1, 1))),
    Case("Concat", (X, Y), {"axis": 2}, given=2),
    Case("Split", (X, sizes(1, 3)), {"axis": 1}, outputs=2),
    Case("Split", (X,), {"axis": 3, "num_outputs": 2}, outputs=2, opset=18),
    Case("Slice", (X, sizes(1, -3), sizes(2**62, -1), sizes(3, 1))),
    Case("Slice", (X, sizes(1), sizes(8), sizes(-1), sizes(3))),
    Case("Slice", (X, sizes(-1), sizes(-(2**62)), sizes(2), sizes(-1))),
    Case("Gather", (X, sizes(3, 0, -2)), {"axis": 2}),
    Case("Gather", (X, np.asarray(-1)), {"axis": 3}),
    Case("Gather", (floats(2, 5), np.asarray([[0, 2], [4, 1]])), {"axis": 1}),
    Case("Pad", (X, sizes(0, 0, 1, 2, 0, 0, 0, 1), np.float32(0.5))),
    *(Case("Pad", (X, sizes(0, 0, 1, 2, 0, 0, 0, 1)), {"mode": mode}) for mode in ("reflect", "edge")),
    Case("Pad", (X, sizes(1, 2, 0, 1), None, sizes(3, 2)), opset=18),
    Case("Expand", (floats(2, 1, 3), sizes(2, 4, 1))),
    Case("Tile", (X, sizes(1, 2, 1, 3))),
    Case("EyeLike", (floats(3, 4),)),
    *(Case("Trilu", (X, np.asarray(1)), {"upper": upper}) for upper in (0, 1)),
]
ELSEWHERE = {"Dense", "ConstantOfShape", "Range"}
"""Not operators of one tensor: products by a weight, and what sizes are made of."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator_computes_what_onnxruntime_computes(case: Case) -> None:
    model = case.model()
    network = network_of(model).eval()
    given = case.inputs[: case.given]
    side = OnnxSide(model)
    wanted = side.session.run(None, dict(zip([item.name for item in side.session.get_inputs()], given, strict=True)))
    with torch.no_grad():
        found = network(*map(torch.from_numpy, given))
    for mine, yours in zip(found if isinstance(found, tuple) else (found,), wanted, strict=True):
        assert_same(mine, yours, relative=RELATIVE)


def test_every_operator_has_a_case() -> None:
    assert set(OPERATORS) - ELSEWHERE == {case.kind for case in CASES}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (Case("MaxPool", (X,), {"kernel_shape": [2, 2]}, outputs=2), "the indices of a MaxPool"),
        (Case("GRU", GRU, {"hidden_size": 4}), "resets before its product"),
        (
            Case("LSTM", tuple(p[:1] if i else p for i, p in enumerate(LSTM)), {"hidden_size": 4, "clip": 0.5}),
            "clip=0.5",
        ),
        (Case("CumSum", (X, np.asarray(1)), {"exclusive": 1}), "exclusive=1"),
        (
            Case("MaxPool", (X,), {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER", "dilations": [2, 1]}),
            "with dilations",
        ),
        (Case("Resize", (X, None, np.asarray([1, 1, 0.5, 0.5], np.float32)), {"mode": "nearest"}), "Resize with mode="),
        (Case("Reshape", (X, sizes(0, -1)), given=2), "input 1 of Reshape is computed from the network's input"),
    ],
    ids=lambda item: str(item)[:20],
)
def test_what_torch_cannot_say_is_refused_by_name(case: Case, words: str) -> None:
    model = case.model()
    with pytest.raises(xconv.Unsupported, match=words) as caught:
        network_of(model)(*map(torch.from_numpy, case.inputs[: case.given]))
    assert caught.value.problems[0].place.startswith("/layer/node")


def test_operators_without_a_rule_are_one_error() -> None:
    nodes = [
        onnx.helper.make_node("NonZero", ["x"], ["a"], "first"),
        onnx.helper.make_node("Unique", ["x"], ["b"], "second"),
        onnx.helper.make_node("NonZero", ["x"], ["c"], "third"),
    ]
    info = onnx.helper.make_tensor_value_info("x", 1, [None, 3])
    results = [onnx.helper.make_tensor_value_info("a", 7, None)]
    graph = onnx.helper.make_graph(nodes, "g", [info], results)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(xconv.Unknown) as caught:
        network_of(model)
    assert [str(p) for p in caught.value.problems] == [
        "first: operator NonZero has no rule (2 of them); export the model without it",
        "second: operator Unique has no rule (1 of them); export the model without it",
    ]
