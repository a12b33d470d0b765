"""The error that remains when a unit is pruned and the layers that read it are refitted.

A layer reads C channels x with second moments G = E[x x^T] (about the mean where a bias or a batch
norm behind the layer can hold a constant); W has a row for each filter and tap, a column for each
channel. If the channels D of a unit go and the other columns are refitted, the mean square of the
outputs' error grows by

    tr(W_D ([G^-1]_DD)^-1 W_D^T),    and    W <- W - W_D ([G^-1]_DD)^-1 [G^-1]_D:

It is taken as a fraction of the outputs' energy tr(W G W^T) and summed over the unit's readers. The
cheapest unit of a group goes first, W and G^-1 are updated, and so on: of two channels that carry
the same information, one is free and the other is not. A unit's score is the group's cost so far
when it goes, so that higher = keep. No gradient, no labels. ResNet-20 with 512 images took 1.5 s of
one core.

A channel that is read through a depthwise convolution counts where the layer after that reads it;
grouped and transposed convolutions, and layers that read more than 4,096 channels, do not count. A
group that no counted layer reads is ordered by its filters' l2 norms, rescaled to the others' mean.

Hassibi & Stork (1993), *Second Order Derivatives for Network Pruning: Optimal Brain Surgeon*, and
Frantar & Alistarh (2022), *Optimal Brain Compression*, arXiv:2208.11580, remove single weights and
blocks of them so. Ours: whole channels, over all layers that read them, as shares of their energy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from pruneviz.channels import ChannelGraph, Group, IntArray
from pruneviz.criteria.evidence import Evidence, FloatArray, usual_batch
from pruneviz.criteria.registry import Criterion
from pruneviz.criteria.weights import by_filter, l2_norms

if TYPE_CHECKING:
    from torch import Tensor, nn

    from pruneviz.repair.moments import Moments
    from pruneviz.repair.moments import Statistics as Gathered
    from pruneviz.repair.structure import Structure

RIDGE = 1e-3
"""Added to the moments, times their mean on the diagonal: as the instant repair does."""
MOST_WORK = 1e9
"""Of `work`; ResNet-50 has 12 times as much, and took 370 s of one core."""
STEPS = 512
"""A wider group loses several units a step."""
BLOCKS = 32
"""Steps a group where the order is given."""
GONE = -2
"""In place of the unit of a channel that is no longer there."""


class Reader:
    """One layer that reads units of a group: what is left of its weights, and G^-1."""

    def __init__(self, weight: FloatArray, moments: FloatArray, units: IntArray) -> None:
        """Take (rows, C) weights, (C, C) moments, and the (C,) unit of each channel."""
        self.square: FloatArray = weight.T @ weight
        self.energy = max(float((self.square * moments).sum()), 1e-300)
        ridge = max(RIDGE * float(np.trace(moments)) / len(moments), 1e-300)
        inverse = np.linalg.inv(moments + ridge * np.eye(len(moments)))
        self.inverse: FloatArray = (inverse + inverse.T) / 2
        self.units = units.copy()

    def costs(self, start: int, width: int) -> FloatArray:
        """(width,) what each unit of a group would cost now, as a fraction of the energy."""
        costs = np.zeros(width)
        mine = np.flatnonzero((self.units >= start) & (self.units < start + width))
        mine = mine[np.argsort(self.units[mine], kind="stable")]
        owners, first, counts = np.unique(self.units[mine], return_index=True, return_counts=True)
        for size in np.unique(counts):
            same = counts == size
            columns = mine[first[same][:, None] + np.arange(size)]
            blocks = columns[:, :, None], columns[:, None, :]
            apart = np.linalg.inv(self.inverse[blocks])
            costs[owners[same] - start] = (apart * self.square[blocks]).sum((1, 2))
        return np.maximum(costs, 0.0) / self.energy

    def remove(self, gone: IntArray) -> float:
        """Take these units' channels away and refit the rest; what it costs, of the energy."""
        out = np.flatnonzero(np.isin(self.units, gone))
        if not len(out):
            return 0.0
        row, column = self.inverse[out], self.square[:, out]
        square = column[out]
        cost = max(float((np.linalg.inv(row[:, out]) * square).sum()), 0.0) / self.energy
        share = np.linalg.solve(row[:, out], row)  # ([G^-1]_DD)^-1 [G^-1]_D:
        half = column - share.T @ square / 2
        self.square -= np.hstack([half, share.T]) @ np.vstack([share, half.T])
        self.inverse -= row.T @ share
        for matrix, diagonal in ((self.square, 0.0), (self.inverse, 1.0)):
            matrix[out], matrix[:, out] = 0.0, 0.0
            matrix[out, out] = diagonal
        self.units[out] = GONE
        left = np.flatnonzero(self.units != GONE)
        if len(left) <= len(self.units) // 2:
            both = np.ix_(left, left)
            self.square, self.inverse, self.units = (
                self.square[both],
                self.inverse[both],
                self.units[left],
            )
        return cost


