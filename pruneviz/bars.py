"""Progress bars: for whoever looks on, and nobody else.

Whatever takes over a second shows a bar (tqdm's) on a terminal or in a notebook. None is shown
where the caller listens itself, within another bar, in the studio and its runs, or where the
variable PRUNEVIZ_PROGRESS is "0".
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

VARIABLE = "PRUNEVIZ_PROGRESS"
PATIENCE = 1.0
"""Seconds before a bar appears: what is done by then needs none."""

Tick = Callable[[int, int], None]
Progress = Tick | bool | None
"""A function that is told (done, total); False for silence; True or None for a bar."""
Event = TypeVar("Event")

_open: list[object] = []
"""What is under way in the main thread, outermost first."""


def silence() -> None:
    """Have this process and those that it starts show no bars, unless their owner wants them."""
    os.environ.setdefault(VARIABLE, "0")


def watched() -> bool:
    """Whether somebody would see a bar: a person at a terminal or a notebook."""
    if os.environ.get(VARIABLE, "").lower() in ("0", "no", "false", "off"):
        return False
    if _open or threading.current_thread() is not threading.main_thread():
        return False
    return in_notebook() or bool(getattr(sys.stderr, "isatty", bool)())


def in_notebook() -> bool:
    """Whether this code runs in a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def bar(what: str, progress: Progress = None, unit: str = "image") -> Iterator[Tick]:
    """Yield what is to be told (done, total): the caller's function, a bar, or nothing."""
    if callable(progress):
        with _alone():
            yield progress
    elif progress is False or not watched():
        with _alone():
            yield _nothing
    else:
        with _alone(), _tqdm(what, unit) as tick:
            yield tick


@contextmanager
def _alone() -> Iterator[None]:
    """Have nothing within show a bar; who listens, or wants silence, means all of it."""
    mine = threading.current_thread() is threading.main_thread()
    token = object()
    if mine:
        _open.append(token)
    try:
        yield
    finally:
        if mine:
            _open.remove(token)


@contextmanager
def _tqdm(what: str, unit: str) -> Iterator[Tick]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm's, where a notebook has no widgets
        from tqdm.auto import tqdm
    with tqdm(desc=what, unit=f" {unit}", delay=PATIENCE, leave=False, dynamic_ncols=True) as shown:

        def tick(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield tick


def followed(
    events: Iterator[Event],
    what: str,
    done: Callable[[Event], tuple[int, int]],
    progress: Progress = None,
    unit: str = "step",
) -> Iterator[Event]:
    """Pass events on, with a bar that goes by what `done` says of each."""
    with closing(events), bar(what, progress, unit) as tick:  # type: ignore[type-var]
        for event in events:
            tick(*done(event))
            yield event


def _nothing(done: int, total: int) -> None:
    pass
