"""Measure predicted against reached: every plan cut, re-measured, repaired, then fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from torch import nn

from pruneviz.allocation import search
from pruneviz.allocation.greedy import budget
from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.criteria import Ranking, rank
from pruneviz.data import DataSet
from pruneviz.plan import Plan
from pruneviz.repair import Repairer
from pruneviz.studies.papers.setting import with_test
from pruneviz.studies.trust.plans import BUDGETS, draw_plans
from pruneviz.studies.trust.result import Trust, TrustPoint
from pruneviz.surgery import prune
from pruneviz.trace import trace
from pruneviz.training import evaluate, fine_tune, recalibrate

Watch = Callable[[Trust], None]

IMAGES = 1000
RECALIBRATED = 1024
ALLOCATED = 256


def measure_trust(
    model: nn.Module,
    data: DataSet,
    *,
    network: str = "",
    plans: int = 60,
    epochs: int = 1,
    train_images: int | None = None,
    reached_images: int | None = None,
    images: int = IMAGES,
    budgets: Sequence[float] = BUDGETS,
    seed: int = 0,
    before: Trust | None = None,
    watch: Watch | None = None,
) -> Trust:
    """Measure how well accuracies without training predict the one after it.

    Every plan is pruned and judged on `images` validation images: as cut, with its batch norms
    re-measured, and repaired. The repaired network is then fine-tuned, with the labels alone, and
    judged on images that nothing else looked at: the test images, or, where there are none, half
    of the validation images, which then predict nothing.

    Args:
        model: The unpruned network; it is not changed.
        data: Training images repair and train, validation images predict.
        network: Its name in the result, by default its class's.
        plans: How many; one plan of each budget is `allocate`'s, the others have random ratios,
            and prune random filters or those that l2 or Fisher information ranks lowest.
        epochs: Of the fine-tuning.
        train_images: Images of an epoch; all by default.
        reached_images: Images that the fine-tuned network is judged on, at most.
        images: Validation images that predictions are measured on, at most.
        budgets: Fractions of the MACs that plans leave, within 3 %.
        seed: Draws the plans, and the order of the training images.
        before: What a stopped study left; its plans are not done again.
        watch: Called with the study so far, after every plan.
    """
    graph = trace(model, data.input_shape)
    split = "test" if data.test is not None else "val"
    data = with_test(data)
    held_out = replace(data, val=data.split("test"))
    fewer = _fewer(data, train_images)
    base = evaluate(model, held_out, limit=reached_images)
    trust = Trust(
        network=network or type(model).__name__,
        data=data.name,
        start="repaired",
        images=min(images, len(data.val)),
        split=split,
        reached_images=base.count,
        epochs=epochs,
        train_images=len(fewer.train),
        seed=seed,
        baseline=base.accuracy,
        points=() if before is None else before.points,
    )
    repairer = Repairer(model, graph, data, seed=seed)
    ranking = rank(model, graph, data, ("l2", "fisher"))
    drawn = _plans(model, graph, data, ranking, plans, tuple(budgets), seed)
    for number, (origin, macs_wanted, plan) in enumerate(drawn):
        if number < len(trust.points):
            continue
        cut = prune(model, graph, plan)
        raw = evaluate(cut, data, limit=images).accuracy
        recalibrate(cut, data, images=RECALIBRATED, seed=seed)
        remeasured = evaluate(cut, data, limit=images).accuracy
        repaired = repairer.full(plan).network
        after_repair = evaluate(repaired, data, limit=images).accuracy
        for _ in fine_tune(repaired, fewer, epochs=epochs, seed=seed):
            pass
        reached = evaluate(repaired, held_out, limit=reached_images).accuracy
        macs = cost(graph, plan).macs_ratio
        point = TrustPoint(origin, macs_wanted, macs, raw, remeasured, after_repair, reached)
        trust = replace(trust, points=(*trust.points, point))
        if watch is not None:
            watch(trust)
    return trust


def _plans(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    ranking: Ranking,
    count: int,
    budgets: tuple[float, ...],
    seed: int,
) -> Iterator[tuple[str, float, Plan]]:
    """The drawn plans, then one of each budget that `allocate` finds."""
    yield from draw_plans(graph, ranking, max(1, count - len(budgets)), budgets, seed)
    scan = None
    for macs in budgets[: count - 1]:
        wanted = budget(graph, macs, None)
        allocation = search(
            Repairer(model, graph, data),
            wanted,
            criterion="fisher",
            ranking=ranking,
            scan=scan,
            images=ALLOCATED,
            progress=lambda share, what: None,
        )
        scan = allocation.scan
        yield "allocated", macs, allocation.plan


def _fewer(data: DataSet, images: int | None) -> DataSet:
    """The data with fewer training images, of all classes alike."""
    if images is None or images >= len(data.train):
        return data
    return replace(data, train=data.train.first(images))
