"""Plans: choosing, refusing, storing; thresholds by hand-computed values."""

from __future__ import annotations

import contextlib
import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneviz.channels import ChannelGraph
from pruneviz.criteria import rank
from pruneviz.errors import InvalidValueError, PlanError, PruneVizError, UnknownNameError
from pruneviz.plan import Plan
from pruneviz.threshold import threshold
from pruneviz.trace import trace
from tests.core.networks import NETWORKS, SHAPE

GRAPH = trace(NETWORKS["TiedBranches"](), SHAPE)  # stem 8 (with a, c), b 4 (with c), d 6, head 4
OTHER = trace(NETWORKS["Plain"](), SHAPE)


@dataclass(frozen=True)
class Given:
    """A ranking with made-up scores."""

    scores: np.ndarray

    def of(self, criterion: str) -> np.ndarray:
        if criterion != "given":
            raise UnknownNameError("criterion", criterion, ["given"])
        return self.scores

    comparable = of


def given_scores(graph: ChannelGraph, **by_group: list[float]) -> Given:
    scores = np.full(graph.num_units, np.nan)
    for name, values in by_group.items():
        scores[list(graph.group(name).units)] = values
    return Given(scores)


RANK = given_scores(
    GRAPH, stem=[8, 7, 6, 5, 4, 3, 2, 1], b=[0.1, 0.4, 0.3, 0.2], d=[10, 30, 20, 60, 50, 40]
)


def test_tied_filters_follow() -> None:
    plan = Plan(GRAPH).drop("a", [2])
    assert plan.by_group() == {"stem": (2,)}
    assert plan.dropped_filters("stem") == (2,)
    assert plan.dropped_filters("a") == (2,)
    assert plan.dropped_filters("c") == (2,)
    assert plan.dropped_filters("b") == ()
    assert Plan(GRAPH).drop("c", 9).by_group() == {"b": (1,)}
    assert plan.keep("stem", 2) == Plan(GRAPH)
    assert len(plan) == 1
    assert plan.ratio == pytest.approx(1 / 18)


def test_plans_are_values() -> None:
    plan = Plan(GRAPH).drop("d", [1, 2])
    with pytest.raises(AttributeError, match="immutable"):
        plan.graph = OTHER  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        plan.kept[0] = False
    assert plan == Plan(GRAPH).drop("d", 2).drop("d", 1)
    assert len({plan, Plan(GRAPH).drop("d", [2, 1, 1])}) == 1
    assert plan != Plan(GRAPH)
    assert plan != "plan"
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert "2 of 18" in repr(plan)


@pytest.mark.parametrize(
    ("layer", "filters", "message"),
    [
        ("stem", 8, "Layer 'stem' has 8 filters; cannot drop filter 8"),
        ("stem", [0, -1], "cannot drop filter -1"),
        ("stem", [1.5], "cannot drop filter 1.5"),
        ("stem", [True], "cannot drop filter True"),
        ("stem", ["a"], "cannot drop filter 'a'"),
        ("head.2", 0, "feeds the network's output"),
        ("stem", range(8), r"Group 'stage 1 stream: stem \+ 2 layers' has 8 units and at least"),
        ("nowhere", 0, "Unknown layer 'nowhere'"),
        ("stemm", 0, "Did you mean 'stem'"),
    ],
)
def test_refusals_say_why(layer: str, filters: object, message: str) -> None:
    with pytest.raises(PruneVizError, match=message):
        Plan(GRAPH).drop(layer, filters)  # type: ignore[arg-type]


def test_units_are_checked() -> None:
    with pytest.raises(PlanError, match="there is no unit 99"):
        Plan(GRAPH, [99])
    with pytest.raises(PlanError, match="there is no unit -1"):
        Plan(GRAPH).drop_units([-1])
    with pytest.raises(InvalidValueError, match="there is no filter 8"):
        GRAPH.unit_of("stem", 8)
    with pytest.raises(InvalidValueError, match="there is no unit"):
        GRAPH.members(10**6)


units = st.sets(st.sampled_from(np.flatnonzero(GRAPH.prunable).tolist()))


