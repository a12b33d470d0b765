"""The trust meter: predicted accuracies against those that fine-tuning reaches."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.criteria import rank
from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError
from pruneviz.studies.trust import Trust, TrustPoint, stored_trust
from pruneviz.studies.trust.measure import measure_trust
from pruneviz.studies.trust.plans import NEAR, draw_plans


def point(budget: float, cut: float, repaired: float, reached: float) -> TrustPoint:
    return TrustPoint("random", budget, budget, cut, cut, repaired, reached)


def study(*points: TrustPoint) -> Trust:
    return Trust(
        network="tiny",
        data="squares",
        start="repaired",
        images=100,
        split="test",
        reached_images=100,
        epochs=1,
        train_images=100,
        seed=0,
        baseline=0.9,
        points=points,
    )


# Within a budget the repaired figure orders as training does, the cut one the other way round.
HALF = [point(0.5, 0.10 + k / 100, 0.9 - k / 100, 0.95 - k / 100) for k in range(4)]
FIFTH = [point(0.2, 0.10 + k / 100, 0.6 - k / 100, 0.80 - k / 100) for k in range(4)]


def test_agreement_by_hand() -> None:
    trust = study(*HALF, *FIFTH)
    assert trust.agreement_within("repaired") == pytest.approx(1.0)
    assert trust.agreement_within("cut") == pytest.approx(-1.0)
    assert trust.agreement("repaired") == pytest.approx(1.0)
    # The MACs are the same within a budget, and say nothing there; over all they say much.
    assert trust.agreement_within("macs") == 0.0
    assert trust.agreement("macs") > 0.8


def test_too_few_plans_agree_with_nothing() -> None:
    assert math.isnan(study(*HALF[:3]).agreement_within("repaired"))
    assert math.isnan(study(*HALF[:3]).agreement("repaired"))


def test_the_plan_wrongly_rejected() -> None:
    worst = study(*HALF).rejected("cut")
    assert worst is not None
    assert worst.point == HALF[0]
    assert (worst.predicted_rank, worst.reached_rank, worst.of) == (4, 1, 4)
    assert study(*HALF).rejected("repaired") is None


def test_json_there_and_back() -> None:
    trust = study(*HALF)
    assert Trust.from_json(trust.to_json()) == trust
    with pytest.raises(InvalidValueError):
        Trust.from_json(trust.to_json().replace('"budget": 0.5', '"budget": "half"'))


def test_drawn_plans_meet_their_budgets(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    ranking = rank(model, graph, data, ("l2", "fisher"))
    drawn = list(draw_plans(graph, ranking, 6, (0.6, 0.4), seed=3))
    assert [budget for _, budget, _ in drawn] == [0.6, 0.4] * 3
    assert [origin for origin, _, _ in drawn] == ["random"] * 2 + ["l2"] * 2 + ["fisher"] * 2
    for _, budget, plan in drawn:
        assert abs(cost(graph, plan).macs_ratio / budget - 1) <= NEAR
    again = list(draw_plans(graph, ranking, 6, (0.6, 0.4), seed=3))
    assert [p.digest for _, _, p in again] == [p.digest for _, _, p in drawn]
    with pytest.raises(InvalidValueError):
        next(draw_plans(graph, ranking, 0))


@pytest.mark.sweep
def test_a_stopped_study_goes_on(model: nn.Module, data: DataSet) -> None:
    grown: list[Trust] = []
    options = {"plans": 4, "budgets": (0.6, 0.4), "network": "tiny"}
    whole = measure_trust(model, data, **options, watch=grown.append)
    assert [len(t.points) for t in grown] == [1, 2, 3, 4]
    assert [p.origin for p in whole.points] == ["random", "random", "allocated", "allocated"]
    assert all(0 <= p.reached <= 1 and p.macs <= 0.62 for p in whole.points)
    assert measure_trust(model, data, **options, before=grown[1]) == whole


def test_the_picture_says_what_each_figure_is_worth() -> None:
    figure = study(*HALF, *FIFTH).figure(dark=True, height=300)
    assert [trace.name for trace in figure.data] == [
        "before repair (-1.00 at equal MACs)",
        "batch norm recalibrated (-1.00 at equal MACs)",
        "repaired (1.00 at equal MACs)",
        "predicted = reached",
    ]
    assert len(figure.data[0].x) == 8


def test_stored_studies_say_how_they_were_measured() -> None:
    for trust in stored_trust():
        assert trust.command.startswith("pruneviz trust --model ")
        assert trust.commit
        assert replace(trust, points=()) != trust
