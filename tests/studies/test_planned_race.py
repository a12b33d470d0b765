"""A race with halving whose later rounds are submitted by whoever lives, with no page open."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pruneviz import errors
from pruneviz.jobs import JobService, RunSpec, RunStore, RunView, Which, planned
from pruneviz.jobs.gate import Gate, Limits, Visitor
from pruneviz.jobs.leases import claim
from pruneviz.jobs.planned import Planned
from pruneviz.jobs.planners import find_planner
from pruneviz.jobs.recovery import lives
from pruneviz.studies.queue import Queue
from pruneviz.studies.race_queue import KIND, RaceRequest, gather
from pruneviz.studies.race_result import Outcome, Race

PATIENCE = 60.0
FIELD = ("taylor", "uniform", "random", "control")
ACCURACY = {"taylor": 0.9, "uniform": 0.8, "random": 0.7, "control": 0.99}
ASKED = RaceRequest(
    {"name": "resnet20", "weights": "digits"},
    {"name": "digits", "options": {}},
    FIELD,
    epochs=1,
    seeds=(0, 1, 2, 3),
    halving=True,
)
ROUNDS = (
    {(name, 0) for name in FIELD},
    {(name, 1) for name in ("taylor", "uniform", "control")},
    {(name, seed) for name in ("taylor", "control") for seed in (2, 3)},
)
"""After a seed random is behind; after two uniform is; taylor is left for the last two."""


class Nobody(Executor):
    """Takes runs and does none: the tests end them."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


def end_run(store: RunStore, run: RunView, status: str = "done") -> None:
    """Do a run of the race: its outcome is known beforehand."""
    mine = claim(store, run.id)
    assert mine is not None
    strategy, seed = raced(run)
    outcome = Outcome(strategy, seed, 50, 10, 0.5, ACCURACY[strategy], 1.0, 1.0, "{}")
    race = Race(
        "resnet20", "digits", "test", 100, 0.5, 1, (seed,), FIELD, {n: {} for n in FIELD},
        100, 20, 0.9, (outcome,), halving=True,
    )  # fmt: skip
    if status == "done":
        mine.keep(KIND, json.loads(race.to_json()))
    assert mine.finish(status)


def raced(run: RunView) -> tuple[str, int]:
    return str(run.spec.options["strategy"]), int(run.spec.options["seed"])


def runs_of(store: RunStore) -> dict[tuple[str, int], RunView]:
    """The runs by strategy and seed; none is there twice."""
    runs = store.list(Which(parent=ASKED.id))
    counts = Counter(map(raced, runs))
    assert set(counts.values()) <= {1}, counts
    return {raced(run): run for run in runs}


def wait_for(store: RunStore, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], RunView]:
    """Look into the records, and nowhere else, until these runs are there."""
    deadline = time.monotonic() + PATIENCE
    while not wanted <= (runs := runs_of(store)).keys():
        assert time.monotonic() < deadline, runs.keys()
        time.sleep(0.05)
    return runs


def end_all(store: RunStore, wanted: set[tuple[str, int]]) -> None:
    for one, run in wait_for(store, wanted).items():
        if one in wanted and run.active:
            end_run(store, run)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruneviz.jobs.tending.TEND_SECONDS", 0.05)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[RunStore]:
    """What the tests look at: nobody calls a service after it was asked."""
    store = RunStore(tmp_path)
    yield store
    store.close()


Start = Callable[..., JobService]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[JobService] = []

    def begin(**more: Any) -> JobService:
        made.append(JobService(tmp_path, executor=Nobody(), **more))
        return made[-1]

    yield begin
    for service in made:
        service.close()


def begin(service: JobService, asked: RaceRequest = ASKED, owner: str = "") -> None:
    """What the page does."""
    queue = Queue(service, asked, owner)
    queue.advance()
    queue.keep()


