"""Criteria computed from the weights alone: no data, no pass through the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pruneviz.criteria.evidence import Evidence, FloatArray, mean_over_members
from pruneviz.criteria.registry import Criterion
from pruneviz.errors import InvalidValueError

CHUNK = 1 << 22
"""Weights taken at a time, so that a wide linear layer needs little memory."""

WIDE = 1 << 34
"""Multiplications between filters from which distances are taken in the weights' own precision."""

Rows = npt.NDArray[np.floating[Any]]
"""(C, K): the weights of each of a layer's C filters."""


def l1_norms(rows: Rows) -> FloatArray:
    """(C, K) -> (C,) sum of absolute values."""
    return _each(rows, lambda part: np.abs(part).sum(axis=1))


def l2_norms(rows: Rows) -> FloatArray:
    """(C, K) -> (C,) Euclidean norm."""
    return _each(rows, lambda part: np.sqrt((part**2).sum(axis=1)))


def distances_to_others(rows: Rows) -> FloatArray:
    """(C, K) -> (C,) sum of the Euclidean distances from each row to all the others.

    In double precision, but for layers so wide that this would take minutes.
    """
    kind = np.float64 if len(rows) * rows.size < WIDE else rows.dtype
    gram = np.zeros((len(rows), len(rows)), dtype=kind)
    step = max(1, CHUNK // len(rows))
    for start in range(0, rows.shape[1], step):
        part = rows[:, start : start + step].astype(kind)
        part -= part.mean(axis=0)  # distances stay, and large common values cancel here
        gram += part @ part.T
    square = np.diag(gram)
    apart = square[:, None] + square[None, :] - 2 * gram
    np.fill_diagonal(apart, 0.0)
    distance: FloatArray = np.sqrt(np.maximum(apart, 0.0)).sum(axis=1, dtype=np.float64)
    return distance


def _each(rows: Rows, measure: Callable[[FloatArray], FloatArray]) -> FloatArray:
    step = max(1, CHUNK // rows.shape[1])
    parts = range(0, len(rows), step)
    return np.concatenate([measure(rows[i : i + step].astype(np.float64)) for i in parts])


def by_filter(measure: Callable[[Rows], FloatArray]) -> Callable[[Evidence], FloatArray]:
    """Make a criterion's `score` of a function from a layer's filters (C, K) to scores (C,).

    A unit's score is the mean over its filters.
    """

    def score(evidence: Evidence) -> FloatArray:
        graph = evidence.graph
        values = {layer.name: measure(evidence.filters(layer)) for layer in graph.layers}
        return mean_over_members(graph, values)

    return score


def _scales(evidence: Evidence) -> tuple[FloatArray, FloatArray]:
    """(num_units,) sum of |gamma| over each unit's batch norms, and their number."""
    from torch.nn.modules.batchnorm import _NormBase

    graph = evidence.graph
    norms = {
        f"{name}.weight" if name else "weight"
        for name, module in evidence.model.named_modules(remove_duplicate=False)
        if isinstance(module, _NormBase) and module.weight is not None
    }
    total, count = np.zeros(graph.num_units), np.zeros(graph.num_units)
    for tensor in graph.tensors:
        units = tensor.slots.get(0)
        if tensor.name in norms and units is not None:
            real = units >= 0
            np.add.at(
                total, units[real], np.abs(evidence.array(tensor.name))[real].astype(np.float64)
            )
            np.add.at(count, units[real], 1)
    return total, count


def has_batch_norm(evidence: Evidence) -> bool:
    """Whether any unit that can go has a batch norm with learned scales."""
    return bool(((_scales(evidence)[1] > 0) & evidence.graph.prunable).any())


def batch_norm_scales(evidence: Evidence) -> FloatArray:
    """(num_units,) mean |gamma| of the batch norms on each unit's channels.

    Units without batch norm take the l2 norm of their filters, rescaled to the mean of the others.

    Raises:
        InvalidValueError: The network has no batch norm with learned scales at all.
    """
    graph = evidence.graph
    total, count = _scales(evidence)
    scaled = count > 0
    if not (scaled & graph.prunable).any():
        raise InvalidValueError(
            "Criterion 'bn_scale' reads the scales of batch norms, but no filter of this network "
            "has one. Choose another criterion, such as 'l1'."
        )
    scores = total / np.maximum(count, 1)
    rest = graph.prunable & ~scaled
    if rest.any():
        norm = by_filter(l2_norms)(evidence)
        scores[rest] = norm[rest] / max(norm[rest].mean(), 1e-300)
        scores[rest] *= scores[scaled & graph.prunable].mean()
    return scores


CRITERIA = (
    Criterion(
        name="l1",
        title="L1 norm",
        help="Filters with small weights matter little: the sum of the weights' absolute values.",
        formula="Σ |w|",
        paper="Li et al. 2016, Pruning Filters for Efficient ConvNets",
        score=by_filter(l1_norms),
    ),
    Criterion(
        name="l2",
        title="L2 norm",
        help="Like the L1 norm, but large weights count more: the filter's Euclidean length.",
        formula="√ Σ w²",
        paper="Li et al. 2016; He et al. 2018, Soft Filter Pruning",
        score=by_filter(l2_norms),
    ),
    Criterion(
        name="fpgm",
        title="Geometric median",
        help="Filters that resemble the others can be replaced by them: the sum of the distances "
        "to all other filters of the layer.",
        formula="Σⱼ ‖wᵢ − wⱼ‖₂",
        paper="He et al. 2019, Filter Pruning via Geometric Median",
        score=by_filter(distances_to_others),
    ),
    Criterion(
        name="bn_scale",
        title="Batch norm scale",
        help="A channel that its batch norm scales down matters little: the absolute scale "
        "(filters without batch norm by their L2 norm, rescaled to the same mean).",
        formula="|γ|",
        paper="Liu et al. 2017, Network Slimming",
        score=batch_norm_scales,
        applies=has_batch_norm,
    ),
)
