"""From decisions to the plan, on a small graph with known scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.errors import PlanError
from pruneviz.session import decisions as w
from pruneviz.session.decisions import Decisions
from pruneviz.session.planning import plan_of
from pruneviz.trace import trace


class Known:
    """Scores that are given, the same for every criterion."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores

    def of(self, criterion: str) -> np.ndarray:
        return self.scores

    comparable = of


@pytest.fixture(scope="module")
def graph() -> ChannelGraph:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, 4),
    )  # fmt: skip
    return trace(net, (3, 8, 8))


@pytest.fixture(scope="module")
def ranking(graph: ChannelGraph) -> Known:
    scores = np.full(graph.num_units, np.nan)
    first, second = graph.prunable_groups
    scores[list(first.units)] = np.arange(8)  # 0..7
    scores[list(second.units)] = 100 + np.arange(16)
    return Known(scores)


def gone(graph: ChannelGraph, ranking: Known, d: Decisions) -> dict[str, tuple[int, ...]]:
    return plan_of(graph, ranking, d).by_group()  # type: ignore[arg-type]


def test_nothing_decided_nothing_dropped(graph: ChannelGraph, ranking: Known) -> None:
    assert gone(graph, ranking, Decisions()) == {}
    assert plan_of(graph, None, Decisions()).dropped == ()


def test_global_and_group_scope(graph: ChannelGraph, ranking: Known) -> None:
    d, _ = w.set_ratio(Decisions(), 0.25)  # 6 of 24: all from the first group, which scores lower
    assert gone(graph, ranking, d) == {"0": (0, 1, 2, 3, 4, 5)}
    d, _ = w.set_scope(d, "group")
    assert gone(graph, ranking, d) == {"0": (0, 1), "2": (0, 1, 2, 3)}


def test_own_slider_and_protection_win_over_the_global_one(
    graph: ChannelGraph, ranking: Known
) -> None:
    d, _ = w.set_ratio(Decisions(scope="group"), 0.5)
    d, _ = w.set_group_ratio(d, "2", 0.125)
    assert gone(graph, ranking, d) == {"0": (0, 1, 2, 3), "2": (0, 1)}
    d, _ = w.set_protected(d, frozenset({"0"}))
    assert gone(graph, ranking, d) == {"2": (0, 1)}


def test_picks_by_hand_survive_every_slider(graph: ChannelGraph, ranking: Known) -> None:
    d, _ = w.drop_by_hand(Decisions(scope="group"), frozenset({7}), "")
    d, _ = w.keep_by_hand(d, frozenset({0}), "")
    for ratio in (0.0, 0.25, 0.5, 0.0):
        d, _ = w.set_ratio(d, ratio)
        dropped = gone(graph, ranking, d).get("0", ())
        assert 7 in dropped
        assert 0 not in dropped
    assert dropped == (7,)


def test_widths_are_rounded_up_by_bringing_the_best_back(
    graph: ChannelGraph, ranking: Known
) -> None:
    d, _ = w.set_multiple(Decisions(scope="group", ratio=0.3), 4)
    plan = plan_of(graph, ranking, d)  # type: ignore[arg-type]
    left = {g.name: g.width - len(plan.by_group().get(g.name, ())) for g in graph.prunable_groups}
    assert left == {"0": 8, "2": 12}
    assert plan.by_group()["2"] == (0, 1, 2, 3)


def test_last_unit_stays_unless_all_were_dropped_by_hand(
    graph: ChannelGraph, ranking: Known
) -> None:
    d = Decisions(scope="group", ratio=1.0, dropped=frozenset({7}))
    assert gone(graph, ranking, d)["0"] == (0, 1, 2, 3, 4, 5, 7)
    with pytest.raises(PlanError, match="at least one must stay"):
        gone(graph, ranking, Decisions(dropped=frozenset(range(8))))


def test_picks_of_another_network_are_refused(graph: ChannelGraph, ranking: Known) -> None:
    with pytest.raises(PlanError, match="no unit 9999"):
        gone(graph, ranking, Decisions(dropped=frozenset({9999})))
