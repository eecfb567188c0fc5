"""The table of the zoo, without a framework: what corresponds, and how the numbers of parameters add up."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from xconv.errors import InvalidInput
from xconv.zoo import table
from xconv.zoo.catalogue import networks
from xconv.zoo.routes import route_of, variant_of
from xconv.zoo.wanted import Wanted, refuse_unknown

WORDS = {"source": "keras", "framework": "torch", "destination": "stock", "geometry": "adapted"}


def test_every_network_has_a_row_for_each_partner() -> None:
    rows = table().rows
    assert len(rows) == sum(max(1, len(network.partners)) for network in networks())
    assert {row.network for row in rows} == {network.name for network in networks()}


def test_every_difference_of_parameters_is_explained() -> None:
    """What Keras counts besides, less what torch counts besides, is the difference."""
    for row in table().rows:
        if not row.library:
            continue
        rest = row.parameters
        for text in row.explained:
            count, _, what = text.partition(" ")
            rest += int(count.replace(",", "")) * (1 if "gammas in torch" in what else -1)
        assert rest == row.in_torch, row


def test_what_is_said_of_how_a_class_takes_the_weights() -> None:
    rows = {(row.network, row.library, row.name): row for row in table().rows}
    assert rows["efficientnet_b0", "timm", "tf_efficientnet_b0"].exact == "as it stands"
    assert rows["densenet121", "torchvision", "densenet121"].exact == "adapted, or as it stands in inference"
    assert rows["mobilenet_v2", "torchvision", "mobilenet_v2"].exact == "adapted or rotated"
    assert rows["resnet50", "torchvision", "resnet50"].differs == ("stride", "epsilon")
    assert rows["nasnet_mobile", "", ""].exact == "converted only"
    assert all(row.differs or row.exact in ("as it stands", "converted only") for row in rows.values())


def test_as_data_and_as_text() -> None:
    found = table("mobilenetv2_100")
    data = json.loads(found.to_json())["pairs"][0]
    assert data["options"] == {"pad_type": "same", "bn_eps": 0.001}
    assert data["pixels"] == "x / 127.5 - 1 (mode 'tf'), RGB"
    text = str(found)
    assert re.search(r"^mobilenet_v2 +timm mobilenetv2_100 +as it stands +- +3,538,984 ", text, re.MULTILINE)
    assert "ra_in1k: 72.91 top-1" in text
    assert "their pictures: xconv.preprocessing.of('mobilenetv2_100', 'timm', weights='ra_in1k')" in text
    assert "their pictures" not in str(table("nasnet_mobile"))
    with pytest.raises(InvalidInput, match="did you mean"):
        table("mobilnet_v2")


def test_the_table_loads_no_framework() -> None:
    code = "import sys, xconv.zoo; xconv.zoo.table(); print({'torch', 'keras', 'tensorflow', 'timm'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_name_means_one_class_where_it_is_one() -> None:
    assert route_of("mobilenet_v2", WORDS).ours.name == "mobilenetv2_100"
    assert route_of("mobilenet_v2", WORDS, "torchvision").ours.name == "mobilenet_v2"
    assert route_of("mobilenetv3_small_100", WORDS).ours.name == "mobilenetv3_small_100"
    assert route_of("mobilenet_v3_small", WORDS).ours.name == "tf_mobilenetv3_small_100"
    theirs = {**WORDS, "source": "timm", "framework": "keras"}
    assert route_of("efficientnet_b0", theirs).theirs.name == "efficientnet_b0"
    assert route_of("tf_efficientnet_b0", theirs).theirs.name == "tf_efficientnet_b0"
    assert route_of("tf_efficientnet_b0", theirs).stands
    assert not route_of("mobilenet_v2", theirs).stands, "timm's own weights have even pads"


def test_a_model_stays_where_its_library_is_asked_for() -> None:
    own = {**WORDS, "source": "torchvision"}
    assert route_of("resnet50", own).stays
    assert route_of("resnet50", {**own, "destination": "converted"}).stays
    assert not route_of("resnet50", own, "timm").stays
    assert route_of("resnet50", {**WORDS, "framework": "keras"}).stays


@pytest.mark.parametrize(
    ("alpha", "minimalistic", "name"),
    [
        (None, None, "mobilenet_v3_large"),
        (0.75, False, "mobilenet_v3_large_075"),
        (1, True, "mobilenet_v3_large_minimalistic"),
    ],
)
def test_variants(alpha: float | None, minimalistic: bool | None, name: str) -> None:
    large = next(network for network in networks() if network.name == "mobilenet_v3_large")
    assert variant_of(large, alpha, minimalistic).name == name
    every = {network.name: network for network in networks()}
    assert all(variant_of(network, None, None) == network for network in every.values())


def test_a_width_that_is_not_published_is_keras_own() -> None:
    found = variant_of(next(network for network in networks() if network.name == "mobilenet_v2"), 0.42, None)
    assert (dict(found.variant), found.partners, found.published) == ({"alpha": 0.42}, (), ())


def test_several_mistakes_are_one_error() -> None:
    network = networks()[0]
    with pytest.raises(InvalidInput, match="4 problems"):
        refuse_unknown(Wanted(True, "mean", 0, (8, 8, 3)), network, torch=False)  # type: ignore[arg-type]
