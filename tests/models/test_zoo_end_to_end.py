"""A JPEG in, the name of a class and a vector of features out: the same from Keras and from torch, both ways."""

from importlib.util import find_spec

import keras
import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

import xconv
import xconv.zoo
from tests.comparison import assert_same
from xconv.preprocessing import Preprocessing, load_img, torchvision
from xconv.zoo.classes import imagenet_classes
from xconv.zoo.endings import run_with_ending

pytestmark = [
    pytest.mark.skipif(find_spec(name) is None, reason=f"needs {name}") for name in ("PIL", "timm", "torchvision")
]
SIDES = 64, 80
EXACT = 1e-10
CONSTANTS = 1e-6
"""Where Keras scales pixels inside the model: TensorFlow keeps the constants of a Rescaling in float32."""


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """A JPEG of odd size, smooth with edges and some noise."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0:187, 0:251]
    waves = [127 + 90 * np.sin(rows / a + columns / b) for a, b in ((17, 29), (41, -13), (-23, 19))]
    picture = np.stack(waves, -1) + generator.normal(0, 9, (187, 251, 3))
    picture[40:90, 60:140] = (200, 30, 90)
    path = tmp_path_factory.mktemp("pictures") / "photograph.jpg"
    PIL.Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return path


def same(ours, theirs, tolerance=EXACT):
    """Both see the same classes, as likely."""
    assert [(one.index, one.wnid, one.name) for one in ours] == [(one.index, one.wnid, one.name) for one in theirs]
    scores = [np.array([one.score for one in predictions]) for predictions in (ours, theirs)]
    assert np.abs(scores[0] - scores[1]).max() <= tolerance * scores[0].max()


def vectors(a, b, layer, photograph, preprocessing):
    """A picture's features by both extractors; `a` is a Keras model, `b` a torch module."""
    ours, theirs = xconv.same_features(a, b, layer)
    picture = preprocessing(photograph)[None].astype(np.float64)
    with torch.no_grad():
        found = theirs(torch.from_numpy(np.ascontiguousarray(picture.transpose(0, 3, 1, 2))))
    return keras.ops.convert_to_numpy(ours(picture)), found.numpy()


def loaded(framework, **options):
    return xconv.zoo.load(
        weights=None, seed=3, framework=framework, input_shape=(*SIDES, 3), dtype="float64", **options
    )


@pytest.mark.parametrize(("name", "layer"), [("mobilenet_v2", -2), ("mobilenet_v3_small", None)])
def test_from_keras_to_torch(photograph, name, layer):
    options = {"alpha": 0.35} if name == "mobilenet_v2" else {}
    model = loaded("keras", name=name, **options)
    form = {"input_shape": (*SIDES, 3), "dtype": "float64", **options}
    module = xconv.zoo.load(name, weights=model, framework="torch", **form)
    ours, theirs = (xconv.zoo.predict(either, photograph) for either in (model, module))
    assert len(ours) == 5
    assert ours.ending == theirs.ending == "softmax"
    assert ours[0].name == imagenet_classes()[ours[0].index].name
    tolerance = EXACT if layer else CONSTANTS
    same(ours, theirs, tolerance)
    pool = next(one.name for one in reversed(model.layers) if "GlobalAverage" in type(one).__name__)
    a, b = vectors(model, module, pool, photograph, load_img(SIDES, mode="tf" if layer else None))
    assert a.shape == ((1, 1280) if layer else (1, 1, 1, 576))
    assert_same(b.reshape(a.shape), a, relative=tolerance)