def accepted(dropped: set[int]) -> bool:
    return all(not set(g.units) <= dropped for g in GRAPH.prunable_groups)


@given(units)
def test_every_accepted_plan_comes_back(dropped: set[int]) -> None:
    if not accepted(dropped):
        with pytest.raises(PlanError, match="at least one must stay"):
            Plan(GRAPH, dropped)
        return
    plan = Plan(GRAPH, dropped)
    assert plan.dropped == tuple(sorted(dropped))
    again = Plan.from_json(GRAPH, plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()
    assert again.digest == plan.digest


@given(units, units)
def test_undo_is_exact(before: set[int], change: set[int]) -> None:
    if not accepted(before | change):
        return
    plan = Plan(GRAPH, before)
    fresh = change - before
    assert plan.drop_units(fresh).keep_units(fresh) == plan
    assert plan.drop_units(change).drop_units(change) == Plan(GRAPH, before | change)


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_json_is_read_or_refused(data: object) -> None:
    for text in (
        json.dumps(data),
        json.dumps({"format": "pruneviz-plan/1", "network": GRAPH.digest, "dropped": data}),
        json.dumps({"format": "pruneviz-plan/1", "network": GRAPH.digest, "dropped": {"d": data}}),
    ):
        with contextlib.suppress(PruneVizError):
            assert Plan.from_json(GRAPH, text).to_json()


@pytest.mark.parametrize("text", ["", "{", "\x00", "[1,2", b"\xff\xfe", '{"format": "other/9"}'])
def test_damaged_plans_are_refused(text: str | bytes) -> None:
    with pytest.raises(PlanError):
        Plan.from_json(GRAPH, text)


def test_a_plan_for_another_network_is_refused() -> None:
    plan = Plan(OTHER).drop("conv1", 0)
    with pytest.raises(PlanError, match="another network"):
        Plan.from_json(GRAPH, plan.to_json())


def test_the_same_structure_with_other_classes_takes_the_plan() -> None:
    import torch

    model = NETWORKS["TiedBranches"]()
    model.head[2] = torch.nn.Linear(6, 17)
    graph = trace(model, SHAPE)
    assert graph.digest == GRAPH.digest
    assert Plan.from_json(graph, Plan(GRAPH).drop("d", 1).to_json()).by_group() == {"d": (1,)}


def test_threshold_in_each_group() -> None:
    plan = threshold(GRAPH, RANK, "given", 0.5)
    assert plan.by_group() == {"stem": (4, 5, 6, 7), "b": (0, 3), "d": (0, 1, 2)}
    plan = threshold(GRAPH, RANK, "given", {"stem": 0.25, "b": 0.0})
    assert plan.by_group() == {"stem": (6, 7)}
    assert threshold(GRAPH, RANK, "given", 0.0) == Plan(GRAPH)
    assert {k: len(v) for k, v in threshold(GRAPH, RANK, "given", 1.0).by_group().items()} == {
        "stem": 7,
        "b": 3,
        "d": 5,
    }


def test_threshold_over_all_groups() -> None:
    plan = threshold(GRAPH, RANK, "given", 6 / 18, scope="global")
    # 0.1 0.2 0.3 of b (0.4, the best of b, stays), then 1 2 3 of the stem
    assert plan.by_group() == {"b": (0, 2, 3), "stem": (5, 6, 7)}
    everything = threshold(GRAPH, RANK, "given", 1.0, scope="global")
    assert all(len(v) == GRAPH.group(k).width - 1 for k, v in everything.by_group().items())


def test_threshold_with_protected_groups_and_multiples() -> None:
    plan = threshold(GRAPH, RANK, "given", 0.5, protected=["stem"])
    assert set(plan.by_group()) == {"b", "d"}
    plan = threshold(GRAPH, RANK, "given", 0.5, multiple_of=4)
    assert {k: GRAPH.group(k).width - len(v) for k, v in plan.by_group().items()} == {
        "stem": 4,
        "d": 4,
    }


@given(st.floats(0, 1), st.sampled_from(["group", "global"]))
def test_threshold_removes_what_it_says(ratio: float, scope: str) -> None:
    plan = threshold(GRAPH, RANK, "given", ratio, scope=scope)  # type: ignore[arg-type]
    widths = {g.name: g.width for g in GRAPH.prunable_groups}
    if scope == "global":
        assert len(plan) == min(int(np.floor(ratio * 18 + 0.5)), 15)
    else:
        for name, width in widths.items():
            assert len(plan.by_group().get(name, ())) == min(
                int(np.floor(ratio * width + 0.5)), width - 1
            )
    # a higher threshold keeps nothing that a lower one drops
    more = threshold(GRAPH, RANK, "given", min(ratio + 0.1, 1.0), scope=scope)  # type: ignore[arg-type]
    assert set(plan.dropped) <= set(more.dropped)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan"), "half", None, True])
def test_ratios_outside_0_to_1_are_refused(ratio: object) -> None:
    for scope in ("group", "global"):
        with pytest.raises(InvalidValueError, match="between 0 and 1, but got"):
            threshold(GRAPH, RANK, "given", ratio, scope=scope)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match="for group 'stem'"):
        threshold(GRAPH, RANK, "given", {"stem": ratio})  # type: ignore[dict-item]


