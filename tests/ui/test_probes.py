"""The addresses for those who run a studio."""

from __future__ import annotations

import time

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from pruneviz.errors import StorageUnreachableError
from pruneviz.jobs import RunSpec, RunStore
from pruneviz.ui.serving import probes
from pruneviz.ui.serving.guard import Guard
from pruneviz.ui.serving.probes import Metrics, Probes
from pruneviz.ui.serving.sharing import Sharing, take_up


async def _page(request: Request) -> Response:
    return PlainTextResponse("a page")


def asking(trouble=lambda: None, statuses=dict, base: str = "") -> TestClient:
    around = [
        Middleware(Probes, trouble=trouble, base=base),
        Middleware(Metrics, statuses=statuses, base=base),
    ]
    return TestClient(Starlette(routes=[Route("/{path:path}", _page)], middleware=around))


def _raises() -> str:
    raise StorageUnreachableError("The database at db:5432/x cannot be reached.")


@pytest.mark.parametrize("base", ["", "studio"])
def test_alive_and_ready_are_two_things(base: str) -> None:
    start = f"/{base}" if base else ""
    well, ill = asking(base=base), asking(lambda: "The disk of db.example.org is full.", base=base)
    assert [well.get(f"{start}/{path}").status_code for path in ("healthz", "readyz")] == [200] * 2
    assert [ill.get(f"{start}/{path}").status_code for path in ("healthz", "readyz")] == [200, 503]
    assert ill.get(f"{start}/readyz").text == "not ready\n", "who asks is told nothing else"
    assert asking(_raises, base=base).get(f"{start}/readyz").status_code == 503
    assert well.get(f"{start}/rank").text == "a page"


def test_records_that_hang_are_not_ready(monkeypatch) -> None:
    monkeypatch.setattr(probes, "SECONDS", 0.05)
    assert asking(lambda: time.sleep(0.5)).get("/readyz").status_code == 503


def test_metrics_count_the_runs(tmp_path) -> None:
    pytest.importorskip("prometheus_client", reason="needs the extra 'cluster'")
    store = RunStore(tmp_path)
    for _ in range(3):
        store.request_cancel(store.create(RunSpec("count")).id)
    store.create(RunSpec("count"))
    told = asking(statuses=store.statuses).get("/metrics")
    assert told.headers["content-type"].startswith("text/plain")
    assert 'pruneviz_runs{status="cancelled"} 3.0' in told.text
    assert 'pruneviz_runs{status="queued"} 1.0' in told.text
    assert "pruneviz_records_up 1.0" in told.text
    assert "process_resident_memory_bytes" in told.text
    store.close()
    assert "pruneviz_records_up 0.0" in asking(statuses=_raises).get("/metrics").text


def test_of_a_shared_studio_the_metrics_are_behind_the_door() -> None:
    pytest.importorskip("prometheus_client", reason="needs the extra 'cluster'")
    take_up(Sharing(host="0.0.0.0", token="t" * 20, visitors_token="v" * 20))
    try:
        around = [
            Middleware(Probes, trouble=lambda: None),
            Middleware(Guard),
            Middleware(Metrics, statuses=dict),
        ]
        app = Starlette(routes=[Route("/{path:path}", _page)], middleware=around)
        client = TestClient(app, base_url="http://127.0.0.1")
        assert client.get("/metrics").status_code == 401
        assert client.get("/readyz", headers={"host": "10.0.0.7"}).status_code == 200
        told = client.get("/metrics", headers={"authorization": f"Bearer {'t' * 20}"})
        assert "pruneviz_records_up" in told.text
    finally:
        take_up(Sharing())
