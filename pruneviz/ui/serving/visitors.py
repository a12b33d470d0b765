"""Who visits, as the script that is being run for them sees it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from streamlit import config

from pruneviz.errors import NotAllowedError
from pruneviz.jobs.gate import Visitor
from pruneviz.ui.serving.access import Access
from pruneviz.ui.serving.sharing import current


def here() -> Visitor:
    """Return the visitor for whom the calling script runs."""
    access = Access(current(), int(config.get_option("server.port")))
    return access.visitor(st.context.cookies)


def shared() -> bool:
    """Tell whether others may come in, so that pages say whose a run is."""
    return current().shared


def may_read_paths() -> bool:
    """Tell whether any folder of this machine may be named on a page."""
    return not shared() or current().data_root is not None


def data_root() -> Path | None:
    """Return the folder under which visitors may read; None where they may read all or nothing."""
    return current().data_root if shared() else None


def readable(path: str | Path, kept: Path) -> None:
    """Let pass a path of this machine that a page may read: an upload, or one under --data-root.

    `kept` is the folder of the uploads. Links are followed first.

    Raises:
        NotAllowedError: the studio is shared, and the path is another.
    """
    if not shared():
        return
    real = Path(path).expanduser().resolve()
    root = current().data_root
    if any(real.is_relative_to(r.resolve()) for r in (kept, root) if r is not None):
        return
    where = "nothing but uploads" if root is None else f"only folders under {root}"
    raise NotAllowedError(
        f"This studio is shared and reads {where}; '{path}' is elsewhere. Upload the file, or ask "
        "the studio's owner to start it with --data-root."
    )
