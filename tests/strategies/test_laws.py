"""What every strategy of the registry obeys."""

from __future__ import annotations

import copy
import dataclasses
import io
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.errors import DataError, InvalidValueError, UnknownNameError
from pruneviz.plan import Plan
from pruneviz.strategies import (
    StrategyEvent,
    find_strategy,
    names,
    option,
    run_strategy,
    strategies,
)
from pruneviz.surgery import prune
from pruneviz.training import evaluate

# Less work than the defaults, so that every law takes a second or two.
# A strategy that is not listed trains for two epochs.
QUICK: dict[str, dict[str, Any]] = {
    "soft": {"epochs": 3},
    "binary_search": {"epochs": 1, "updates": 2, "update_batch": 16, "tolerance": 0.1},
    "genetic": {"epochs": 1, "population": 6, "generations": 2, "images": 24},
    "iterative": {"epochs": 1, "rounds": 3},
    "taylor": {"epochs": 1, "remove_each": 2, "updates": 2, "update_batch": 16, "update_lr": 0.01},
}


# Options that change what a strategy is; the laws hold for them as well.
VARIANTS = [
    *((name, {}) for name in names()),
    ("soft", {"rate": 0.5}),
    ("soft", {"rate": 0.5, "hard": True, "repair": True}),
]


def quick(name: str) -> dict[str, Any]:
    return QUICK.get(name, {"epochs": 2})


def run(
    name: str, model: nn.Module, graph: ChannelGraph, data: DataSet, **more: Any
) -> list[StrategyEvent]:
    torch.manual_seed(1234 + len(more))  # whatever the caller's random state is
    return list(run_strategy(name, model, graph, data, **{**quick(name), **more}))


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    x, y = a.state_dict(), b.state_dict()
    return x.keys() == y.keys() and all(torch.equal(x[k], y[k]) for k in x)


