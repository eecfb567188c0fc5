"""Gets a published file of weights the way its owner does, into its owner's own cache.

    Keras         $KERAS_HOME/models, else ~/.keras/models
    torchvision   the `checkpoints` folder of torch.hub ($TORCH_HOME)
    timm          the cache of huggingface_hub ($HF_HOME); HF_HUB_OFFLINE is honoured

So a file that Keras, torchvision or timm has fetched is used, and what is fetched here they find. A file that is there
is never replaced: if it is not what its owner published, that is an error, and its user decides.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xconv.errors import Unreadable, Unwritable, XConvError
from xconv.frameworks import require
from xconv.zoo.digests import check, check_blob
from xconv.zoo.download import NETWORK_ERRORS, download, told, unavailable
from xconv.zoo.owners import HUB
from xconv.zoo.records import File, Library

__all__ = ["cached_path", "fetch"]

OFFLINE = {
    "keras": "set KERAS_HOME to the folder whose `models` holds it",
    "torchvision": "set TORCH_HOME to the folder whose `hub/checkpoints` holds it",
    "timm": "set HF_HOME to the folder whose `hub` holds it",
}
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG}
SPACE = "check the free space and the permissions of the folder"


def fetch(file: File, library: Library) -> Path:
    """The path of a published file in its owner's cache; if it is not there, it is downloaded, whole or not at all.

    Raises:
        NotFound: it is not there and cannot be fetched: no network, no such address, cut off half-way.
        Unreadable: what is there, or what was fetched, is not what its owner published.
        Unwritable: the disk is full, or the cache read-only.
        MissingFramework: the owner's own loader is not installed (huggingface_hub, for timm).
    """
    if _is_on_hub(file):
        return _from_hub(file)
    path = cached_path(file, library)
    if _is_there(path):
        check(file, path, path)
    elif library == "keras":
        _as_keras(file, path)
    else:
        _as_torch(file, path)
    return path


def cached_path(file: File, library: Library) -> Path:
    """Where its owner keeps a published file; for the hub, the folder of its repository."""
    if _is_on_hub(file):
        return Path(_hub().constants.HF_HUB_CACHE, f"models--{_repository(file).replace('/', '--')}")
    if library == "keras":
        return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / file.name
    import torch

    return Path(torch.hub.get_dir()).expanduser() / "checkpoints" / file.name


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}", place=str(path), remedy=SPACE) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Errors of the disk as one of ours; the folder is made first, and taken away again if nothing comes into it."""
    made: list[Path] = []
    try:
        made += [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if isinstance(error, XConvError):
            raise
        raise Unwritable(f"cannot be written: {error.strerror or error}", place=str(path), remedy=SPACE) from error
    finally:
        for folder in made:
            with suppress(OSError):  # it holds something by now, or somebody else took it away
                folder.rmdir()


# -- Keras ------------------------------------------------------------------------------------------------------------


def _as_keras(file: File, path: Path) -> None:
    with _writing(path):
        download(file.url, path, lambda temporary: check(file, temporary, path), OFFLINE["keras"])


# -- torchvision, and what timm keeps as a file of a release ----------------------------------------------------------


def _as_torch(file: File, path: Path) -> None:
    """The way of `torch.hub.load_state_dict_from_url(check_hash=True)`."""
    import torch

    with _writing(path):
        try:
            torch.hub.download_url_to_file(file.url, str(path), file.digest or None, progress=sys.stderr.isatty())
        except NETWORK_ERRORS as error:
            raise unavailable(file.url, path, told(error), OFFLINE["torchvision"]) from error
        except RuntimeError as error:
            what = f"{file.url} gave another file, or only a part of it: {error}"
            remedy = f"try again, or download it by hand to {path}"
            raise Unreadable(what, place=str(path), remedy=remedy) from error


# -- timm -------------------------------------------------------------------------------------------------------------


def _from_hub(file: File) -> Path:
    hub = _hub()
    found = hub.try_to_load_from_cache(_repository(file), file.name)
    path = Path(found if isinstance(found, str) else _download_from_hub(hub, file))
    check_blob(path)
    return path


def _download_from_hub(hub: Any, file: File) -> str:
    place = cached_path(file, "timm")
    # The parents of its HTTP errors are those of whichever HTTP client this version uses.
    expected = (OSError, *hub.errors.HfHubHTTPError.__bases__)
    try:
        return str(hub.hf_hub_download(_repository(file), file.name))
    except expected as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise Unwritable(f"cannot be written: {error.strerror}", place=str(place), remedy=SPACE) from error
        reason = " ".join(f"{error} ({error.__cause__})".split() if error.__cause__ else str(error).split())
        remedy = f"fetch it elsewhere with `hf download {_repository(file)}` and copy the folder here"
        raise unavailable(file.url, place, reason, OFFLINE["timm"], by_hand=remedy) from error


def _is_on_hub(file: File) -> bool:
    return file.url.startswith(f"{HUB}/")


def _repository(file: File) -> str:
    """The hub's name of what holds a file: `timm/vgg16.tv_in1k`."""
    owner = HUB.rpartition("/")[2]
    return f"{owner}/{file.url.removeprefix(f'{HUB}/').partition('/')[0]}"


def _hub() -> Any:
    return require("huggingface_hub", "zoo", "fetching weights of timm")
