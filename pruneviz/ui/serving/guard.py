"""The middleware before Streamlit's app: whose name is called, who comes in, who it is.

It stands before every request and every WebSocket: pages, uploads, media and the stream alike.
Only the health address is open, which says nothing but that the server lives.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from urllib.parse import parse_qs, parse_qsl, quote, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pruneviz import logs
from pruneviz.ui.serving import login
from pruneviz.ui.serving.access import VISITOR_COOKIE, Access, Patience, Role, new_visitor
from pruneviz.ui.serving.hosts import is_answered, name_in
from pruneviz.ui.serving.sharing import current

HEALTH, LOGIN = "/_stcore/health", "/login"
POLICY_VIOLATION = 1008
MONTH, YEAR = 30 * 24 * 3600, 365 * 24 * 3600
LONGEST_FORM = 8192
FOREIGN = (
    "This studio does not accept requests for the host '{name}'. If that is your proxy's name, "
    "start PruneViz with --allow-host and the name."
)
WRONG = "That {asked} is wrong. Copy it from whoever shared this studio with you."
SPENT = "Too many failed attempts. Wait a minute, then try again."
NOT_IN = "This studio is shared with a token or a password. Open it in a browser to sign in."


class Guard:
    """Lets pass what is meant for this studio and comes from whoever may come in."""

    def __init__(self, app: ASGIApp, base: str = "") -> None:
        self.app = app
        self._base = f"/{base.strip('/')}" if base.strip("/") else ""
        self._patience = Patience()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket, or hand it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        asked = HTTPConnection(scope)
        access = Access(current(), (scope.get("server") or ("", 0))[1] or 0)
        if scope["type"] == "websocket":
            if _foreign(asked, access) or access.role(asked.cookies) is None:
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": ""})
            else:
                await self.app(scope, receive, send)
            return
        answer = _foreign(asked, access) or await self._door(Request(scope, receive), access)
        known = VISITOR_COOKIE in asked.cookies or not _is_navigation(asked)
        await (answer or self.app)(scope, receive, send if known else _introducing(scope, send))

    async def _door(self, asked: Request, access: Access) -> Response | None:
        """Return what to say to who has not come in; None lets the request pass."""
        path = asked.url.path.removeprefix(self._base)
        if path == HEALTH or not access.sharing.shared:
            return None
        if path == LOGIN:
            return await self._login(asked, access)
        if "token" in asked.query_params and _is_navigation(asked):
            return self._by_address(asked, access)
        if access.role(asked.cookies) or self._by_header(asked, access):
            return None
        if not _is_navigation(asked):
            return PlainTextResponse(NOT_IN, HTTPStatus.UNAUTHORIZED)
        wanted = quote(_target(asked), safe="")
        return RedirectResponse(f"{self._base}{LOGIN}?next={wanted}", HTTPStatus.FOUND)

    # ------------------------------------------------------------------------- three ways in
    def _by_address(self, asked: Request, access: Access) -> Response:
        """Come in by the address that was printed; the token does not stay in it."""
        role = self._role(asked, access, asked.query_params["token"])
        if role is None:
            return self._page(asked, access, wrong=True)
        return _come_in(asked, access, role, _target(asked))

    def _by_header(self, asked: Request, access: Access) -> Role | None:
        """Come in as programs do: `Authorization: token …`, or `Bearer …`."""
        kind, _, secret = asked.headers.get("authorization", "").partition(" ")
        if kind.lower() not in ("token", "bearer"):
            return None
        return self._role(asked, access, secret.strip())

    async def _login(self, asked: Request, access: Access) -> Response:
        """Show the form, or take what was typed into it."""
        wanted = asked.query_params.get("next", "")
        safe = wanted if _stays_here(wanted) else f"{self._base}/"
        if asked.method != "POST":
            if access.role(asked.cookies):
                return RedirectResponse(safe, HTTPStatus.SEE_OTHER)
            return self._page(asked, access)
        typed = b""
        async for part in asked.stream():
            typed += part
            if len(typed) > LONGEST_FORM:
                return self._page(asked, access, wrong=True)
        given = parse_qs(typed.decode("utf-8", "replace")).get("secret", [""])[0].strip()
        role = self._role(asked, access, given)
        if role is None:
            return self._page(asked, access, wrong=True)
        return _come_in(asked, access, role, safe)

    def _role(self, asked: Request, access: Access, secret: str) -> Role | None:
        address = asked.client.host if asked.client else ""
        if self._patience.is_spent(address):
            return None
        role = access.role_for(secret)
        if role is None:
            self._patience.was_wrong(address)
            logs.event("visitor turned away", client=address, level=logging.WARNING)
        else:
            self._patience.was_right(address)
        return role

    def _page(self, asked: Request, access: Access, *, wrong: bool = False) -> Response:
        with_password = access.sharing.password is not None
        spent = self._patience.is_spent(asked.client.host if asked.client else "")
        said = WRONG.format(asked="password" if with_password else "token") if wrong else ""
        status = HTTPStatus.UNAUTHORIZED if wrong else HTTPStatus.OK
        return HTMLResponse(
            login.page(SPENT if spent else said, with_password=with_password),
            HTTPStatus.TOO_MANY_REQUESTS if spent else status,
            {"Cache-Control": "no-store", "Content-Security-Policy": login.POLICY},
        )


def _foreign(asked: HTTPConnection, access: Access) -> Response | None:
    """Return what to say to a request for another name; None if it is meant for us."""
    header = asked.headers.get("host")
    if is_answered(header, access.sharing.answers_to):
        return None
    return PlainTextResponse(FOREIGN.format(name=name_in(header) or header), HTTPStatus.FORBIDDEN)


def _come_in(asked: Request, access: Access, role: Role, target: str) -> Response:
    logs.event("visitor came in", owner=asked.cookies.get(VISITOR_COOKIE), role=str(role))
    answer = RedirectResponse(target, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    _set_cookie(answer, asked.scope, access.cookie, access.pass_for(role), MONTH)
    return answer


def _introducing(scope: Scope, send: Send) -> Send:
    """Give a browser that comes for the first time an anonymous identity with the answer."""
    cookies = Response()
    _set_cookie(cookies, scope, VISITOR_COOKIE, new_visitor(), YEAR)

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.append("set-cookie", cookies.headers["set-cookie"])
        await send(message)

    return send_on


def _set_cookie(answer: Response, scope: Scope, name: str, value: str, seconds: int) -> None:
    secure = scope["scheme"] == "https"
    answer.set_cookie(name, value, seconds, httponly=True, samesite="lax", secure=secure)


def _is_navigation(asked: HTTPConnection) -> bool:
    """Tell whether a browser asks for a page, rather than a page for its parts."""
    return asked.scope.get("method") in ("GET", "HEAD", "POST") and "text/html" in (
        asked.headers.get("accept", "")
    )


def _target(asked: Request) -> str:
    """Return the path and query that were asked for, without the token."""
    rest = [(k, v) for k, v in parse_qsl(asked.url.query, keep_blank_values=True) if k != "token"]
    path = "/" + quote(asked.url.path.lstrip("/"))  # `//elsewhere` would lead away
    return f"{path}?{urlencode(rest)}" if rest else path


def _stays_here(target: str) -> bool:
    """Tell whether a path leads to this studio, whatever a link put there."""
    return target.startswith("/") and target[1:2] not in ("/", "\\") and target.isprintable()
