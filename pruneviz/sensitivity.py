"""How accuracy falls as one group after another is pruned alone.

After Li et al., *Pruning Filters for Efficient ConvNets* (2016): each group is pruned to several
ratios, nothing is trained, and the accuracy is measured. Theirs is that of the cut network; by
default ours is repaired first (`pruneviz.repair`), as what can be made up for in closed form says
nothing of what a group is worth. Of cut networks all groups and ratios are measured on one
mini-batch before the next is taken, so every curve is there at once and gets sharper; repaired ones
are measured one after another, the same ratio of every group before the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pruneviz.arguments import network, number, several, whole
from pruneviz.bars import followed
from pruneviz.channels import ChannelGraph, check_graph
from pruneviz.cost import cost
from pruneviz.drawing import Shown, draw
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.plan import Plan, Scores, threshold

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from pruneviz.data import DataSet
    from pruneviz.replay import Score

RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)
After = Literal["cut", "remeasured", "repaired"]
AFTER = ("cut", "remeasured", "repaired")
REMEASURED_IMAGES = 256


@dataclass(frozen=True, slots=True)
class SensitivityPoint:
    """One group pruned to one ratio, everything else whole.

    `removed` of the group's `width` units are gone (0 where the ratio is too small to remove one:
    then nothing was pruned, and the point says so). `correct` of `images` are classified right;
    `loss` is their mean cross-entropy; `macs` are the whole network's, `macs_saved` the fraction
    of the unpruned network's MACs that is gone.
    """

    group: str
    ratio: float
    removed: int
    width: int
    correct: int
    images: int
    loss: float
    macs: int
    macs_saved: float

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0..1."""
        return self.correct / self.images if self.images else math.nan