@pytest.mark.parametrize(("name", "more"), VARIANTS)
def test_events_tell_the_truth(
    name: str, more: dict[str, Any], model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = run(name, model, graph, data, **more)
    assert [e.step for e in events] == list(range(1, len(events) + 1))
    assert [e.final for e in events] == [False] * (len(events) - 1) + [True]
    assert all(0 <= a.progress <= b.progress <= 1 for a, b in pairwise(events))
    for event in events:
        plan = Plan.from_json(graph, event.plan)
        price = cost(graph, plan)
        assert (event.macs, event.params) == (price.macs, price.params)
        assert event.units_left == int(graph.prunable.sum()) - len(plan)
        assert 0 <= event.accuracy <= 1
        assert math.isfinite(event.val_loss)
        if event.steps is not None:
            assert event.steps == len(events)
    last = events[-1]
    assert last.result is not None
    assert last.progress == 1
    assert last.result.plan.to_json() == last.plan
    shapes = {k: v.shape for k, v in prune(model, graph, last.result.plan).state_dict().items()}
    assert {k: v.shape for k, v in last.result.model.state_dict().items()} == shapes
    assert not last.result.model.training
    assert evaluate(last.result.model, data).accuracy == last.accuracy


@pytest.mark.slow
@pytest.mark.parametrize(("name", "more"), VARIANTS)
def test_resume_equals_no_interruption(
    name: str, more: dict[str, Any], model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = run(name, model, graph, data, **more)
    whole = events[-1].result
    assert whole is not None
    states = [e for e in events if e.state is not None]
    assert states
    step = max(1, len(states) // 5)  # a few of many, the first and the last among them
    for event in {e.step: e for e in (*states[::step], states[-1])}.values():
        stored = io.BytesIO()
        torch.save(event.state, stored)
        stored.seek(0)
        state = torch.load(stored, weights_only=True)
        rest = run(name, model, graph, data, resume=state, **more)
        if not event.final:
            assert [e.step for e in rest] == list(range(event.step + 1, len(events) + 1))
        again = rest[-1].result
        assert again is not None
        assert again.plan == whole.plan
        assert same_weights(again.model, whole.model), f"interrupted after step {event.step}"


REPAIRING = [n for n in names() if "repair" in find_strategy(n).defaults]


@pytest.mark.slow
@pytest.mark.parametrize("name", REPAIRING)
def test_a_removal_is_repaired_on_request(
    name: str, model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    """The first event with units gone: the repaired network fits the images better."""
    losses = {}
    for repair in (True, False):
        events = run(name, model, graph, data, repair=repair)
        losses[repair] = next(e.val_loss for e in events if e.units_left < graph.prunable.sum())
        last = events[-1].result
        assert last is not None
        shapes = {k: v.shape for k, v in prune(model, graph, last.plan).state_dict().items()}
        assert {k: v.shape for k, v in last.model.state_dict().items()} == shapes
    if name in ("uniform", "random", "one_shot", "iterative"):
        assert find_strategy(name).defaults["repair"]
        assert losses[True] < losses[False]
    else:
        assert not find_strategy(name).defaults["repair"]


def test_every_round_is_repaired_from_what_the_one_before_left(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    losses = [
        [e.val_loss for e in run("iterative", model, graph, data, epochs_between=0, repair=r)]
        for r in (True, False)
    ]
    assert len(losses[0]) == len(losses[1]) == 3 + 1 + 1
    assert all(repaired < cut for repaired, cut in zip(losses[0][:3], losses[1][:3], strict=True))


@pytest.mark.parametrize("name", names())
def test_input_model_and_random_state_are_untouched(
    name: str, model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    before, mode = copy.deepcopy(model), model.training
    torch.manual_seed(5)
    draws = torch.get_rng_state()
    for _ in run_strategy(name, model, graph, data, **quick(name)):
        pass
    assert torch.equal(draws, torch.get_rng_state())
    assert same_weights(before, model)
    assert model.training is mode
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_seeds_are_reproducible(
    name: str, model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    first, again, other = (run(name, model, graph, data, seed=s)[-1].result for s in (0, 0, 7))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.plan == again.plan
    assert same_weights(first.model, again.model)
    assert first.plan != other.plan or not same_weights(first.model, other.model)


@pytest.mark.parametrize("name", [n for n in names() if find_strategy(n).reaches_target])
@pytest.mark.parametrize("target", [0.3, 0.7])
def test_macs_target_is_reached_within_one_unit(
    name: str, target: float, model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = run(name, model, graph, data, target_macs=target)
    plan = Plan.from_json(graph, events[-1].plan)
    assert cost(graph, plan).macs_ratio <= target
    assert any(cost(graph, plan.keep_units([u])).macs_ratio > target for u in plan.dropped)


@pytest.mark.parametrize("name", names())
def test_unknown_options_are_refused_with_the_choices(
    name: str, model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    with pytest.raises(UnknownNameError, match=r"'epoch'.*Choose one of: .*epochs"):
        run_strategy(name, model, graph, data, epoch=3)
    with pytest.raises(InvalidValueError, match=r"at least [01], but got -1"):
        run_strategy(name, model, graph, data, epochs=-1)
    with pytest.raises(InvalidValueError, match=r"a whole number, but got 1\.5"):
        run_strategy(name, model, graph, data, epochs=1.5)


@pytest.mark.parametrize("name", names())
def test_options_describe_a_form(name: str) -> None:
    strategy = find_strategy(name)
    assert strategy.name == name
    assert strategy.title
    assert strategy.help.endswith(".")
    for info in strategy.fields:
        assert info.help.endswith(".")
        assert info.help.rstrip(".").lower() != info.label.lower(), "it says nothing more"
        assert info.kind in ("int", "float", "bool", "str")
        assert info.optional == (info.default is None) or info.optional
    assert strategy.make_options(strategy.defaults) == strategy.options()
    assert strategy.make_options(strategy.budget(4, 1000))


@pytest.mark.parametrize("name", names())
def test_a_form_shows_no_raw_names(name: str) -> None:
    """An option was called "lr", "flops lambda" or "target params"."""
    fields = find_strategy(name).fields
    told = {f.name: f.metadata["label"] for f in dataclasses.fields(find_strategy(name).options)}
    for info in fields:
        assert told[info.name], f"{info.name} has no label of its own"
        assert info.label[0].isupper(), info.label
        short = {"lr", "params", "macs", "flops", "min", "max"}
        assert not short & set(info.label.replace(",", "").split()), info.label
        assert "_" not in info.label
        assert len(info.label) <= 40, "it would wrap in the form"
        if info.kind in ("int", "float") and info.maximum == 1.0:
            assert info.unit == "0 to 1", info.name
        if info.choices:
            assert len(info.choice_names) == len(info.choices)
    labels = [info.title for info in fields]
    assert len(set(labels)) == len(labels), "two controls of a form have the same label"


def test_an_option_without_a_label_is_called_by_its_name() -> None:
    @dataclasses.dataclass(frozen=True)
    class Own:
        how_many: int = option(1, "Some.")
        order: str = option("a", "Which.", choices={"a": "first a"})

    own = dataclasses.replace(find_strategy("random"), options=Own)
    assert [(i.title, i.choices, i.choice_names) for i in own.fields] == [
        ("How many", None, ()),
        ("Order", ("a",), ("first a",)),
    ]


def test_registry_lists_what_there_is() -> None:
    frame = strategies()
    assert tuple(frame["name"]) == names()
    assert set(QUICK) <= set(names())


def test_what_cannot_be_run_is_refused(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    with pytest.raises(UnknownNameError, match=r"Choose one of: .*uniform"):
        run_strategy("unifrom", model, graph, data)
    with pytest.raises(InvalidValueError, match=r"between 0 and 1, but got 1\.5"):
        run_strategy("uniform", model, graph, data, target_macs=1.5)
    with pytest.raises(InvalidValueError, match="seed must be a whole number"):
        run_strategy("uniform", model, graph, data, seed=-1)
    with pytest.raises(DataError, match="needs a data set"):
        run_strategy("uniform", model, graph, None)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="choose a higher target"):
        run_strategy("uniform", model, graph, data, target_macs=0.001)


def test_resume_with_other_settings_is_refused(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    state = run("uniform", model, graph, data)[0].state
    with pytest.raises(InvalidValueError, match="epochs was 2, but got 5"):
        run("uniform", model, graph, data, epochs=5, resume=state)
    with pytest.raises(InvalidValueError, match="state of an event"):
        run("uniform", model, graph, data, resume={"epoch": 3})


def test_control_prunes_nothing(model: nn.Module, graph: ChannelGraph, data: DataSet) -> None:
    events = run("control", model, graph, data)
    assert all(Plan.from_json(graph, e.plan) == Plan(graph) for e in events)
    assert events[-1].result is not None
    assert not same_weights(events[-1].result.model, model)


def test_no_option_is_a_switch_with_three_positions() -> None:
    # A form draws a switch for a bool, which cannot say "by default": choices can.
    for strategy in map(find_strategy, names()):
        for info in strategy.fields:
            assert not (info.kind == "bool" and info.optional), f"{strategy.name}: {info.name}"