def test_later_rounds_are_submitted_while_no_page_is_open(start: Start, records: RunStore) -> None:
    begin(start())
    assert runs_of(records).keys() == ROUNDS[0]
    for one in sorted(ROUNDS[0])[:-1]:
        end_run(records, runs_of(records)[one])
    time.sleep(0.5)
    rivals = {(name, seed) for name, seed in runs_of(records) if name != "control"}
    assert {seed for _, seed in rivals} == {0}, "they wait for the last one"
    end_all(records, ROUNDS[0])
    wait_for(records, ROUNDS[1])
    assert not (runs_of(records).keys() & {("random", 1), ("uniform", 2)})
    end_all(records, ROUNDS[1])
    end_all(records, ROUNDS[2])
    deadline = time.monotonic() + PATIENCE
    while (plan := planned.find(records.database, ASKED.id)) and plan.status == "open":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert plan is not None
    assert (plan.status, plan.error) == ("done", None)
    assert runs_of(records).keys() == set().union(*ROUNDS)
    race = gather(records, runs_of(records).values())
    assert race is not None
    assert race.final
    assert race.stopped == {"random": 1, "uniform": 2}


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_of_two_services_each_run_is_submitted_by_one(
    where: str, start: Start, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    address = request.getfixturevalue("new_database") if where == "postgres" else None
    records = RunStore(tmp_path, address)
    # Both think that the study is theirs, as after a takeover: the records decide.
    one, two = (start(database=address) for _ in range(2))
    begin(one)
    planners = [service._tender._planner for service in (one, two)]
    for planner in planners:
        planner._is_mine = lambda *_: True  # type: ignore[method-assign]
    for wanted in ROUNDS:
        end_all(records, wanted)
        together = threading.Barrier(2)

        def submit(planner: Any, together: threading.Barrier = together) -> None:
            together.wait()
            planner.submit(lambda _: True)

        threads = [threading.Thread(target=submit, args=(planner,)) for planner in planners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert runs_of(records).keys() == set().union(*ROUNDS)
    records.close()


def test_another_service_goes_on_with_a_study_whose_own_has_closed(
    start: Start, records: RunStore
) -> None:
    one = start()
    begin(one)
    two = start()
    two.recover()
    (study,) = planned.all_open(records.database)
    assert study.submitter is not None
    assert lives(study.submitter, lambda _: False)
    one.close()
    end_all(records, ROUNDS[0])
    two.recover()
    wait_for(records, ROUNDS[1])


KILLED = """
import os, sys
from tests.studies import test_planned_race as t
service = t.JobService(sys.argv[1], executor=t.Nobody())
t.begin(service)
print("begun", flush=True)
sys.stdin.read()
"""


def test_a_study_continues_after_a_kill_and_a_restart(
    start: Start, records: RunStore, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGSTOP)  # it submits nothing more
        end_all(records, ROUNDS[0])
        two = start()
        two.recover()
        assert runs_of(records).keys() == ROUNDS[0], "the other one lives"
        process.kill()
    two.recover()  # as the start of a studio does
    end_all(records, ROUNDS[1])
    end_all(records, ROUNDS[2])


def test_later_runs_get_the_files_of_the_first_from_any_studio(
    start: Start, records: RunStore, tmp_path: Path
) -> None:
    """A weights file that is only where the race was started; its runs are done elsewhere."""
    pytest.importorskip("fsspec", reason="needs the extra 'cluster'")
    weights = tmp_path / "ann" / "mine.pt"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    places = {"elsewhere": True, "artifacts": (tmp_path / "store").as_uri()}
    asked = replace(ASKED, model={"name": "resnet20", "weights": str(weights)})
    one = start(**places)
    begin(one, asked)
    one.close()
    weights.unlink()
    runs = records.list(Which(parent=asked.id))
    for run in runs:
        end_run(records, run)
    start(**places)
    deadline = time.monotonic() + PATIENCE
    while len(records.list(Which(parent=asked.id))) == len(runs):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    files = RunStore(tmp_path, None, places["artifacts"]).files
    given = [files.given(run.id) for run in records.list(Which(parent=asked.id))]
    assert given == [given[0]] * len(given)
    assert list(given[0]) == ["given/model.weights/mine.pt"]


def test_a_cancelled_race_submits_nothing_until_it_is_resumed(
    start: Start, records: RunStore
) -> None:
    service = start()
    begin(service)
    service.cancel_study(ASKED.id)
    end_all(records, ROUNDS[0])
    service.recover()
    assert runs_of(records).keys() == ROUNDS[0]
    late = next(spec for spec in ASKED.specs() if spec.options["seed"] == 1)
    assert records.create_once(late, planned=True) is None, "not even by one that just looked"
    service.resume_study(ASKED.id)
    wait_for(records, ROUNDS[1])


def test_a_race_waits_for_a_run_that_failed_and_is_resumed(start: Start, records: RunStore) -> None:
    service = start()
    begin(service)
    runs = runs_of(records)
    end_run(records, runs["random", 0], "failed")
    end_all(records, ROUNDS[0] - {("random", 0)})
    service.recover()
    assert ("taylor", 1) not in runs_of(records)
    service.resume(runs["random", 0].id)
    end_all(records, {("random", 0)})
    wait_for(records, ROUNDS[1])


def test_a_deleted_run_does_not_come_back(start: Start, records: RunStore) -> None:
    service = start()
    begin(service)
    end_all(records, ROUNDS[0])
    for run in wait_for(records, ROUNDS[1]).values():
        service.delete(run.id)
        service.recover()
    assert runs_of(records) == {}
    assert planned.find(records.database, ASKED.id) is None


def test_visitors_plan_their_own_studies_alone(start: Start, records: RunStore) -> None:
    who = [Visitor("ann")]
    service = start(gate=Gate(lambda: who[0], Limits(runs=1, disk=10**9)))
    begin(service, owner="ann")
    who[0] = Visitor("bob")
    for change in (service.cancel_study, service.resume_study):
        with pytest.raises(errors.NotAllowedError, match="another visitor's"):
            change(ASKED.id)
    with pytest.raises(errors.NotAllowedError, match="another visitor's"):
        Queue(service, ASKED, "bob").keep()
    who[0] = Visitor("nobody in particular")  # whoever the tending thread works for
    end_all(records, ROUNDS[0])
    runs = wait_for(records, ROUNDS[1])
    assert {run.owner for run in runs.values()} == {"ann"}
    study = planned.find(records.database, ASKED.id)
    assert study is not None
    assert study.quota == {"disk": 10**9, "uploads": 0}
    for one in ROUNDS[1]:
        assert service.has_file(runs[one].id, "quota.json")
    who[0] = Visitor("ann")
    with pytest.raises(errors.NotAllowedError, match="may have 1 run"):
        service.submit(RunSpec(KIND, options={"strategy": "taylor"}))


def test_a_study_that_cannot_be_planned_says_why_and_stops_no_other(
    start: Start, records: RunStore
) -> None:
    for kind, request in (("magic", {}), (KIND, {"strategies": ["magic"]}), (KIND, {"speed": 1})):
        planned.keep(records.database, Planned(f"broken-{kind}-{request}", kind, "x", request))
    service = start()
    begin(service)
    end_all(records, ROUNDS[0])
    wait_for(records, ROUNDS[1])
    told = [s.error for s in planned.all_open(records.database) if s.id != ASKED.id]
    assert all(told), told
    assert any("kind of study" in str(text) for text in told)


def test_a_request_is_read_back() -> None:
    read = find_planner(KIND)(json.loads(json.dumps(ASKED.to_dict())))
    assert read == ASKED
    assert read.specs() == ASKED.specs()
    with pytest.raises(errors.InvalidValueError, match="no such settings"):
        RaceRequest.from_dict({**ASKED.to_dict(), "speed": 1})
    assert not replace(ASKED, halving=False).adaptive
