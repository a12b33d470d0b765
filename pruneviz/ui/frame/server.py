"""Starts the server that shows the studio; the command knows of Streamlit only through this."""

from __future__ import annotations

from pathlib import Path


def serve(script: Path, host: str, port: int, *, headless: bool) -> None:
    """Serve the studio's script until it is stopped."""
    from streamlit.web import cli

    options = {
        "server.address": host,
        "server.port": str(port),
        "logger.hideWelcomeMessage": "true",
        "browser.gatherUsageStats": "false",
    }
    if headless:
        options["server.headless"] = "true"
    flags = [part for key, value in options.items() for part in (f"--{key}", value)]
    cli.main(["run", str(script), *flags], standalone_mode=False)
