"""Published files come into their owners' caches whole, or not at all."""

from __future__ import annotations

import hashlib
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import keras
import pytest
import torch

from tests.published import COMMIT, caches, digest, plant, write_keras, write_torch
from xconv.errors import IsDirectory, NotFound, Unreadable, Unwritable
from xconv.zoo import download as downloading
from xconv.zoo.catalogue import find
from xconv.zoo.fetch import cached_path, fetch
from xconv.zoo.records import File, Library

resource = pytest.importorskip("resource", reason="limits the size of files")

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OWNERS: list[Library] = ["keras", "torchvision"]


class Server(http.server.ThreadingHTTPServer):
    """Answers every address with `content`; `asked` are the addresses."""

    daemon_threads = True
    content = CONTENT
    status = 200
    stated: int | None = None
    """What it states as its length, where that is not the truth."""
    leads_to = ""
    together = threading.Barrier(1)

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.together.wait(60)
        self._head()
        with suppress(ConnectionError):
            self.wfile.write(self.server.content)

    def do_HEAD(self) -> None:
        self._head()

    def _head(self) -> None:
        server = self.server
        if server.leads_to:
            self.send_response(302)
            self.send_header("Location", server.leads_to)
        else:
            self.send_response(server.status)
            # What the hub says of a file.
            self.send_header("ETag", f'"{hashlib.sha256(server.content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(server.content) if server.stated is None else server.stated))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server without encryption, which is allowed here alone."""
    monkeypatch.setattr(downloading, "SCHEMES", ("http",))
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.shutdown()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Iterator[Path]:
    with caches(tmp_path):
        yield tmp_path


def published(server: Server | None, owner: Library) -> File:
    """A file as its owner publishes it."""
    url = f"{server.url if server else 'https://127.0.0.1:9'}/net-{SHA256[:8]}.h5"
    return File(url, f"net-{SHA256[:8]}.h5", MD5 if owner == "keras" else SHA256[:8])


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if not path.is_dir())


# -- Keras and torchvision --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", OWNERS)
def test_a_file_is_fetched_once(server: Server, folder: Path, owner: Library) -> None:
    file = published(server, owner)
    path = fetch(file, owner)
    assert path.read_bytes() == CONTENT
    assert (
        path == {"keras": folder / "keras/models", "torchvision": folder / "torch/hub/checkpoints"}[owner] / file.name
    )
    assert fetch(file, owner) == path == cached_path(file, owner)
    assert len(server.asked) == 1
    assert files(folder) == [file.name]


def test_the_owners_find_it_there(server: Server, folder: Path) -> None:
    """Their own loaders, at the same address, ask no server."""
    kept = fetch(published(server, "keras"), "keras")
    url, home = published(server, "keras").url, str(kept.parents[1])
    found = keras.utils.get_file(kept.name, url, cache_subdir="models", file_hash=MD5, cache_dir=home)
    assert Path(found) == kept
    write_torch(folder / "net.pth", torch.nn.Linear(3, 2))
    server.content = (folder / "net.pth").read_bytes()
    beginning = digest(folder / "net.pth", "0" * 8)
    file = File(f"{server.url}/net-{beginning}.pth", f"net-{beginning}.pth", beginning)
    fetch(file, "torchvision")
    assert torch.hub.load_state_dict_from_url(file.url, check_hash=True)["weight"].shape == (2, 3)
    assert len(server.asked) == 2


@pytest.mark.parametrize("owner", OWNERS)
def test_what_the_owner_has_cached_is_used(folder: Path, owner: Library) -> None:
    """With no network."""
    file = published(None, owner)
    path = cached_path(file, owner)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert fetch(file, owner) == path
    assert files(folder) == [file.name]


@pytest.mark.parametrize("owner", OWNERS)
def test_a_cached_file_of_another_digest_is_refused_and_stays(server: Server, owner: Library) -> None:
    file = published(server, owner)
    path = cached_path(file, owner)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(Unreadable, match=r"is not the file that its owner published: its (MD5|SHA-256) is") as error:
        fetch(file, owner)
    assert str(path) in str(error.value)
    assert file.url in str(error.value)
    assert f"delete {path}" in str(error.value)
    assert path.read_bytes() == CONTENT[:-1]
    assert not server.asked
    path.unlink()
    path.mkdir()
    with pytest.raises(IsDirectory):
        fetch(file, owner)


