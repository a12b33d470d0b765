"""Runs are found again: by their tag, and by the study that they belong to."""

from __future__ import annotations

from pruneviz.jobs import RunSpec, RunStore, Which
from pruneviz.jobs.leases import claim


def made(store: RunStore, name: str, **about) -> str:
    return store.create(RunSpec("count", name=name, **about)).id


def names(store: RunStore, **which) -> list[str]:
    return [run.name for run in store.list(Which(**which))]


def test_a_tag_is_given_changed_and_taken_away(store):
    first = made(store, "first", tag="homework")
    second = made(store, "second", tag="  ")
    assert store.get(first).tag == store.get(first).spec.tag == "homework"
    assert store.get(second).tag is None
    assert store.tag(second, " homework ").tag == "homework"
    assert names(store, tag="homework") == ["second", "first"]
    assert store.choices().tags == ("homework",)
    assert store.tag(first, "").tag is None
    assert names(store, tag="homework") == ["second"]


def test_a_list_has_a_row_for_each_study(store):
    for number in range(6):
        made(store, f"race {number}", parent="race-1", tag="Race")
        made(store, f"alone {number}")
    made(store, "study", parent="study-2")
    every = ["study", "alone 5", "race 5", *(f"alone {number}" for number in range(4, -1, -1))]
    assert names(store, one_a_study=True) == every
    assert store.count(Which(one_a_study=True)) == len(every)
    paged = [
        run.name
        for offset in range(0, 8, 3)
        for run in store.list(Which(one_a_study=True), limit=3, offset=offset)
    ]
    assert paged == every
    assert len(names(store, parent="race-1")) == 6


def test_a_study_stands_for_its_runs_that_match(store):
    ids = [made(store, f"race {number}", parent="race-1") for number in range(3)]
    mine = claim(store, ids[0])
    assert mine is not None
    mine.finish("done")
    assert names(store, one_a_study=True) == ["race 2"]
    assert names(store, one_a_study=True, status="done") == ["race 0"]
    assert names(store, one_a_study=True, status="failed") == []


def test_of_runs_made_at_the_same_moment_one_stands_for_the_study(store, monkeypatch):
    monkeypatch.setattr("pruneviz.jobs.records.time.time", lambda: 1.0)
    for number in range(4):
        made(store, f"race {number}", parent="race-1")
    listed = store.list(Which(parent="race-1"))
    assert [run.id for run in store.list(Which(one_a_study=True))] == [listed[0].id]