def test_from_torch_to_keras(photograph):
    options = {"source": "torchvision", "weights": None, "seed": 3, "dtype": "float64"}
    module = xconv.zoo.load("mobilenet_v3_small", framework="torch", **options)
    model = xconv.torch_to_keras(module, input_shape=(3, *SIDES))
    prepared = torchvision(SIDES, SIDES, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    prepared = prepared.with_layout("channels_last")
    ours, theirs = (xconv.zoo.predict(either, photograph, preprocessing=prepared) for either in (module, model))
    assert ours.ending == theirs.ending == "logits"
    same(ours, theirs)
    a, b = vectors(model, module, xconv.counterpart(module, model, "avgpool"), photograph, prepared)
    assert_same(b.reshape(a.shape), a, relative=EXACT)


def test_there_and_back(photograph):
    model = loaded("keras", name="mobilenet_v2", alpha=0.35)
    module = xconv.keras_to_torch(model)
    back = xconv.torch_to_keras(module)
    pictures = load_img(SIDES, mode="tf")
    everything = [xconv.zoo.predict(each, photograph, preprocessing=pictures) for each in (model, module, back)]
    same(everything[0], everything[1])
    same(everything[0], everything[2])


def test_a_model_of_the_zoo_knows_its_preprocessing(photograph):
    for source, framework in (("torchvision", "keras"), ("timm", "torch"), ("keras", "torch")):
        model = xconv.zoo.load("mobilenet_v3_small", source=source, framework=framework, weights=None, seed=3)
        words = {"torchvision": "torchvision mobilenet_v3_small", "keras": "keras MobileNetV3Small"}
        words["timm"] = f"timm {xconv.zoo.origin(model).name}"
        known, named = (xconv.zoo.predict(model, photograph, preprocessing=given) for given in (None, words[source]))
        same(known, named, tolerance=1e-5)  # of one model in float32


def test_a_turned_network_is_given_turned_pictures(photograph):
    form = {"classifier_activation": None, "dtype": "float64"}
    start = xconv.zoo.load("mobilenet_v2", framework="keras", weights=None, seed=3, **form)
    options = {"weights": start, "destination": "stock", "library": "torchvision", **form}
    turned = xconv.zoo.load("mobilenet_v2", geometry="rotated", **options)
    assert xconv.zoo.origin(turned).rotated
    same(xconv.zoo.predict(start, photograph), xconv.zoo.predict(turned, photograph))


# -- a softmax is applied once -----------------------------------------------------------------------------------------


class Scores(nn.Module):
    """Fixed scores for every picture, behind what is asked for."""

    def __init__(self, ending, count=7):
        super().__init__()
        self.scores = nn.Parameter(torch.linspace(-1, 2, count))
        self.drop = nn.Dropout(0.9)
        self.ending = ending

    def forward(self, x):
        return self.ending(self.drop(self.scores.repeat(len(x), 1)))


PLAIN = Preprocessing()
LOGITS = np.linspace(-1, 2, 7)
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum()
ENDINGS = {
    "logits": (nn.Identity(), SOFTMAX),
    "softmax": (nn.Softmax(-1), SOFTMAX),
    "log_softmax": (nn.LogSoftmax(-1), SOFTMAX),
    "sigmoid": (nn.Sigmoid(), 1 / (1 + np.exp(-LOGITS))),
}
BLACK = np.zeros((5, 6, 3), np.uint8)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_a_torch_module_ends_in_is_seen(ending):
    last, expected = ENDINGS[ending]
    module = Scores(last).train()
    found = xconv.zoo.predict(module, BLACK, 7, preprocessing=PLAIN)
    assert found.ending == ending
    assert [one.index for one in found] == [6, 5, 4, 3, 2, 1, 0]
    assert_same(np.array([one.score for one in found]), expected[::-1].copy(), relative=1e-6)
    assert module.training
    assert module.drop.training


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_a_keras_model_ends_in_is_read(ending):
    picture = keras.Input((5, 6, 3))
    scores = keras.layers.Dense(7, name="scores")(keras.layers.GlobalAveragePooling2D()(picture))
    model = keras.Model(picture, keras.layers.Activation(ending if ending != "logits" else "linear")(scores))
    model.get_layer("scores").set_weights([np.zeros((3, 7)), LOGITS])
    found = xconv.zoo.predict(model, BLACK, 7, preprocessing=PLAIN)
    assert found.ending == ending
    assert_same(np.array([one.score for one in found]), ENDINGS[ending][1][::-1].copy(), relative=1e-6)


def test_the_mean_of_several_softmaxes_is_no_logits():
    found = xconv.zoo.predict(Scores(lambda x: (x.softmax(-1) + x.softmax(-1)) / 2), BLACK, 7, preprocessing=PLAIN)
    assert found.ending == "softmax"
    assert_same(np.array([one.score for one in found]), SOFTMAX[::-1].copy(), relative=1e-6)


def test_a_softmax_inside_a_network_is_none_at_its_end():
    _, ending = run_with_ending(Scores(lambda x: x * x.softmax(-1)), torch.zeros(1, 3, 5, 6))
    assert ending == "logits"


# -- names, and what is refused ----------------------------------------------------------------------------------------


def test_classes_without_names_are_told_by_their_place():
    found = xconv.zoo.predict(Scores(nn.Identity()), BLACK, 2, preprocessing=PLAIN)
    assert [(one.index, one.wnid, one.name) for one in found] == [(6, "", ""), (5, "", "")]
    assert "names=" in found.note
    assert "names=" in str(found)
    named = xconv.zoo.predict(Scores(nn.Identity()), BLACK, 2, preprocessing=PLAIN, names=list("abcdefg"))
    assert [one.name for one in named] == ["g", "f"]
    assert not named.note


def test_what_has_no_classes_is_refused():
    import timm

    def refused(model, match, **options):
        with pytest.raises(xconv.InvalidInput, match=match):
            xconv.zoo.predict(model, BLACK, **{"preprocessing": PLAIN, **options})

    refused(Scores(nn.Identity(), 1001), "1001 classes")
    refused(Scores(nn.Identity()), "nothing says how", preprocessing=None)
    refused(Scores(nn.Identity()), "library and a name", preprocessing="resnet50")
    refused(Scores(nn.Identity()), "top=0", top=0)
    refused(nn.Conv2d(3, 4, 3), "no score for each class")
    refused(Scores(lambda x: [x, x]), "no single tensor")
    refused("model.keras", "is no model")
    bare = timm.create_model("mobilenetv3_small_050", num_classes=0)
    refused(bare, "MobileNetV3 with num_classes=0: it returns features", preprocessing=None)
    picture = keras.Input((9, 6, 3))
    refused(keras.Model(picture, keras.layers.Flatten()(picture)), "it takes 9x6x3, the prepared picture is 5x6x3")
    body = xconv.zoo.load("mobilenet_v2", framework="keras", weights=None, include_top=False, alpha=0.35)
    refused(body, "without its top", preprocessing=None)


def test_the_classes_are_those_of_torchvision_and_timm():
    """Both count them as the table does; two of torchvision's names tell apart what timm's descriptions do not."""
    from timm.data import ImageNetInfo
    from torchvision.models import ResNet50_Weights

    table, labels = imagenet_classes(), ImageNetInfo("imagenet-1k")
    assert [known.name for known in table] == ResNet50_Weights.DEFAULT.meta["categories"]
    assert [known.wnid for known in table] == labels.label_names()
    described = [labels.index_to_description(place, detailed=False) for place in range(1000)]
    words = [{word.strip().lower() for word in text.split(",")} for text in described]
    other = {known.name for known, said in zip(table, words, strict=True) if known.name.lower() not in said}
    assert other == {"crane bird", "maillot tank suit"}
