"""A converted module is at home in PyTorch: compile, export, copy, pickle, cast, train."""

import copy
import io
import os
import pickle
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

import xconv
from tests.comparison import assert_same
from tests.models.small_models import SMALL, inputs_of


@pytest.fixture(scope="module", params=SMALL)
def case(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param, xconv.keras_to_torch(SMALL[request.param]())


@pytest.fixture
def module(case: tuple[str, Any]) -> Any:
    return copy.deepcopy(case[1]).eval()


def agree(a: Any, b: Any, relative: float = 0.0) -> None:
    """The same structure of the same numbers."""
    if isinstance(b, dict):
        assert list(a) == list(b)
    for x, y in zip(pytree.tree_leaves(a), pytree.tree_leaves(b), strict=True):
        assert_same(x, y, relative=relative)


@pytest.fixture(params=["copy", "pickle", "save"])
def duplicate(request: pytest.FixtureRequest, case: tuple[str, Any]) -> Any:
    """The module by three ways of copying."""
    if request.param == "copy":
        return copy.deepcopy(case[1])
    if request.param == "pickle":
        return pickle.loads(pickle.dumps(case[1]))  # noqa: S301 - our own
    file = io.BytesIO()
    torch.save(case[1], file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def test_a_copy_is_the_same_module(case: tuple[str, Any], duplicate: Any) -> None:
    name, module = case
    assert type(duplicate).__name__ == type(module).__name__
    assert xconv.record(duplicate) == xconv.record(module)
    assert [node.name for node in duplicate.graph.nodes] == [node.name for node in module.graph.nodes]
    assert list(duplicate.state_dict()) == list(module.state_dict())
    assert duplicate.training == module.training
    frozen = [[p.requires_grad for p in each.parameters()] for each in (duplicate, module)]
    assert frozen[0] == frozen[1]
    with torch.no_grad():
        agree(duplicate.eval()(*inputs_of(name, 2)), copy.deepcopy(module).eval()(*inputs_of(name, 2)))


def test_a_copy_can_be_copied_again(duplicate: Any) -> None:
    again = pickle.loads(pickle.dumps(duplicate))  # noqa: S301 - our own
    assert again.code == duplicate.code
    assert not any(p is q for p in again.parameters() for q in duplicate.parameters())


def test_it_compiles_in_one_graph(case: tuple[str, Any], module: Any) -> None:
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    with torch.no_grad():
        for batch in (2, 3):
            agree(compiled(*inputs_of(case[0], batch)), module(*inputs_of(case[0], batch)))


def test_it_exports_with_an_open_batch(case: tuple[str, Any], module: Any) -> None:
    name = case[0]
    spatial = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC} if name == "sizeless" else {}
    given = inputs_of(name, 2)
    program = torch.export.export(
        module, given, dynamic_shapes=tuple({0: torch.export.Dim.DYNAMIC, **spatial} for _ in given)
    )
    with torch.no_grad():
        for batch in (1, 3):
            inputs = inputs_of(name, batch)
            if spatial:
                inputs = (inputs[0][:, :, :20, :31],)
            agree(program.module()(*inputs), module(*inputs))


def test_it_runs_in_float64(case: tuple[str, Any], module: Any) -> None:
    double = copy.deepcopy(module).to(torch.float64)
    with torch.no_grad():
        found = double(*inputs_of(case[0], 2, torch.float64))
        wanted = module(*(tensor.float() for tensor in inputs_of(case[0], 2, torch.float64)))
    for a, b in zip(pytree.tree_leaves(found), pytree.tree_leaves(wanted), strict=True):
        assert a.dtype == torch.float64
        assert_same(a, b, relative=1e-4, dtype=False)


def test_it_runs_in_channels_last_memory(case: tuple[str, Any], module: Any) -> None:
    inputs = inputs_of(case[0], 2)
    turned = copy.deepcopy(module).to(memory_format=torch.channels_last)
    with torch.no_grad():
        found = turned(*(t.to(memory_format=torch.channels_last) if t.dim() == 4 else t for t in inputs))
        agree(found, module(*inputs), relative=1e-5)


def test_its_state_can_be_loaded(case: tuple[str, Any], module: Any) -> None:
    other = copy.deepcopy(module)
    with torch.no_grad():
        for tensor in other.state_dict().values():
            tensor.zero_()
    assert str(other.load_state_dict(module.state_dict(), strict=True)) == "<All keys matched successfully>"
    with torch.no_grad():
        agree(other(*inputs_of(case[0], 2)), module(*inputs_of(case[0], 2)))


def test_it_trains(case: tuple[str, Any], module: Any) -> None:
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.train()
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.1)
    outputs = pytree.tree_leaves(module(*inputs_of(case[0], 4)))
    sum(output.square().sum() for output in outputs).backward()
    optimizer.step()
    changed = {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
    still = {name for name in before if name.startswith(("frozen.", "dense.")) and case[0] == "several"}
    assert not changed & still
    statistics = {name for name in before if name.endswith("running_mean")} - still
    weights = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert statistics
    assert statistics <= changed
    # The gradient of a bias before a BatchNorm is rounding, or nothing.
    assert {name for name in weights if not name.endswith("bias")} <= changed | {"conv.bias"}


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "thorough", reason="compiles C++ for a minute")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_inductor_agrees() -> None:
    module = xconv.keras_to_torch(SMALL["several"]()).eval()
    torch.compiler.reset()
    try:
        with torch.no_grad():
            found = torch.compile(module, fullgraph=True)(*inputs_of("several", 2))
    except torch._inductor.exc.InductorError as error:
        pytest.skip(f"no working C++ compiler: {type(error).__name__}")
    with torch.no_grad():
        agree(found, module(*inputs_of("several", 2)), relative=1e-4)
