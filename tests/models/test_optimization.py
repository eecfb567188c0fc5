"""xconv.optimize: the same function at every step, told and measured; what is not the same is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import xconv
from tests.comparison import assert_same
from xconv.errors import InvalidInput
from xconv.layers.batch_norm import BatchNorm
from xconv.layers.conv import Conv
from xconv.optimization import allocator, folds, pads, run, serving
from xconv.optimization.timing import Pair, Timing

SIZE = (3, 13, 18)


class Small(nn.Module):
    """Normalisations behind every kind of layer, and two that cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(8, eps=1e-2)
        self.depthwise = nn.Conv2d(8, 8, (3, 2), groups=8)
        self.depthwise_bn = nn.BatchNorm2d(8, affine=False)
        self.before = nn.BatchNorm2d(8)
        self.up = nn.ConvTranspose2d(8, 6, 3, stride=2)
        self.up_bn = nn.BatchNorm2d(6)
        self.read_twice = nn.Conv2d(6, 6, 1)
        self.twice_bn = nn.BatchNorm2d(6)
        self.dense = nn.Linear(6, 5)
        self.dense_bn = nn.BatchNorm1d(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.conv(nn.functional.pad(x, (0, 1, 0, 1)))))
        x = self.before(torch.relu(self.depthwise_bn(self.depthwise(x))))
        x = torch.relu(self.up_bn(self.up(x)))
        y = self.read_twice(x)
        x = self.twice_bn(y) + y
        return self.dense_bn(self.dense(x.mean((2, 3))))


@pytest.fixture
def network() -> nn.Module:
    module = Small()
    return xconv.randomize(module, 3, inputs=torch.randn(9, *SIZE)).eval()


def work_on(network: nn.Module) -> Any:
    return run._begun(network, (torch.randn(2, *SIZE),), 3)


