"""A visitor's share of the disk, noted beside each of their runs and enforced as it writes.

The worker that does a run knows no visitors. What the run's owner may use is written into the run's
folder when the run is started or resumed; before writing a file, the worker checks that there is
room for it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pruneviz.errors import NotAllowedError
from pruneviz.jobs.listing import Which

if TYPE_CHECKING:
    from pruneviz.jobs.records import RunStore
    from pruneviz.jobs.views import RunView

FILE = "quota.json"


@dataclass(frozen=True)
class Quota:
    """How much space a visitor's files may take, in bytes."""

    disk: int
    uploads: int = 0
    """What their uploads took when the run was started."""


def note(store: RunStore, run_id: str, quota: Quota | None) -> None:
    """Note in the run's folder how much space its owner may use; None: no limit."""
    content = None if quota is None else json.dumps(asdict(quota)).encode()
    store.files.attach(run_id, FILE, content)


def noted(folder: Path) -> Quota | None:
    """Return what was noted there; None if nothing readable was."""
    try:
        values = json.loads((folder / FILE).read_bytes())
        return Quota(int(values["disk"]), int(values["uploads"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def make_room(store: RunStore, run: RunView, size: int) -> None:
    """Check that a run may write a file of `size` bytes.

    Raises:
        NotAllowedError: its owner's runs and uploads would take more than they may.
    """
    quota = noted(store.directory(run.id))
    if quota is None or run.owner is None:
        return
    taken = quota.uploads + taken_by(store, run.owner)
    if taken + size > quota.disk:
        raise NotAllowedError(
            f"This run needs to write {mib(size)}, and your runs and uploads take {mib(taken)} of "
            f"the {mib(quota.disk)} that a visitor may have here. Delete runs that you no longer "
            "need, then resume this one."
        )


def taken_by(store: RunStore, owner: str) -> int:
    """Return the bytes that the files of someone's runs take."""
    return store.files.size(run.id for run in store.list(Which(owner=owner)))


def mib(count: int) -> str:
    """Write a number of bytes as people read it."""
    if count < 10 * 2**20:
        return f"{count / 2**20:,.1f} MiB".replace(".0 MiB", " MiB")
    return f"{count / 2**20:,.0f} MiB" if count < 10 * 2**30 else f"{count / 2**30:,.0f} GiB"
