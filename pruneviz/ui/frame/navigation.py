"""The frame around every page: navigation, and the plan's bar."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from pruneviz.ui.frame import leaving, loading, memory, state, theme
from pruneviz.ui.frame.error_boundary import guarded

PAGES = (
    ("choose", "Choose", ":material/category:"),
    ("rank", "Rank", ":material/sort:"),
    ("sensitivity", "Sensitivity", ":material/show_chart:"),
    ("prune", "Prune", ":material/content_cut:"),
    ("runs", "Runs", ":material/model_training:"),
    ("export", "Export", ":material/download:"),
    ("lab", "Lab", ":material/science:"),
)


def run(root: Path) -> None:
    """Show the page that the address names, within the frame."""
    st.set_page_config(page_title="PruneViz", page_icon="✂️", layout="wide")
    st.html(theme.STYLE)
    st.logo(str(Path(__file__).with_name("logo.svg")), size="large")
    _drawn().add("navigation")
    chosen = st.navigation(
        [
            st.Page(root / "pages" / f"{name}.py", title=title, icon=icon, default=name == "choose")
            for name, title, icon in PAGES
        ],
        position="top",
    )
    leaving.leave()
    frame(chosen.title, chosen.run)


def page(script: str, show: Callable[[], object]) -> None:
    """Show a page; called by each script in `pages/`.

    Streamlit runs such a script by itself, without the frame, for the first visitor of a server if
    the address names the page: it knows of the navigation only once that has been drawn.
    """
    if _navigation_is_known():
        show()
    else:
        run(Path(script).parents[1])


@st.cache_resource(show_spinner=False)
def _drawn() -> set[str]:
    return set()


def _navigation_is_known() -> bool:
    return "navigation" in _drawn()


def frame(title: str, work: Callable[[], object]) -> None:
    """Show a page between its title and the plan's bar, in the state that the address names."""
    guarded(state.open_studio)()
    # The frame is drawn before anything heavy is imported, so that it is there at once.
    st.title(title)
    with loading.reserved():
        if "torch" not in sys.modules:
            with loading.loading("Starting PyTorch …"):
                import torch  # noqa: F401
        guarded(work)()
        from pruneviz.ui.frame import plan_bar

        guarded(plan_bar.show)()
    guarded(state.close_studio)()
    memory.settle()
