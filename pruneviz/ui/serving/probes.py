"""Addresses for those who run a studio: is it alive, can it work, and how much goes on.

`/healthz` and `/readyz` are open, for whoever asks by whatever name, and say one word. `/metrics`
says more and lies behind the door, in Prometheus's text format.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

HEALTHY, READY, METRICS = "/healthz", "/readyz", "/metrics"
SECONDS = 5.0
"""How long the records may take to answer; then the studio is not ready."""
EXTRA = "The metrics need prometheus-client; install it with: pip install 'pruneviz[cluster]'\n"


class Probes:
    """Answers whether the process lives, and whether its records, files and workers answer."""

    def __init__(self, app: ASGIApp, trouble: Callable[[], str | None], base: str = "") -> None:
        self.app = app
        self._trouble = trouble
        self._base = _folder(base)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        path = _asked(scope, self._base)
        if path == HEALTHY:
            await PlainTextResponse("ok\n")(scope, receive, send)
        elif path == READY:
            await (await self._readiness())(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _readiness(self) -> Response:
        try:
            trouble = await asyncio.wait_for(asyncio.to_thread(self._trouble), SECONDS)
        except Exception:  # whatever it is, it is not for who asks
            trouble = "unknown"
        if trouble is None:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("not ready\n", HTTPStatus.SERVICE_UNAVAILABLE)


class Metrics:
    """Answers with figures of the runs and of this process."""

    def __init__(
        self, app: ASGIApp, statuses: Callable[[], Mapping[str, int]], base: str = ""
    ) -> None:
        self.app = app
        self._statuses = statuses
        self._base = _folder(base)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if _asked(scope, self._base) == METRICS:
            await (await asyncio.to_thread(self._answer))(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _answer(self) -> Response:
        try:
            from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
            from prometheus_client.exposition import CONTENT_TYPE_LATEST
        except ImportError:
            return PlainTextResponse(EXTRA, HTTPStatus.NOT_IMPLEMENTED)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Runs(self._statuses))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Runs:
    """The runs on record by state; a database that does not answer is a figure, too."""

    def __init__(self, statuses: Callable[[], Mapping[str, int]]) -> None:
        self._statuses = statuses

    def collect(self) -> Iterator[Any]:
        """Yield the figures (Prometheus's own name)."""
        from prometheus_client.core import GaugeMetricFamily

        runs = GaugeMetricFamily("pruneviz_runs", "Runs on record", labels=["status"])
        answers = GaugeMetricFamily("pruneviz_records_up", "Whether the records answer")
        try:
            for status, count in self._statuses().items():
                runs.add_metric([status], count)
            answers.add_metric([], 1)
        except Exception:
            answers.add_metric([], 0)
        yield from (runs, answers)


def _folder(base: str) -> str:
    return f"/{base.strip('/')}" if base.strip("/") else ""


def _asked(scope: Scope, base: str) -> str | None:
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return None
    return str(scope.get("path", "")).removeprefix(base)
