"""The middleware before the studio: foreign names, tokens, passwords, cookies, WebSockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from pruneviz.errors import InvalidValueError
from pruneviz.jobs.gate import Limits
from pruneviz.ui.serving import hosts, sharing
from pruneviz.ui.serving.access import PAUSE_SECONDS, TRIES, Access, Patience
from pruneviz.ui.serving.guard import Guard
from pruneviz.ui.serving.server import announcement, own_address, visitors_address
from pruneviz.ui.serving.sharing import Sharing

PAGE = {"accept": "text/html"}


async def _page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"studio {request.url.path}?{request.url.query}")


async def _stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("stream")
    await socket.close()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sharing.TOKEN, raising=False)
    monkeypatch.delenv(sharing.PASSWORD, raising=False)
    monkeypatch.setattr(sharing, "_current", [])


def open_studio(settings: Sharing, base: str = "", name: str = "localhost") -> TestClient:
    sharing.take_up(settings)
    routes = [WebSocketRoute("/_stcore/stream", _stream), Route("/{path:path}", _page)]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, base=base)])
    return TestClient(app, base_url=f"http://{name}:8501", follow_redirects=False)


def hears(client: TestClient, **options: Any) -> bool:
    try:
        with client.websocket_connect("ws://localhost:8501/_stcore/stream", **options) as socket:
            return bool(socket.receive_text() == "stream")
    except WebSocketDisconnect:
        return False


SHARED = sharing.sharing("0.0.0.0")


def test_local_studio_asks_for_nothing_and_knows_its_visitor_again() -> None:
    client = open_studio(Sharing())
    first = client.get("/rank", headers=PAGE)
    assert first.text == "studio /rank?"
    cookie = first.headers["set-cookie"]
    assert "httponly" in cookie.lower()
    assert "samesite=lax" in cookie.lower()
    assert "set-cookie" not in client.get("/rank", headers=PAGE).headers
    assert hears(client)


@pytest.mark.parametrize("settings", [Sharing(), SHARED], ids=["local", "shared"])
@pytest.mark.parametrize("header", ["evil.example", "evil.example:8501", "localhost.evil.example",
                                    "localhost@evil.example", "", "localhost:port"])  # fmt: skip
def test_foreign_host_is_refused_for_pages_health_and_websockets(
    settings: Sharing, header: str
) -> None:
    client = open_studio(settings)
    client.cookies.set("pruneviz-access-8501", Access(settings, 8501).pass_for("owner"))
    for path in ("/", "/_stcore/health", "/login"):
        answer = client.get(path, headers={"host": header, **PAGE})
        assert answer.status_code == 403, path
        assert "does not accept requests for the host" in answer.text
        assert "studio /" not in answer.text
    assert not hears(client, headers={"host": header})
    assert hears(client), "the same visitor under the studio's own name"


@pytest.mark.parametrize(
    "header", ["localhost", "LOCALHOST:1", "127.0.0.1:8501", "[::1]:8501", "192.0.2.7:80", "lab.me"]
)
def test_own_names_and_addresses_are_answered(header: str) -> None:
    client = open_studio(sharing.sharing("localhost", names=("lab.me",)))
    answer = client.get("/_stcore/health", headers={"host": header})
    assert answer.status_code == 200
    assert hosts.is_answered(header.partition(":")[0] if "[" not in header else header, {"lab.me"})


def test_shared_studio_lets_nothing_through_without_the_token() -> None:
    client = open_studio(SHARED)
    for path in ("/", "/prune?at=abc", "/media/x.png", "/_stcore/host-config", "/static/a.js"):
        page = client.get(path, headers=PAGE)
        assert page.status_code == 302
        assert page.headers["location"].startswith("/login?next=%2F")
        part = client.get(path)
        assert part.status_code == 401
        assert "studio /" not in part.text
    assert client.put("/_stcore/upload_file/s/f", content=b"x").status_code == 401
    assert not hears(client)
    assert client.get("/_stcore/health").status_code == 200, "it tells nothing but that it lives"


@pytest.mark.parametrize("role", ["owner", "visitor"])
def test_token_in_the_address_is_asked_for_once(role: str) -> None:
    token = SHARED.token if role == "owner" else SHARED.visitors_token
    client = open_studio(SHARED)
    answer = client.get(f"/prune?at=1&token={token}&empty=", headers=PAGE)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/prune?at=1&empty=", "the token leaves the address"
    assert token not in str(answer.headers.raw)
    assert client.get("/prune?at=1", headers=PAGE).text == "studio /prune?at=1"
    assert hears(client)
    assert Access(SHARED, 8501).role(dict(client.cookies)) == role


def test_token_typed_on_the_login_page() -> None:
    client = open_studio(SHARED)
    page = client.get("/login?next=%2Fprune%3Fat%3D1", headers=PAGE)
    assert page.status_code == 200
    assert "token" in page.text
    assert "http" not in page.text.replace("http://www.w3.org/2000/svg", ""), "nothing from afar"
    wrong = client.post("/login?next=%2Fprune", data={"secret": "<b>x"}, headers=PAGE)
    assert wrong.status_code == 401
    assert "That token is wrong" in wrong.text
    assert "<b>x" not in wrong.text
    right = client.post(
        "/login?next=%2Fprune%3Fat%3D1", data={"secret": f" {SHARED.visitors_token} "}, headers=PAGE
    )
    assert (right.status_code, right.headers["location"]) == (303, "/prune?at=1")
    assert client.get("/login", headers=PAGE).headers["location"] == "/"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_login_leads_nowhere_else(target: str) -> None:
    client = open_studio(SHARED)
    answer = client.post(
        "/login", params={"next": target}, data={"secret": SHARED.token}, headers=PAGE
    )
    assert answer.headers["location"] == "/"
    client = open_studio(SHARED)
    led = client.get(f"//evil.example/?token={SHARED.token}", headers=PAGE).headers["location"]
    assert not led.startswith("//")


def test_password_stands_in_for_the_visitors_token() -> None:
    settings = sharing.sharing("0.0.0.0", password="apple pie ü")
    client = open_studio(settings)
    assert client.post("/login", data={"secret": settings.visitors_token}).status_code == 401
    assert "password" in client.get("/login", headers=PAGE).text
    assert client.post("/login", data={"secret": "apple pie ü"}).status_code == 303
    assert Access(settings, 8501).role(dict(client.cookies)) == "visitor"
    owner = open_studio(settings)
    assert owner.get(f"/?token={settings.token}", headers=PAGE).status_code == 303
    assert Access(settings, 8501).role(dict(owner.cookies)) == "owner"


def test_a_cookie_of_another_token_port_or_role_opens_nothing() -> None:
    other = sharing.sharing("0.0.0.0")
    for name, value in (
        ("pruneviz-access-8501", Access(other, 8501).pass_for("owner")),
        ("pruneviz-access-8502", Access(SHARED, 8502).pass_for("owner")),
        ("pruneviz-access-8501", ""),
        ("pruneviz-access-8501", SHARED.token[:-1]),
    ):
        client = open_studio(SHARED)
        client.cookies.set(name, value)
        assert client.get("/").status_code == 401
        assert not hears(client)


def test_programs_come_in_by_header() -> None:
    client = open_studio(SHARED)
    for kind in ("token", "Bearer"):
        headers = {"authorization": f"{kind} {SHARED.token}"}
        assert client.get("/rank", headers=headers).text == "studio /rank?"
    assert client.get("/", headers={"authorization": "token wrong"}).status_code == 401


def test_ten_wrong_tries_and_even_the_right_one_has_to_wait() -> None:
    client = open_studio(SHARED)
    for _ in range(TRIES):
        assert client.post("/login", data={"secret": "guess"}).status_code in (401, 429)
    answer = client.post("/login", data={"secret": SHARED.token})
    assert answer.status_code == 429
    assert "Wait a minute" in answer.text


def test_patience_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("pruneviz.ui.serving.access.time.monotonic", lambda: now[0])
    patience = Patience()
    for _ in range(TRIES):
        patience.was_wrong("10.0.0.1")
    assert patience.is_spent("10.0.0.1")
    assert not patience.is_spent("10.0.0.2")
    now[0] += PAUSE_SECONDS + 1
    assert not patience.is_spent("10.0.0.1")


def test_a_long_form_is_not_read_to_its_end() -> None:
    client = open_studio(SHARED)
    assert client.post("/login", content=b"secret=" + b"a" * 10**6).status_code == 401


def test_below_a_path_of_a_proxy() -> None:
    client = open_studio(SHARED, base="studio")
    assert client.get("/studio/", headers=PAGE).headers["location"].startswith("/studio/login?")
    assert client.get("/studio/login", headers=PAGE).status_code == 200


def test_what_makes_a_studio_shared() -> None:
    assert not sharing.sharing("localhost").shared
    assert not sharing.sharing("127.0.0.2").shared
    assert not sharing.sharing("::1").shared
    assert sharing.sharing("0.0.0.0").shared
    assert sharing.sharing("::").shared
    assert sharing.sharing("localhost", names=("studio.example.org",)).shared
    assert sharing.sharing("localhost", password="x").shared
    assert sharing.sharing("localhost").limits == Limits()
    assert sharing.sharing("0.0.0.0", limits=Limits(runs=2)).limits == Limits(2, 4 * 2**30)


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(sharing.TOKEN, "kept over restarts")
    monkeypatch.setenv(sharing.PASSWORD, "from a file")
    made = sharing.sharing("0.0.0.0", data_root=tmp_path)
    assert (made.token, made.password, made.data_root) == (
        "kept over restarts",
        "from a file",
        tmp_path.resolve(),
    )
    assert made.token not in repr(made)
    with pytest.raises(InvalidValueError, match="must not be empty"):
        sharing.sharing("0.0.0.0", password=" ")
    with pytest.raises(InvalidValueError, match="--data-root must name a folder"):
        sharing.sharing("0.0.0.0", data_root=tmp_path / "none")


def test_addresses_that_are_printed(tmp_path: Path) -> None:
    local = sharing.sharing("localhost")
    assert announcement(local, 8501, tmp_path) == [
        "PruneViz is at http://localhost:8501",
        f"Records and results are in {tmp_path}. Stop with Ctrl+C.",
    ]
    assert own_address(SHARED, 8501) == f"http://localhost:8501/?token={SHARED.token}"
    assert visitors_address(SHARED, 8501).endswith(f":8501/?token={SHARED.visitors_token}")
    six = sharing.sharing("fd00::7", password="secret")
    assert visitors_address(six, 80) == "http://[fd00::7]:80"
    said = "\n".join(announcement(six, 80, tmp_path))
    assert "with the password" in said
    assert "secret" not in said
