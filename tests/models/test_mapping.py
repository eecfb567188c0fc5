"""The mapping of the weights: replayed on another checkpoint, undone, and its misfits in one error."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import xconv
from tests.comparison import assert_same
from tests.models.small_models import SMALL
from xconv.keras.checkpoint import arrays_of


@pytest.fixture(scope="module", params=SMALL)
def case(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    model = SMALL[request.param]()
    return model, xconv.keras_to_torch(model)


@pytest.fixture
def several() -> Any:
    return xconv.keras_to_torch(SMALL["several"]())


def test_export_is_the_inverse_bit_for_bit(case: tuple[Any, Any]) -> None:
    model, module = case
    exported = xconv.export_weights(module)
    for key, array in exported.items():
        *path, index = key.split("/")
        layer = model
        for name in path:
            layer = layer.get_layer(name)
        assert_same(array, np.asarray(layer.weights[int(index)].value), relative=0)
    assert len(exported) == len(xconv.record(module).weights)


@pytest.mark.parametrize("kind", ["live", "keras", "weights.h5", "h5", "arrays"])
def test_another_checkpoint_is_replayed(case: tuple[Any, Any], kind: str, tmp_path: Path) -> None:
    model, module = case
    xconv.randomize(model, seed=7)
    wanted = xconv.keras_to_torch(model).state_dict()
    source: Any = model if kind == "live" else tmp_path / f"m.{kind}"
    if kind == "weights.h5":
        model.save_weights(source)
    elif kind == "arrays":
        source = xconv.export_weights(xconv.keras_to_torch(model))
    elif kind != "live":
        model.save(source)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.zero_()
    before = dict(module.named_parameters())
    xconv.load_weights(module, source)
    for name, tensor in module.state_dict().items():
        if "num_batches" not in name:
            assert_same(tensor, wanted[name], relative=0)
    assert all(parameter is before[name] for name, parameter in module.named_parameters())


def test_all_misfits_are_one_error_and_nothing_is_written(several: Any) -> None:
    arrays = xconv.export_weights(several)
    before = {name: tensor.clone() for name, tensor in several.state_dict().items()}
    changed = {key: array + 1 for key, array in arrays.items()}
    changed["shared/0"] = changed["shared/0"].transpose(3, 2, 0, 1)
    changed["dense/0"] = np.zeros((5, 9), "float32")
    changed["frozen/1"] = np.zeros(4, "int64")
    del changed["inner/bn/2"]
    changed["other/0"] = np.zeros(3, "float32")
    with pytest.raises(xconv.Mismatch) as caught:
        xconv.load_weights(several, changed)
    said = {problem.place: str(problem) for problem in caught.value.problems}
    assert said.keys() == {"shared kernel", "dense kernel", "frozen beta", "inner/bn mean", "other/0"}
    assert "torch's order already" in said["shared kernel"]
    assert "another number of classes" in said["dense kernel"]
    assert "int64" in said["frozen beta"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in several.state_dict().items())


def test_a_file_that_breaks_off_writes_nothing(several: Any) -> None:
    class Broken:
        shape, dtype = (5, 4), "float32"

        def blocks(self, multiple: int = 1) -> Any:
            raise xconv.Unreadable("ends too early")

    from xconv.torch.mapping import fill_from

    arrays = dict(arrays_of({key: array + 1 for key, array in xconv.export_weights(several).items()}))
    arrays["dense/0"] = Broken()
    before = {name: tensor.clone() for name, tensor in several.state_dict().items()}
    with pytest.raises(xconv.Unreadable, match="ends too early"):
        fill_from(several, arrays, "a file")
    assert all(torch.equal(tensor, before[name]) for name, tensor in several.state_dict().items())


def test_the_module_keeps_its_dtype_and_memory_format(several: Any) -> None:
    arrays = xconv.export_weights(several)
    module = several.to(torch.float64).to(memory_format=torch.channels_last)
    xconv.load_weights(module, arrays)
    assert module.shared.weight.dtype == torch.float64
    assert module.shared.weight.is_contiguous(memory_format=torch.channels_last)
    assert_same(xconv.export_weights(module)["shared/0"], arrays["shared/0"], relative=0, dtype=False)


def test_numbers_that_do_not_fit_and_are_not_numbers_are_warned_of(several: Any) -> None:
    arrays = {key: array.astype("float64") for key, array in xconv.export_weights(several).items()}
    arrays["dense/0"][0, :2] = 1e300
    with pytest.warns(xconv.XConvWarning) as caught:
        xconv.load_weights(several, arrays)
    said = "\n".join(str(warning.message) for warning in caught)
    assert "dense kernel: 2 of 20 numbers are beyond torch.float32; they are infinite now" in said
    assert "dense kernel: 2 infinite among 20 numbers" in said


def test_what_no_trained_network_holds_is_reported(several: Any) -> None:
    assert xconv.weights_report(several) == ()
    with torch.no_grad():
        several.shared.weight[0, 0, 0] = torch.nan
        several.dense.bias[1] = -torch.inf
        several.inner.bn.running_var[2] = -1
    assert [str(problem) for problem in xconv.weights_report(several)] == [
        "shared kernel: 3 NaN among 144 numbers",
        "inner/bn variance: 1 negative variances among 4 numbers",
        "dense bias: 1 infinite among 4 numbers",
    ]
    with pytest.raises(xconv.InvalidInput, match="no data"):
        xconv.weights_report(several.to("meta"))


def test_a_module_that_is_not_ours_and_a_changed_one(several: Any) -> None:
    with pytest.raises(xconv.InvalidInput, match="no record"):
        xconv.export_weights(torch.nn.Linear(2, 3))
    several.dense = torch.nn.Linear(5, 9)
    with pytest.raises(xconv.Mismatch, match="changed since its conversion"):
        xconv.export_weights(several)
    with pytest.raises(xconv.InvalidInput, match="a int holds no Keras weights"):
        xconv.load_weights(xconv.keras_to_torch(SMALL["sizeless"]()), 3)
