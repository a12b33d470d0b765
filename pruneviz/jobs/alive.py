"""Whether a process is still there: not merely its number, which the system gives out again."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path


def host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def identity(pid: int) -> str | None:
    """Return what tells process `pid` from a later one of the same number, where it is known.

    Start time and boot on Linux. None where the system does not say, or the process is gone.
    """
    fields = _stat(pid)
    if fields is None:
        return None
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        boot = ""
    return f"{boot}-{fields[19]}"


def is_alive(pid: int, known: str | None) -> bool | None:
    """Tell whether the process of this host that had `pid` and `identity` lives; None: unknown."""
    if sys.platform == "win32":  # os.kill(pid, 0) is no harmless question there
        return None
    fields = _stat(pid)
    if fields is not None:
        if fields[0] in "ZX":  # killed, but not yet collected by its parent
            return False
        return identity(pid) == known if known else None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return None
    return None if not Path("/proc/self/stat").exists() else False


def is_gone(
    where: str | None, pid: int | None, known: str | None, heartbeat: float | None, oldest: float
) -> bool:
    """Tell whether a worker has died: its process on this host, else its heartbeat, says so.

    A process that surely lives is never called gone, however old its heartbeat: a laptop that was
    asleep wakes up with old heartbeats everywhere.
    """
    if where == host() and pid is not None:
        alive = is_alive(pid, known)
        if alive is not None:
            return not alive
    return heartbeat is None or heartbeat < oldest


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat from the third on (state first)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()
