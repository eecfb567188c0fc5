"""Bad files: one test for each row of the table of bad input. Each names the place and the remedy, and nothing runs."""

import base64
import io
import json
import pickle
import socket
import struct
import zipfile
from contextlib import contextmanager

import h5py
import numpy as np
import pytest

from xconv.errors import IsDirectory, Mismatch, NotFound, Unreadable, Unsupported, XConvError, XConvWarning
from xconv.keras.archive import read_file
from xconv.keras.zip_window import Limits

TENSOR = {"shape": [None, 4], "dtype": "float32"}


def layer(kind, name, config=None, calls=(), **extra):
    nodes = [
        {
            "args": [{"class_name": "__keras_tensor__", "config": {**TENSOR, "keras_history": list(history)}}],
            "kwargs": {},
        }
        for history in calls
    ]
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, **(config or {})},
        "registered_name": None,
        "name": name,
        "inbound_nodes": nodes,
        **extra,
    }


def functional(*middle, last="d", name="m"):
    layers = [layer("InputLayer", "x", {"batch_shape": [None, 4]}), *middle]
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": name, "layers": layers, "input_layers": ["x", 0, 0], "output_layers": [last, 0, 0]},
        "registered_name": "Functional",
    }


def dense(name="d", **config):
    return layer("Dense", name, {"units": 3, **config}, [("x", 0, 0)])


def weights(arrays=None, change=None):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        given = {"dense": [np.ones((4, 3), "f4"), np.zeros(3, "f4")]} if arrays is None else arrays
        for group, values in given.items():
            for index, value in enumerate(values):
                file[f"layers/{group}/vars/{index}"] = value
        if change:
            change(file)
    return content.getvalue()


