"""Starts and ends the server that shows the studio; the command knows Streamlit only by this."""

from __future__ import annotations

import asyncio
import contextlib
import time
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pruneviz import bars, logs
from pruneviz.ui.serving import hosts
from pruneviz.ui.serving.sharing import Sharing, current, take_up, take_up_configured

TIDY_SECONDS = 600.0


def serve(script: Path, settings: Sharing, port: int, *, headless: bool) -> None:
    """Serve the studio's script until it is stopped."""
    from streamlit.web import cli

    take_up(settings)
    options = {
        "server.address": settings.host,
        "server.port": str(port),
        "browser.gatherUsageStats": "false",
    }
    if headless:
        options["server.headless"] = "true"
    flags = [part for key, value in options.items() for part in (f"--{key}", value)]
    cli.main(["run", str(script), *flags], standalone_mode=False)


def around() -> dict[str, Any]:
    """Return what Streamlit's app is given to be this studio: `App(script, **around())`."""
    from starlette.middleware import Middleware
    from streamlit import config

    from pruneviz.ui.frame import services
    from pruneviz.ui.frame.navigation import PAGES
    from pruneviz.ui.serving.entry import Entry
    from pruneviz.ui.serving.guard import Guard
    from pruneviz.ui.serving.kept_clicks import keep_clicks
    from pruneviz.ui.serving.page_changes import keep_whole
    from pruneviz.ui.serving.probes import Metrics, Probes

    bars.silence()
    keep_clicks()
    keep_whole()
    take_up_configured()
    logs.keep_secret(current().token, current().visitors_token, current().password)
    logs.set_up()
    base = config.get_option("server.baseUrlPath") or ""
    names = [name for name, _, _ in PAGES]
    around_app = [
        Middleware(Probes, trouble=lambda: services.jobs().trouble(), base=base),
        Middleware(Guard, base=base),
        Middleware(Metrics, statuses=lambda: services.jobs().store.statuses(), base=base),
        Middleware(Entry, pages=names, base=base),
    ]
    return {"middleware": around_app, "lifespan": lifespan}


@asynccontextmanager
async def lifespan(_app: object) -> AsyncIterator[None]:
    """Say where the studio is; tidy up while it is served; end its runs with it."""
    from streamlit import config

    from pruneviz.ui.frame import services

    begun, settings, port = time.monotonic(), current(), config.get_option("server.port")
    home = services.home()
    if not logs.is_json():  # programs read no letters, and the owner's token is among these
        for line in announcement(settings, port, home):
            print(line, flush=True)
    logs.event("studio opened", address=f"http://{_shown(settings.host)}:{port}", home=str(home))
    if not config.get_option("server.headless"):
        asyncio.get_running_loop().call_soon(webbrowser.open, own_address(settings, port))
    tidying = asyncio.create_task(_tidy(home))
    try:
        yield
    finally:
        tidying.cancel()
        await asyncio.to_thread(services.close)
        logs.event("studio closed", seconds=time.monotonic() - begun)


async def _tidy(home: Path) -> None:
    """Now and then delete uploads that nobody took up."""
    from pruneviz.session.uploads import Uploads

    while True:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(Uploads(home).sweep)
        await asyncio.sleep(TIDY_SECONDS)


def own_address(settings: Sharing, port: int) -> str:
    """Return the address for who started the studio."""
    token = f"/?token={settings.token}" if settings.shared else ""
    return f"http://{_shown(_near(settings.host))}:{port}{token}"


def visitors_address(settings: Sharing, port: int) -> str:
    """Return the address to give to visitors."""
    reach = hosts.own_address() if settings.host in hosts.ANY else settings.host
    token = "" if settings.password is not None else f"/?token={settings.visitors_token}"
    return f"http://{_shown(reach)}:{port}{token}"


def announcement(settings: Sharing, port: int, home: Path) -> list[str]:
    """Return the lines that the terminal shows when the studio can be opened."""
    lines = [f"PruneViz is at {own_address(settings, port)}"]
    if settings.shared:
        asked = " with the password" if settings.password is not None else ""
        lines += [
            "Keep that address to yourself: it can change everyone's runs. Visitors can change "
            "only their own; give them this one:",
            f"  {visitors_address(settings, port)}{asked}",
            _readable(settings),
        ]
    lines.append(f"Records and results are in {home}. Stop with Ctrl+C.")
    return lines


def _readable(settings: Sharing) -> str:
    if settings.data_root is None:
        return "Visitors can upload images but cannot read any on this machine (see --data-root)."
    return f"Visitors can read images under {settings.data_root}."


def _near(host: str) -> str:
    """Return the name under which this machine itself reaches the server."""
    return hosts.LOOPBACK if host in hosts.ANY else host


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
