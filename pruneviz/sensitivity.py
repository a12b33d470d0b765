"""How accuracy falls as one group after another is pruned alone.

After Li et al., *Pruning Filters for Efficient ConvNets* (2016): each group is pruned to several
ratios, nothing is trained, and the accuracy is measured. Theirs is that of the cut network; by
default ours is repaired first (`pruneviz.repair`): a loss that can be repaired in closed form says
little about a group. Cut networks are all measured on one mini-batch before the next, so every
curve is there at once and gets sharper; repaired ones are measured one by one, the same ratio of
every group before the next ratio.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pruneviz.arguments import network, number, several, whole
from pruneviz.bars import followed
from pruneviz.channels import ChannelGraph, check_graph
from pruneviz.cost import cost
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.plan import Plan
from pruneviz.sensitivity_result import AFTER, After, Sensitivity, SensitivityPoint
from pruneviz.threshold import Scores, threshold

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.data import DataSet
    from pruneviz.repair import Repairer, Statistics
    from pruneviz.replay import Score
    from pruneviz.training import Task

RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
REMEASURED_IMAGES = 256


def sensitivity(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    rank: Scores,
    criterion: str,
    ratios: Sequence[float] = RATIOS,
    *,
    images: int | None = None,
    split: str = "val",
    groups: Iterable[str] | None = None,
    after: After = "repaired",
    batch_size: int | None = None,
    workers: int | None = None,
    task: Task | None = None,
    seen: Statistics | None = None,
    progress: bool | None = None,
) -> Iterator[Sensitivity]:
    """Measure every group pruned alone to every ratio; yields a growing result.

    The units with the lowest scores go first: `round(ratio * width)` of them, at least one stays.
    It measures the network that `repair(..., depth="instant")` gives, or the pruned network without
    repair.

    Args:
        model: The network; it is not changed.
        graph: Its channels.
        data: Images (N, C, H, W) and labels.
        rank: A ranking that holds the criterion.
        criterion: Its name.
        ratios: Fractions of a group's units to remove, each in 0..1.
        images: How many images, balanced over the classes; None for the whole split.
        split: "train", "val" or "test".
        groups: Names of the groups to measure; None for all that can be pruned.
        after: "repaired" folds the pruned channels into the others before measuring; "remeasured"
            only recomputes the batch norms' statistics; "cut" does nothing, as in the paper:
            masking each plan and evaluating gives the same numbers.
        batch_size: Images per mini-batch; None to choose for the network and the machine.
        workers: Mini-batches computed side by side; None for as many threads as torch may use.
        task: Your own loss and metric instead of classification; `accuracy` is then its metric, and
            each plan is pruned and measured separately.
        seen: For "repaired": what `statistics` gathered before.
        progress: False for no bar.

    Raises:
        InvalidValueError: A ratio outside 0..1, or none, or fewer than one image; statistics of
            another network.
        UnknownNameError: An unknown criterion, group, split or `after`.
        DataError: The split is absent or empty, or has labels without an output.

    Example:
        >>> ranking = pv.rank(model, graph, None, "l1")
        >>> some = {"groups": ["layer1.0.conv1"], "ratios": (0.25, 0.5), "images": 100}
        >>> for scan in pv.sensitivity(model, graph, data, ranking, "l1", **some):
        ...     pass  # grows while it is measured
        >>> [(point.ratio, point.removed, point.width) for point in scan.points]
        [(0.25, 4, 16), (0.5, 8, 16)]
    """
    from pruneviz.data import check_data
    from pruneviz.training import chance

    network(model)
    check_graph(graph)
    if after not in AFTER:
        raise UnknownNameError("way to measure (after)", after, AFTER)
    steps = tuple(sorted({number("A ratio", r, 0, 1) for r in several("ratios", ratios)}))
    if batch_size is not None:
        whole("batch_size", batch_size)
    if workers is not None:
        whole("workers", workers)
    if not steps:
        raise InvalidValueError("A sensitivity scan needs at least one ratio, but got none.")
    wished = _names(graph) if groups is None else several("groups", groups)
    chosen = [graph.group(str(name)) for name in wished]
    wanted = [(g.name, r) for g in chosen if g.prunable for r in steps]
    plans = [threshold(graph, rank, criterion, {group: ratio}) for group, ratio in wanted]
    if not wanted:
        threshold(graph, rank, criterion, steps[-1])  # says what is wrong with the arguments
    source = check_data(data).split(split)
    source = source if images is None else source.first(images)
    base = cost(graph).macs
    points = []
    for (name, ratio), plan in zip(wanted, plans, strict=True):
        macs, width = cost(graph, plan).macs, graph.group(name).width
        saved = 1 - macs / base if base else 0.0
        points.append(SensitivityPoint(name, ratio, len(plan), width, 0, 0, 0.0, macs, saved))
    start = Sensitivity(
        criterion=criterion,
        split=split,
        baseline_correct=0,
        baseline_loss=0.0,
        images=0,
        total=len(source),
        ratios=steps,
        points=tuple(points),
        closed=tuple((g.name, g.reason or "") for g in chosen if not g.prunable),
        final=False,
        after=after,
        chance=chance(source) if task is None else None,
    )
    names = [g.name for g in chosen if g.prunable]

    def run() -> Iterator[Sensitivity]:
        from pruneviz.replay import Replay, scan

        # Ratios that remove the same units share one measurement; the first is the baseline.
        distinct = list(dict.fromkeys([Plan(graph), *plans]))
        place = {plan: i for i, plan in enumerate(distinct)}
        where = [place[plan] for plan in plans]
        replay = Replay(model, graph, groups=names)
        total: list[Score] | None = None
        for scores in scan(replay, source, distinct, batch_size=batch_size, workers=workers):
            total = scores if total is None else [a + b for a, b in zip(total, scores, strict=True)]
            yield _grown(start, total, where)

    if after == "cut" and task is None:
        events = run()
    else:
        from pruneviz.repair import Repairer

        repairer = Repairer(model, graph, data, seen=seen)
        events = _one_by_one(start, repairer, plans, batch_size or 256, task)
    return followed(events, "Sensitivity", _done, progress, "%")


def _done(result: Sensitivity) -> tuple[int, int]:
    return round(100 * result.progress), 100


def _one_by_one(
    start: Sensitivity,
    repairer: Repairer,
    plans: Sequence[Plan],
    batch_size: int,
    task: Task | None,
) -> Iterator[Sensitivity]:
    """Repair and measure plan after plan, the same ratio of every group before the next."""
    from pruneviz.surgery import prune
    from pruneviz.training import evaluate, recalibrate

    model, graph, data = repairer.model, repairer.graph, repairer.data
    measured: dict[Plan, tuple[float, float]] = {}

    def measure(plan: Plan) -> tuple[float, float]:
        if plan not in measured:
            network = model
            if plan.dropped and start.after == "repaired":
                network = repairer.instant(plan).network
            elif plan.dropped:
                network = prune(model, graph, plan)
            if plan.dropped and start.after == "remeasured":
                recalibrate(network, data, images=REMEASURED_IMAGES)
            limit = start.total
            evaluation = evaluate(
                network,
                data,
                split=start.split,
                limit=limit,
                batch_size=batch_size,
                task=task,
                progress=False,
            )
            right = evaluation.accuracy * evaluation.count
            measured[plan] = right if task is not None else round(right), evaluation.loss
        return measured[plan]

    correct, loss = measure(Plan(graph))
    result = replace(
        start, baseline_correct=correct, baseline_loss=loss, images=start.total,
        final=not start.points,
    )  # fmt: skip
    order = sorted(range(len(plans)), key=lambda i: start.points[i].ratio)
    points = list(start.points)
    if not order:
        yield result
    for done, index in enumerate(order, start=1):
        correct, loss = measure(plans[index])
        points[index] = replace(points[index], correct=correct, images=start.total, loss=loss)
        result = replace(result, points=tuple(points), final=done == len(order))
        yield result


def _names(graph: ChannelGraph) -> list[str]:
    return [group.name for group in graph.groups]


def _grown(start: Sensitivity, total: Sequence[Score], where: Sequence[int]) -> Sensitivity:
    """Put the scores so far into a result."""
    base = total[0]
    points = tuple(
        replace(
            point,
            correct=total[at].correct,
            images=total[at].count,
            loss=total[at].loss / total[at].count,
        )
        for point, at in zip(start.points, where, strict=True)
    )
    return replace(
        start,
        baseline_correct=base.correct,
        baseline_loss=base.loss / base.count,
        images=base.count,
        points=points,
        final=base.count == start.total,
    )
