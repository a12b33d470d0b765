"""Accuracy after a plan changed: only what the change touches is computed anew.

The recorded passes are those of the plan seen last. When one group's ratio moves, everything
before the first layer that reads this group stays as it is.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph
from pruneviz.plan import Plan
from pruneviz.replay.columns import Columns, prepared
from pruneviz.replay.fast import Kept
from pruneviz.replay.scan import Images, batch_size_for, load, workers_for
from pruneviz.replay.scores import Replay, Score, score
from pruneviz.replay.tape import Recipe, Tape

if TYPE_CHECKING:
    import pandas as pd

_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Preview:
    """Top-1 accuracy of a plan on a fixed sample of `count` images; `loss` is the mean."""

    correct: int
    count: int
    loss: float

    @property
    def accuracy(self) -> float:
        """Fraction of the images that are classified right, 0..1."""
        return self.correct / self.count

    @property
    def error(self) -> float:
        """Standard error of the accuracy: `sqrt(p (1 - p) / n)`, 0..0.5."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.count)

    def to_frame(self) -> pd.DataFrame:
        """One row: accuracy, its standard error, loss, correct, count."""
        import pandas as pd

        row = {
            "accuracy": self.accuracy,
            "error": self.error,
            "loss": self.loss,
            "correct": self.correct,
            "count": self.count,
        }
        return pd.DataFrame([row])


class Data(Protocol):
    """What is needed of a data set (`pruneviz.data.DataSet`)."""

    def split(self, name: str) -> Any:
        """The images of a split."""
        ...


class Previewer:
    """Previews one plan after another, each starting from the one before.

    Keeps the activations that a changed plan may read, up to `memory` bytes; images beyond that
    are run whole. The weights are those the model had when this was made. May be used from
    several threads, one preview at a time.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        data: Data,
        *,
        images: int | None = 512,
        split: str = "val",
        memory: int = 1 << 29,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> None:
        self.graph = graph
        self._replay = Replay(model, graph)
        source = data.split(split)
        self._images = cast("Images", source if images is None else source.first(images))
        self._workers = workers_for(self._replay) if workers is None else workers
        size = batch_size or batch_size_for(self._replay, self._images, self._workers)
        count = len(self._images)
        self._batches = [(i, min(i + size, count)) for i in range(0, count, size)]
        self._memory = memory
        self._tapes: dict[int, tuple[Tape, Plan]] = {}
        self._known: dict[Plan, Preview] = {}
        self._lock = threading.Lock()

    def __call__(self, plan: Plan) -> Preview:
        """Return the accuracy of a plan, as masking (or pruning) and evaluating would give it."""
        with self._lock:
            if plan not in self._known:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[plan] = self._measure(plan)
            return self._known[plan]

    @property
    def nbytes(self) -> int:
        """Bytes of activations that are kept between previews."""
        return sum(tape.nbytes for tape, _ in self._tapes.values())

    def _measure(self, plan: Plan) -> Preview:
        total = Score(0, 0.0, 0)
        for part in self._parts(plan):
            total = total + part
        return Preview(total.correct, total.count, total.loss / total.count)

    def _parts(self, plan: Plan) -> Iterator[Score]:
        indices = range(len(self._batches))
        workers = min(self._workers, len(self._batches))
        if workers <= 1:
            yield from (self._batch(i, plan) for i in indices)
            return
        threads = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(workers, "preview", torch.set_num_threads, (1,)) as pool:
                yield from pool.map(lambda i: self._batch(i, plan), indices)
        finally:
            torch.set_num_threads(threads)

    def _batch(self, index: int, plan: Plan) -> Score:
        """Score one mini-batch, moving its tape on to the plan where there is one."""
        start, stop = self._batches[index]
        with torch.no_grad():
            columns = self._replay.columns(plan)
            if columns is None:
                images, labels = self._load(start, stop)
                return score(self._replay.whole(plan, images), labels)
            if index in self._tapes:
                tape, before = self._tapes[index]
                labels = self._images.subset(torch.arange(start, stop)).labels
                output = self._move(tape, before, plan)
                self._tapes[index] = tape, plan
                return score(output, labels.to(self._replay.device))
            images, labels = self._load(start, stop)
            recipe = self._replay.recipe(images)
            if recipe is None:
                return score(self._replay.whole(plan, images), labels)
            keep = self._room(recipe, index)
            weights = prepared(recipe, columns, skip=not keep)
            tape = Tape(recipe, images, weights, keep=keep)
            if keep:
                self._tapes[index] = tape, plan
            return score(tape.output, labels)

    def _load(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        images, labels = load(self._images, start, stop)
        return self._replay.place(images), labels.to(self._replay.device)

    def _room(self, recipe: Recipe, index: int) -> bool:
        """Whether the first mini-batches up to this one fit in memory."""
        metas = recipe.program.metas
        return (index + 1) * sum(metas[v].nbytes for v in recipe.keep) <= self._memory

    def _move(self, tape: Tape, before: Plan, plan: Plan) -> Any:
        """Replay what differs between two plans, and keep it."""
        recipe = tape.recipe
        columns = self._replay.columns(plan) or ()
        old, new = _by_name(self._replay.columns(before) or ()), _by_name(columns)
        names = {n for n in (*old, *new) if old.get(n) != new.get(n)}
        if not names:
            return tape.output
        weights: dict[str, Tensor | Kept] = {**recipe.originals(names)}
        weights.update(prepared(recipe, [c for c in columns if c.name in names]))
        return tape.replay(weights, recipe.steps(frozenset(names), True), keep=True)


def _by_name(columns: tuple[Columns, ...]) -> dict[str, list[tuple[int, bytes]]]:
    found: dict[str, list[tuple[int, bytes]]] = {}
    for column in columns:
        found.setdefault(column.name, []).append((column.dim, column.indices.numpy().tobytes()))
    return found


def preview(
    model: nn.Module,
    graph: ChannelGraph,
    plan: Plan,
    data: Data,
    images: int | None = 512,
    *,
    split: str = "val",
) -> Preview:
    """Measure a plan once, on a fixed sample of `images`, classes balanced.

    Top-1 accuracy 0..1 with its standard error. For one plan after another, keep a `Previewer`.
    """
    return Previewer(model, graph, data, images=images, split=split, memory=0)(plan)
