"""The scan says what masking each plan and evaluating it says, and says it early."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import pruneviz as pv
from pruneviz.data import DataSet, ImageSet
from pruneviz.errors import DataError, InvalidValueError, UnknownNameError
from pruneviz.sensitivity_result import Sensitivity

IMAGES = 75


class Scores:
    """A ranking made of chance."""

    def __init__(self, graph: pv.ChannelGraph) -> None:
        self.scores = {"chance": np.random.default_rng(0).random(graph.num_units)}

    def of(self, criterion: str) -> np.ndarray:
        if criterion not in self.scores:
            raise UnknownNameError("criterion", criterion, self.scores)
        return self.scores[criterion]

    comparable = of


class Residual(nn.Module):
    """A stem, a residual block with a gate, two heads' worth of channels."""

    def __init__(self, norm: type[nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.norm = norm(12) if norm is nn.BatchNorm2d else nn.GroupNorm(3, 12)
        self.inner = nn.Conv2d(12, 16, 3, padding=1, bias=False)
        self.inner_norm = nn.BatchNorm2d(16)
        self.outer = nn.Conv2d(16, 12, 1)
        self.gate = nn.Conv2d(12, 12, 1)
        self.tail = nn.Conv2d(12, 3, 3)
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu_()
        y = torch.nn.functional.relu6(self.inner_norm(self.inner(x)), inplace=True)
        x += self.outer(y)
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        return self.head(self.tail(x).amax((2, 3)))


def make(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if "var" in name or ("norm" in name and name.endswith("weight")):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.3, generator=generator)
    return model.eval()


def images(count: int, classes: int = 4, size: int = 8) -> ImageSet:
    generator = torch.Generator().manual_seed(5)
    colour = torch.randint(0, 200, (count, 3, 1, 1), generator=generator)
    noise = torch.randint(0, 56, (count, 3, size, size), generator=generator)
    return ImageSet((colour + noise).to(torch.uint8), torch.arange(count) % classes)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return DataSet("noise", images(8), images(IMAGES), None, tuple("abcd"), (3, 8, 8), source={})


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return make(Residual())


@pytest.fixture(scope="module")
def graph(model: nn.Module) -> pv.ChannelGraph:
    return pv.trace(model, (3, 8, 8))


def naive(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet, group: str, ratio: float
) -> pv.Evaluation:
    """Prune, then look at every image: the slow way."""
    plan = pv.threshold(graph, Scores(graph), "chance", {group: ratio})
    return pv.evaluate(pv.prune(model, graph, plan), data)


def run(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet, ratios: Sequence[float], **options: int
) -> list[Sensitivity]:
    return list(
        pv.sensitivity(model, graph, data, Scores(graph), "chance", ratios, after="cut", **options)
    )


@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.GroupNorm])
@pytest.mark.parametrize("workers", [1, 2])
def test_counts_are_those_of_evaluating_each_plan(
    norm: type[nn.Module], workers: int, data: DataSet
) -> None:
    model = make(Residual(norm))
    graph = pv.trace(model, (3, 8, 8))
    assert graph.maskable == (norm is nn.BatchNorm2d)
    last = run(model, graph, data, (0.2, 0.5, 0.9), workers=workers, batch_size=16)[-1]
    assert last.final
    assert last.images == last.total == IMAGES
    whole = pv.evaluate(model, data)
    assert last.baseline == whole.accuracy
    assert last.baseline_loss == pytest.approx(whole.loss, rel=1e-5)
    assert len(last.points) == 3 * len(graph.prunable_groups)
    assert len({p.correct for p in last.points}) > 3, "the points differ, or the test says nothing"
    for point in last.points:
        slow = naive(model, graph, data, point.group, point.ratio)
        assert point.correct == round(slow.accuracy * IMAGES), point
        assert point.loss == pytest.approx(slow.loss, rel=1e-4)


