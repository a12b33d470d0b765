"""What a browser is given when it opens a page by its address.

Streamlit's client does not know where its server is: opened at `/rank`, it asks `/rank/_stcore/…`
first, and the console shows two errors on every start. And the first page has no name of its own:
`/choose` was answered with "Page not found". So a page's address says where the server is, and the
first page's name leads to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

WHERE = """<head>
    <script>
      window.__streamlit = { ...window.__streamlit, BACKEND_BASE_URL:
        location.origin + location.pathname.replace(/\\/[^/]*\\/?$/, "/") }
    </script>"""
"""The folder in which the page is; right behind a proxy with a path of its own, too."""


class Entry:
    """Answers for the addresses of the studio's pages; hands on everything else."""

    def __init__(self, app: ASGIApp, pages: Sequence[str], base: str = "") -> None:
        self.app = app
        self._base = f"/{base.strip('/')}" if base.strip("/") else ""
        self._first, *rest = pages
        self._others = frozenset(f"/{name}" for name in rest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        path = scope.get("path", "").removeprefix(self._base)
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self.app(scope, receive, send)
        elif path.rstrip("/") == f"/{self._first}":
            query = scope["query_string"].decode("latin-1")
            # Relative, so that it survives a proxy with a path of its own.
            target = f"{'../' if path.endswith('/') else ''}./{'?' * bool(query)}{query}"
            await RedirectResponse(target, HTTPStatus.FOUND)(scope, receive, send)
        elif path in self._others and scope["method"] == "GET":
            await self.app(_uncompressed(scope), receive, _telling(send))
        else:
            await self.app(scope, receive, send)


def _uncompressed(scope: Scope) -> Scope:
    """Ask for the page as it is stored: a text is put into it."""
    headers = [(k, v) for k, v in scope["headers"] if k != b"accept-encoding"]
    return {**scope, "headers": headers}


def _telling(send: Send) -> Send:
    """Put into the page where its server is."""
    start: list[Message] = []
    body = bytearray()

    async def send_on(message: Message) -> None:
        if message["type"] == "http.response.start":
            if "text/html" not in Headers(scope={**message}).get("content-type", ""):
                await send(message)
            else:
                start.append(message)
            return
        if not start or message["type"] != "http.response.body":
            await send(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body"):
            return
        page = bytes(body).replace(b"<head>", WHERE.encode(), 1)
        MutableHeaders(scope=start[0])["content-length"] = str(len(page))
        await send(start[0])
        await send({"type": "http.response.body", "body": page})

    return send_on
