"""The course of a strategy's run on disk: a compressed record per step, appended as it happens.

The file is a series of gzip members, each the JSON of one step, so `zcat` reads it. A killed run
may leave half a record at the end: readers ignore it, and the resumed run cuts it off along with
the steps after its checkpoint.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from pruneviz.errors import InvalidValueError, StorageGoneError
from pruneviz.jobs.home import disk_errors
from pruneviz.strategies.course import FIELDS, Course, CourseStep
from pruneviz.strategies.details import decode, encode, pack_bits, unpack

if TYPE_CHECKING:
    from pruneviz.channels import ChannelGraph
    from pruneviz.strategies.base import StrategyEvent

FILE = "course.json.gz"
ROOM = 14 * 2**20
"""Bytes after which steps are kept without the arrays that grow with the network."""

GZIP = 31  # zlib's name for that format


class CourseWriter:
    """Appends the steps of one run.

    Args:
        folder: The run's.
        graph: The channels of the network that is pruned.
        after: The step that a resumed run goes on from; 0 for one that begins.
        room: Called with the bytes that are to be written; may refuse.
    """

    def __init__(
        self,
        folder: Path,
        graph: ChannelGraph,
        after: int = 0,
        room: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._path = folder / FILE
        self._graph = graph
        self._room = room
        self._end = 0
        if after:
            for document, end in _records(self._path, 0):
                if not document.get("step", after + 1) <= after:
                    break
                self._end = end

    def add(self, event: StrategyEvent) -> None:
        """Keep a step.

        Raises:
            StorageError: The disk does not take it.
            NotAllowedError: The run's owner has no room left.
        """
        record = _record(self._graph, event, bulky=self._end < ROOM)
        self._room(len(record))
        with disk_errors(self._path):
            try:
                with self._path.open("r+b" if self._path.exists() else "xb") as file:
                    file.truncate(self._end)  # of a write that failed, or steps done again
                    file.seek(self._end)
                    file.write(record)
            except FileNotFoundError as error:
                raise StorageGoneError(
                    f"'{self._path.parent}' was deleted or replaced while a step was written."
                ) from error
        self._end += len(record)


class CourseReader:
    """Reads the steps of one run; each call of `read` adds what was written since."""

    def __init__(self, folder: Path, graph: ChannelGraph) -> None:
        self._path = folder / FILE
        self._graph = graph
        self._end = 0
        self._strategy = ""
        self._steps: list[CourseStep] = []
        self._lock = Lock()

    def read(self) -> Course | None:
        """The course as far as it has come; None where none was kept, or of another network.

        Raises:
            InvalidValueError: The file is damaged, or another version wrote it.
        """
        with self._lock:  # visitors look at one run from several threads
            return self._read()

    def _read(self) -> Course | None:
        size = self._path.stat().st_size if self._path.exists() else 0
        records = list(_records(self._path, self._end))
        if not records and size != self._end:  # a resumed run has cut off what it does again
            self._end, self._steps = 0, []
            records = list(_records(self._path, 0))
        for document, end in records:
            if document.get("network") != self._graph.digest:
                return None
            self._strategy = str(document.get("strategy", ""))
            step = _step(document, self._graph.num_units)
            while self._steps and self._steps[-1].step >= step.step:
                self._steps.pop()
            self._steps.append(step)
            self._end = end
        if not self._steps:
            return None
        return Course(self._graph, self._strategy, tuple(self._steps))


def has_course(folder: Path) -> bool:
    """Whether a run has kept any step."""
    return (folder / FILE).exists()


def _record(graph: ChannelGraph, event: StrategyEvent, *, bulky: bool) -> bytes:
    step = CourseStep.of(graph, event)
    document: dict[str, Any] = {
        "strategy": event.strategy,
        "network": graph.digest,
        **{name: getattr(step, name) for name in FIELDS},
        "kept": pack_bits(step.kept),
        "details": None if step.details is None else encode(step.details, bulky=bulky),
    }
    packer = zlib.compressobj(wbits=GZIP)
    return packer.compress(json.dumps(document).encode()) + packer.flush()


def _step(document: Mapping[str, Any], units: int) -> CourseStep:
    try:
        details = document["details"]
        step = CourseStep(
            **{name: document[name] for name in FIELDS},
            kept=unpack(document["kept"]),
            details=None if details is None else decode(details),
        )
        if step.kept.shape != (units,) or not isinstance(step.step, int):
            raise ValueError(f"a step of {units} units, got shape {step.kept.shape}")
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        raise InvalidValueError(
            f"The steps of this run cannot be read ({cause}); the file is damaged, or another "
            "version wrote it. Start the run again to see them."
        ) from None
    return step


def _records(path: Path, start: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The records from an offset on, each with the offset after it; a torn one ends them."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(start)
        rest = file.read()
    while rest:
        reader = zlib.decompressobj(GZIP)
        try:
            document = json.loads(reader.decompress(rest))
        except (zlib.error, ValueError):
            return
        if not reader.eof or not isinstance(document, dict):
            return
        start += len(rest) - len(reader.unused_data)
        rest = reader.unused_data
        yield document, start
