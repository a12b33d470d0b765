"""A strategy's steps on the disk: whole, small, and the same after a kill and a resume."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import pruneviz as pv
from pruneviz.channels import ChannelGraph
from pruneviz.errors import InvalidValueError
from pruneviz.jobs import course as files
from pruneviz.jobs.course import FILE, CourseReader, CourseWriter
from pruneviz.strategies import StrategyEvent
from pruneviz.strategies.course import Course
from pruneviz.strategies.details import Population, Removals, Trial, Zeroing, decode, encode

RANDOM = np.random.default_rng(0)


class Two(nn.Module):
    """Two layers, of which the first can lose filters."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.first(x).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def graph() -> ChannelGraph:
    return pv.trace(Two(), (3, 8, 8))


def steps(graph: ChannelGraph, count: int, units: int = 8) -> Iterator[StrategyEvent]:
    """A run that removes a unit at every step, ranked at random."""
    plan = pv.Plan(graph)
    for step in range(1, count + 1):
        if step < graph.num_units - 2:
            plan = plan.drop("first", step - 1)
        scores = RANDOM.standard_normal((1, units)) ** 2 * 1e-9
        yield StrategyEvent(
            strategy="taylor", step=step, steps=count, progress=step / count, phase="prune",
            message=f"Removed {step} units", units_left=8 - step, macs=100 - step, params=50,
            passes=step / 3, loss=float("nan"), val_loss=0.5, accuracy=0.9,
            plan=plan.to_json(), details=Removals(scores, RANDOM.random((1, units)) > 0.2),
        )  # fmt: skip


def write(folder: Path, graph: ChannelGraph, events, after: int = 0) -> None:
    writer = CourseWriter(folder, graph, after)
    for event in events:
        writer.add(event)


def read(folder: Path, graph: ChannelGraph) -> Course:
    course = CourseReader(folder, graph).read()
    assert course is not None
    return course


@pytest.mark.parametrize(
    "details",
    [
        Removals(np.array([[1e-12, 3.0, np.nan], [0.0, -2e7, 5.0]]), np.ones((2, 3), bool)),
        Zeroing(("a", "b"), (2, 1), np.array([1.0, 2.5, 0.0]), np.array([True, False, True])),
        Trial("layer1", 16, 0, 15, 8, 0.75, 0.98),
        Population(np.array([0.123456, 1.0]), np.array([0.5, 0.25]), np.eye(2, 9, dtype=bool)),
    ],
)
def test_details_come_back_as_they_were(details) -> None:
    again = decode(encode(details))
    assert type(again) is type(details)
    for name, value in vars(details).items():
        got = getattr(again, name)
        if isinstance(value, np.ndarray):
            tolerance = 2**-8 if name in ("scores", "norms") else 1e-7
            np.testing.assert_allclose(got, value, rtol=tolerance)
            assert got.dtype == value.dtype
        else:
            assert got == value


def test_details_of_another_kind_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="details of a step"):
        decode({"kind": "Trial", "group": "a"})


def test_a_course_comes_back(graph, tmp_path) -> None:
    events = list(steps(graph, 4))
    write(tmp_path, graph, events)
    course, kept = read(tmp_path, graph), Course.of(graph, events)
    pv_frame = course.to_frame()
    assert pv_frame.equals(kept.to_frame())
    assert [s.kept.tolist() for s in course.steps] == [s.kept.tolist() for s in kept.steps]
    assert course.plan(2) == kept.plan(2) != course.plan()
    assert list(pv_frame["units_left"]) == [7, 6, 5, 4]


def test_another_networks_course_is_not_read(graph, tmp_path) -> None:
    write(tmp_path, graph, steps(graph, 2))
    other = pv.trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(256, 2)), (3, 8, 8))
    assert CourseReader(tmp_path, other).read() is None


def test_what_a_kill_tears_is_passed_over_and_written_again(graph, tmp_path) -> None:
    events = list(steps(graph, 5))
    write(tmp_path, graph, events)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-7])
    assert [s.step for s in read(tmp_path, graph).steps] == [1, 2, 3, 4]
    # The checkpoint was of step 3: what came after it is done again.
    again = [replace(e, message="again") for e in events[3:]]
    write(tmp_path, graph, again, after=3)
    course = read(tmp_path, graph)
    assert [s.step for s in course.steps] == [1, 2, 3, 4, 5]
    assert [s.message for s in course.steps[3:]] == ["again", "again"]


def test_a_reader_goes_on_where_it_was_and_follows_a_resume(graph, tmp_path) -> None:
    events = list(steps(graph, 4))
    writer, reader = CourseWriter(tmp_path, graph), CourseReader(tmp_path, graph)
    assert reader.read() is None
    for number, event in enumerate(events, 1):
        writer.add(event)
        course = reader.read()
        assert course is not None
        assert len(course.steps) == number
    write(tmp_path, graph, events[2:3], after=2)
    course = reader.read()
    assert course is not None
    assert [s.step for s in course.steps] == [1, 2, 3]
    # Cut off and grown again past where the reader was, before it looked.
    write(tmp_path, graph, [replace(e, message="a longer message " * e.step) for e in events])
    course = reader.read()
    assert course is not None
    assert [s.message[:8] for s in course.steps] == ["a longer"] * 4


@pytest.mark.parametrize(
    "change",
    [
        {"step": "one"},
        {"kept": {"as": "bits", "shape": [3], "data": "AA=="}},
        {"kept": None},
        {"details": {"kind": "Removals"}},
        {"details": {"kind": "Trial", "group": 1}},
        {"details": 7},
    ],
)
def test_a_damaged_step_is_refused_with_a_sentence(graph, tmp_path, change) -> None:
    write(tmp_path, graph, steps(graph, 1))
    document = json.loads(gzip.decompress((tmp_path / FILE).read_bytes()))
    (tmp_path / FILE).write_bytes(gzip.compress(json.dumps({**document, **change}).encode()))
    with pytest.raises(InvalidValueError, match="another version wrote it"):
        CourseReader(tmp_path, graph).read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        pytest.param(gzip.compress(b"[1]"), id="a list"),  # its bytes hold the time
        pytest.param(gzip.compress(b"{"), id="half a value"),
    ],
)
def test_a_file_of_something_else_is_no_course(graph, tmp_path, content) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert CourseReader(tmp_path, graph).read() is None


@pytest.mark.slow
def test_a_thousand_steps_of_a_large_network_stay_under_20_mb(graph, tmp_path) -> None:
    write(tmp_path, graph, steps(graph, 1000, units=12_000))
    assert (tmp_path / FILE).stat().st_size < 20e6
    course = read(tmp_path, graph)
    assert len(course.steps) == 1000
    first, last = course.steps[0].details, course.steps[-1].details
    assert isinstance(first, Removals)
    assert first.scores is not None
    assert isinstance(last, Removals)


def test_beyond_its_room_a_run_keeps_steps_without_the_large_arrays(
    graph, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(files, "ROOM", 1)
    write(tmp_path, graph, steps(graph, 2))
    first, second = (s.details for s in read(tmp_path, graph).steps)
    assert isinstance(first, Removals)
    assert first.scores is not None
    assert isinstance(second, Removals)
    assert second.scores is second.kept is None
