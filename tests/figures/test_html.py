"""What a notebook shows of results: tables that are whole, escaped and without scripts."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import pruneviz as pv
from pruneviz.allocation import Allocation, Candidate
from pruneviz.figures.html import html_of, sparkline
from pruneviz.latency import Latency, WidthLatency
from pruneviz.latency.result import Timing

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def results() -> dict[str, object]:
    data = pv.load_dataset("digits")
    model = pv.load_model("resnet20", weights="digits")
    graph = pv.trace(model, data.input_shape)
    ranking = pv.rank(model, graph, None, ["l1", "l2"])
    plan = pv.threshold(graph, ranking, "l1", 0.5)
    *_, scan = pv.sensitivity(model, graph, data, ranking, "l1", (0.5,), images=20, after="cut")
    timings = (Timing("baseline", (0.002, 0.003, 0.004), 100), Timing(EVIL, (0.001,) * 3, 10))
    timed = Latency(timings, (3, 32, 32), 1, 1)
    names = (EVIL, *map(str, range(9)))
    worth = pv.Evaluation(0.5, 1.0, (0.5,) * 9 + (float("nan"),), 20, names, np.zeros(20, int))
    return {
        "graph": graph,
        "plan": plan,
        "cost": pv.cost(graph, plan),
        "ranking": ranking,
        "evaluation": worth,
        "sensitivity": scan,
        "latency": timed,
        "widths": WidthLatency("conv1", (4, 2), timed),
        "allocation": Allocation(plan, (Candidate(EVIL, plan, 0.4, 0.9, 0.3),), scan),
    }


SAYS = {
    "graph": "400 prunable units in 12 of 13 groups",
    "plan": "units pruned, plan",
    "cost": "MACs left by layer",
    "ranking": "l2",
    "evaluation": "50.00% on 20 images",
    "sensitivity": "on 20 images",
    "latency": "3 ms",
    "widths": "time drops at",
    "allocation": "taken",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_a_notebook_shows_it(results: dict[str, object], name: str) -> None:
    html = results[name]._repr_html_()  # type: ignore[attr-defined]
    assert SAYS[name] in html
    assert "<script" not in html
    assert "javascript" not in html
    assert not re.search(r"(color|fill|stroke)[:=]\"?(#|black|white)", html), "dark or light"
    ElementTree.fromstring(html if name != "latency" else f"<div>{html}</div>")


def test_a_sparkline_goes_from_its_least_to_its_greatest_value() -> None:
    points = re.search(r'points="([^"]+)"', sparkline([0.0, 1.0, 0.5])).group(1)  # type: ignore[union-attr]
    assert [float(p.split(",")[1]) for p in points.split()] == [16.0, 2.0, 9.0]
    assert sparkline([float("nan")]) == ""


def test_what_has_no_table_is_refused() -> None:
    with pytest.raises(pv.errors.InvalidValueError, match="of the type int"):
        html_of(3)


def test_results_do_not_load_it() -> None:
    code = "import sys, pruneviz as pv; pv.Cost, pv.Evaluation, pv.Plan;"
    code += "print([m for m in sys.modules if m.startswith('pruneviz.figures')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr
