"""What a run's function works with: its specification, and where its results go."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pruneviz.jobs import given, quota
from pruneviz.jobs.checkpoints import Checkpoints
from pruneviz.jobs.files import atomic_write, make_below
from pruneviz.jobs.heartbeat import Pulse
from pruneviz.jobs.leases import Lease
from pruneviz.jobs.patience import patiently
from pruneviz.jobs.views import RunSpec, RunView, plain

if TYPE_CHECKING:
    import torch

    from pruneviz.channels import ChannelGraph
    from pruneviz.strategies.base import StrategyEvent

T = TypeVar("T")

NOTICES = "notices"
BEGINS_AGAIN = (
    "The run starts over: its {count} checkpoint{s} cannot be read (damaged on the disk)."
)
COLUMNS = ("loss", "accuracy", "val_loss", "macs", "params", "units_left", "seconds")


class Interruption(BaseException):
    """The run must end now; `order` says why. No `except Exception` on the way may swallow it."""

    def __init__(self, order: str) -> None:
        super().__init__(order)
        self.order = order


class JobContext:
    """One run under way in this process."""

    def __init__(self, claim: Lease, pulse: Pulse) -> None:
        self._claim = claim
        self._pulse = pulse
        self.run: RunView = claim.run
        self.spec: RunSpec = claim.run.spec
        self.options: dict[str, Any] = dict(self.spec.options)
        self.folder: Path = claim.store.directory(claim.run.id)
        self.results: dict[str, Any] = self.patiently(lambda: claim.store.results(claim.run.id))
        self.resume: Any = None
        self._kept: dict[str, float] = {}
        self._waiting: dict[str, Any] = {}
        self._checkpoints = Checkpoints(self.folder, self._make_room, claim.store.home)
        self._outgoing = claim.store.files.outgoing(claim.run.id)
        self._count = claim.run.checkpoints

    def restore(self) -> None:
        """Load the last good checkpoint, if there is one, into `self.resume`.

        Files that the run was given by its owner's machine are fetched first, and `spec` and
        `options` name the copies.
        """
        self.patiently(self._make_folder)
        store = self._claim.store
        self.spec = self.patiently(
            lambda: given.bring(store.files, store.home, self.run.id, self.run.spec)
        )
        self.options = dict(self.spec.options)
        self.patiently(lambda: self._claim.store.files.take_over(self.run.id))
        self._checkpoints.tidy()
        kept = self._checkpoints.load()
        if kept is None and (damaged := len(self._checkpoints.paths())):
            self.notice(BEGINS_AGAIN.format(count=damaged, s="s" * (damaged > 1)))
        self.resume = kept["state"] if kept else None
        row = self._pulse.last_row = kept["row"] if kept else 0
        self.patiently(lambda: self._claim.forget_after(row))
        self._pulse.add(progress=kept["progress"] if kept else 0.0)

    @property
    def seconds(self) -> float:
        """Seconds of work so far, over all attempts."""
        return self._pulse.seconds()

    # ------------------------------------------------------------------------------- reporting
    def report(self, message: str | None = None, progress: float | None = None) -> None:
        """Say what is being done, and how much of it (0..1)."""
        if message is not None:
            self._pulse.add(message=message)
        if progress is not None and math.isfinite(progress):
            self._pulse.add(progress=min(max(float(progress), 0.0), 1.0))

    def record(self, level: str, *, epoch: float | None = None, step: int | None = None,
               **values: Any) -> None:  # fmt: skip
        """Add a row to the history; values without a column of their own are kept beside them."""
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        extra = {name: plain(value) for name, value in values.items() if name not in COLUMNS}
        row.update({n: finite(v) for n, v in values.items() if n in COLUMNS})
        row.update(level=level, time=time.time(), epoch=epoch, step=step, extra=extra)
        self._pulse.add(row)

    def keep(self, name: str, payload: Any, *, every: float = 0.0) -> None:
        """Store a part of the result: readers see it at once, and a resumed run finds it.

        With `every`, a part given again within that many seconds waits until the next one is given,
        a checkpoint is written or the run ends: the last one is always stored.
        """
        now = time.monotonic()
        if now - self._kept.get(name, -math.inf) < every:
            self._waiting[name] = payload
            return
        self._waiting.pop(name, None)
        self._kept[name] = now
        stored = self.results[name] = plain(payload)
        self.patiently(lambda: self._claim.keep(name, stored))

    def keep_waiting(self) -> None:
        """Store the parts of the result that `keep` has put off."""
        for name, payload in tuple(self._waiting.items()):
            self.keep(name, payload)

    def notice(self, sentence: str) -> None:
        """Store a sentence that stays on the run's card: something was not as expected."""
        self.keep(NOTICES, [*self.results.get(NOTICES, []), sentence])

    def write(self, name: str, content: bytes) -> None:
        """Write a file into the run's folder, whole or not at all."""
        self.patiently(lambda: self._write(name, content))

    def course(self, graph: ChannelGraph) -> Callable[[StrategyEvent], None]:
        """Return a function that keeps a strategy's steps, to be called with each event.

        A resumed run continues its course.
        """
        from pruneviz.jobs.course import CourseWriter

        after = int(self.resume["step"]) if self.resume is not None else 0
        writer = CourseWriter(self.folder, graph, after, self._make_room)
        return lambda event: self.patiently(lambda: writer.add(event))

    def checkpoint(self, state: Any, progress: float = 0.0) -> None:
        """Write `state` so that a resumed run finds it in `resume`."""
        self.keep_waiting()  # a run that goes on from here does not find it again
        row = self.patiently(self._pulse.flush)
        kept = {"state": state, "row": row, "progress": progress}
        self.patiently(lambda: self._save_checkpoint(kept))
        self._count += 1
        self._pulse.add(checkpoints=self._count)

    def _make_folder(self) -> None:
        self._claim.store.check_there()
        make_below(self._claim.store.home, self.folder)

    def _make_room(self, size: int) -> None:
        quota.make_room(self._claim.store, self.run, size)

    def _write(self, name: str, content: bytes) -> None:
        self._claim.store.check_there()
        self._make_room(len(content))
        atomic_write(self.folder / name, content, below=self._claim.store.home)
        self._publish()

    def _save_checkpoint(self, kept: Mapping[str, Any]) -> None:
        self._claim.store.check_there()
        self._checkpoints.save(kept)
        self._publish()

    def publish(self) -> None:
        """Copy what the run wrote to the artifact store, if there is one."""
        self.patiently(self._publish)

    def _publish(self) -> None:
        if self._outgoing is not None:
            self._claim.store.files.publish(self.run.id, self._outgoing, self._claim.renew)

    def patiently(self, action: Callable[[], T]) -> T:
        """Call `action` until records and files can be used, obeying orders meanwhile."""
        return patiently(action, self.check)

    # -------------------------------------------------------------------------------- obeying
    def check(self) -> None:
        """Obey orders: return, or end the run.

        Raises:
            Interruption: cancelled, the app closes, or the run was deleted.
            StorageError: the records cannot be written any more.
        """
        self._pulse.sign()
        if self._pulse.failure is not None:
            raise self._pulse.failure
        if self._pulse.order is not None:
            raise Interruption(self._pulse.order)

    def tick(self, done: int, total: int) -> None:
        """Report progress and check for orders; a callback for long computations."""
        self.report(progress=done / total)
        self.check()

    @contextmanager
    def watch(self, model: torch.nn.Module) -> Iterator[None]:
        """Check for orders before every forward pass of `model` and its copies.

        So a long evaluation, too, ends within a batch.
        """

        def look(module: object, inputs: object) -> None:
            self.check()

        handle = model.register_forward_pre_hook(look)
        try:
            yield
        finally:
            handle.remove()


def finite(value: Any) -> float | None:
    """Return a number as the database holds it: no NaN, no infinity, no tensor."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None
