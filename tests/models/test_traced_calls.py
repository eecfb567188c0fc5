"""Custom Keras layers whose sizes are known only at run time, and others that hide something from a trace."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import xconv
from xconv.keras.open_sizes import OpenSize


class Traced(layers.Layer):
    """A layer of one weight, whose call is one of `CALLS`."""

    def __init__(self, called: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.called = called

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=(16, 4), name="table")

    def call(self, x: Any) -> Any:
        return CALLS[self.called](self.table, x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "called": self.called}


class Branched(Traced):
    """One that says its shape, so that Keras does not look into its call."""

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def first_rows(table: Any, x: Any) -> Any:
    return x + ops.broadcast_to(ops.slice(ops.convert_to_tensor(table), (1, 0), (ops.shape(x)[1], 4)), ops.shape(x))


def counted(_: Any, x: Any) -> Any:
    batch, length, _ = ops.shape(x)
    earlier = ops.expand_dims(ops.arange(length), 1) >= ops.arange(length)
    mask = ops.cast(ops.broadcast_to(earlier, (batch, length, length)), x.dtype)
    return ops.matmul(mask, x) * ops.arange(batch, dtype="float32")[:, None, None]


def heads(_: Any, x: Any) -> Any:
    batch, length, _ = ops.shape(x)
    apart = ops.reshape(x, (batch, length, 2, -1))
    return ops.reshape(ops.transpose(apart, (0, 2, 1, 3)), (batch, 2, length * 2))


def filled(table: Any, x: Any) -> Any:
    ones = ops.ones((ops.shape(x)[0], 1, 4))
    return ops.concatenate([ones, x, ops.tile(table[None, :1], (ops.shape(x)[0], 1, 1))], axis=1)


def cut(table: Any, x: Any) -> Any:
    rows = ops.zeros_like(x[:, :1]) + ops.expand_dims(table, 0)
    return x * rows[:, : ops.shape(x)[1]] / ops.cast(ops.shape(x)[1], "float32")


def transposed(table: Any, x: Any) -> Any:
    return ops.matmul(x, ops.transpose(table))


def branched(_: Any, x: Any) -> Any:
    return x if ops.shape(x)[1] > 5 else -x


CALLS = {function.__name__: function for function in (first_rows, counted, heads, filled, cut, transposed, branched)}


def same(model: keras.Model, *shapes: tuple[int, ...]) -> Any:
    """Exact in float64, on seeded inputs of these shapes."""
    xconv.randomize(model)
    module = xconv.keras_to_torch(model)
    draw = np.random.default_rng(0)
    inputs = [draw.standard_normal(shape).astype("float32") for shape in shapes]
    result = xconv.verify(model, module, inputs=inputs[0] if len(inputs) == 1 else inputs)
    assert result.ok, str(result)
    return module


@pytest.mark.parametrize("name", [name for name in CALLS if name != "branched"])
@pytest.mark.parametrize("length", [None, 7])
def test_open_sizes(name: str, length: int | None) -> None:
    """A length that is open, and one that is known; the batch is always open."""
    x = keras.Input((length, 4))
    module = same(keras.Model(x, Traced(name, name="custom")(x)), (3, 7, 4))
    if name not in ("counted", "heads"):
        assert [key for key, item in module.named_parameters() if item.requires_grad] == ["custom.table"]
        assert all(key.startswith("custom.") for key in module.state_dict())


def test_a_branch_that_depends_on_a_size_is_refused() -> None:
    """Which way it goes would be that of one size."""

    x = keras.Input((None, 4))
    layer = Branched("branched", name="custom")
    with pytest.raises(xconv.Unsupported, match="known only at run time"):
        xconv.keras_to_torch(keras.Model(x, layer(x)))
    with pytest.raises(TypeError):
        bool(OpenSize() == 3)


def test_weights_that_meet_constants_stay_weights() -> None:
    """An Embedding called on numbers that depend on no input; a variable that is transposed."""

    class Positions(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.table = layers.Embedding(7, 4, name="table")

        def build(self, shape: Any) -> None:
            self.table.build(None)
            self.places = ops.expand_dims(ops.arange(7), 0)

        def call(self, x: Any) -> Any:
            return x + self.table(self.places) * np.linspace(1, 2, 4, dtype="float32")

    x = keras.Input((7, 4))
    module = same(keras.Model(x, Positions(name="positions")(x)), (3, 7, 4))
    assert "positions.table.weight" in dict(module.named_parameters())


def test_nothing_and_several_results() -> None:
    """A layer that returns None beside a tensor, and one that returns a dict, inside a layer."""

    class Pair(layers.Layer):
        def call(self, x: Any, scores: bool = False) -> Any:
            return None if scores else x * 2, x + 1, None

    class Named(layers.Layer):
        def call(self, x: Any) -> Any:
            return {"sum": ops.sum(x, -1, keepdims=True), "double": x * 2}

    class Outer(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.pair, self.named = Pair(name="pair"), Named(name="named")

        def build(self, shape: Any) -> None:
            self.built = True

        def call(self, x: Any) -> Any:
            _, plus, _ = self.pair(x, scores=True)
            double, _, _ = self.pair(x)
            found = self.named(x)
            return plus * found["sum"] - double * found["double"]

    x = keras.Input((5,))
    same(keras.Model(x, Outer(name="outer")(x)), (3, 5))


def test_arguments_by_name_in_another_order() -> None:
    """Tensors by keyword, in the layer's order or not; the same layer with another shape, and another setting."""

    class Difference(layers.Layer):
        def call(self, *, second: Any, first: Any, factor: float = 1.0) -> Any:
            return first - second * factor

    layer = Difference(name="difference")
    one, other, wide = keras.Input((5,)), keras.Input((5,)), keras.Input((2, 5))
    outputs = {
        "one": layer(first=one, second=other),
        "other": layer(second=one, first=other, factor=3.0),
        "wide": layer(second=wide, first=wide, factor=3.0),
    }
    same(keras.Model([one, other, wide], outputs), (3, 5), (3, 5), (3, 2, 5))


def test_activations_of_ones_own() -> None:
    """A function in a Dense and a convolution is opened; a weight stays where it was."""

    def steep(x: Any) -> Any:
        return ops.tanh(x * 3) + x

    x = keras.Input((9, 8, 3))
    y = layers.Conv2D(4, 3, activation=steep, name="conv")(x)
    y = layers.Dense(5, activation=steep, name="dense")(y)
    module = same(keras.Model(x, y), (3, 9, 8, 3))
    assert {"conv.weight", "dense.weight"} <= set(module.state_dict())


def test_nested_models_of_dicts() -> None:
    """Inputs by key, whatever the order; outputs by key."""
    a, b = keras.Input((5,), name="zero"), keras.Input((5,), name="one")
    inner = keras.Model({"zero": a, "one": b}, {"minus": a - b, "double": layers.Dense(5)(a)}, name="inner")
    x, y = keras.Input((5,)), keras.Input((5,))
    found = inner({"one": y, "zero": x})
    same(keras.Model([x, y], found["double"] * found["minus"]), (3, 5), (3, 5))
