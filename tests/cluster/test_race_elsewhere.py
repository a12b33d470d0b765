"""A race over two workers of a Dask scheduler: the table of the local pool, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pruneviz.catalog import ModelSource, load_dataset
from pruneviz.jobs import JobService
from pruneviz.studies.queue import Queue
from pruneviz.studies.race import race
from pruneviz.studies.race_queue import RaceRequest, gather
from pruneviz.studies.race_result import Race
from pruneviz.trace import trace
from tests.cluster.servers import deployed

MODEL = ModelSource("resnet20", "digits")
DATA = load_dataset("digits", size=8)  # sixteen times fewer pixels than the network is used to
FIELD = RaceRequest(
    MODEL.to_dict(),
    DATA.source,
    ("taylor", "uniform", "random", "control"),
    epochs=1,
    options={"taylor": {"iterations": 2, "updates": 2}},
)
LONG = 400.0


def worked_through(service: JobService, most: int) -> Race:
    queue = Queue(service, FIELD, at_most=most)
    while not queue.over(runs := queue.advance()):
        service.wait(next(run.id for run in runs if run.active), LONG)
    assert {run.status for run in runs} == {"done"}, [run.error for run in runs]
    assert {run.threads for run in runs} == {1}
    found = gather(service, runs)
    assert found is not None
    return replace(found, outcomes=tuple(replace(o, seconds=0.0) for o in found.outcomes))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_dask_workers_give_the_table_of_the_local_pool(
    new_database: str, tmp_path: Path
) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    with JobService(tmp_path / "here", workers=2, threads=1) as service:
        local = worked_through(service, most=3)
    with deployed(tmp_path, new_database, workers=2) as far:
        elsewhere = worked_through(far.service, most=4)
    model = MODEL.load()
    graph = trace(model, DATA.input_shape)
    *_, last = race(
        model, graph, DATA, FIELD.strategies, epochs=FIELD.epochs, options=FIELD.options
    )
    in_one_go = replace(last, outcomes=tuple(replace(o, seconds=0.0) for o in last.outcomes))
    assert len(local.outcomes) == 12
    assert elsewhere == local == in_one_go
    pd.testing.assert_frame_equal(elsewhere.to_frame(), local.to_frame(), check_exact=True)