def order_of(readers: list[Reader], start: int, width: int) -> FloatArray:
    """(width,) the cost so far when each unit of a group goes, cheapest first."""
    scores, left, total = np.zeros(width), np.ones(width, dtype=bool), 0.0
    each = -(-width // STEPS)
    while left.any():
        costs = sum((reader.costs(start, width) for reader in readers), np.zeros(width))
        costs[~left] = np.inf
        chosen = np.argsort(costs, kind="stable")[: min(each, int(left.sum()))]
        for unit in chosen:
            total += costs[unit]
            scores[unit] = total
        left[chosen] = False
        for reader in readers:
            reader.remove(start + chosen)
    return scores


def reconstruction(evidence: Evidence) -> FloatArray:
    """(num_units,) scores; higher = keep."""
    graph, model = evidence.graph, evidence.model
    parameter = next(model.parameters())

    def images() -> Iterator[Tensor]:
        size = evidence.batch_size or usual_batch(graph)
        for x, _ in evidence.seen.batches(size, device=parameter.device):
            yield x.to(parameter.dtype)

    from pruneviz.repair.moments import gather

    moments, behind, _ = gather(model, graph, images())
    scores, counted = np.zeros(graph.num_units), np.zeros(graph.num_units, dtype=bool)
    for group, readers in _readers(evidence, moments, behind):
        scores[list(group.units)] = order_of(readers, group.start, group.width)
        counted[list(group.units)] = True
    rest = graph.prunable & ~counted
    if rest.any():
        norm = by_filter(l2_norms)(evidence)
        scores[rest] = norm[rest] / max(norm[rest].mean(), 1e-300)
        known = scores[counted & graph.prunable]
        scores[rest] *= known.mean() if known.size and known.mean() > 0 else 1.0
    return scores


def costs_in_order(
    model: nn.Module,
    graph: ChannelGraph,
    seen: Gathered,
    scores: FloatArray,
    report: Callable[[str], None] = lambda group: None,
) -> FloatArray:
    """(num_units,) a group's cost so far when each unit goes, the lowest scores first.

    NaN in groups that no counted layer reads. Units go in steps of 1/32 of the width, over which
    their cost is spread evenly: under a second on ResNet-20, one of a core's minutes on ResNet-50.

    Args:
        model: The unpruned network.
        graph: Its channels.
        seen: What its layers read, from `pv.statistics`.
        scores: (num_units,) any criterion's.
        report: Called with the name of every group when it begins.
    """
    costs = np.full(graph.num_units, np.nan)
    for group, readers in _readers(Evidence(graph, model), seen.moments, seen.behind):
        units = np.arange(group.start, group.start + group.width)
        order = units[np.argsort(scores[units], kind="stable")]
        report(group.name)
        total = 0.0
        for block in np.array_split(order, min(BLOCKS, group.width)):
            cost = sum(reader.remove(block) for reader in readers)
            costs[block] = total + cost * np.arange(1, len(block) + 1) / len(block)
            total += cost
    return costs


def work(graph: ChannelGraph) -> float:
    """About how many multiply-adds the orders of all groups take: steps × channels², by reader."""
    from pruneviz.repair.moments import MOST_CHANNELS

    reads = [t.slots[1] for t in graph.tensors if 1 in t.slots and 1 in t.reads]
    return sum(
        float(min(group.width, STEPS)) * len(units) ** 2
        for group in graph.prunable_groups
        for units in reads
        if len(units) <= MOST_CHANNELS and _reads(units, group)
    )


def takes_minutes(graph: ChannelGraph) -> bool:
    """Whether it takes minutes on a network: on ResNet-50, not on ResNet-18."""
    return work(graph) > MOST_WORK


def _reads(units: IntArray, group: Group) -> bool:
    return bool(((units >= group.start) & (units < group.start + group.width)).any())


def _readers(
    evidence: Evidence, moments: Mapping[str, Moments], behind: Structure
) -> Iterator[tuple[Group, list[Reader]]]:
    """Every prunable group that a layer reads which can be refitted, and these layers."""
    sources = list(_sources(evidence, moments, behind))
    for group in evidence.graph.prunable_groups:
        readers = [Reader(*source) for source in sources if _reads(source[2], group)]
        if readers:
            yield group, readers


def _sources(
    evidence: Evidence, moments: Mapping[str, Moments], behind: Structure
) -> Iterator[tuple[FloatArray, FloatArray, IntArray]]:
    """Weights (rows, C), moments (C, C) and units (C,) of every layer that can be refitted."""
    graph = evidence.graph
    reads = {t.name: t.slots[1] for t in graph.tensors if 1 in t.slots and 1 in t.reads}
    for layer in graph.layers:
        gathered, units = moments.get(layer.name), reads.get(layer.weight)
        if gathered is None or units is None or layer.computed:
            continue
        weight = evidence.array(layer.weight).astype(np.float64)
        rows = weight.reshape(*weight.shape[:2], -1).swapaxes(1, 2).reshape(-1, weight.shape[1])
        bias = f"{layer.name}.bias" if layer.name else "bias"
        centred = layer.name in behind.norms or bias in evidence.tensors
        yield rows, (gathered.covariance if centred else gathered.second).numpy(), units


CRITERIA = (
    Criterion(
        name="reconstruction",
        title="Reconstruction error",
        help="A filter that the others can replace is not needed: the error that remains, after a "
        "refit, in the layers that read it, with the less important filters pruned.",
        formula="Σ tr(W_D ([G⁻¹]_DD)⁻¹ W_Dᵀ) / tr(W G Wᵀ)",
        paper="Hassibi & Stork 1993; Frantar & Alistarh 2022",
        score=reconstruction,
        needs_data=True,
        takes_minutes=takes_minutes,
    ),
)
