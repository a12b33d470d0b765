"""Orders that reach a worker by signal, not through the records.

A service manager ends a server by sending SIGTERM to all its processes: the current run then stops
after its batch, keeping what it has recorded, and the process exits. Ctrl-C in a terminal also
reaches all processes, but the app answers it: it asks its runs to stop.

A download that waits for the network checks for no orders. Inside `interruptible`, the heartbeat's
thread wakes the main thread with a signal, whose handler raises the order there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from pruneviz.errors import StorageGoneError

if TYPE_CHECKING:
    from pruneviz.jobs.heartbeat import Pulse

WAKE: signal.Signals | None = getattr(signal, "SIGUSR1", None)  # not on Windows
LEAVE_SECONDS = 0.5  # in which a result still reaches the app
_told = threading.Event()
_listening = False
_pulse: Pulse | None = None
_awake: Callable[[], None] | None = None


def listen(busy: threading.Lock) -> None:
    """Handle signals in this worker process; `busy` is held while a run is under way."""
    global _listening

    def end(number: int, frame: FrameType | None) -> None:
        _told.set()
        if _pulse is not None:
            _pulse.interrupt("stop")
        elif not busy.locked():
            os._exit(0)

    def wake(number: int, frame: FrameType | None) -> None:
        global _awake
        check, _awake = _awake, None  # once: what cleans up afterwards is left in peace
        if check is not None:
            check()

    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, end)
        if WAKE is not None:
            signal.signal(WAKE, wake)
        _listening = True


def follow(pulse: Pulse | None) -> None:
    """Pass orders to the run of this pulse; None: no run is under way."""
    global _pulse
    _pulse = pulse if _listening else None
    if pulse is not None and _told.is_set():
        pulse.interrupt("stop")


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Call `check` as soon as there is an order, even in the middle of waiting for something.

    Only for work that leaves nothing half done, such as a download. In a thread of the app, which
    no signal can reach, it is only called at the end.
    """
    global _awake
    pulse, here = _pulse, threading.current_thread() is threading.main_thread()
    if pulse is None or WAKE is None or not here:
        yield
        check()
        return
    done = threading.Event()
    number = WAKE

    def watch() -> None:
        while not done.wait(0.1):
            if pulse.order is not None:
                signal.pthread_kill(threading.main_thread().ident or 0, number)

    watcher = threading.Thread(target=watch, name="wake", daemon=True)
    _awake = check
    watcher.start()
    try:
        yield
    finally:
        _awake = None
        done.set()
    check()


def give_up_if_told() -> None:
    """Stop waiting for the records when the process must end; they are put right later.

    Raises:
        StorageGoneError: it is.
    """
    if _told.is_set():
        raise StorageGoneError("The records could not be written before the server was stopped.")


def leave_if_told() -> None:
    """Begin nothing in a process that must end; another worker takes the run."""
    if _told.is_set():
        os._exit(0)


def leave_soon_if_told() -> None:
    """Exit once the app has been told how the run went."""
    if _told.is_set():

        def leave() -> None:
            time.sleep(LEAVE_SECONDS)
            os._exit(0)

        threading.Thread(target=leave, daemon=True).start()
