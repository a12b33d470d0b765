"""Many plans on many images: data outside, plans inside, mini-batches spread over threads.

Memory holds the mini-batches being processed, never all images or plans. On a CPU each
worker thread computes with one thread of its own: two mini-batches side by side use two cores
better than one mini-batch cut in two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from threading import Event
from typing import Protocol, Self

import torch
from torch import Tensor

from pruneviz.machine import cores
from pruneviz.replay.scores import Change, Replay, Score

_CACHE = 6 << 20  # bytes of the largest activation of a mini-batch that stays in cache
_LEAST, _MOST = 8, 64  # images of a mini-batch on a CPU, unless memory is short
_MEMORY = 1 << 29  # bytes of activations kept, over all workers
_ON_DEVICE = 512 << 20


class Images(Protocol):
    """What is needed of an image set (`pruneviz.data.ImageSet`)."""

    @property
    def labels(self) -> Tensor:
        """The class of each image, int64 (N,)."""
        ...

    def __len__(self) -> int: ...
    def subset(self, indices: Tensor) -> Self:
        """The images at these indices."""
        ...

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised images (N, C, H, W) and labels (N,)."""
        ...


def load(images: Images, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Return normalised images and labels `start` to `stop` of a set."""
    return next(iter(images.subset(torch.arange(start, stop)).batches(stop - start)))


def workers_for(replay: Replay) -> int:
    """Return how many mini-batches to compute side by side: the threads that torch may use."""
    if replay.device.type != "cpu":
        return 1
    return max(1, min(torch.get_num_threads(), cores(), 16))


def batch_size_for(replay: Replay, images: Images, workers: int) -> int:
    """Return the images of a mini-batch whose activations stay in cache, and fit in memory."""
    sample, _ = load(images, 0, min(2, len(images)))
    recipe = replay.recipe(sample)
    if recipe is None:
        return 32
    metas = recipe.program.metas
    largest = max(m.nbytes for m in metas.values()) / len(sample)
    kept = sum(metas[v].nbytes for v in recipe.keep) / len(sample)
    if replay.device.type == "cpu":
        size = min(max(int(_CACHE // largest), _LEAST), _MOST)
    else:
        size = min(int(_ON_DEVICE // largest), 1024)
    return int(max(1, min(size, _MEMORY // (workers * max(kept, 1)))))


def bounds(count: int, size: int, workers: int) -> list[tuple[int, int]]:
    """Cut `count` images into mini-batches of about `size`; the first round is a small one.

    So that there is something of everything to show after a twentieth of the images or so.
    """
    first = max(1, min(size, count // (24 * workers)))
    edges = [min(i * first, count) for i in range(workers + 1)]
    rest = count - edges[-1]
    parts = max(1, -(-rest // size))
    edges += [edges[workers] + round(rest * (i + 1) / parts) for i in range(parts)]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def scan(
    replay: Replay,
    images: Images,
    plans: Sequence[Change],
    *,
    batch_size: int | None = None,
    workers: int | None = None,
) -> Iterator[list[Score]]:
    """Yield, mini-batch after mini-batch, the score of every plan on it.

    Sums over the batches are the scores on all images. The order is that of the images, so the
    sums are the same whatever the number of workers. Closing the iterator stops the work within
    one plan.
    """
    workers = workers_for(replay) if workers is None else workers
    size = batch_size_for(replay, images, workers) if batch_size is None else batch_size
    jobs = deque(bounds(len(images), size, workers))
    if workers == 1:
        for start, stop in jobs:
            yield _batch(replay, images, start, stop, plans, Event())
        return
    halt, threads = Event(), torch.get_num_threads()
    waiting: deque[Future[list[Score]]] = deque()
    with ThreadPoolExecutor(workers, "replay", torch.set_num_threads, (1,)) as pool:
        try:
            while jobs or waiting:
                while jobs and len(waiting) < workers + 1:
                    start, stop = jobs.popleft()
                    waiting.append(pool.submit(_batch, replay, images, start, stop, plans, halt))
                yield waiting.popleft().result()
        finally:
            halt.set()
            for future in waiting:
                future.cancel()
            torch.set_num_threads(threads)


def _batch(
    replay: Replay, images: Images, start: int, stop: int, plans: Sequence[Change], halt: Event
) -> list[Score]:
    x, y = load(images, start, stop)
    return replay.scores(x, y, plans, stop=halt.is_set)
