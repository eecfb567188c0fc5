"""xconv.optimize(compiled="openvino"): a program of OpenVINO computes what the module computes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import xconv
from xconv import frameworks
from xconv.errors import InvalidInput, MissingFramework, Unsupported
from xconv.optimization import run
from xconv.optimization.openvino_program import OpenVINOProgram
from xconv.optimization.timing import Pair, Timing

SIZE = (3, 13, 18)


class Two(nn.Module):
    """Several outputs in a dictionary, one of them of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 5, 3, stride=2, padding=1), nn.BatchNorm2d(5)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = torch.relu(self.bn(self.conv(x)))
        return {"map": x, "best": x.mean((2, 3)).argmax(1)}


@pytest.fixture
def network() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return xconv.randomize(module, 3, inputs=torch.randn(9, *SIZE)).eval()


def test_every_batch_and_size_gets_its_program_and_the_modules_own_outputs() -> None:
    module = xconv.randomize(Two(), 1, inputs=torch.randn(4, *SIZE)).eval()
    program = OpenVINOProgram(copy.deepcopy(module))
    images = [torch.randn(2, *SIZE), torch.randn(1, 3, 21, 9), torch.randn(2, *SIZE)]
    for image in images:
        with torch.no_grad():
            wanted = module(image)
        found = program(image)
        assert found.keys() == wanted.keys()
        assert found["best"].dtype == torch.int64
        torch.testing.assert_close(found["best"], wanted["best"])
        torch.testing.assert_close(found["map"], wanted["map"], rtol=1e-5, atol=1e-5)
    assert len(program._programs) == 2
    first = program(images[0])["map"].clone()
    program(images[2])
    torch.testing.assert_close(program(images[0])["map"], first)  # what was returned is not written over


def test_it_is_kept_where_it_is_faster_and_only_there(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    some = Timing(1.0, 1.0, 1.0)
    image = torch.randn(2, *SIZE)
    for gain, kept in ((1.5, True), (0.9, False)):
        monkeypatch.setattr(run, "in_turn", lambda *_, gain=gain: Pair(some, some, gain))
        monkeypatch.setattr(run._Work, "compile", lambda *_: None)
        found = xconv.optimize(network, image, compiled="openvino", rounds=3)
        assert [step.name for step in found.steps] == ["fold", "channels_last", "openvino"]
        assert found.steps[-1].kept is kept
        assert isinstance(found.module, OpenVINOProgram) is kept
        assert found.steps[-1].error < 1e-5
        with torch.no_grad():
            torch.testing.assert_close(found.module(image), network(image), rtol=1e-4, atol=1e-5)


def test_what_openvino_cannot_say_is_told(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("\nNo conversion rule for aten.something\nand more")

    monkeypatch.setattr(run._Work, "compile", lambda *_: None)
    monkeypatch.setattr("openvino.convert_model", fails)
    found = xconv.optimize(network, torch.randn(2, *SIZE), compiled="openvino", rounds=3)
    assert found.notes == ("OpenVINO cannot say this module: No conversion rule for aten.something",)
    assert f"not tried: {found.notes[0]}" in str(found)
    with pytest.raises(Unsupported, match=r"aten\.something"):
        OpenVINOProgram(network)(torch.randn(2, *SIZE))


def test_what_it_is_not_for_is_refused(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="bfloat16 on cpu"):
        xconv.optimize(network, input_shape=SIZE, compiled="openvino", dtype="bfloat16")
    with pytest.raises(InvalidInput, match="compiled='OpenVino'"):
        xconv.optimize(network, input_shape=SIZE, compiled="OpenVino")
    with pytest.raises(InvalidInput, match="another device"):
        OpenVINOProgram(network)(torch.empty(2, *SIZE, device="meta"))
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(OpenVINOProgram(network))

    def missing(package: str) -> None:
        raise ModuleNotFoundError(package, name=package)

    monkeypatch.setattr(frameworks, "import_module", missing)
    with pytest.raises(MissingFramework, match=r"xconv\[openvino\]"):
        xconv.optimize(network, input_shape=SIZE, compiled="openvino")
