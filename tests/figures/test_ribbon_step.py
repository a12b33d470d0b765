"""The ribbon of a run's step, from steps made by hand."""

from __future__ import annotations

import pytest
from torch import nn

import pruneviz as pv
from pruneviz.channels import ChannelGraph
from pruneviz.figures.ribbon import ribbon_layout
from pruneviz.figures.ribbon_step import RibbonStep, scale
from pruneviz.figures.ribbon_svg import ribbon_svg


@pytest.fixture(scope="module")
def graph() -> ChannelGraph:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(8, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    return pv.trace(model, (3, 8, 8))


def test_a_steps_plan_and_its_changes_are_what_is_drawn(graph: ChannelGraph) -> None:
    plan = pv.Plan(graph).drop("0", [1, 2, 5])
    step = RibbonStep.of(graph, plan.kept, [0.0005, None, 0.2], "the epoch before")
    assert step.layers == ("0", "1", "4")
    assert step.kept == (5, 4, 2)
    assert step.notes == (
        "weights changed by < 0.1\u202f%",
        "",
        "weights changed by 20.0\u202f%",
    )
    assert step.told == "Weights changed most in 4 (20.0\u202f%), least in 0 (< 0.1\u202f%)"
    assert step.legend(dark=True) == {
        "texts": (
            "Colour: how much a layer's weights have changed since the epoch before",
            "≤ 0.1\u202f%",
            "≥ 100\u202f%",
        ),
        "colours": scale(dark=True),
    }


def test_the_colours_follow_the_logarithm_between_their_ends(graph: ChannelGraph) -> None:
    kept, ends = pv.Plan(graph).kept, ("rgb(187, 215, 236)", "rgb(6, 54, 90)")
    low, unknown, high = RibbonStep.of(graph, kept, [0.0, None, 3.0]).colours(dark=False)
    assert (low, unknown, high) == (ends[0], None, ends[1])
    # Of five colours, the second lies at a quarter of the way: 10^(-3 + 3/4).
    quarter, middle, _ = RibbonStep.of(graph, kept, [10**-2.25, 10**-1.5, 1.0]).colours(dark=False)
    assert (quarter, middle) == ("rgb(127, 181, 219)", "rgb(58, 139, 194)")


def test_a_record_without_changes_is_drawn_in_the_usual_colours(graph: ChannelGraph) -> None:
    """Runs of earlier versions, and those of a network with other layers."""
    plan = pv.Plan(graph)
    for moved in ((), [0.1], [0.1] * 4, ["0.1"] * 3, [float("nan")] * 3, [-1.0] * 3):
        step = RibbonStep.of(graph, plan.kept, moved)
        assert (step.kept, step.colours(dark=True), step.notes) == ((8, 4, 2), (), ())
        assert (step.told, step.legend(dark=True)) == ("", None)
    still = RibbonStep.of(graph, plan.kept, [0.0] * 3)
    assert still.told == "No weights have changed"


def test_the_still_picture_takes_the_colours(graph: ChannelGraph) -> None:
    step = RibbonStep.of(graph, pv.Plan(graph).kept, [0.0, None, 1.0])
    svg = ribbon_svg(ribbon_layout(graph), step.kept, colours=step.colours(dark=False)).text
    assert 'fill="rgb(187, 215, 236)"' in svg
    assert 'fill="rgb(6, 54, 90)"' in svg
