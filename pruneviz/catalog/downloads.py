"""Downloads: progress throughout, quick failure, and one clear sentence without a network.

The downloading itself is torch.hub's and torchvision's. This adds what they lack: a first request
to the server that is answered or fails within seconds, a timeout for connections that fall silent,
and the number of bytes received so far, to show progress.
"""

from __future__ import annotations

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlparse

from pruneviz.errors import OfflineError

T = TypeVar("T")

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what); bytes or images; total is 0 where it is not known."""

CONNECT_SECONDS = 8.0
SILENCE_SECONDS = 30.0
POLL_SECONDS = 0.2

_NETWORK_ERRORS = (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException)
_timeouts: list[float | None] = []
_timeouts_lock = threading.Lock()


def download(
    what: str,
    urls: Sequence[str],
    folder: Path,
    action: Callable[[], T],
    *,
    progress: Progress | None = None,
) -> T:
    """Run `action`, which downloads `urls` into `folder`, and return what it returns.

    `progress` is called from another thread while bytes arrive. Raises `OfflineError` if the first
    server cannot be reached within seconds, or a connection breaks or falls silent.
    """
    try:
        total = sum(_size_of(url) for url in urls)
        with _no_endless_silence(), _watch(what, urls, folder, total, progress):
            return action()
    except Exception as error:
        cause = _network_cause(error)
        if cause is None:
            raise
        raise offline(what, urls[0], cause) from error


def offline(what: str, url: str, cause: BaseException) -> OfflineError:
    """The error that says what was wanted and what works without a network."""
    host = urlparse(url).netloc or url
    if isinstance(cause, urllib.error.HTTPError):
        why = f"it answered {cause.code}"
    else:
        reason = getattr(cause, "reason", None) or cause
        why = str(reason).strip().rstrip(".") or type(reason).__name__
    return OfflineError(
        f"{what} had to be downloaded from {host}, which failed ({why}); without a network, the "
        "networks resnet20, vgg16 and mobilenet_v2 with the weights 'digits' or 'cifar10', the "
        "data set 'digits', and your own files work."
    )


def _network_cause(error: BaseException | None) -> BaseException | None:
    """The network error behind an error, even if a library wrapped it in its own."""
    while error is not None:
        if isinstance(error, _NETWORK_ERRORS):
            return error
        error = error.__cause__ or error.__context__
    return None


def _size_of(url: str) -> int:
    """Bytes behind `url`, 0 where the server does not say; raises within `CONNECT_SECONDS`.

    Runs in a thread of its own, because host name lookup has no timeout.
    """
    answer: list[int | BaseException] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "pruneviz"})
        try:
            with urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as response:
                answer.append(int(response.headers.get("Content-Length") or 0))
        except urllib.error.HTTPError:
            answer.append(0)  # reached; some servers answer no HEAD, and a GET tells the rest
        except Exception as error:
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    result = answer[0] if answer else TimeoutError(f"no answer within {CONNECT_SECONDS:.0f} s")
    if isinstance(result, BaseException):
        raise result
    return result


@contextmanager
def _no_endless_silence() -> Iterator[None]:
    """Set a default timeout for new sockets, because the downloading libraries set none.

    Downloads may run side by side; the last to end restores what the first found.
    """
    with _timeouts_lock:
        _timeouts.append(socket.getdefaulttimeout())
        socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        yield
    finally:
        with _timeouts_lock:
            first = _timeouts[0]
            _timeouts.pop()
            if not _timeouts:
                socket.setdefaulttimeout(first)


@contextmanager
def _watch(
    what: str, urls: Sequence[str], folder: Path, total: int, progress: Progress | None
) -> Iterator[None]:
    """Report how many bytes of the files behind `urls` are in `folder`, until the block ends."""
    if progress is None:
        yield
        return
    names = tuple(Path(urlparse(url).path).name for url in urls)
    done = threading.Event()

    def arrived() -> int:
        try:
            return sum(p.stat().st_size for p in folder.iterdir() if p.name.startswith(names))
        except OSError:  # not there yet, or renamed at this moment
            return 0

    def report() -> None:
        while not done.wait(POLL_SECONDS):
            size = arrived()
            progress(min(size, total) if total else size, total, what)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    progress(total, total, what)