def test_threshold_names_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="Unknown criterion"):
        threshold(GRAPH, RANK, "nonsense", 0.5)
    with pytest.raises(UnknownNameError, match="Unknown group"):
        threshold(GRAPH, RANK, "given", {"nonsense": 0.5})
    with pytest.raises(UnknownNameError, match="Unknown scope"):
        threshold(GRAPH, RANK, "given", 0.5, scope="local")  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="feeds the network's output"):
        threshold(GRAPH, RANK, "given", {"head.2": 0.5})
    with pytest.raises(InvalidValueError, match="multiple_of must be a whole number"):
        threshold(GRAPH, RANK, "given", 0.5, multiple_of=0)


def test_a_ranking_of_another_network_is_refused() -> None:
    foreign = rank(NETWORKS["Plain"](), OTHER, None, "l1")
    for scope in ("group", "global"):
        with pytest.raises(InvalidValueError, match="ranking was made for another network"):
            threshold(GRAPH, foreign, "l1", 0.5, scope=scope)  # type: ignore[arg-type]
    with pytest.raises(InvalidValueError, match=rf"has {GRAPH.num_units} scores.*\(3,\)"):
        threshold(GRAPH, Given(np.zeros(3)), "given", 0.5)
    with pytest.raises(InvalidValueError, match="rank must be a ranking"):
        threshold(GRAPH, {"given": 1}, "given", 0.5)  # type: ignore[arg-type]


def test_a_unit_without_a_score_is_not_kept_for_it() -> None:
    scores = RANK.scores.copy()
    scores[GRAPH.group("b").start] = np.nan
    with pytest.raises(InvalidValueError, match=r"1 of the 4 units .* stream: b \+ 1 layer' no"):
        threshold(GRAPH, Given(scores), "given", 0.5)
    assert threshold(GRAPH, Given(scores), "given", 0.5, protected=["b"]).dropped


@pytest.mark.parametrize("ratio", ["0.5", b"0.5", True, None, np.nan, [0.5], 1j, -0.1])
def test_only_numbers_are_ratios(ratio: object) -> None:
    with pytest.raises(InvalidValueError, match="pruning ratio is a number between 0 and 1"):
        threshold(GRAPH, RANK, "given", ratio)  # type: ignore[arg-type]


@pytest.mark.parametrize("units", [b"\1", "0", None, 3, [1.0], [True], ["0"]])
def test_only_lists_of_whole_numbers_are_units(units: object) -> None:
    with pytest.raises(PlanError):
        Plan(GRAPH, units)  # type: ignore[arg-type]
    with pytest.raises(PlanError):
        Plan(GRAPH).drop_units(units)  # type: ignore[arg-type]


def test_a_plan_needs_a_graph() -> None:
    with pytest.raises(InvalidValueError, match=r"graph must be a ChannelGraph.*pv\.trace"):
        Plan(NETWORKS["Plain"]())  # type: ignore[arg-type]
