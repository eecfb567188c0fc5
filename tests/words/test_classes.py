"""The names of classes: ImageNet's in the order that all three libraries have."""

import pytest

import xconv
from xconv.zoo.classes import ClassName, class_names, imagenet_classes


def test_the_classes_stand_in_the_order_of_their_wordnet_ids():
    """Keras's `decode_predictions`, torchvision's categories and timm's labels count them so."""
    ids = [known.wnid for known in imagenet_classes()]
    assert len(ids) == 1000
    assert ids == sorted(set(ids))
    assert all(len(wnid) == 9 and wnid[0] == "n" and wnid[1:].isdigit() for wnid in ids)
    assert all(known.name for known in imagenet_classes())


@pytest.mark.parametrize(
    ("place", "wnid", "name"),
    [
        (0, "n01440764", "tench"),
        (134, "n02012849", "crane bird"),
        (281, "n02123045", "tabby"),
        (517, "n03126707", "crane"),
        (999, "n15075141", "toilet tissue"),
    ],
)
def test_well_known_classes(place, wnid, name):
    assert imagenet_classes()[place] == ClassName(wnid, name)


def test_names_that_are_given_are_counted():
    assert class_names(2, ["a", ("n1", "b")]) == (ClassName("", "a"), ClassName("n1", "b"))
    assert class_names(1, {7: "a"}) == (ClassName("", "a"),)
    assert class_names(3) == (ClassName("", ""),) * 3
    with pytest.raises(xconv.InvalidInput, match="2 names for 3 classes"):
        class_names(3, ["a", "b"])
    with pytest.raises(xconv.InvalidInput, match="is no name"):
        class_names(1, [5])


def test_a_background_class_may_stand_at_either_end():
    with pytest.raises(xconv.InvalidInput, match="1001 classes"):
        class_names(1001)
    names = ["background", *(known.name for known in imagenet_classes())]
    assert class_names(1001, names)[1].name == "tench"