@dataclass(frozen=True)
class Sensitivity(Shown):
    """Accuracy against ratio for every group, on the images seen so far.

    `points` run over groups in execution order, within a group by ratio. `closed` are the groups
    that cannot be pruned, each with the reason; they have no points. `final` says that all
    `total` images have been seen.
    """

    criterion: str
    split: str
    baseline_correct: int
    baseline_loss: float
    images: int
    total: int
    ratios: tuple[float, ...]
    points: tuple[SensitivityPoint, ...]
    closed: tuple[tuple[str, str], ...]
    final: bool
    after: After = "cut"
    """What was done to a pruned network before it was measured."""
    chance: float | None = None
    """Accuracy (0..1) of always answering the images' commonest class."""

    @property
    def progress(self) -> float:
        """How much of the scan is done, 0..1."""
        if self.after == "cut":
            return self.images / self.total if self.total else 1.0
        return sum(p.images > 0 for p in self.points) / max(1, len(self.points))

    @property
    def baseline(self) -> float:
        """Accuracy (0..1) of the unpruned network on the same images."""
        return self.baseline_correct / self.images if self.images else math.nan

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that have a curve."""
        return tuple(dict.fromkeys(p.group for p in self.points))

    def curve(self, group: str) -> tuple[SensitivityPoint, ...]:
        """Return the points of one group, by ratio."""
        return tuple(p for p in self.points if p.group == group)

    def allowed(self, drop: float) -> dict[str, float]:
        """Return, for each group, the largest measured ratio up to which accuracy holds.

        A ratio counts when it and all smaller measured ones lose at most `drop` (a fraction of
        all images, 0..1) of the baseline's accuracy. 0 where none does. The result can be given
        to `threshold(..., ratio=result, scope="group")`; groups pruned together lose more than
        each alone. Raises `InvalidValueError` for a drop outside 0..1.
        """
        number("A tolerated drop of accuracy", drop, 0, 1)
        slack = drop * self.images + 1e-9
        ratios = {}
        for group in self.groups:
            ratios[group] = 0.0
            for point in self.curve(group):
                if not point.images:
                    break  # not measured yet
                if self.baseline_correct - point.correct > slack:
                    break
                ratios[group] = point.ratio if point.removed else 0.0
        return ratios

    def to_frame(self) -> pd.DataFrame:
        """One row a point; groups that cannot be pruned have one row without numbers."""
        import pandas as pd

        rows: list[dict[str, Any]] = [
            {
                "group": p.group,
                "ratio": p.ratio,
                "removed": p.removed,
                "width": p.width,
                "accuracy": p.accuracy,
                "drop": self.baseline - p.accuracy,
                "correct": p.correct,
                "images": p.images,
                "loss": p.loss,
                "macs": p.macs,
                "macs_saved": p.macs_saved,
                "reason": "",
            }
            for p in self.points
        ]
        rows += [{"group": name, "reason": reason} for name, reason in self.closed]
        columns = list(rows[0]) if self.points else None
        return pd.DataFrame(rows, columns=columns)

    def figure(
        self,
        *,
        tolerance: float | None = None,
        highlight: Iterable[str] = (),
        dark: bool = False,
        height: int | None = None,
    ) -> Any:
        """Draw one curve a group, with the baseline and, on request, a tolerated drop."""
        look: dict[str, Any] = {"dark": dark, "height": height}
        return draw(self, tolerance=tolerance, highlight=highlight, **look)


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
    progress: bool | None = None,
) -> Iterator[Sensitivity]:
    """Measure every group pruned alone to every ratio; yields a growing result.

    The units with the lowest scores go first: `round(ratio * width)` of them, at least one stays.
    What is measured is the network that `repair(..., depth="instant")` gives, or the cut one.

    Args:
        model: The network; it is not changed.
        graph: Its channels.
        data: Images (N, C, H, W) and labels.
        rank: A ranking that holds the criterion.
        criterion: Its name.
        ratios: Fractions of a group's units to remove, each in 0..1.
        images: How many images, classes balanced; None for the whole split.
        split: "train", "val" or "test".
        groups: Names of the groups to measure; None for all that can be pruned.
        after: "repaired" folds what goes into what stays before measuring; "remeasured" only
            measures the batch norms anew; "cut" does nothing, as in the paper: masking each plan
            and evaluating gives the same numbers.
        batch_size: Images of a mini-batch; None for what suits the network and the machine.
        workers: Mini-batches computed side by side; None for as many threads as torch may use.
        progress: False for no bar.

    Raises:
        InvalidValueError: A ratio outside 0..1, or none, or fewer than one image.
        UnknownNameError: An unknown criterion, group, split or `after`.
        DataError: The split is absent or empty, or has labels without an output.
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
        chance=chance(source),
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

    if after == "cut":
        events = run()
    else:
        events = _one_by_one(start, model, graph, data, plans, batch_size or 256)
    return followed(events, "Sensitivity", _done, progress, "%")


def _done(result: Sensitivity) -> tuple[int, int]:
    return round(100 * result.progress), 100


def _one_by_one(
    start: Sensitivity,
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    plans: Sequence[Plan],
    batch_size: int,
) -> Iterator[Sensitivity]:
    """Repair and measure plan after plan, the same ratio of every group before the next."""
    from pruneviz.repair import Repairer
    from pruneviz.surgery import prune
    from pruneviz.training import evaluate, recalibrate

    repairer = Repairer(model, graph, data)
    measured: dict[Plan, tuple[int, float]] = {}

    def measure(plan: Plan) -> tuple[int, float]:
        if plan not in measured:
            network = model
            if plan.dropped and start.after == "repaired":
                network = repairer.instant(plan).network
            elif plan.dropped:
                network = prune(model, graph, plan)
                recalibrate(network, data, images=REMEASURED_IMAGES)
            limit = start.total
            evaluation = evaluate(
                network,
                data,
                split=start.split,
                limit=limit,
                batch_size=batch_size,
                progress=False,
            )
            measured[plan] = round(evaluation.accuracy * evaluation.count), evaluation.loss
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
