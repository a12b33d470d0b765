"""Sending runs to workers: what is held back, what is seen to, and who the workers are."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Future

import pytest

from pruneviz import errors
from pruneviz.jobs import JobService, tending
from pruneviz.jobs.dispatch import Dispatcher
from pruneviz.jobs.fleet import Fleet
from pruneviz.jobs.planning import Planner
from pruneviz.jobs.tending import Tender
from pruneviz.jobs.workers import ScheduledWorkers, Workers


class Promised(Workers):
    """Workers that do what the test says; `given` has what they were handed."""

    def __init__(self) -> None:
        self.refusal: errors.StorageError | None = None
        self.given: dict[str, Future[str]] = {}

    def submit(self, run_id: str) -> Future[str]:
        if self.refusal is not None:
            raise self.refusal
        self.given[run_id] = Future()
        return self.given[run_id]


@pytest.fixture
def workers():
    return Promised()


@pytest.fixture
def dispatcher(store, workers):
    made = Dispatcher(store, workers, stale=60.0)
    yield made
    made.close(timeout=0.0)


def eventually(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_refused_is_held_back_and_sent_in_order(store, workers, dispatcher, spec):
    ids = [store.create(spec()).id for _ in range(3)]
    workers.refusal = errors.StorageFullError("The disk is full.")
    for run_id in ids:
        dispatcher.send(run_id)
    assert dispatcher.refusal is workers.refusal
    assert (workers.given, dispatcher.busy) == ({}, True)
    workers.refusal = None
    dispatcher.send_held_back()
    assert list(workers.given) == ids
    assert dispatcher.refusal is None
    for future in workers.given.values():
        future.set_result("done")
    assert not dispatcher.busy


def test_it_is_busy_until_the_end_of_a_run_is_recorded(
    store, workers, dispatcher, spec, monkeypatch
):
    """A worker failed while the disk was full: nobody looked at the disk any more."""
    run_id, full, refused = store.create(spec()).id, [True], []
    real = store.transaction

    @contextlib.contextmanager
    def transaction():
        if full:
            refused.append(1)
            raise errors.StorageFullError("The disk is full.")
        with real() as session:
            yield session

    monkeypatch.setattr(store, "transaction", transaction)
    dispatcher.send(run_id)
    workers.given[run_id].set_exception(RuntimeError("no room in the cluster"))
    eventually(lambda: refused)
    assert dispatcher.busy
    full.clear()
    eventually(lambda: not dispatcher.busy)
    assert store.get(run_id).error == "RuntimeError: no room in the cluster"


def test_a_closed_one_sends_nothing(store, workers, dispatcher, spec):
    dispatcher.close(timeout=0.0)
    dispatcher.send(store.create(spec()).id)
    assert (workers.given, dispatcher.busy) == ({}, False)


def test_the_thread_that_tends_ends_with_the_last_run(
    store, workers, dispatcher, spec, monkeypatch
):
    monkeypatch.setattr(tending, "TEND_SECONDS", 0.02)
    planner = Planner(store, "me|1||z", lambda *_: None)
    tender = Tender(store, workers, dispatcher, planner, "me|1||z", stale=60.0)
    for _ in range(2):
        run_id = store.create(spec(), submitter="me|1||z").id
        tender.send(run_id)
        assert tender._thread is not None
        workers.given[run_id].set_result("done")
        eventually(lambda: tender._thread is None)
    tender.stop()


def test_deaths_are_counted_anew_while_no_worker_can_be_reached(
    store, workers, dispatcher, monkeypatch
):
    monkeypatch.setattr(tending, "TEND_SECONDS", 0.02)
    pardons: list[float] = []
    monkeypatch.setattr(Fleet, "pardon", lambda self: pardons.append(0))
    workers.remote = True
    planner = Planner(store, "me|1||z", lambda *_: None)
    tender = Tender(store, workers, dispatcher, planner, "me|1||z", stale=60.0)
    time.sleep(0.2)
    assert not pardons
    workers.away = "No worker is connected."
    eventually(lambda: pardons)
    tender.stop()


def test_a_scheduler_known_to_be_away_is_not_asked_by_those_who_submit(store):
    class Dask:
        connected = False

        def trouble(self) -> str:
            return "The scheduler cannot be reached."

    workers = ScheduledWorkers(Dask(), store, (), None)
    workers.look()
    with pytest.raises(errors.StorageUnreachableError, match="The scheduler cannot be reached"):
        workers.submit("a run")


def test_workers_elsewhere_need_an_executor(tmp_path):
    with pytest.raises(errors.InvalidValueError, match="pass one, or the address of a scheduler"):
        JobService(tmp_path, elsewhere=True)