def test_it_grows_by_mini_batches_and_every_curve_is_there_at_once(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet
) -> None:
    results = run(model, graph, data, (0.3, 0.6), batch_size=16)
    assert results[0].images <= IMAGES / 10
    assert [r.final for r in results] == [False] * (len(results) - 1) + [True]
    assert [r.images for r in results] == sorted({r.images for r in results})
    for result in results:
        assert result.groups == results[-1].groups
        assert {p.images for p in result.points} == {result.images}
    seen = results[0].images
    part = DataSet("part", data.train, data.val.subset(torch.arange(seen)), None, data.classes,
                   data.input_shape, source={})  # fmt: skip
    for point in results[0].points:
        assert point.accuracy == naive(model, graph, part, point.group, point.ratio).accuracy


def test_results_do_not_depend_on_workers(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet
) -> None:
    threads = torch.get_num_threads()
    one, three = (run(model, graph, data, (0.5,), workers=w, batch_size=8)[-1] for w in (1, 3))
    assert [p.correct for p in one.points] == [p.correct for p in three.points]
    assert torch.get_num_threads() == threads


def test_a_ratio_too_small_to_remove_anything_says_so(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet
) -> None:
    last = run(model, graph, data, (0.01, 0.5))[-1]
    small = [p for p in last.points if p.ratio == 0.01]
    assert small
    for point in small:
        assert point.removed == 0
        assert point.macs_saved == 0
        assert point.correct == last.baseline_correct
    assert all(p.removed > 0 for p in last.points if p.ratio == 0.5)
    assert all(ratio != 0.01 for ratio in last.allowed(1.0).values())


def test_groups_that_cannot_be_pruned_are_named_with_the_reason(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet
) -> None:
    last = run(model, graph, data, (0.5,))[-1]
    closed = {g.name: g.reason for g in graph.groups if not g.prunable}
    assert closed
    assert dict(last.closed) == closed
    assert not set(closed) & set(last.groups)
    frame = last.to_frame().set_index("group")
    for name, reason in closed.items():
        assert frame.loc[name, "reason"] == reason
        assert math.isnan(frame.loc[name, "accuracy"])


def test_units_width_and_macs_are_those_of_the_plan(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet
) -> None:
    for point in run(model, graph, data, (0.4,), images=8)[-1].points:
        plan = pv.threshold(graph, Scores(graph), "chance", {point.group: 0.4})
        assert point.removed == len(plan.dropped) == round(0.4 * point.width)
        assert point.width == graph.group(point.group).width
        assert point.macs == pv.cost(graph, plan).macs
        assert point.macs_saved == pytest.approx(1 - point.macs / pv.cost(graph).macs)


def test_allowed_is_the_largest_ratio_before_the_first_real_loss() -> None:
    def scan(*correct: int) -> Sensitivity:
        points = tuple(
            pv_point(ratio, c) for ratio, c in zip((0.1, 0.5, 0.9), correct, strict=True)
        )
        return Sensitivity("l1", "val", 90, 0.3, 100, 100, (0.1, 0.5, 0.9), points, (), True)

    assert scan(90, 88, 50).allowed(0.02) == {"conv": 0.5}
    assert scan(90, 87, 90).allowed(0.02) == {"conv": 0.1}, "not beyond a ratio that loses more"
    assert scan(80, 90, 90).allowed(0.02) == {"conv": 0.0}
    assert scan(91, 92, 93).allowed(0.0) == {"conv": 0.9}
    with pytest.raises(InvalidValueError, match="between 0 and 1, but got 2"):
        scan(1, 1, 1).allowed(2)


def pv_point(ratio: float, correct: int) -> object:
    from pruneviz.sensitivity_result import SensitivityPoint

    return SensitivityPoint("conv", ratio, round(10 * ratio), 10, correct, 100, 0.3, 1, 0.1)


