"""One journey on both deployments: a file and a pool of processes; PostgreSQL, Dask and S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pruneviz as pv
from pruneviz.catalog import ModelSource
from pruneviz.errors import UnknownNameError
from pruneviz.jobs import JobService, RunSpec, Which
from pruneviz.jobs.results import network_of
from tests.cluster.servers import DaskCluster

SOURCE = ModelSource("resnet20", "digits").to_dict()
DATA: dict[str, Any] = {"name": "digits", "options": {}}
TRAIN = {"epochs": 1, "batch_size": 256, "teacher": False}
LONG = 240.0
LEFT: dict[str, dict[str, Any]] = {}
"""What each deployment's runs have left, to be the same."""


@pytest.fixture(params=["SQLite, pool", "PostgreSQL, Dask, S3"])
def service(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[JobService]:
    """A service as the studio makes it: what is not said is in the environment."""
    request.node.deployment = request.param
    monkeypatch.setenv("PRUNEVIZ_HOME", str(tmp_path / "studio"))
    if request.param == "SQLite, pool":
        with JobService(threads=1) as made:
            yield made
        return
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    bucket = request.getfixturevalue("new_bucket")
    places = {
        "PRUNEVIZ_DATABASE": request.getfixturevalue("new_database"),
        "PRUNEVIZ_STORE": bucket,
        **request.getfixturevalue("s3").environment,
    }
    cluster = DaskCluster(tmp_path / "dask", places)
    try:
        cluster.start_worker()
        for name, value in {**places, "PRUNEVIZ_SCHEDULER": cluster.address}.items():
            monkeypatch.setenv(name, value)
        with JobService(threads=1) as made:
            yield made
    finally:
        cluster.close()


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_a_plan_is_trained_read_and_trained_on(
    service: JobService, request: pytest.FixtureRequest
) -> None:
    graph = pv.trace(pv.load_model("resnet20", weights="digits"), (3, 32, 32))
    plan = pv.Plan(graph).drop("layer1.0.conv1", [0, 3]).to_json()
    first = service.submit(RunSpec("fine_tune", SOURCE, DATA, plan, TRAIN, name="tuned"))
    run = service.wait(first, LONG)
    assert run.status == "done", run.error
    further = {**SOURCE, "weights": f"run:{first}"}
    second = service.submit(RunSpec("fine_tune", further, DATA, None, TRAIN, name="further"))
    waits = service.submit(RunSpec("fine_tune", SOURCE, DATA, plan, TRAIN, name="not needed"))
    service.cancel(waits)
    again = service.wait(second, LONG)
    assert again.status == "done", again.error
    assert service.wait(waits, LONG).status == "cancelled"

    tuned = network_of(run, service.files(first))
    assert tuned.get_submodule("layer1.0.conv1").out_channels == 14
    left = {
        "weights": {name: value.tolist() for name, value in tuned.state_dict().items()},
        "after": service.results(first)["after"],
        "further": service.results(second)["after"],
        "losses": [row.loss for row in service.metrics(first, level="epoch")],
    }
    for other, theirs in LEFT.items():
        assert left == theirs, f"other bits than with {other}"
    LEFT[request.node.deployment] = left  # type: ignore[attr-defined]

    assert service.count(Which(network="resnet20", status="done")) == 2
    assert service.rename(second, "tuned").name == "tuned (2)"
    service.delete(first)
    with pytest.raises(UnknownNameError):
        service.get(first)
    assert not service.store.files.read(first).exists()
