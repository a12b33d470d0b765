"""The command `pruneviz lab` over two workers of a Dask scheduler: the rows of the local pool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pruneviz.commands.deployment import DATABASE, SCHEDULER, STORE, WORKERS
from pruneviz.commands.main import main
from pruneviz.jobs import RunStore, Which
from pruneviz.studies.papers.request import Request
from pruneviz.studies.papers.result import LabResult
from tests.cluster.servers import deployed

# The smallest claim; eight by eight pixels are sixteen times fewer than the network is used to.
REQUEST = Request("oracle", "resnet20", size=8, seeds=(0, 1))
RUN = ["lab", "run", "oracle", "--model", "resnet20", "--size", "8", "--seeds", "0", "1"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_experiment_over_two_dask_workers_has_the_rows_of_the_local_pool(
    new_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")

    for name in (DATABASE, STORE, SCHEDULER, WORKERS):  # the command sets them
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)

    def measured(where: str, *options: str) -> LabResult:
        out, home = tmp_path / where, tmp_path / f"home-{where}"
        assert main([*RUN, "--out", str(out), "--home", str(home), *options]) == 0
        result = LabResult.from_json((out / f"{REQUEST.name}.json").read_text(encoding="utf-8"))
        assert result.seconds > 0
        return replace(result, seconds=0.0)

    here = measured("pool", "--workers", "2", "--max-parallel", "2")
    with deployed(tmp_path, new_database, workers=2) as far:
        for name, value in far.places.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv(WORKERS, raising=False)
        far.dask.wait_for(2)
        scheduler = ("--scheduler", far.dask.address)
        elsewhere = measured("dask", *scheduler, "--max-parallel", "2")
        runs = far.service.list(Which(status="done"))
        assert len(runs) == 2
        assert {run.threads for run in runs} == {1}
    there = {path.name for path in (tmp_path / "dask").glob("worker-*/runs/*")}
    assert there == {run.id for run in runs}, "done by the workers; which one is Dask's choice"
    pool = RunStore(tmp_path / "home-pool")
    assert {run.parent for run in pool.list()} == {run.parent for run in runs}
    pool.close()
    assert elsewhere == here
    assert [len(finding.seeds) for finding in elsewhere.findings] == [2] * len(here.findings)
