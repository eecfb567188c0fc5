"""One file over https: whole, checked and in its place, or nothing."""

from __future__ import annotations

import http.client
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from xconv.atomic import replacing
from xconv.errors import NotFound, Unreadable

__all__ = ["NETWORK_ERRORS", "download", "told", "unavailable"]

SCHEMES = ("https",)
LIMIT = 4 << 30
"""More bytes than any published file has."""
SECONDS = 60
"""How long a server may be silent."""
NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
"""What goes wrong between two machines; other errors of the system come from the disk."""
BLOCK = 1 << 20


def download(url: str, path: Path, check: Callable[[Path], None], offline: str = "") -> None:
    """Fetch `url` and put it at `path`, once `check` has passed the temporary file that it was written to.

    Args:
        url: an https address.
        path: where it shall be; its folder exists.
        check: raises where the temporary file is not what it should be.
        offline: the remedy of those who have no network.

    Raises:
        NotFound: there is no network, no such file, or the connection broke off.
        Unreadable: it is larger than any file of weights.
        Unwritable: the disk is full, or the folder read-only.
    """
    with replacing(path) as temporary:
        try:
            _stream(url, path, temporary)
        except NETWORK_ERRORS as error:
            raise unavailable(url, path, told(error), offline) from error
        check(temporary)


def told(error: Exception) -> str:
    """What a network error says; the connection behind it is closed."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    return str(error) or type(error).__name__


def unavailable(url: str, path: Path, reason: str, offline: str = "", *, by_hand: str = "") -> NotFound:
    """The error for a file that is not at hand and cannot be fetched."""
    remedies = by_hand or f"download it by hand to {path}", offline
    what = f"is not there, and {url} cannot be fetched: {reason}"
    return NotFound(what, place=str(path), remedy=", or ".join(filter(None, remedies)))


def _stream(url: str, path: Path, temporary: Path) -> None:
    with _answer(url) as answer, temporary.open("wb") as out:
        expected = _length(answer)
        _check_size(expected, url, path)
        with _progress(path.name, expected) as advance:
            while block := answer.read(BLOCK):
                out.write(block)
                advance(len(block))
                _check_size(out.tell(), url, path)
        if expected and out.tell() != expected:
            raise http.client.HTTPException(f"the connection broke off after {out.tell():,} of {expected:,} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to addresses of a safe scheme only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _answer(url: str) -> Iterator[IO[bytes]]:
    _check_scheme(url)
    opener = urllib.request.build_opener(_Redirects)
    opener.addheaders = [("User-Agent", "xconv")]
    with opener.open(url, timeout=SECONDS) as answer:
        yield answer


def _check_scheme(url: str) -> None:
    if urllib.parse.urlsplit(url).scheme not in SCHEMES:
        raise urllib.error.URLError(f"{url} is not {' or '.join(SCHEMES)}")


def _length(answer: Any) -> int:
    """The stated number of bytes; 0 where the server states none."""
    stated = answer.headers.get("Content-Length") or ""
    return int(stated) if stated.isdecimal() else 0


def _check_size(size: int, url: str, path: Path) -> None:
    if size > LIMIT:
        what = f"{url} holds more than {LIMIT:,} bytes, which no published file has"
        raise Unreadable(what, place=str(path), remedy="check whether a proxy or a mirror answers in its place")


@contextmanager
def _progress(name: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=total or None)
        yield lambda count: progress.advance(task, count)
