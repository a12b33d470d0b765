"""rank(): score every unit of a network by one or several criteria."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pruneviz.arguments import network, whole
from pruneviz.bars import Progress, bar
from pruneviz.channels import ChannelGraph, check_graph
from pruneviz.criteria.evidence import Evidence, Statistics, usual_batch
from pruneviz.criteria.ranking import Ranking
from pruneviz.criteria.registry import chosen, registered
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.data import DataSet, ImageSet


def rank(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet | None,
    criteria: str | Iterable[str] = ("l1", "taylor"),
    *,
    images: int = 512,
    batch_size: int | None = None,
    seed: int = 0,
    progress: Progress = None,
) -> Ranking:
    """Score every unit of a network; higher = keep.

    All criteria that need data, except the slow ones, are computed in one pass over a sample of the
    training images, balanced over the classes.

    Args:
        model: The network; it is not changed.
        graph: Its channels, from `trace`.
        data: A data set; None if no criterion needs one.
        criteria: Names; `criteria()` lists them.
        images: Training images to use; all if there are fewer.
        batch_size: Images per mini-batch; it changes speed and memory, not the scores.
        seed: Draws the sample and the random criterion.
        progress: Called with the images done and their number after each mini-batch; an exception
            from it ends the ranking. False for no bar.

    Returns:
        A `Ranking`: scores (num_units,) for each criterion, nan for units that cannot be pruned.

    Raises:
        UnknownNameError: There is no such criterion.
        InvalidValueError: A criterion needs data, but there are none; a layer has NaN weights or
            activations; the graph belongs to another network; images or batch_size below 1.
        DataError: The data have more classes than the network has outputs.

    Example:
        >>> ranking = pv.rank(model, graph, data, ["l1", "taylor"], images=64)
        >>> ranking.of("taylor").shape  # a score per unit, NaN where it cannot be pruned
        (410,)
    """
    start = time.perf_counter()
    wanted = chosen(criteria)
    network(model)
    check_graph(graph)
    whole("images", images)
    whole("seed", seed, 0)
    if batch_size is not None:
        whole("batch_size", batch_size)
    need_data = [c.name for c in wanted if c.needs_data]
    evidence = Evidence(graph, model, seed)
    evidence.check()
    if not need_data:
        scores = {c.name: c.score(evidence) for c in wanted}
        return Ranking(graph, scores, 0, time.perf_counter() - start)
    if data is None:
        named = ", ".join(f"'{n}'" for n in need_data)
        raise InvalidValueError(
            f"{'Criterion' if len(need_data) == 1 else 'Criteria'} {named} "
            f"{'looks' if len(need_data) == 1 else 'look'} at images, but data is None. "
            "Give a data set, or choose criteria that need none, such as 'l1'."
        )
    sample = _sample(data, images, seed)
    gathers = frozenset[str]().union(*(c.gathers for c in wanted))
    passes = [c.name for c in wanted if c.own_pass]
    total = len(sample) * (bool(gathers) + len(passes))

    def part_of(index: int) -> Callable[[int, int], None]:
        def report(done: int, of: int) -> None:
            tick(index * len(sample) + len(sample) * done // of, total)

        return report

    statistics = None
    scores = {}
    with bar("Ranking", progress) as tick:
        if gathers:
            statistics = _gather(model, graph, gathers, sample, batch_size, part_of(0))
        for criterion in wanted:
            index = bool(gathers) + (passes.index(criterion.name) if criterion.own_pass else 0)
            evidence = Evidence(graph, model, seed, statistics, sample, batch_size, part_of(index))
            scores[criterion.name] = criterion.score(evidence)
    return Ranking(graph, scores, len(sample), time.perf_counter() - start)


def applicable(model: nn.Module, graph: ChannelGraph) -> list[str]:
    """The names of the criteria that have something to look at in this network."""
    evidence = Evidence(graph, model)
    return [name for name, c in registered().items() if c.applies(evidence)]


def _gather(
    model: nn.Module,
    graph: ChannelGraph,
    gathers: frozenset[str],
    sample: ImageSet,
    batch_size: int | None,
    report: Callable[[int, int], None],
) -> Statistics:
    from pruneviz.criteria.shared import SharedPass

    shared = SharedPass(model, graph, gathers)
    for x, labels in sample.batches(batch_size or usual_batch(graph), device=shared.device):
        shared.add(x, labels)
        report(shared.images, len(sample))
    return shared.result()


def _sample(data: DataSet, count: int, seed: int) -> ImageSet:
    """Training images, balanced over the classes."""
    import torch

    from pruneviz.data import check_data

    train = check_data(data).split("train")
    return train.subset(torch.from_numpy(balanced(train.labels.cpu().numpy(), count, seed)))


def balanced(labels: npt.NDArray[np.int64], count: int, seed: int) -> npt.NDArray[np.int64]:
    """(min(count, N),) indices drawn without repetition, as many of each class as there are."""
    order = np.random.default_rng(seed).permutation(len(labels))
    drawn = labels[order]
    by_class = np.argsort(drawn, kind="stable")
    sizes = np.unique(drawn, return_counts=True)[1]
    turn = np.empty(len(labels), dtype=np.int64)
    turn[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    picked: npt.NDArray[np.int64] = order[np.argsort(turn, kind="stable")[:count]]
    return picked
