"""Runs that measure time, on the bundled network."""

from __future__ import annotations

import pytest

import pruneviz as pv
from pruneviz.catalog import ModelSource
from pruneviz.jobs import JobService, RunSpec
from pruneviz.jobs.results import latency_of, widths_of

MODEL, DATA = ModelSource("resnet20", "digits").to_dict(), {"name": "digits", "options": {}}
SHORT = {"repeats": 3, "seconds": 0.5, "threads": 1}


@pytest.fixture(scope="module")
def plans() -> tuple[pv.Plan, pv.Plan]:
    """A single filter, and half of one group."""
    graph = pv.trace(ModelSource("resnet20", None).load(), (3, 32, 32))
    group = graph.prunable_groups[1]
    return (
        pv.Plan(graph).drop("layer1.0.conv1", [0]),
        pv.Plan(graph, group.units[: group.width // 2]),
    )


def test_plans_beside_the_baseline(threaded: JobService, plans: tuple[pv.Plan, pv.Plan]) -> None:
    own, other = plans
    options = {**SHORT, "plans": [other.to_json()], "batch_size": 2}
    spec = RunSpec("latency", MODEL, DATA, own.to_json(), options)
    run = threaded.wait(threaded.submit(spec), 120)
    assert (run.status, run.error) == ("done", None)
    found = latency_of(threaded.results(run.id))
    assert [t.name for t in found.timings] == ["baseline", own.digest, other.digest]
    assert found.of(own.digest).macs == pv.cost(own.graph, own).macs
    assert (found.batch_size, found.threads) == (2, 1)
    assert all(len(t.seconds) >= 3 and min(t.seconds) > 0 for t in found.timings)


def test_time_against_width(threaded: JobService, plans: tuple[pv.Plan, pv.Plan]) -> None:
    group = plans[0].graph.prunable_groups[0]
    options = {**SHORT, "group": group.name, "widths": [4, 8]}
    run = threaded.wait(threaded.submit(RunSpec("width_latency", MODEL, DATA, None, options)), 120)
    assert (run.status, run.error) == ("done", None)
    found = widths_of(threaded.results(run.id))
    assert (found.group, found.widths) == (group.name, (group.width, 8, 4))
    assert len(found.latency.timings) == 3


def test_an_unknown_option_is_refused_and_no_result_is_said(threaded: JobService) -> None:
    run = threaded.wait(threaded.submit(RunSpec("latency", MODEL, DATA, None, {"speed": 1})), 120)
    assert run.status == "failed"
    assert "batch_size" in (run.error or "")
    with pytest.raises(pv.errors.InvalidValueError, match="no result 'latency'"):
        latency_of(threaded.results(run.id))
