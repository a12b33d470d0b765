"""Whether a process is still there: not merely its number, which the system gives out again."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil


def host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def identity(pid: int) -> str | None:
    """Return what distinguishes process `pid` from a later one of that number; None: it is gone.

    On Linux this is the boot and the clock ticks since, because psutil's creation time moves when
    the machine's clock is set. Elsewhere it is the creation time.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        stat = Path(f"/proc/{pid}/stat").read_text()
        return f"{boot}-{stat[stat.rindex(')') + 2 :].split()[19]}"
    except OSError:
        pass
    try:
        return f"{psutil.Process(pid).create_time():.3f}"
    except psutil.Error:
        return None


def is_alive(pid: int, known: str | None) -> bool | None:
    """Tell whether the process of this host that had `pid` and `identity` lives; None: unknown."""
    try:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return False  # killed, but not yet collected by its parent
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return None
    return identity(pid) == known if known else None


def is_gone(
    where: str | None, pid: int | None, known: str | None, heartbeat: float | None, oldest: float
) -> bool:
    """Tell whether a worker has died, by its process on this host or else by its heartbeat.

    A process known to be alive never counts as gone, however old its heartbeat: a laptop that was
    asleep wakes up with old heartbeats everywhere.
    """
    if where == host() and pid is not None:
        alive = is_alive(pid, known)
        if alive is not None:
            return not alive
    return heartbeat is None or heartbeat < oldest
