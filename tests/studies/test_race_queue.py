"""The race as a queue: a run for each strategy and seed, the table of the race run in one go."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pruneviz.catalog import ModelSource, load_dataset
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.jobs import JobService, RunSpec, Which
from pruneviz.jobs.course import has_course
from pruneviz.jobs.results import network_of
from pruneviz.session import fine_tuned
from pruneviz.strategies import run_strategy
from pruneviz.studies.queue import Queue, by_study
from pruneviz.studies.race import race
from pruneviz.studies.race_queue import KIND, RaceRequest, gather
from pruneviz.studies.race_result import Race, merge
from pruneviz.trace import trace
from tests.threads import end, worker_threads

MODEL = ModelSource("resnet20", "digits").to_dict()
LONG = 240.0


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits of 8 by 8 pixels, sixty of them."""
    whole, some = load_dataset("digits", size=8), torch.arange(60)
    small = replace(whole, train=whole.train.subset(some), val=whole.val.subset(some))
    monkeypatch.setattr("pruneviz.catalog.load_dataset", lambda name, **_: small)


@pytest.fixture
def asked() -> RaceRequest:
    data = {"name": "digits", "options": {"size": 8}}
    return RaceRequest(MODEL, data, ("uniform", "control"), target_macs=0.6, epochs=1, seeds=(0, 1))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobService]:
    with worker_threads(2) as executor:
        made = JobService(tmp_path, executor=executor, threads=1)
        yield made
        end(made)
    made.close()


def timeless(found: Race) -> Race:
    return replace(found, outcomes=tuple(replace(o, seconds=0.0) for o in found.outcomes))


def in_one_go(asked: RaceRequest) -> Race:
    from pruneviz.catalog import load_dataset, load_model

    data = load_dataset("digits", **asked.data["options"])
    model = load_model("resnet20", weights="digits")
    graph = trace(model, data.input_shape)
    settings = {"target_macs": asked.target_macs, "epochs": asked.epochs, "seeds": asked.seeds}
    settings |= {"halving": asked.halving}
    *_, last = race(model, graph, data, asked.strategies, **settings)
    return timeless(last)


def worked_through(service: JobService, queue: Queue) -> Race:
    runs = queue.advance()
    while not queue.over(runs):
        for run in runs:
            service.wait(run.id, LONG)
        runs = queue.advance()
    assert {run.status for run in runs} == {"done"}, [run.error for run in runs]
    found = gather(service, runs)
    assert found is not None
    return timeless(found)


def test_the_queue_gives_the_table_of_the_race_in_one_go(
    service: JobService, few: None, asked: RaceRequest
) -> None:
    queue = Queue(service, asked, at_most=1)
    assert len(queue) == len(queue.ahead()) == 4
    (first,) = queue.advance()
    assert queue.advance()[0].id == first.id, "the second waits for the first to end"
    found = worked_through(service, queue)
    assert found == in_one_go(asked)
    assert found.final
    assert found.network == "resnet20"
    assert queue.ahead() == ()
    run = service.list(Which(kinds=(KIND,), strategy="uniform"))[0]
    assert has_course(service.files(run.id))
    assert network_of(run, service.files(run.id)) is not None
    assert fine_tuned.settings(service, run) == (
        "strategy",
        {"strategy": "uniform", "seed": 1, "target_macs": 0.6, **found.options["uniform"]},
    ), "what a recipe of this run repeats"


@pytest.mark.slow
def test_what_is_done_is_not_done_again(
    service: JobService, few: None, asked: RaceRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, int]] = []

    def counted(strategy: str, *given: Any, **more: Any) -> Any:
        begun.append((strategy, more["seed"]))
        if len(begun) == 2:
            raise RuntimeError("the lights went out")
        return run_strategy(strategy, *given, **more)

    monkeypatch.setattr("pruneviz.studies.race.run_strategy", counted)
    one_seed = replace(asked, seeds=(0,))
    queue = Queue(service, one_seed, at_most=1)
    while not queue.over(runs := queue.advance()):
        for run in runs:
            service.wait(run.id, LONG)
    assert [run.status for run in runs] == ["done", "failed"], "and it is not tried over and over"
    half = gather(service, runs)
    assert half is not None
    assert not half.final
    found = worked_through(service, Queue(service, asked, at_most=1))
    assert begun == [("uniform", 0), ("control", 0), ("control", 0), ("uniform", 1), ("control", 1)]
    assert found.seeds == (0, 1)
    assert found.outcomes[0] == timeless(half).outcomes[0]
    ((parent, runs),) = by_study(service, KIND).items()
    assert parent == asked.id
    assert len(runs) == 4


