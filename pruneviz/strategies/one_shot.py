"""One-shot pruning by filter norms, with a ratio for each layer from its sensitivity.

Li, Kadav, Durdanovic, Samet & Graf (2016), *Pruning Filters for Efficient ConvNets*,
arXiv:1608.08710: filters are compared within a layer by their l1 norm; layers that lose accuracy
when pruned alone are pruned less, or not at all; everything goes at once, then the network is
fine-tuned.

What differs, and why: the paper picks the ratios by eye from the sensitivity curves. Here each
group may lose the share up to which its curve holds within `tolerated_drop`, and these shares are
scaled together until the MACs target is met (groups with none follow last). "uniform" gives every
group the same share, "global" compares units over all layers instead.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np

from pruneviz.criteria import Ranking
from pruneviz.sensitivity import sensitivity
from pruneviz.strategies.base import Strategy, StrategyEvent
from pruneviz.strategies.budget import by_ratio, by_score, reach
from pruneviz.strategies.options import OneOff, option, params_target
from pruneviz.strategies.run import Run


@dataclass(frozen=True)
class Options(OneOff):
    """How units are chosen, and the fine-tuning."""

    criterion: str = option(
        "l1", "Criterion by which units are compared.", choices="criteria", label="Criterion"
    )
    ratios: str = option(
        "sensitivity",
        "How each group's pruning ratio is set.",
        choices={
            "sensitivity": "by its sensitivity",
            "uniform": "the same for all",
            "global": "scores of all layers together",
        },
        label="Pruning ratio of each group",
    )
    tolerated_drop: float = option(
        0.05,
        "Accuracy that a group may lose when pruned alone.",
        minimum=0.0,
        maximum=1.0,
        label="Accuracy loss allowed per group",
        unit="0 to 1",
    )
    target_params: float | None = params_target()
    images: int | None = option(
        None,
        "Validation images for the sensitivity scan; by default all.",
        minimum=1,
        label="Sample for the sensitivity scan",
        unit="images",
    )


def run(run: Run, options: Options) -> Iterator[StrategyEvent]:
    """Scan, rank, remove all at once, fine-tune."""
    if "prune" not in run.done:
        scores = run.rank(options.criterion, "prune", comparable=options.ratios == "global")
        if options.ratios == "global":
            order = by_score(run.graph, scores)
        elif options.ratios == "uniform":
            order = by_ratio(run.graph, scores)
        else:
            shares = yield from _shares(run, options, scores)
            first = by_ratio(run.graph, scores, shares)
            rest = by_ratio(run.graph, scores)
            order = np.concatenate([first, rest[~np.isin(rest, first)]])
        run.done.append("prune")
        target = replace(run.target, params=options.target_params)
        run.shrink(reach(run.graph, order, target), repair=options.repair)
        yield run.event("prune", f"Removed {len(run.plan)} units at once", progress=0.3)
    yield from run.fine_tune("final", options.epochs, share=(0.3, 1.0))


def _shares(
    run: Run, options: Options, scores: np.ndarray
) -> Generator[StrategyEvent, None, dict[str, float]]:
    """Scan the sensitivity on validation images, and return what each group may lose."""
    ranking = Ranking(run.graph, {options.criterion: scores})
    whole = run.evaluate()
    scan = None
    for scan in sensitivity(
        run.network,
        run.graph,
        run.data,
        ranking,
        options.criterion,
        ratios=tuple(k / 10 for k in range(1, 10)),
        images=options.images,
        after="cut",  # the paper's
    ):
        if not scan.final:
            yield run.event(
                "rank",
                f"Sensitivity of {len(scan.groups)} groups: {scan.images} of {scan.total} images",
                measured=(whole.accuracy, whole.loss),
                progress=0.3 * scan.images / scan.total,
                state=False,
            )
    assert scan is not None
    return scan.allowed(options.tolerated_drop)


STRATEGY = Strategy(
    name="one_shot",
    title="One shot, by sensitivity",
    help="Removes each layer's smallest filters at once, fewer where the layer is sensitive.",
    paper="Li et al. 2016, arXiv:1608.08710",
    options=Options,
    run=run,
    other_targets=("target_params",),
)