def test_results_are_frozen_and_draw_themselves(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet
) -> None:
    last = run(model, graph, data, (0.5,), images=8)[-1]
    with pytest.raises(FrozenInstanceError):
        last.images = 3  # type: ignore[misc]
    figure = last.figure(tolerance=0.02)
    assert len(figure.data) >= len(last.groups)


def test_images_are_a_balanced_sample_and_the_model_is_untouched(
    graph: pv.ChannelGraph, data: DataSet
) -> None:
    model = make(Residual()).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    last = run(model, graph, data, (0.5,), images=12)[-1]
    assert last.images == last.total == 12
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert last.baseline == pv.evaluate(model, data, limit=12).accuracy


def test_stopping_early_leaves_nothing_behind(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet
) -> None:
    import threading

    scan = pv.sensitivity(
        model, graph, data, Scores(graph), "chance", workers=2, batch_size=4, after="cut"
    )
    next(scan)
    scan.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("replay")]


def test_what_a_user_can_get_wrong(model: nn.Module, graph: pv.ChannelGraph, data: DataSet) -> None:
    rank = Scores(graph)
    with pytest.raises(InvalidValueError, match=r"between 0 and 1, but got 1\.5"):
        pv.sensitivity(model, graph, data, rank, "chance", (0.5, 1.5))
    with pytest.raises(InvalidValueError, match="at least one ratio"):
        pv.sensitivity(model, graph, data, rank, "chance", ())
    with pytest.raises(UnknownNameError, match="criterion 'l7'"):
        pv.sensitivity(model, graph, data, rank, "l7")
    with pytest.raises(UnknownNameError, match="group 'nowhere'"):
        pv.sensitivity(model, graph, data, rank, "chance", groups=["nowhere"])
    with pytest.raises(DataError, match="no images in its split 'test'"):
        pv.sensitivity(model, graph, data, rank, "chance", split="test")
    with pytest.raises(InvalidValueError, match="number of images must be a whole number from 1"):
        pv.sensitivity(model, graph, data, rank, "chance", images=0)
    many = DataSet("many", images(8), images(40, 10), None, tuple("abcdefghij"), (3, 8, 8),
                   source={})  # fmt: skip
    with pytest.raises(DataError, match="one output"):
        list(pv.sensitivity(model, graph, many, rank, "chance"))


@pytest.mark.slow
@pytest.mark.parametrize("after", ["repaired", "remeasured"])
def test_repaired_points_are_those_of_the_repaired_network(after: str) -> None:
    from pruneviz.repair import repair

    data = pv.load_dataset("digits")
    net = pv.load_model("resnet20", weights="digits")
    channels = pv.trace(net, data.input_shape)
    rank = pv.rank(net, channels, None, "l2")
    groups = [channels.prunable_groups[0].name, channels.prunable_groups[3].name]
    grown = list(
        pv.sensitivity(
            net, channels, data, rank, "l2", (0.5, 0.25), groups=groups, images=60, after=after
        )
    )
    assert [round(g.progress * 4) for g in grown] == [1, 2, 3, 4]
    last = grown[-1]
    assert (last.final, last.after, last.images) == (True, after, 60)
    assert not any(g.final for g in grown[:-1])
    point = last.curve(groups[0])[1]
    plan = pv.threshold(channels, rank, "l2", {groups[0]: 0.5})
    small = pv.prune(net, channels, plan)
    if after == "repaired":
        small = repair(net, channels, plan, data, depth="instant")
    else:
        pv.recalibrate(small, data, images=256)
    found = pv.evaluate(small, data, limit=60)
    assert (point.accuracy, point.loss) == (found.accuracy, pytest.approx(found.loss))
    assert grown[0].allowed(1.0)[groups[1]] == 0, "what is not measured yet allows nothing"


def test_unknown_way_to_measure_is_refused(
    model: nn.Module, graph: pv.ChannelGraph, data: DataSet
) -> None:
    with pytest.raises(UnknownNameError, match="after"):
        pv.sensitivity(model, graph, data, Scores(graph), "chance", after="raw")  # type: ignore[arg-type]
