"""A page opened by its address: the first page by its name, and where the server is."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from pruneviz.ui.serving.entry import Entry

HTML = "<html><head><title>PruneViz</title></head></html>"


async def _answer(request: Request) -> Response:
    if request.url.path.endswith(".js"):
        return PlainTextResponse("<head>", media_type="text/javascript")
    return HTMLResponse(HTML)


def studio(base: str = "") -> TestClient:
    entry = Middleware(Entry, pages=["choose", "rank"], base=base)
    app = Starlette(routes=[Route("/{path:path}", _answer)], middleware=[entry])
    return TestClient(app, follow_redirects=False)


@pytest.mark.parametrize("base", ["", "studio"])
def test_the_first_page_has_a_name(base: str) -> None:
    start = f"/{base}" if base else ""
    for asked in (f"{start}/choose", f"{start}/choose/"):
        answer = studio(base).get(asked, params={"plan": "a b"})
        assert answer.status_code == 302
        there = answer.request.url.join(answer.headers["location"])
        assert (there.path, dict(there.params)) == (f"{start}/", {"plan": "a b"})


def test_a_page_says_where_its_server_is() -> None:
    answer = studio().get("/rank")
    assert answer.text.startswith("<html><head>\n    <script>")
    assert "BACKEND_BASE_URL" in answer.text
    assert answer.text.endswith("<title>PruneViz</title></head></html>")
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_everything_else_is_left_alone() -> None:
    for asked in ("/", "/static/rank.js", "/elsewhere"):
        assert "BACKEND_BASE_URL" not in studio().get(asked).text
