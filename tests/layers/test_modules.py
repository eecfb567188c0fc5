"""The runtime modules survive what users do to a network: compile, export with open sizes, copy, pickle, convert."""

import copy
import pickle

import pytest
import torch
from torch.export import Dim, export

from tests.comparison import assert_same
from xconv.torch import modules

MODULES = [
    modules.SamePad((3, 2), (2, 3), (1, 1), float("-inf")),
    modules.SamePad((1, 2), (2, 3), (1, 1)),
    modules.SamePad((3, 3), (1, 1), (2, 2)),
    modules.AveragePool((3, 3), (2, 3)),
    modules.AveragePool((3, 2), (2, 3), ((0, 1), (1, 0))),
    modules.BatchNorm2d(5, scale=False),
    modules.BatchNorm2d(5, center=False),
    modules.BatchNorm2d(5, frozen=True),
    modules.GroupNorm(5, 5, scale=False),
    modules.GroupNorm(5, 5, center=False),
    modules.AxesNorm((5,), (1,), 1e-3, kind="deviation", center=False),
    modules.AxesNorm((9, 8), (2, 3), 1e-3, kind="rms"),
    modules.ChannelNorm(5, 1e-6),
    modules.ClippedReLU(1.5, 0.1, 0.25),
    modules.ConvTranspose2d(5, 4, 3, stride=2, crop=(1, 0)),
    modules.Exponential(),
    modules.SparsePlus(),
    modules.SparseSigmoid(),
    modules.Squareplus(),
    modules.StochasticDepth(0.3),
    modules.StochasticDepth(0.3, "batch"),
    modules.GaussianDropout(0.3),
    modules.GaussianNoise(0.3),
    modules.Rescaling(2.0, 1.0),
    modules.Rescaling((1.0, 2.0, 3.0, 4.0, 5.0), 1.0),
    modules.Normalization((5, 1, 1)),
    modules.Normalization((5, 1, 1), (1.0,) * 5, (2.0,) * 5, invert=True),
    modules.Scale(5),
    modules.PReLU((5, 1, 1)),
]
RANDOM = (modules.StochasticDepth, modules.GaussianDropout, modules.GaussianNoise)

every_module = pytest.mark.parametrize("module", MODULES, ids=[str(module) for module in MODULES])
either_mode = pytest.mark.parametrize("training", [False, True], ids=["inference", "training"])


def answer(module, x):
    """What a fresh copy answers, always with the same random numbers."""
    torch.manual_seed(0)
    return copy.deepcopy(module)(x)


@every_module
@either_mode
def test_a_copy_a_pickle_and_a_wider_dtype(module, training):
    module = module.train(training)
    x = torch.randn(3, 5, 9, 8)
    assert_same(answer(pickle.loads(pickle.dumps(module)), x), answer(module, x), relative=0)  # noqa: S301
    assert answer(copy.deepcopy(module).double(), x.double()).dtype is torch.float64
    assert answer(copy.deepcopy(module).to(torch.bfloat16), x.to(torch.bfloat16)).dtype is torch.bfloat16


@every_module
@either_mode
def test_one_graph_when_compiled(module, training):
    module, x = copy.deepcopy(module).train(training).double(), torch.randn(3, 5, 9, 8, dtype=torch.float64)
    torch.compiler.reset()
    assert_same(torch.compile(module, fullgraph=True, backend="eager")(x).shape, answer(module, x).shape, dtype=False)
    if not (training and isinstance(module, RANDOM)):
        compiled = torch.compile(copy.deepcopy(module), fullgraph=True, backend="eager")
        assert_same(compiled(x), answer(module, x), relative=1e-12)


@every_module
def test_exported_with_open_sizes(module):
    module, x = copy.deepcopy(module).eval().double(), torch.randn(3, 5, 9, 8, dtype=torch.float64)
    fixed = getattr(module, "dims", (1,)) == (2, 3)
    sizes = {0: Dim("n")} if fixed else {0: Dim("n"), 2: Dim("h", min=8), 3: Dim("w", min=8)}
    program = export(module, (x,), dynamic_shapes=(sizes,))
    names = [str(node.target) for node in program.graph.nodes]
    assert not [name for name in names if "permute" in name or "aten.transpose" in name]
    other = torch.randn(2, 5, 9, 8, dtype=torch.float64) if fixed else torch.randn(2, 5, 12, 11, dtype=torch.float64)
    assert_same(program.module()(other), module(other), relative=1e-12)


def test_frozen_statistics_stay():
    module = modules.BatchNorm2d(5, frozen=True).train()
    before = copy.deepcopy(module.state_dict())
    x = torch.randn(3, 5, 9, 8)
    assert_same(module(x), copy.deepcopy(module).eval()(x), relative=0)
    assert all(torch.equal(before[name], now) for name, now in module.state_dict().items())


def test_absent_parameters_have_no_key():
    assert "weight" not in modules.BatchNorm2d(5, scale=False).state_dict()
    assert "bias" not in modules.GroupNorm(1, 5, center=False).state_dict()