def always(monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    """Every measurement says this gain, because which way is faster depends on the machine."""
    some = Timing(1.0, 1.0, 1.0)
    monkeypatch.setattr(run, "in_turn", lambda *_: Pair(some, some, gain))


def test_four_of_six_normalisations_are_folded_exactly(network: nn.Module) -> None:
    work = work_on(network)
    graph, names = folds.fold_batch_norms(work.graph)
    assert sorted(names) == ["bn", "dense_bn", "depthwise_bn", "up_bn"]
    assert [node.name for node in graph.nodes if isinstance(node.spec, BatchNorm)] == ["before", "twice_bn"]
    folded = run.write(graph, "channels_first").eval().double()
    image = torch.randn(2, *SIZE, dtype=torch.float64)
    with torch.no_grad():
        assert_same(folded(image), copy.deepcopy(network).double()(image))


def test_uneven_pads_inside_a_wider_kernel_are_the_same(network: nn.Module) -> None:
    graph = run.fold_pads(work_on(network).graph, uneven=True)
    (node,) = pads.uneven(graph)
    wider = pads.extended(graph, node)
    spec = wider.by_name()["conv"].spec
    assert isinstance(spec, Conv)
    assert (spec.kernel, spec.padding) == ((4, 4), ((1, 1), (1, 1)))
    module = run.write(wider, "channels_first").eval().double()
    image = torch.randn(2, *SIZE, dtype=torch.float64)
    with torch.no_grad():
        assert_same(module(image), copy.deepcopy(network).double()(image))


@pytest.mark.parametrize("pad", [(0, 1, 0, 1), (2, 0, 0, 0), (0, 0, 3, 1), (4, 0, 0, 2)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_every_way_of_uneven_pads(pad: tuple[int, int, int, int], dilation: int) -> None:
    layer = nn.Sequential(nn.ZeroPad2d(pad), nn.Conv2d(3, 4, (3, 2), stride=(2, 3), dilation=dilation)).double()
    image = torch.randn(2, *SIZE, dtype=torch.float64)
    graph = run.fold_pads(run._begun(layer.float(), (image.float(),), 3).graph, uneven=True)
    found = pads.uneven(graph)
    if any(difference % dilation for difference in (pad[0] - pad[1], pad[2] - pad[3])):
        assert not found
        return
    module = run.write(pads.extended(graph, found[0]), "channels_first").eval().double()
    with torch.no_grad():
        assert_same(module(image), layer.double()(image))


def test_what_gains_is_kept_and_the_given_module_stays(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, 1.5)
    before = copy.deepcopy(network.state_dict())
    found = xconv.optimize(network, torch.randn(2, *SIZE), compiled=False, rounds=3)
    assert [(step.name, step.kept) for step in found.steps] == [("fold", True), ("pads", True), ("channels_last", True)]
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert found.module is not network
    assert not found.module.training
    assert found.error < 1e-5
    assert "1.50 times as fast" in str(found)
    assert found.to_dict()["steps"][0]["what"] == "4 normalisations folded into the layers before them"
    assert found.module.get_submodule("conv").weight.is_contiguous(memory_format=torch.channels_last)


def test_what_gains_nothing_is_not_kept(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, 0.9)
    found = xconv.optimize(network, torch.randn(2, *SIZE), compiled=False, rounds=3)
    assert not any(step.kept for step in found.steps)
    assert "not kept" in str(found)
    image = torch.randn(2, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(found.module(image), network(image))


def test_a_step_that_changes_the_function_is_refused(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    right = folds._affine
    monkeypatch.setattr(folds, "_affine", lambda graph, node: (right(graph, node)[0], right(graph, node)[1] + 1e-7))
    with pytest.raises(xconv.Mismatch, match=r"fold: 4 normalisations .* changes the outputs by"):
        xconv.optimize(network, torch.randn(2, *SIZE), compiled=False, rounds=3)


def test_a_program_that_does_more_than_round_is_not_kept(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, 2.0)

    class Wrong(nn.Module):
        def __init__(self, module: nn.Module, *_: Any, **__: Any) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x) * 1.001

    monkeypatch.setattr(run, "Compiled", Wrong)
    found = xconv.optimize(network, torch.randn(2, *SIZE), rounds=3)
    assert (found.steps[-1].name, found.steps[-1].kept) == ("compile", False)
    assert "not rounding" in found.steps[-1].note


def test_a_lower_precision_is_done_as_asked_and_told(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, 0.5)
    found = xconv.optimize(network, torch.randn(2, *SIZE), dtype="bfloat16", compiled=False, rounds=3)
    assert found.steps[-1].name == "dtype"
    assert found.steps[-1].kept
    assert 1e-4 < found.error < 0.3
    assert found.module(torch.randn(2, *SIZE)).dtype == torch.float32
    assert {tensor.dtype for tensor in found.module.parameters()} == {torch.bfloat16}


def test_a_keras_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    always(monkeypatch, 1.1)
    shape = (65, 79, 3)
    options = {"weights": None, "classifier_activation": None, "alpha": 0.35, "classes": 7}
    model = keras.applications.MobileNetV2(input_shape=shape, **options)
    xconv.randomize(model)
    module = xconv.keras_to_torch(model)
    found = xconv.optimize(module, input_shape=(3, 65, 79), compiled=False, rounds=3)
    assert "52 normalisations" in found.steps[0].what
    assert all(step.kept for step in found.steps)
    with torch.no_grad():
        image = torch.randn(2, 3, 65, 79)
        torch.testing.assert_close(found.module(image), module.eval()(image), rtol=1e-3, atol=1e-4)


def test_bad_input(network: nn.Module) -> None:
    with pytest.raises(InvalidInput, match="nothing to measure with"):
        xconv.optimize(network)
    with pytest.raises(InvalidInput, match="rounds=2"):
        xconv.optimize(network, input_shape=SIZE, rounds=2)
    with pytest.raises(InvalidInput, match="something else than tensors"):
        xconv.optimize(network, [1.0])


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
def test_a_compiled_module_says_that_it_is_not_pickled() -> None:
    module = serving.Compiled(nn.Linear(2, 2), None, torch.device("cpu"))
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(module)


def test_weights_are_frozen_when_a_program_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: list[bool] = []

    def compiler(module: nn.Module, **_: Any) -> Any:
        def run(x: torch.Tensor) -> torch.Tensor:
            settings.append(torch._inductor.config.freezing)
            return module(x)

        return run

    monkeypatch.setattr(torch, "compile", compiler)
    module = serving.Compiled(nn.Linear(2, 3), None, torch.device("cpu"))
    assert module(torch.ones(4, 2)).shape == (4, 3)
    assert settings == [True]  # whatever is compiled in this call
    assert not torch._inductor.config.freezing
    serving.Compiled(nn.Linear(2, 3), None, torch.device("cuda"))(torch.ones(1, 2))
    assert settings[-1] is False


def test_a_compiled_program_holds_its_own_weights() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    image = torch.randn(2, 3, 9, 7)
    with torch.no_grad():
        expected = module(image)
        compiled = serving.Compiled(module, None, torch.device("cpu"))
        torch.testing.assert_close(compiled(image), expected)
        module[0].weight.zero_()
        torch.testing.assert_close(compiled(image), expected)


def test_pads_and_the_way_of_calling_are_tried_once_more_in_the_program(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[tuple[int, ...], bool]] = []

    class Program(nn.Module):
        def __init__(self, module: nn.Module, *_: Any, direct: bool = False, **__: Any) -> None:
            super().__init__()
            self.module = module
            tried.append((tuple(module.get_submodule("conv").kernel_size), direct))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x)

    monkeypatch.setattr(run, "Compiled", Program)
    always(monkeypatch, 0.9)  # call by call, a wider kernel gains nothing
    work = work_on(network)
    work.pads()
    always(monkeypatch, 1.5)
    work.compile(None, None)
    assert tried == [((3, 3), False), ((4, 4), False), ((4, 4), True)]
    image = torch.randn(2, *SIZE)
    with torch.no_grad():
        torch.testing.assert_close(work.finished().module(image), network(image))


@pytest.mark.parametrize("kept", [True, False])
def test_elsewhere_than_on_a_cpu_both_memory_formats_are_compiled(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    always(monkeypatch, 1.5 if kept else 0.9)
    formats: list[bool] = []

    class Program(nn.Module):
        def __init__(self, module: nn.Module, *_: Any, **__: Any) -> None:
            super().__init__()
            self.module = module
            formats.append(module.get_submodule("conv").weight.is_contiguous(memory_format=torch.channels_last))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x)

    monkeypatch.setattr(run, "Compiled", Program)
    work = work_on(network)
    work.memory_format()
    monkeypatch.setattr(run._Work, "device", property(lambda _: torch.device("meta")))
    work.compile(None, None)
    assert formats == [kept, not kept]


def test_memory_is_kept_where_the_c_library_can_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    class Library:
        @staticmethod
        def mallopt(what: int, value: int) -> int:
            told.append((what, value))
            return 1

    monkeypatch.setattr(allocator, "_told", [])
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: Library)
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("glibc", "2.36"))
    assert xconv.keep_memory()
    assert told == [(-4, 0), (-1, 2**31 - 1)]
    assert allocator.in_words() == "memory kept"
    monkeypatch.setattr(allocator, "_told", [])
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    assert allocator.in_words() == "memory as the C library has it"
    monkeypatch.setenv("LD_PRELOAD", "/usr/lib/libjemalloc.so.2")
    assert allocator.in_words() == "jemalloc"
    monkeypatch.setattr(allocator.platform, "libc_ver", lambda: ("", ""))
    assert not xconv.keep_memory()
