"""The lab's experiments as background runs: they grow, stop, and go on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pruneviz.catalog import load_dataset
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.jobs import JobService, RunSpec
from pruneviz.strategies import run_strategy
from pruneviz.studies.papers import LabResult, Request, soft
from pruneviz.studies.papers.experiment import perform
from pruneviz.studies.papers.queue import ClaimQueue, gather
from pruneviz.studies.papers.result import Finding
from pruneviz.studies.papers.setting import Bench, finding
from pruneviz.studies.queue import Queue
from tests.threads import end, worker_threads


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobService]:
    with worker_threads() as executor:
        made = JobService(tmp_path, executor=executor)
        yield made
        end(made)
    made.close()


def test_requests_are_checked_and_come_back() -> None:
    request = Request(
        "oracle", root="/some/where/ants.zip", data="folder", seeds=(1,), size=32, limit=5
    )
    assert request.network == "vgg16"
    assert request.name == "oracle-vgg16-ants-minutes"
    assert Request.from_dict(json.loads(json.dumps(request.to_dict()))) == request
    assert request.command() == (
        "pruneviz lab run oracle --network vgg16 --data folder --root ants.zip --size 32 "
        "--limit 5 --scale minutes --seeds 1"
    )
    with pytest.raises(UnknownNameError, match="Choose one of"):
        Request("magic")
    with pytest.raises(UnknownNameError, match="minutes"):
        Request("oracle", scale="weeks")
    with pytest.raises(UnknownNameError, match="network"):
        Request.from_dict({"claim": "oracle", "net": "x"})
    with pytest.raises(InvalidValueError, match="from 0"):
        Request("oracle", seeds=())
    with pytest.raises(InvalidValueError, match="1 image"):
        Request("oracle", limit=0)
    with pytest.raises(InvalidValueError, match="missing"):
        Request.from_dict({})


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Digits, but sixty of them."""
    data = load_dataset("digits")
    some = torch.arange(60)
    small = replace(data, train=data.train.subset(some), val=data.val.subset(some))
    monkeypatch.setattr("pruneviz.catalog.load_dataset", lambda name, **_: small)
    monkeypatch.setattr("pruneviz.studies.papers.setting.load_dataset", lambda name, **_: small)


def test_parts_done_on_one_worker_are_not_done_again_on_another(
    few: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each has the images at a path of its own."""
    done: list[int] = []

    def run(bench: Bench) -> tuple[list[Finding], list[tuple[str, bool]], dict[str, Any]]:
        value = bench.part("one", lambda: done.append(1) or 0.5)
        return [finding("one", [value])], [], {}

    monkeypatch.setattr(soft, "run", run)
    asked = Request("soft", "resnet20", "folder", "/ann/ants.zip", seeds=(0,))
    results = [
        perform(
            replace(asked, root=f"/{worker}/ants.zip"),
            keep=tmp_path / "parts.json",
            say=lambda _: None,
            asked=asked,
        )
        for worker in ("one", "two")
    ]
    assert done == [1]
    assert results[0] == results[1]
    assert "ants.zip" in results[0].command
    other = replace(asked, root="/ann/bees.zip")
    perform(other, keep=tmp_path / "parts.json", say=lambda _: None)
    assert done == [1, 1], "other images"


@pytest.mark.sweep
def test_a_claim_stops_and_goes_on_where_it_was(
    service: JobService, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soft, "EPOCHS", {"minutes": 1})
    begun: list[str] = []
    real = Bench.prune

    def prune(self: Bench, name: str, strategy: str, *given: Any, **more: Any) -> dict[str, Any]:
        begun.append(name)
        if begun.count("uniform") == 1 and name == "uniform":
            raise RuntimeError("the lights went out")
        return real(self, name, strategy, *given, **more)

    monkeypatch.setattr(Bench, "prune", prune)
    options = Request("soft", "resnet20", seeds=(0,)).to_dict()
    run_id = service.submit(RunSpec("claim", options=options))
    assert service.wait(run_id, 120).error == "RuntimeError: the lights went out"
    kept = json.loads((service.files(run_id) / "parts.json").read_text())
    assert list(kept) == [
        "about",
        "commit",
        "seconds",
        "soft, seed 0",
        "soft, then fine-tuned, seed 0",
    ]
    trained: list[str] = []

    def counted(strategy: str, *given: Any, **more: Any) -> Any:
        trained.append(strategy)
        return run_strategy(strategy, *given, **more)

    monkeypatch.setattr("pruneviz.studies.papers.setting.run_strategy", counted)
    service.resume(run_id)
    run = service.wait(run_id, 120)
    assert run.status == "done", run.trace
    found = LabResult.from_json(json.dumps(service.results(run_id)["lab"]))
    labels = [f.label for f in found.findings]
    assert labels[:4] == ["soft", "soft, then fine-tuned", "uniform", "control"]
    assert len(trained) == len(labels) - 2, "the first two were done already"
    assert found.seconds > kept["seconds"] > 0
    assert found.findings[0].seeds == (kept["soft, seed 0"]["test"],)
    assert found.command.startswith("pruneviz lab run soft")
    assert run.progress == 1


@pytest.mark.slow
def test_a_queue_of_seeds_gives_the_result_of_one_run(
    service: JobService, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soft, "EPOCHS", {"minutes": 1})
    request = Request("soft", "resnet20", seeds=(0, 1))
    queue = Queue(service, ClaimQueue(request), at_most=1)
    assert len(queue) == 2
    assert ClaimQueue(replace(request, seeds=(0, 1, 2))).id == ClaimQueue(request).id
    assert ClaimQueue(replace(request, scale="hours")).id != ClaimQueue(request).id
    while not queue.over(runs := queue.advance()):
        service.wait(next(run.id for run in runs if run.active), 240)
    assert [run.status for run in runs] == ["done", "done"], [run.trace for run in runs]
    with monkeypatch.context() as patch:
        patch.setattr("pruneviz.studies.papers.setting.run_strategy", None)  # nothing is done again
        gathered = gather(service, runs, request)
    whole = service.submit(RunSpec("claim", options=request.to_dict()))
    assert service.wait(whole, 240).status == "done"
    in_one = LabResult.from_json(json.dumps(service.results(whole)["lab"]))
    assert replace(gathered, seconds=0.0) == replace(in_one, seconds=0.0)
    assert gathered.seconds > 0


def test_a_claim_is_cancelled_within_an_epoch(service: JobService, few: None) -> None:
    options = Request("soft", "resnet20", seeds=(0, 1, 2)).to_dict()
    run_id = service.submit(RunSpec("claim", options=options))
    while service.get(run_id).progress == 0:
        assert service.get(run_id).active
        time.sleep(0.05)
    service.cancel(run_id)
    assert service.wait(run_id, 30).status == "cancelled"