def write(path, config=None, data=None, metadata=None, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("metadata.json", json.dumps(metadata or {"keras_version": "3.15.1"}))
        if config is not False:
            archive.writestr(
                "config.json", config if isinstance(config, (str, bytes)) else json.dumps(config or functional(dense()))
            )
        if data is not False:
            archive.writestr("model.weights.h5", weights() if data is None else data)
        for name, value in members.items():
            archive.writestr(name, value)
    return path


@contextmanager
def legacy(path, *names):
    """A whole-model `.h5` file whose weights are to be written, with the layers that it names."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(functional(dense()))
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = names
        yield group


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.keras"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)


def refused(path, *words, kind=Unreadable, **options):
    with pytest.raises(kind) as caught:
        read_file(path, **options)
    text = str(caught.value)
    for word in (path.name, *words):
        assert word in text, text
    return caught.value


def test_the_sample_is_read(path):
    model = read_file(write(path))
    assert [weight.shape for weight in model.entries[1].weights] == [(4, 3), (3,)]


# -- archives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.05])
def test_row_1_truncated_keras(path, kept):
    content = write(path).read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    refused(path, "truncated", f"{int(len(content) * kept)} bytes", "end record", "download it again")


@pytest.mark.parametrize(
    ("content", "kind", "remedy"),
    [
        (struct.pack("<Q", 2) + b"{}", "safetensors", "nn.Module"),
        (pickle.dumps({"a": 1}, protocol=2), "pickle", "torch.load"),
        (b"\x1f\x8b rest", "gzip", "unpack"),
        (b"<!DOCTYPE html>", "HTML", "fetch the file again"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS", "git lfs pull"),
        (b"\x08\x08\x12\x04onnx", "ONNX", "xconv.onnx_to_torch"),
        (b"\0\0\0\0TFL3", "TensorFlow Lite", "Keras model"),
        (b"random bytes", "unknown kind", "download it again"),
    ],
)
def test_row_2_wrong_magic(path, content, kind, remedy):
    path.write_bytes(content)
    refused(path, kind, remedy)


def test_row_2_torch_archive(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    refused(path, "torch archive", "nn.Module")


def test_row_3_empty_file(path):
    path.write_bytes(b"")
    refused(path, "empty file")


@pytest.mark.parametrize("kept", [0.9, 0.1])
def test_row_4_truncated_h5(tmp_path, kept):
    path = tmp_path / "m.weights.h5"
    content = weights()
    path.write_bytes(content[: int(len(content) * kept)])
    refused(path, "truncated file: eof", "stored_eof", "download it again", config=functional(dense()))


def test_row_7_missing_file(path):
    error = refused(path, "no such file", kind=FileNotFoundError)
    assert isinstance(error, NotFound)
    assert isinstance(error, XConvError)
    path.with_suffix(".h5").write_bytes(b"x")
    refused(path, "in the same folder there is model.h5")


def test_row_8_directory(tmp_path):
    error = refused(tmp_path, "is a directory", "model file inside it", kind=IsADirectoryError)
    assert isinstance(error, IsDirectory)


def test_row_14_bit_flip(path):
    content = bytearray(write(path).read_bytes())
    place = content.index(np.ones((4, 3), "f4").tobytes()) + 2
    content[place] ^= 1
    path.write_bytes(content)
    refused(path, "model.weights.h5", "CRC-32", "download it again")
    assert read_file(path, verify_crc=False)


def test_row_14_bit_flip_in_config(path):
    content = write(path).read_bytes().replace(b'"units": 3', b'"units": 2')
    path.write_bytes(content)
    refused(path, "config.json", "CRC-32")
    refused(path, "config.json", "CRC-32", verify_crc=False)


def test_row_14_bit_flip_that_hdf5_notices_is_named_as_damage(path):
    content = write(path).read_bytes()
    path.write_bytes(content.replace(b"TREE", b"TRFE"))
    refused(path, "model.weights.h5", "CRC-32")


def test_row_16_without_config(path):
    refused(write(path, config=False), "holds no config.json", "model.save")


def test_row_17_without_weights(path):
    refused(write(path, data=False), "holds no model.weights.h5", "model.save")


def test_row_17_pickled_weights(path):
    refused(write(path, data=False, **{"model.weights.npz": b"x"}), "pickled", "HDF5", kind=Unsupported)


def test_row_18_config_truncated(path):
    refused(write(path, config=json.dumps(functional(dense()))[:300]), "config.json", "not complete JSON", "300")


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ('{"class_name": "Functional", "class_name": "Sequential", "config": {}}', "'class_name' stands twice"),
        ("[" * 150_000 + "]" * 150_000, "nested"),
        ('{"a":' * 300 + "1" + "}" * 300, "nested"),
        ('{"a": 9223372036854775808}', "64 bits"),
        ('{"a": ' + "9" * 9000 + "}", "64 bits"),
        ("[]", "not an object"),
        (b"\xff\xfe{", "UTF-8"),
        ('{"class_name": "Functional", "config": 3}', "not a serialized layer"),
    ],
)
def test_row_18_json_that_is_no_config(path, config, word):
    refused(write(path, config=config), word)


def test_row_19_20_unknown_and_custom_classes_pass_as_entries(path):
    custom = layer("Mish", "d", {"slope": 1.5}, [("x", 0, 0)], module=None, registered_name="mine>Mish")
    data = weights({"mish": [np.ones((4, 3), "f4")]})
    entry = read_file(write(path, functional(custom), data)).entries[1]
    assert [weight.key for weight in entry.weights] == ["d/0"]
    assert (entry.kind, entry.module, entry.registered_name) == ("Mish", None, "mine>Mish")
    assert entry.config["slope"] == 1.5


def test_row_21_lambda_is_never_decoded(path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the code was decoded")

    monkeypatch.setattr(base64, "b64decode", refuse)
    code = {"class_name": "__lambda__", "config": {"value": "4wEAAAAA", "defaults": None, "closure": None}}
    for kind, config in (("Lambda", {"function": code}), ("Dense", {"units": 3, "activation": code})):
        entry = read_file(
            write(
                path, functional(layer(kind, "d", config, [("x", 0, 0)])), weights() if kind == "Dense" else weights({})
            )
        ).entries[1]
        assert "Python code, which is never run" in entry.problem
        assert "keras.ops" in entry.problem


@pytest.mark.parametrize("kind", ["TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"])
def test_row_22_foreign_wrappers(path, kind):
    entry = read_file(write(path, functional(layer(kind, "d", {"module": "x"}, [("x", 0, 0)])), weights({}))).entries[1]
    assert "give xconv" in entry.problem or "rebuild" in entry.problem or "load that" in entry.problem


def test_row_23_module_of_the_operating_system(path):
    command = layer("system", "d", {"command": "touch owned"}, [("x", 0, 0)], module="os")
    entry = read_file(write(path, functional(command), weights({}))).entries[1]
    assert (entry.module, entry.kind, entry.weights) == ("os", "system", ())


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\..\\evil"])
def test_row_24_zip_slip(path, name):
    refused(write(path, **{name: b"x"}), "evil", "leaves the archive", "do not trust")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_row_24_member_twice(path):
    write(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")
    refused(path, "config.json", "twice")


def test_row_24_encrypted_and_unknown_compression(path):
    content = write(path).read_bytes()
    place = content.index(b"PK\x01\x02")
    path.write_bytes(content[: place + 8] + b"\x01" + content[place + 9 :])
    refused(path, "encrypted")
    refused(write(path, compression=zipfile.ZIP_LZMA), "method 14")


def test_row_24_too_many_members(path):
    refused(write(path, **{f"assets/{i}": b"" for i in range(5000)}), "members")


def test_row_27_zip_bomb(path):
    write(path, data=b"\0" * (200 << 20), compression=zipfile.ZIP_DEFLATED)
    refused(path, "model.weights.h5", "at most")


def test_row_27_config_over_budget(path):
    refused(write(path), "config.json", "at most 100", limits=Limits(config_bytes=100))


def test_row_27_false_declaration(path):
    content = bytearray(write(path, compression=zipfile.ZIP_DEFLATED, data=b"\0" * (8 << 20)).read_bytes())
    place = content.rindex(b"PK\x01\x02")
    content[place + 24 : place + 28] = struct.pack("<I", 1000)
    path.write_bytes(content)
    refused(path, "declares")


# -- HDF5 ---------------------------------------------------------------------------------------------------------


def replaced(make):
    def change(file):
        del file["layers/dense/vars/0"]
        make(file)

    return weights(change=change)


def external_storage(file):
    file["layers/dense/vars"].create_dataset("0", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])


def virtual(file):
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (4, 3))
    file["layers/dense/vars"].create_virtual_dataset("0", layout)


def linked(link):
    def make(file):
        file["layers/dense/vars/0"] = link

    return make


def bomb(file):
    file["layers/dense/vars"].create_dataset("0", (1 << 20, 1 << 14), "f4")


def chunked_bomb(file):
    data = file["layers/dense/vars"].create_dataset("0", (1 << 20, 1 << 10), "f4", chunks=(4, 4), compression="gzip")
    data[0, 0] = 1


def text(file):
    file["layers/dense/vars"].create_dataset("0", (4, 3), h5py.string_dtype())


def reference(file):
    file["layers/dense/vars"].create_dataset("0", (4, 3), h5py.ref_dtype)


def plugin(file):
    file["layers/dense/vars"].create_dataset("0", (4, 3), "f4", chunks=(4, 3), compression="lzf")


def committed(file):
    file["kind"] = np.dtype("f4")
    file["layers/dense/vars"].create_dataset("0", (4, 3), file["kind"])


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (linked(h5py.ExternalLink("/etc/other.h5", "/x")), "link to another file"),
        (linked(h5py.SoftLink("/layers/dense/vars/1")), "soft link"),
        (external_storage, "external storage"),
        (virtual, "virtual dataset"),
        (bomb, "stores 0"),
        (chunked_bomb, "declares"),
        (text, "not numbers"),
        (reference, "not numbers"),
        (plugin, "filter"),
        (committed, "committed"),
    ],
)
@pytest.mark.parametrize("suffix", ["model.keras", "m.weights.h5"])
def test_row_25_26_hdf5(tmp_path, make, word, suffix):
    path = tmp_path / suffix
    if suffix == "model.keras":
        write(path, data=replaced(make))
        refused(path, word, "do not trust")
    else:
        path.write_bytes(replaced(make))
        refused(path, word, "do not trust", config=functional(dense()))


def test_row_25_linked_group_in_a_legacy_file(tmp_path):
    path = tmp_path / "m.h5"
    with legacy(path, "x", "d") as group:
        group["d"] = h5py.ExternalLink("/etc/other.h5", "/x")
    refused(path, "model_weights/d", "link to another file")


def test_row_25_attribute_that_is_no_text(tmp_path):
    """libhdf5 kills the process on some of these when they are read."""
    path = tmp_path / "m.h5"
    with legacy(path, "x", "d") as group:
        inside = group.create_group("d").attrs
        inside.create("weight_names", np.array([np.arange(3), np.arange(2)], object), dtype=h5py.vlen_dtype("i4"))
    refused(path, "model_weights/d", "weight_names", "not text")


def test_row_25_cycle_of_hard_links(tmp_path):
    path = tmp_path / "m.weights.h5"

    def change(file):
        file["layers/dense/again"] = file["layers"]

    path.write_bytes(weights(change=change))
    assert read_file(path, config=functional(dense()))


def test_row_28_symlinked_shard(tmp_path):
    (tmp_path / "secret.h5").write_bytes(weights())
    (tmp_path / "m_0.weights.h5").symlink_to(tmp_path / "secret.h5")
    path = tmp_path / "m.weights.json"
    for shard in ("m_0.weights.h5", "../m_0.weights.h5", "/etc/passwd", "..", ""):
        path.write_text(json.dumps({"weight_map": {"/layers/dense/vars": [shard]}}))
        refused(path, repr(shard), "plain file name", config=functional(dense()))


def test_row_56_absent_shard(tmp_path):
    path = tmp_path / "m.weights.json"
    path.write_text(json.dumps({"weight_map": {"/layers/dense/vars": ["gone.weights.h5"]}}))
    with pytest.raises(NotFound, match=r"gone\.weights\.h5"):
        read_file(path, config=functional(dense()))


# -- weights that do not fit ---------------------------------------------------------------------------------------


def test_row_29_30_31_all_of_them_are_listed(path):
    config = functional(dense("d"), dense("e"), dense("f"))
    data = weights(
        {
            "dense": [np.ones((3, 4), "f4"), np.ones(3, "f4")],
            "dense_2": [np.ones((4, 3), "f4")],
            "conv2d": [np.ones((1, 1, 4, 3), "f4")],
        }
    )
    error = refused(write(path, config, data), kind=Mismatch)
    assert [problem.place for problem in error.problems] == ["d", "e", "f", "layers/conv2d/vars/0"]
    for word in (
        "kernel has shape (3, 4), the configuration needs (4, 3)",
        "transpose",
        "needs 2 weights (kernel, bias); there are 0",
        "there are 1 ((4, 3))",
        "no layer of the configuration uses",
        "(1, 1, 4, 3)",
    ):
        assert word in str(error)


def test_row_30_optimizer_and_random_state_are_not_extra(path):
    def change(file):
        file["optimizer/vars/0"] = np.ones(3)
        file["layers/dropout/seed_generator/vars/0"] = np.ones(2, "u4")

    assert read_file(write(path, data=weights(change=change)))


def test_row_30_legacy_layer_that_the_configuration_lacks(tmp_path):
    path = tmp_path / "m.h5"
    with legacy(path, "d", "more") as group:
        for name in ("d", "more"):
            inside = group.create_group(name)
            inside.attrs["weight_names"] = [f"{name}/kernel", f"{name}/bias"]
            inside[f"{name}/kernel"], inside[f"{name}/bias"] = np.ones((4, 3), "f4"), np.ones(3, "f4")
    error = refused(path, kind=Mismatch)
    assert [problem.place for problem in error.problems][-1].endswith("more")


def test_row_39_duplicate_names(path):
    refused(write(path, functional(dense("d"), dense("d"))), "two layers have the same name: d", "rename")


@pytest.mark.parametrize("name", ["a/b", "a.b", "forward", "keys", "Gewicht-ü 层", "x" * 2000, "../up", "{0}%s"])
def test_row_40_41_42_60_names_are_data(path, name):
    model = read_file(write(path, functional(dense(name), last=name)))
    assert [weight.key for weight in model.entries[1].weights] == [f"{name}/0", f"{name}/1"]


def test_row_42_no_name(path):
    refused(write(path, functional(dense(""))), "layer 1", "no usable name", "give every layer a name")


def test_row_60_names_that_differ_in_case(path):
    data = weights({name: [np.ones((4, 3), "f4"), np.zeros(3, "f4")] for name in ("dense", "dense_1")})
    model = read_file(write(path, functional(dense("d"), dense("D")), data))
    assert set(model.arrays) == {"d/0", "d/1", "D/0", "D/1"}


def sequential(*layers, **config):
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": list(layers), **config}}


def test_row_43_empty_sequential(path):
    refused(write(path, sequential(), weights({})), "has no layers", "add layers", kind=Unsupported)
    only = layer("InputLayer", "x", {"batch_shape": [None, 4]})
    refused(write(path, sequential(only), weights({})), "has no layers", kind=Unsupported)


def test_row_44_unbuilt_sequential(path):
    refused(write(path, sequential(dense()), weights({})), "never built", "build(input_shape)", kind=Unsupported)
    model = read_file(write(path, sequential(dense(), build_input_shape=[None, 4])))
    assert [entry.name for entry in model.entries] == ["s_input", "d"]
    assert model.shapes[model.inputs] == (None, 4)


def test_subclassed_model(path):
    config = {"module": "mine", "class_name": "Net", "config": {"width": 3}, "registered_name": "mine>Net"}
    refused(write(path, config), "Net", "no graph", "live model", kind=Unsupported)


# -- formats and versions -------------------------------------------------------------------------------------------


def test_row_57_saved_model_and_checkpoints(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    refused(tmp_path, "SavedModel", "tf_keras")
    checkpoint = tmp_path / "ckpt.index"
    checkpoint.write_bytes(b"\0" * 40 + bytes.fromhex("57fb808b247547db"))
    refused(checkpoint, "TensorFlow checkpoint", "tf_keras")


def test_row_57_foreign_hdf5(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.ones(3)
    refused(path, "not of Keras", "images")


def test_row_57_theano_and_keras_1(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": functional(dense())["config"]})
        file.attrs["keras_version"] = "1.2.2"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = ["x"]
        group.create_group("x").attrs["weight_names"] = []
        group.attrs["backend"] = "theano"
    refused(path, "theano", "convert", kind=Unsupported)
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["backend"] = "tensorflow"
    refused(path, "Keras 1.2.2", "Keras 2", kind=Unsupported)


def test_row_58_newer_version(path):
    write(path, metadata={"keras_version": "4.1.0"})
    with pytest.warns(XConvWarning, match=r"Keras 4\.1\.0"):
        assert read_file(path)


def test_row_58_fields_of_a_newer_version_are_reported(path):
    entry = read_file(write(path, functional({**dense(), "fused_with": "e"}))).entries[1]
    assert "fused_with" in entry.problem


@pytest.mark.parametrize("units", [0, -3, 2**40, "3", None, True, 2.5, [3]])
def test_row_61_numbers_that_no_layer_has(path, units):
    refused(write(path, functional(dense(units=units))), "d", "units", "positive whole number")


def test_row_61_zero_sizes_and_scalars(path):
    model = read_file(
        write(
            path,
            functional(layer("Mine", "d", {}, [("x", 0, 0)], module="mine.layers")),
            weights({"mine": [np.zeros((0, 3), "f4"), np.array(2.5, "f4")]}),
        )
    )
    empty, scalar = model.arrays.values()
    assert [block.shape for _, block in empty.blocks()] == [(0, 3)]
    assert [float(block) for _, block in scalar.blocks()] == [2.5]


@pytest.mark.parametrize(
    ("history", "word"),
    [
        (("gone", 0, 0), "not in the model"),
        (("x", 1, 0), "called 1 times"),
        (("x", -1, 0), "call"),
        (("x", 0, -1), "output -1"),
        (("x", True, 0), "call"),
        (("x", 0), "history"),
        (([], 0, 0), "not in the model"),
    ],
)
def test_references_out_of_range(path, history, word):
    refused(write(path, functional(layer("Dense", "d", {"units": 3}, [history]))), "d", word)


@pytest.mark.parametrize("shape", [[None, -4], [None, "4"], [None, 4.5], 4, "ab", [None] * 40, [None, 2**30, 2**30]])
def test_shapes_that_are_none(path, shape):
    config = functional(dense())
    config["config"]["layers"][0]["config"]["batch_shape"] = shape
    refused(write(path, config), "shape")


def test_too_many_layers(path):
    refused(write(path), "too many layers", limits=Limits(layers=1))


def test_vocabulary_outside_the_file(path):
    lookup = layer("StringLookup", "d", {"vocabulary": "/etc/passwd"}, [("x", 0, 0)])
    entry = read_file(write(path, functional(lookup), weights({}))).entries[1]
    assert "/etc/passwd" in entry.problem
    assert "never opened" in entry.problem


def test_nothing_is_written(path, tmp_path, monkeypatch):
    write(path, **{"assets/a.txt": b"x"})
    monkeypatch.chdir(tmp_path)
    read_file(path)
    assert [found.name for found in tmp_path.iterdir()] == ["model.keras"]
