"""The examples answer their questions in the words in which docs/questions.md shows them; numbers aside."""

import re
import runpy
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
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


@pytest.mark.parametrize(
    "example", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NEEDED]
)
def test_an_example_prints_what_the_page_shows(example):
    for package in NEEDED[example]:
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    assert SCRIPT["words"](SCRIPT["printed"](example)) == SCRIPT["words"](SCRIPT["shown"](PAGE)[example])


SAMPLES = {
    "resnet50_both_ways.py": (("--size", "97"), "against the first: exact", "against Keras: exact"),
    "mobilenet_v3_to_keras.py": ((), "against torchvision: exact", "is Conv2D"),
    "compare_features.py": ((), "(hidden head), 576 before it", "differing by"),
}
"""Examples that load published weights, how they are called without, and what they print."""


@pytest.mark.slow
@pytest.mark.parametrize("example", SAMPLES)
def test_an_example_runs_offline_with_random_weights(example):
    for package in ("PIL", "timm", "torchvision"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}")
    arguments, *expected = SAMPLES[example]
    text = SCRIPT["printed"](example, "--random-weights", *arguments)
    assert all(part in text for part in expected), text
    best = re.findall(r"n\d{8}  .*", text)
    assert best[:5] == best[5:10]  # from one framework and from the other
    assert best[10:] in ([], best[:5])
    assert all(float(error) < 1e-4 for error in re.findall(r"differing by (\S+)", text))


def test_the_page_holds_the_answers_as_they_are_now():
    shown = SCRIPT["shown"](PAGE)
    sections = [SCRIPT["section"](question, shown[question.example]) for question in SCRIPT["QUESTIONS"]]
    assert SCRIPT["INTRODUCTION"] + "".join(sections) == PAGE
    assert list(NEEDED) == list(shown)


def test_words_leave_out_numbers_alone():
    words = SCRIPT["words"]
    assert words("differ by 1.2e-05 (3.7 s), layer2.0.conv1") == words("differ by 7e+03 (11 s), layer2.0.conv1")
    assert words("differ by inf") == words("differ by 3")
    assert words("padding: 5 layers") != words("stride: 5 layers")
    assert words("layer2.0.conv1") != words("layer2.0.conv2")
    assert words("features.0.0: pads ((0, 1), (0, 1))") == words("features.1.0: pads ((1, 1), (1, 1))")
