"""The examples answer their questions in the words in which docs/questions.md shows them; numbers aside.

One of them is run as its reader runs it, in a process of its own; the others in this one, which has loaded the
frameworks already.
"""

import contextlib
import io
import re
import runpy
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import keras
import pytest
import torch

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SCRIPT = runpy.run_path(str(DOCS / "questions_page.py"))
NEEDED = {
    "feature_vectors.py": ("timm", "torchvision"),
    "resnet50_predictions.py": ("torchvision",),
    "keras_or_tf_keras.py": ("tf_keras",),
    "mobilenet_v3_small.py": ("timm", "torchvision"),
    "convolution.py": (),
}
QUICK = {"convolution.py"}
PAGE = (DOCS / "questions.md").read_text(encoding="utf-8")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a process of its own would begin with: names of layers from the first, settings as they come."""
    monkeypatch.chdir(ROOT)
    floats, policy, device = keras.config.floatx(), keras.config.dtype_policy(), torch.get_default_device()
    _forget()
    yield
    keras.config.set_floatx(floats)
    keras.config.set_dtype_policy(policy)
    torch.set_default_device(device)
    _forget()


def _forget() -> None:
    keras.utils.clear_session()
    if "tf_keras" in sys.modules:
        sys.modules["tf_keras"].backend.clear_session()


def printed(monkeypatch: pytest.MonkeyPatch, example: str, *arguments: str) -> str:
    """What an example prints in this process."""
    path = str(ROOT / "examples" / example)
    monkeypatch.setattr(sys, "argv", [path, *arguments])
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        runpy.run_path(path, run_name="__main__")
    return text.getvalue().strip()


def skip_without(*packages: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")


@pytest.mark.slow
@pytest.mark.parametrize("example", [name for name in NEEDED if name not in QUICK])
@pytest.mark.usefixtures("fresh")
def test_an_example_prints_what_the_page_shows(monkeypatch: pytest.MonkeyPatch, example: str) -> None:
    skip_without(*NEEDED[example])
    assert SCRIPT["words"](printed(monkeypatch, example)) == SCRIPT["words"](SCRIPT["shown"](PAGE)[example])


@pytest.mark.parametrize("example", QUICK)
def test_an_example_is_a_script(example: str) -> None:
    skip_without(*NEEDED[example])
    assert SCRIPT["words"](SCRIPT["printed"](example)) == SCRIPT["words"](SCRIPT["shown"](PAGE)[example])


SAMPLES = {
    "resnet50_both_ways.py": (("--size", "65"), "against the first: exact", "against Keras: exact"),
    "mobilenet_v3_to_keras.py": ((), "against torchvision: exact", "is Conv2D"),
    "compare_features.py": ((), "(hidden head), 576 before it", "differing by"),
}
"""Examples that load published weights, how they are called without, and what they print."""


@pytest.mark.slow
@pytest.mark.parametrize("example", SAMPLES)
@pytest.mark.usefixtures("fresh")
def test_an_example_runs_offline_with_random_weights(monkeypatch: pytest.MonkeyPatch, example: str) -> None:
    skip_without("PIL", "timm", "torchvision")
    monkeypatch.setattr("socket.socket.connect", _refuse)
    arguments, *expected = SAMPLES[example]
    text = printed(monkeypatch, example, "--random-weights", *arguments)
    assert all(part in text for part in expected), text
    best = re.findall(r"n\d{8}  .*", text)
    assert best[:5] == best[5:10]  # from one framework and from the other
    assert best[10:] in ([], best[:5])
    assert all(float(error) < 1e-4 for error in re.findall(r"differing by (\S+)", text))


def _refuse(*_: object) -> None:
    raise OSError("there is no network")


def test_the_page_holds_the_answers_as_they_are_now() -> None:
    shown = SCRIPT["shown"](PAGE)
    sections = [SCRIPT["section"](question, shown[question.example]) for question in SCRIPT["QUESTIONS"]]
    assert SCRIPT["INTRODUCTION"] + "".join(sections) == PAGE
    assert list(NEEDED) == list(shown)


def test_words_leave_out_numbers_alone() -> None:
    words = SCRIPT["words"]
    assert words("differ by 1.2e-05 (3.7 s), layer2.0.conv1") == words("differ by 7e+03 (11 s), layer2.0.conv1")
    assert words("differ by inf") == words("differ by 3")
    assert words("padding: 5 layers") != words("stride: 5 layers")
    assert words("layer2.0.conv1") != words("layer2.0.conv2")
    assert words("features.0.0: pads ((0, 1), (0, 1))") == words("features.1.0: pads ((1, 1), (1, 1))")
