"""The frame around every page: navigation, the plan's bar, errors as sentences."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import streamlit as st

from pruneviz.errors import PruneVizError
from pruneviz.ui import look, state

P = ParamSpec("P")

PAGES = (
    ("choose", "Choose", ":material/category:"),
    ("rank", "Rank", ":material/sort:"),
    ("sensitivity", "Sensitivity", ":material/show_chart:"),
    ("prune", "Prune", ":material/content_cut:"),
    ("runs", "Runs", ":material/model_training:"),
    ("export", "Export", ":material/download:"),
)


def run(root: Path) -> None:
    """Show the page that the address names, within the frame."""
    st.set_page_config(page_title="PruneViz", page_icon="✂️", layout="wide")
    st.html(look.STYLE)
    page = st.navigation(
        [
            st.Page(root / "pages" / f"{name}.py", title=title, icon=icon, default=name == "choose")
            for name, title, icon in PAGES
        ]
    )
    guarded(state.open_studio)()
    # The frame is drawn before anything heavy is imported, so that it is there at once.
    st.title(page.title)
    guarded(page.run)()
    from pruneviz.ui import planbar

    guarded(planbar.show)()
    guarded(state.close_studio)()


def guarded(work: Callable[P, object]) -> Callable[P, None]:
    """Have a user's mistake shown as its sentence where the work would have been shown."""

    @wraps(work)
    def show(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            work(*args, **kwargs)
        except PruneVizError as error:
            st.error(str(error), icon=":material/error:")

    return show


def page_path(name: str) -> str:
    """Return how `st.switch_page` and `st.page_link` call a page."""
    return f"pages/{name}.py"