def broken(server: Server, how: str) -> None:
    """What goes wrong at the server."""
    match how:
        case "404":
            server.status = 404
        case "cut off":
            server.stated = len(CONTENT) + 1000
        case "wrong":
            server.content = CONTENT[::-1]
        case "gone":
            server.shutdown()
            server.server_close()


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("404", NotFound, "cannot be fetched: HTTP Error 404"),
        ("cut off", (NotFound, Unreadable), "broke off after 256,000 of 257,000|gave another file, or only a part"),
        ("wrong", Unreadable, "not the file that its owner published|gave another file"),
        ("gone", NotFound, "cannot be fetched: .*[Rr]efused"),
    ],
)
def test_a_failed_download_is_one_error_and_leaves_nothing(
    server: Server, folder: Path, owner: Library, how: str, kind: type[Exception], text: str
) -> None:
    file = published(server, owner)
    if how == "cut off" and owner == "torchvision":
        server.content = CONTENT[:-5]
    broken(server, how)
    with pytest.raises(kind, match=text) as error:
        fetch(file, owner)
    told = str(error.value)
    assert len(error.value.problems) == 1
    assert file.url in told
    assert told.startswith(str(cached_path(file, owner)))
    assert f"by hand to {cached_path(file, owner)}" in told or "by hand to it" in told
    assert not list(folder.iterdir()), "folders are left too"


def test_those_without_a_network_learn_where_the_cache_is(server: Server) -> None:
    server.status = 503
    with pytest.raises(NotFound, match="set KERAS_HOME to the folder whose `models` holds it"):
        fetch(published(server, "keras"), "keras")
    with pytest.raises(NotFound, match="set TORCH_HOME to the folder whose `hub/checkpoints` holds it"):
        fetch(published(server, "torchvision"), "torchvision")


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file may become larger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("owner", OWNERS)
def test_a_full_disk_is_one_error_and_leaves_nothing(server: Server, folder: Path, owner: Library) -> None:
    with small_disk(100_000), pytest.raises(Unwritable, match="cannot be written: File too large"):
        fetch(published(server, owner), owner)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("owner", OWNERS)
def test_a_cache_that_is_no_folder_is_one_error(server: Server, folder: Path, owner: Library) -> None:
    (folder / {"keras": "keras", "torchvision": "torch"}[owner]).write_text("a file")
    with pytest.raises(Unwritable, match=r"cannot be written: (File exists|Not a directory)"):
        fetch(published(server, owner), owner)
    assert not server.asked


def test_only_https_is_asked_and_followed(server: Server, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    file = published(server, "keras")
    server.leads_to = "ftp://127.0.0.1/net.h5"
    with pytest.raises(NotFound, match=r"ftp://127.0.0.1/net.h5 is not http"):
        fetch(file, "keras")
    monkeypatch.undo()
    with caches(folder), pytest.raises(NotFound, match=r"net-.* is not https"):
        fetch(file, "keras")
    assert len(server.asked) == 1
    assert files(folder) == []


@pytest.mark.parametrize("stated", [10**12, None])
def test_more_than_any_file_of_weights_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch, folder: Path, stated: int | None
) -> None:
    """Before it is read, or when too much has come."""
    monkeypatch.setattr(downloading, "LIMIT", 100_000)
    server.stated = stated
    with pytest.raises(Unreadable, match="holds more than 100,000 bytes, which no published file has"):
        fetch(published(server, "keras"), "keras")
    assert files(folder) == []


SCRIPT = """
import json, sys
from xconv.zoo import download, fetch
from xconv.zoo.records import File
download.SCHEMES = ("http",)
for owner, *facts in json.loads(sys.argv[1]):
    print(fetch.fetch(File(*facts), owner))
"""


