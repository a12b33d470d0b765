"""A plan in a link: short, and the same on another machine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneviz import links
from pruneviz.catalog import load_model
from pruneviz.channels import ChannelGraph
from pruneviz.errors import PlanError
from pruneviz.plan import Plan
from pruneviz.trace import trace
from tests.core.laws import random_plan

choice = st.integers(1, 70).flatmap(
    lambda width: st.tuples(st.just(width), st.sets(st.integers(0, width - 1)))
)


@given(st.lists(choice, max_size=8))
def test_any_choice_comes_back(groups: list[tuple[int, set[int]]]) -> None:
    widths = [width for width, _ in groups]
    chosen = [sorted(units) for _, units in groups]
    text = links.to_text(links.encode(widths, chosen))
    assert links.decode(widths, links.from_text(text)) == chosen


@given(st.binary(max_size=40), st.lists(st.integers(1, 20), max_size=4))
def test_any_bytes_are_read_or_refused(content: bytes, widths: list[int]) -> None:
    try:
        found = links.decode(widths, content)
    except ValueError:
        return
    assert links.encode(widths, found) == content.lstrip(b"\0")


@pytest.fixture(scope="module")
def resnet50() -> ChannelGraph:
    return trace(load_model("resnet50"), (3, 64, 64))


def test_half_of_resnet50_fits_into_two_kilobytes(resnet50: ChannelGraph) -> None:
    units = [
        unit
        for group in resnet50.prunable_groups
        for unit in group.units
        if (unit * 2654435761 >> 7) % 2 and unit != group.start
    ]
    plan = Plan(resnet50, units)
    assert 0.45 < plan.ratio < 0.55
    text = plan.to_link()
    assert len(text) <= 2000
    again = Plan.from_link(resnet50, f"http://localhost:8501/prune?model=resnet50&plan={text}")
    assert again.digest == plan.digest


@pytest.mark.sweep
def test_another_process_reads_the_same_plan() -> None:
    graph = trace(load_model("resnet20"), (3, 32, 32))
    plan = random_plan(graph, 3)
    code = (
        "import sys, pruneviz as pv\n"
        "graph = pv.trace(pv.load_model('resnet20'), (3, 32, 32))\n"
        "print(pv.Plan.from_link(graph, sys.argv[1]).digest)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, plan.to_link()], capture_output=True, text=True
    )
    assert done.stdout.strip() == plan.digest, done.stderr


def test_what_is_no_such_link_says_so(resnet50: ChannelGraph) -> None:
    graph = trace(load_model("resnet20"), (3, 32, 32))
    text = random_plan(graph, 1).to_link()
    assert Plan.from_link(graph, Plan(graph).to_link()) == Plan(graph)
    with pytest.raises(PlanError, match="another network"):
        Plan.from_link(resnet50, text)
    for damaged in (text[:-4], text[:-1] + ("A" if text[-1] != "A" else "Q"), text + "*", "p1."):
        with pytest.raises(PlanError):
            Plan.from_link(graph, damaged)
    with pytest.raises(PlanError, match=r"begins with 'p1\.'"):
        Plan.from_link(graph, "http://localhost:8501/")
