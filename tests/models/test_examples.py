"""The examples answer their questions in the words in which docs/questions.md shows them; numbers aside."""

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