@pytest.mark.slow
def test_a_race_is_halved_as_in_one_go(service: JobService, few: None, asked: RaceRequest) -> None:
    halved = replace(asked, strategies=("uniform", "random", "control"), halving=True)
    assert halved.id != replace(halved, halving=False).id
    queue = Queue(service, halved)
    begun = queue.advance()
    assert [(r.spec.options["strategy"], r.spec.options["seed"]) for r in begun] == [
        ("uniform", 0), ("random", 0), ("control", 0),
    ], "the second seed waits for the first comparison"  # fmt: skip
    found = worked_through(service, queue)
    assert found == in_one_go(halved)
    assert found.halving
    assert len(service.list(Which(kinds=(KIND,)))) == found.total == 6 - len(found.stopped)


def test_no_more_than_so_many_are_under_way(
    service: JobService, asked: RaceRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr("pruneviz.jobs.steps.load_subject", lambda context: go.wait(LONG))
    monkeypatch.setattr("pruneviz.jobs.kinds.load_subject", lambda context: go.wait(LONG))
    queue = Queue(service, replace(asked, seeds=(0, 1, 2)), at_most=3)
    for _ in range(3):
        assert len(queue.advance()) == 3
    service.cancel(queue.advance()[0].id)
    go.set()
    while not queue.over(runs := queue.advance()):
        assert sum(run.active for run in runs) <= 3
    assert len(runs) == 6


def test_a_request_is_one_race_whatever_its_seeds(asked: RaceRequest) -> None:
    assert replace(asked, seeds=(5,)).id == asked.id
    assert replace(asked, epochs=2).id != asked.id
    assert replace(asked, epochs=2).name == "Race: resnet20 on digits, 2 strategies, 2 epochs"
    assert {spec.tag for spec in asked.specs()} == {asked.name}
    assert asked.specs()[0].name == "Race: resnet20 on digits, Uniform, seed 0"
    assert [(s.options["strategy"], s.options["seed"]) for s in asked.specs()] == [
        ("uniform", 0), ("control", 0), ("uniform", 1), ("control", 1),
    ]  # fmt: skip
    with pytest.raises(UnknownNameError, match="magic"):
        replace(asked, strategies=("magic",))
    with pytest.raises(InvalidValueError, match="at least one strategy"):
        replace(asked, strategies=())
    with pytest.raises(InvalidValueError, match="from 0"):
        replace(asked, seeds=())


def test_a_run_of_a_race_refuses_what_it_does_not_know(
    service: JobService, few: None, asked: RaceRequest
) -> None:
    for options, sentence in (
        ({"speed": 1}, "Choose one of"),
        ({"epochs": 1}, "needs the option 'strategy'"),
        ({"strategy": "uniform", "strategies": ["control"]}, "strategy of this race"),
    ):
        run_id = service.submit(RunSpec(KIND, model=MODEL, data=asked.data, options=options))
        assert sentence in str(service.wait(run_id, 60).error)


def test_races_with_other_settings_are_not_merged() -> None:
    from tests.studies.test_race import made_up

    whole = made_up()
    parts = [
        replace(whole, seeds=(o.seed,), outcomes=(o,), baseline=whole.baseline)
        for o in reversed(whole.outcomes)
    ]
    found = merge(parts)
    assert {(o.strategy, o.seed) for o in found.outcomes} == {
        (o.strategy, o.seed) for o in whole.outcomes
    }
    assert [o.seed for o in found.outcomes] == [0, 0, 1], "as in a race in one go"
    with pytest.raises(InvalidValueError, match="same network, data and settings"):
        merge([whole, replace(whole, epochs=7)])
    with pytest.raises(InvalidValueError, match="at least one"):
        merge([])
    assert json.loads(found.to_json())["seeds"] == [0, 1]
