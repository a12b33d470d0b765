"""Driving the events of a long computation: history, progress, checkpoints and obedience."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from statistics import fmean
from typing import Any, TypeVar

from pruneviz.errors import StorageError
from pruneviz.jobs.context import COLUMNS, Interruption, JobContext, finite

Event = TypeVar("Event")

BATCH_SECONDS = 0.25  # at most one row of history in so much time for events of single batches,
BATCH_ROWS = 1000  # and fewer once there are many: one in so much of the time that has passed
BESIDE = ("lr", "phase", "passes")  # kept beside the columns that history has
CHECKPOINT_SHARE = 0.02  # of the time may go into the checkpoints of events that come fast


def drive(
    context: JobContext,
    events: Iterable[Event],
    *,
    each: Callable[[Event], None] | None = None,
    start: float = 0.0,
    end: float = 1.0,
    epochs: int | None = None,
    also: Mapping[str, Any] | None = None,
    fraction: Callable[[Event], float] | None = None,
    beside: Callable[[Event], Mapping[str, Any]] | None = None,
) -> Event | None:
    """Consume `events` on behalf of a run, and return the last one that was not of a batch.

    An event's columns are read by name (`epoch`, `step`, `loss`, `accuracy`, ...). Of the events of
    single batches (they have no `val_loss`) a few rows a second are kept, with their mean loss and
    accuracy. An event's `state` becomes a checkpoint.

    Args:
        context: The run; its progress goes from `start` to `end`.
        events: What is computed, step by step.
        each: Called with every event; with a batch's only if it has a message.
        start: Progress (0..1) before the first event.
        end: Progress after the last.
        epochs: How many there will be, where events do not say.
        also: Further columns of every row (a network's MACs, say).
        fraction: How much is done (0..1), where the events do not tell.
        beside: What else the row of an event is to hold, unless it is a batch's.

    Raises:
        Interruption: The run is to end; what it has so far is stored.
    """
    last: Event | None = None
    history, saver = History(context, also or {}), Saver(context)
    iterator = iter(events)
    try:
        for event in iterator:
            progress = fraction(event) if fraction else _progress(event, epochs)
            done = start + (end - start) * (progress or 0.0)
            message: str | None = getattr(event, "message", None)
            context.report(message, None if progress is None else done)
            batch = _is_batch(event)
            if batch:
                history.add_batch(event)
            else:
                last = event
                history.add(event, beside(event) if beside else {})
            if each is not None and (message or not batch):
                each(event)
            saver.note(event, done, save=not batch)
            context.check()
    except Interruption as interruption:
        with suppress(Interruption, StorageError):
            context.keep_waiting()
        if interruption.order == "stop":
            saver.save_at_stop()
        raise
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
    context.keep_waiting()
    return last


class History:
    """Writes a row per event; for the many single batches only a few rows, with their means."""

    def __init__(self, context: JobContext, also: Mapping[str, Any]) -> None:
        self._context = context
        self._also = also
        self._losses: list[float] = []
        self._right: list[float] = []
        self._begun = time.monotonic()
        self._written = -math.inf

    def add(self, event: Any, beside: Mapping[str, Any]) -> None:
        """Write the row of an epoch or a step, and what is to stand beside it."""
        values = {n: getattr(event, n) for n in (*COLUMNS, *BESIDE) if hasattr(event, n)}
        self._losses, self._right = [], []
        if values:
            level = "epoch" if hasattr(event, "epoch") else "step"
            step = getattr(event, "step", None)
            row = {**self._also, **values, **beside}
            self._context.record(level, epoch=_epoch(event), step=step, **row)

    def add_batch(self, event: Any) -> None:
        """Add a batch; now and then, write the mean of those since the last row."""
        self._losses.append(float(event.loss))
        right = float(getattr(event, "accuracy", math.nan))
        if math.isfinite(right):
            self._right.append(right)
        now = time.monotonic()
        if now - self._written >= max(BATCH_SECONDS, (now - self._begun) / BATCH_ROWS):
            loss = fmean(self._losses)
            mean = fmean(self._right) if self._right else None
            self._losses, self._right, self._written = [], [], now
            self._context.record(
                "batch", epoch=_epoch(event), step=event.step, loss=loss, accuracy=mean
            )


class Saver:
    """Writes checkpoints: every epoch, and at faster events only as often as it costs little."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._saved = -math.inf
        self._seconds = 0.0  # that the last one took
        self._last: tuple[Any, float] = (None, 0.0)

    def note(self, event: Any, progress: float, *, save: bool) -> None:
        """Remember the event as the last one; with `save`, and where it is time, save its state."""
        state = getattr(event, "state", None) if save else None
        rest = time.monotonic() - self._saved
        if state is not None and (
            hasattr(event, "epochs") or rest * CHECKPOINT_SHARE >= self._seconds
        ):
            begun = time.monotonic()
            self._context.checkpoint(state, progress)
            self._saved = time.monotonic()
            self._seconds = self._saved - begun
        self._last = event, progress

    def save_at_stop(self) -> None:
        """Save after the last batch, as an epoch may take an hour; give up where it has to wait."""
        event, progress = self._last
        state = getattr(event, "state", None)
        if callable(state):
            with suppress(Interruption, StorageError):
                self._context.checkpoint(state(), progress)


def _is_batch(event: Any) -> bool:
    return hasattr(event, "steps") and hasattr(event, "loss") and not hasattr(event, "val_loss")


def _progress(event: Any, epochs: int | None) -> float | None:
    """Return how much is done, 0..1, from what events carry; None when they do not tell."""
    if hasattr(event, "progress"):
        return finite(event.progress)
    whole, epoch = getattr(event, "epochs", epochs), _epoch(event)
    if whole and epoch is not None:
        return epoch / whole
    step, steps = getattr(event, "step", None), getattr(event, "steps", None)
    return float(step / steps) if steps and step is not None and epoch is None else None


def _epoch(event: Any) -> float | None:
    """Return how many epochs are done: after batch 5 of 10 in the second one, 1.5."""
    epoch, step, steps = (getattr(event, name, None) for name in ("epoch", "step", "steps"))
    if epoch is None:
        return None
    return float(epoch - 1 + step / steps if steps and step else epoch)
