"""Taylor: the scores are the paper's, the lowest go, and the network shrinks meanwhile."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pruneviz.catalog import load_dataset, load_model
from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.criteria import rank
from pruneviz.criteria.ranking import normalised
from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError
from pruneviz.plan import Plan
from pruneviz.strategies import find_strategy, run_strategy, taylor
from pruneviz.strategies.budget import by_score
from pruneviz.strategies.run import Run
from pruneviz.strategies.taylor import Options, budget, unit_mflops
from pruneviz.strategies.taylor_scores import GATHERED, Gates, locate
from pruneviz.strategies.updates import BatchStream
from pruneviz.surgery import prune
from pruneviz.trace import trace
from pruneviz.training import evaluate, fine_tune

QUICK = {"epochs": 0, "epochs_before": 0, "updates": 4, "update_batch": 16}


def slow_terms(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, np.ndarray]:
    """(N, C) sum over positions of dC/dz z for each image and map, the network written out."""
    net = model
    z1 = torch.relu(net.norm(net.stem(x)))
    z2 = torch.relu(net.inner(z1))
    z3 = net.norm2(net.outer(z2))
    pooled = torch.nn.functional.max_pool2d(torch.relu(z1 + z3), 2)
    z4 = torch.relu(net.wide(pooled))
    loss = cross_entropy(net.head(net.drop(z4.mean((2, 3)))), y, reduction="sum")
    found = {}
    for name, z in (("stem", z1), ("inner", z2), ("outer", z3), ("wide", z4)):
        (gradient,) = torch.autograd.grad(loss, z, retain_graph=True)
        found[name] = (gradient * z).sum((2, 3)).detach().numpy()
    return found


def batch(data: DataSet) -> tuple[torch.Tensor, torch.Tensor]:
    return next(iter(data.train.batches(32)))


@pytest.mark.parametrize("training", [False, True])
def test_gates_give_the_papers_score(
    training: bool, model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    at = locate(model, graph)
    assert at is not None
    x, y = batch(data)
    model.train(training)
    gates = Gates(graph, Plan(graph), at)
    torch.manual_seed(0)
    with gates:
        loss = cross_entropy(model(x), y)
    loss.backward()
    gates.collect()
    torch.manual_seed(0)
    slow = slow_terms(model, x, y)
    scores = gates.scores()
    tied = graph.group("stem")
    assert tied.layers == ("stem", "outer")
    expected = np.abs(slow["stem"] + slow["outer"]).mean(0) / (2 * 8 * 8)
    np.testing.assert_allclose(scores[list(tied.units)], expected, rtol=1e-4)
    for name, positions in (("inner", 8 * 8), ("wide", 4 * 4)):
        own = scores[list(graph.group(name).units)]
        expected = np.abs(slow[name]).mean(0) / positions
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-9)
    assert np.isnan(scores[~graph.prunable]).all()


def test_gates_agree_with_the_criterion(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    at = locate(model, graph)
    assert at is not None
    gates = Gates(graph, Plan(graph), at)
    for x, y in data.train.batches(24):
        with gates:
            loss = cross_entropy(model(x), y)
        loss.backward()
        gates.collect()
    ranking = rank(model, graph, data, GATHERED, images=len(data.train))
    for name in GATHERED:
        scores = gates.scores(name)
        np.testing.assert_allclose(scores, ranking.of(name), rtol=1e-3, atol=1e-9)
        np.testing.assert_allclose(
            normalised(graph, scores), ranking.comparable(name), rtol=1e-3, atol=1e-6
        )


def test_gates_change_no_training(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    at = locate(model, graph)
    assert at is not None
    x, y = batch(data)
    found = []
    for gates in (None, Gates(graph, Plan(graph), at)):
        model.zero_grad()
        if gates is None:
            loss = cross_entropy(model(x), y)
        else:
            with gates:
                loss = cross_entropy(model(x), y)
        loss.backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_map_of_another_layer_is_noticed(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    at = locate(model, graph)
    assert at is not None
    astray = Gates(graph, Plan(graph), {call + 1: layer for call, layer in at.items()})
    x, _ = batch(data)
    with pytest.raises(RuntimeError, match="layer has 6 filters"), astray:
        model(x)


def test_networks_that_train_otherwise_are_told_apart(graph: ChannelGraph) -> None:
    class Moody(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.head = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            if self.training:
                x = x * 2
            return self.head(x.mean((2, 3)))

    assert locate(Moody(), graph) is None


def test_normalised_by_the_norm_of_the_group(graph: ChannelGraph) -> None:
    scores = np.where(graph.prunable, np.arange(graph.num_units) + 1.0, np.nan)
    found = normalised(graph, scores)
    for group in graph.prunable_groups:
        own = slice(group.start, group.start + group.width)
        assert np.linalg.norm(found[own]) == pytest.approx(1)
        np.testing.assert_allclose(found[own] * np.linalg.norm(scores[own]), scores[own])


def test_mflops_are_two_a_multiply_add_of_own_filters(graph: ChannelGraph) -> None:
    flops = unit_mflops(graph)
    inner = graph.layer("inner")
    assert flops[inner.units[0]] == pytest.approx(2 * 64 * 6 * 9 / 1e6)
    assert flops.sum() == pytest.approx(2 * cost(graph).macs / 1e6)


def test_the_lowest_over_all_layers_goes_first(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    """With a learning rate of 0 the first removal can be worked out from outside."""
    options = {**QUICK, "remove_each": 1, "updates": 6, "update_lr": 0.0, "flops_lambda": 0.0}
    events = list(run_strategy("taylor", model, graph, data, **options))
    at = locate(model, graph)
    assert at is not None
    # The same batches and seeds as the run's.
    own = Run(find_strategy("taylor"), model, graph, data, 0.5, 0, None)
    seed = own.seed_of("prune")
    stream = BatchStream(data, 16, seed, torch.device("cpu"))
    gates = Gates(graph, Plan(graph), at)
    net = own.network.train()
    for k in range(6):
        x, y = stream.next()
        torch.manual_seed(seed + k + 1)
        x = x.contiguous(memory_format=torch.channels_last)
        with gates:
            loss = cross_entropy(net(x), y)
        loss.backward()
        gates.collect()
    scores = normalised(graph, gates.scores())
    first = Plan.from_json(graph, events[0].plan)
    assert first.dropped == (int(np.nanargmin(scores)),)


def test_units_go_one_by_one_and_the_network_shrinks_with_them(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    options = {"remove_each": 1, "epochs": 1, "updates": 6, "update_batch": 16}
    events = list(run_strategy("taylor", model, graph, data, **options))
    pruning = [e for e in events if e.phase == "prune"]
    gone = [set(Plan.from_json(graph, e.plan).dropped) for e in pruning]
    assert [len(g) for g in gone] == list(range(1, len(gone) + 1))
    assert all(a < b for a, b in pairwise(gone))
    for event in pruning:
        plan = Plan.from_json(graph, event.plan)
        shapes = {k: v.shape for k, v in prune(model, graph, plan).state_dict().items()}
        assert event.state is not None
        assert {k: v.shape for k, v in event.state["model"].items()} == shapes


def test_lambda_prefers_expensive_units(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    options = {"remove_each": 1, "epochs": 0, "epochs_before": 0, "updates": 4, "update_batch": 16}
    events = list(run_strategy("taylor", model, graph, data, flops_lambda=1e6, **options))
    dearest = max(graph.prunable_groups, key=lambda g: unit_mflops(graph)[g.start])
    units = list(dearest.units)
    lost = [(~Plan.from_json(graph, e.plan).kept[units]).sum() for e in events]
    few = dearest.width - 1
    assert lost[:few] == list(range(1, few + 1))


def test_lambda_counts_megaflops_and_changes_an_order_from_some_size_on(
    graph: ChannelGraph,
) -> None:
    flops = unit_mflops(graph)
    inner, wide = graph.group("inner"), graph.group("wide")
    # Two a multiply-add: 8 x 8 x 6 x 9 for a map of inner, 4 x 4 x 6 x 9 for one of wide.
    assert flops[inner.start] == pytest.approx(2e-6 * 8 * 8 * 6 * 9)
    assert flops[wide.start] == pytest.approx(2e-6 * 4 * 4 * 6 * 9)
    scores = np.ones(graph.num_units)
    scores[inner.start], scores[wide.start] = 0.102, 0.100
    first = [int(by_score(graph, scores - way * flops)[0]) for way in (0.0, 1e-3, 1.0)]
    # At 1e-3 seven millionths are counted against inner: nothing. At 1, 0.0069 and 0.0017.
    assert first == [wide.start, wide.start, inner.start]


def test_the_maps_of_resnet20_are_too_small_for_the_papers_lambda() -> None:
    maps = unit_mflops(trace(load_model("resnet20", weights=None), (3, 32, 32)))
    own = {round(float(x), 4) for x in maps if x > 0}
    # Streams are tied maps of several layers; inner maps are one layer's: 2 * 9 * 16 * 32 * 32.
    assert 0.2949 in own
    assert 1e-3 * 0.2949 < 0.01 * 16**-0.5  # a hundredth of a usual score in a layer of 16


def test_the_first_fine_tuning_has_a_learning_rate_of_its_own(
    model: nn.Module, graph: ChannelGraph, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float | None] = []

    def watched(*args: object, **given: object) -> object:
        seen.append(given["lr"])
        return fine_tune(*args, **given)

    monkeypatch.setattr("pruneviz.strategies.run.fine_tune", watched)
    options = {"iterations": 1, "updates": 1, "epochs": 1, "lr": 0.01}
    list(run_strategy("taylor", model, graph, data, lr_before=1e-4, **options))
    list(run_strategy("taylor", model, graph, data, **options))
    assert seen == [1e-4, 0.01, 0.01, 0.01]


def test_iterations_spread_the_removals(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    options = {"epochs": 0, "epochs_before": 0, "updates": 4, "update_batch": 16}
    events = list(run_strategy("taylor", model, graph, data, iterations=3, **options))
    ratios = [e.macs / cost(graph).macs for e in events if e.phase == "prune"]
    assert len(ratios) == 3
    for k, ratio in enumerate(ratios, 1):
        assert ratio <= 0.5 ** (k / 3)


def test_a_target_of_parameters_alone(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    options = {**QUICK, "remove_each": 1}
    few = list(run_strategy("taylor", model, graph, data, target_params=0.7, **options))
    price = cost(graph, Plan.from_json(graph, few[-1].plan))
    assert price.params_ratio <= 0.7
    assert price.macs_ratio > 0.5  # the default target of MACs does not hold then
    assert few[-2].phase == "prune"
    assert few[-3].params / cost(graph).params > 0.7


def test_accuracy_as_the_target_takes_the_last_network_that_held_it(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    least = evaluate(model, data).accuracy - 0.2
    events = list(
        run_strategy("taylor", model, graph, data, min_accuracy=least, remove_each=2, **QUICK)
    )
    steps = [e for e in events if e.phase == "prune"]
    assert all(e.accuracy >= least for e in events)
    assert len(steps) > 2
    # The last removal was undone: the plan, the weights and the accuracy are those before it.
    assert steps[-1].plan == steps[-2].plan
    assert steps[-1].accuracy == steps[-2].accuracy
    assert steps[-1].message.startswith("Further removal costs too much")
    result = events[-1].result
    assert result is not None
    assert evaluate(result.model, data).accuracy == steps[-2].accuracy
    whole = list(
        run_strategy("taylor", model, graph, data, min_accuracy=1.0, update_lr=0.5, **QUICK)
    )
    assert not Plan.from_json(graph, whole[-1].plan).dropped


def test_accuracy_that_never_falls_ends_at_one_unit_a_group(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    last = list(
        run_strategy("taylor", model, graph, data, min_accuracy=0.0, remove_each=5, **QUICK)
    )[-1]
    left = Plan.from_json(graph, last.plan).by_group()
    assert all(g.width - len(left[g.name]) == 1 for g in graph.prunable_groups)


def test_resume_after_a_removal_that_held(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    least = evaluate(model, data).accuracy - 0.2
    options = {**QUICK, "min_accuracy": least, "remove_each": 2}
    events = list(run_strategy("taylor", model, graph, data, **options))
    rest = list(run_strategy("taylor", model, graph, data, resume=events[1].state, **options))
    assert [e.plan for e in rest] == [e.plan for e in events[2:]]
    assert events[-1].result is not None
    assert rest[-1].result is not None
    ours, theirs = events[-1].result.model.state_dict(), rest[-1].result.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("epochs", "images", "updates", "iterations"),
    [(6, 1297, 10, 12), (6, 194, 3, 5), (1, 1000, 1, 1), (2, 64, 1, 2)],
)
def test_a_budget_leaves_several_removals(
    epochs: int, images: int, updates: int, iterations: int
) -> None:
    found = budget(epochs, images)
    assert (found["updates"], found["iterations"]) == (updates, iterations)
    assert found["epochs"] == epochs - epochs // 2


@pytest.mark.sweep
def test_the_default_run_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's last loop: half of ResNet-20's MACs on digits, nothing else said."""
    digits = load_dataset("digits")
    network = load_model("resnet20", weights="digits")
    whole = trace(network, digits.input_shape)
    counted: list[int] = []

    def no_updates(run: Run, options: Options, *_: object) -> list[float]:
        counted.append(options.updates)
        return [0.0]

    monkeypatch.setattr(taylor, "_updates", no_updates)
    begun = run_strategy(
        "taylor", network, whole, digits, target_macs=0.5, criterion="l1", epochs_before=0, epochs=0
    )
    last = list(begun)[-1]
    assert last.macs <= 0.5 * cost(whole).macs
    assert len(counted) <= 15
    assert sum(counted) <= 150


def test_more_removals_than_units_that_go(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    """A unit may be more than a step; the next step then has to be the first that is not met."""
    events = list(run_strategy("taylor", model, graph, data, iterations=200, **QUICK))
    gone = [len(Plan.from_json(graph, e.plan)) for e in events if e.phase == "prune"]
    assert all(a < b for a, b in pairwise(gone))
    assert events[-1].macs <= 0.5 * cost(graph).macs


def test_accuracy_alone_as_the_target_has_a_pace_of_its_own(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    last = list(run_strategy("taylor", model, graph, data, min_accuracy=0.0, **QUICK))[-1]
    left = Plan.from_json(graph, last.plan).by_group()
    assert all(g.width - len(left[g.name]) == 1 for g in graph.prunable_groups)


def test_two_paces_at_once(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    with pytest.raises(InvalidValueError, match="decides the removals, but got both"):
        next(run_strategy("taylor", model, graph, data, iterations=3, remove_each=1, **QUICK))


def test_iterations_need_a_target(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    with pytest.raises(InvalidValueError, match="give target_macs or target_params"):
        next(run_strategy("taylor", model, graph, data, iterations=3, min_accuracy=0.5, **QUICK))