def test_two_processes_at_once(server: Server, folder: Path) -> None:
    """Both are answered at the same time; both get each file, and one of it is there."""
    server.together = threading.Barrier(2)
    asked = {owner: published(server, owner) for owner in OWNERS}
    facts = json.dumps([(owner, file.url, file.name, file.digest) for owner, file in asked.items()])
    command = [sys.executable, "-c", SCRIPT, facts]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [run.communicate(timeout=200)[0].splitlines() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    paths = [cached_path(file, owner) for owner, file in asked.items()]
    assert told == [[str(path) for path in paths]] * 2
    assert len(server.asked) == 4
    assert len(files(folder)) == 2
    assert {path.read_bytes() for path in paths} == {CONTENT}


def test_a_bar_on_a_terminal_alone(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(published(server, "keras"), "keras")
    fetch(published(server, "torchvision"), "torchvision")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    cached_path(published(server, "keras"), "keras").unlink()
    fetch(published(server, "keras"), "keras")
    told = capsys.readouterr()
    assert not told.out
    assert "net-" in told.err


# -- files without a digest -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(128, 128, 3))


def test_a_file_without_a_digest_must_hold_the_network(small: keras.Model) -> None:
    file = find("mobilenet_025").published[-1].file
    plant(file, "keras", small)
    path = fetch(file, "keras")
    assert path.name == "mobilenet_2_5_128_tf.h5"
    whole = path.read_bytes()
    wider = find("mobilenet_050").published[-1].file
    cached_path(wider, "keras").write_bytes(whole)
    with pytest.raises(Unreadable, match=r"it holds 475,544 numbers, and .*mobilenet_5_0_128_tf.h5 1,342,536"):
        fetch(wider, "keras")
    for damaged in (whole[:-1000], b"<html>not here</html>", b""):
        path.write_bytes(damaged)
        with pytest.raises(Unreadable, match="it is no whole HDF5 file of weights") as error:
            fetch(file, "keras")
        assert path.read_bytes() == damaged
        assert f"delete {path}" in str(error.value)


@pytest.mark.parametrize("cut", [0, 1000])
def test_a_file_without_a_digest_is_checked_before_it_is_kept(
    server: Server, small: keras.Model, folder: Path, cut: int
) -> None:
    """A page, or a part, that the server gives in its place is not."""
    write_keras(folder / "whole.h5", small)
    server.content = (folder / "whole.h5").read_bytes()
    (folder / "whole.h5").unlink()
    server.content = server.content[: len(server.content) - cut]
    file = replace(find("mobilenet_025").published[-1].file, url=f"{server.url}/mobilenet_2_5_128_tf.h5")
    if cut:
        with pytest.raises(Unreadable, match="it is no whole HDF5 file"):
            fetch(file, "keras")
        assert files(folder) == []
    else:
        assert fetch(file, "keras").read_bytes() == server.content


# -- timm -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The hub, online, at the server."""
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    return server


SMALL = find("mobilenet_v3_small_minimalistic").partners[0].published[0].file


def tensors() -> bytes:
    from safetensors.torch import save

    return save({"weight": torch.arange(1000.0)})


def test_weights_of_timm_come_from_the_hub(hub: Server, folder: Path) -> None:
    hub.content = tensors()
    path = fetch(SMALL, "timm")
    assert path.read_bytes() == hub.content
    assert path.is_relative_to(folder / "hub" / "models--timm--tf_mobilenetv3_small_minimal_100.in1k" / "snapshots")
    assert cached_path(SMALL, "timm") == folder / "hub" / "models--timm--tf_mobilenetv3_small_minimal_100.in1k"
    assert fetch(SMALL, "timm") == path
    asked = [address for address in hub.asked if not address.startswith("/api")]
    assert asked == ["/timm/tf_mobilenetv3_small_minimal_100.in1k/resolve/main/model.safetensors"]


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("404", NotFound, "cannot be fetched: .*(404|not found)"),
        ("gone", NotFound, "cannot be fetched: .*[Rr]efused"),
        ("wrong", Unreadable, "its SHA-256 is|is not a whole .safetensors file"),
    ],
)
def test_a_failed_download_from_the_hub_is_one_error(
    hub: Server, monkeypatch: pytest.MonkeyPatch, folder: Path, how: str, kind: type[Exception], text: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)  # it tries again for half a minute
    broken(hub, how)
    with pytest.raises(kind, match=text) as error:
        fetch(SMALL, "timm")
    assert str(folder / "hub") in str(error.value)
    assert not list(folder.rglob("*.incomplete"))


def test_offline_the_cache_is_used_and_nothing_else(folder: Path) -> None:
    timm = pytest.importorskip("timm")
    with pytest.raises(NotFound, match="set HF_HOME to the folder whose `hub` holds it"):
        fetch(SMALL, "timm")
    assert not files(folder / "hub")
    module = timm.create_model("tf_mobilenetv3_small_minimal_100")
    plant(SMALL, "timm", module)
    path = fetch(SMALL, "timm")
    config = json.loads((path.parent / "config.json").read_text())
    assert config["architecture"] == "tf_mobilenetv3_small_minimal_100"
    assert config["pretrained_cfg"]["mean"] == [0.5, 0.5, 0.5]
    again = timm.create_model("tf_mobilenetv3_small_minimal_100", pretrained=True)
    for key, value in module.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    blob = path.resolve()
    changed = bytearray(blob.read_bytes())
    changed[-1] ^= 1
    blob.write_bytes(changed)
    with pytest.raises(Unreadable, match=r"its SHA-256 is .*, and on the hub it is .*delete the folder"):
        fetch(SMALL, "timm")
