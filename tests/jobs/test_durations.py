"""What runs will probably take, judging by those on record."""

from __future__ import annotations

import pytest

from pruneviz.jobs import RunSpec, RunStore, durations
from pruneviz.jobs.alive import host
from pruneviz.jobs.records import change
from pruneviz.jobs.schema import Run


@pytest.mark.parametrize("stored", [False, True])
def test_the_expected_size_is_the_median_of_runs_like_it(tmp_path, stored):
    pytest.importorskip("fsspec", reason="needs the extra 'cluster'")

    def like(name="a", epochs=2):
        return RunSpec("count", model={"name": name}, options={"epochs": epochs})

    store = (tmp_path / "store").as_uri() if stored else None
    records = RunStore(tmp_path, artifacts=store)
    assert durations.outlook(records, [like()]) == durations.Outlook(0, 0, 0, 0)
    for size, seconds, place in ((1000, 4.0, host()), (3000, 8.0, host()), (9000, 8.0, "other")):
        run = records.create(like())
        records.files.attach(run.id, "weights", bytes(size))
        with records.transaction() as session:
            change(session, Run.id == run.id, status="done", seconds=seconds, host=place)
    ahead = [like(epochs=4), like(), like("b")]
    assert durations.outlook(records, ahead) == durations.Outlook(12.0 + 6.0, 2, 2 * 3000, 2)
    assert durations.outlook(records, ahead, anywhere=True).seconds == 16.0 + 8.0
    records.close()
