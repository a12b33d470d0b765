"""The frame around every page: navigation, and the plan's bar."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import streamlit as st

from pruneviz.ui.frame import (
    arrival,
    leaving,
    loading,
    memory,
    presenting,
    revival,
    starting,
    state,
    theme,
)
from pruneviz.ui.frame.error_boundary import guarded

PAGES = (
    ("choose", "Choose", ":material/category:"),
    ("rank", "Rank", ":material/sort:"),
    ("sensitivity", "Sensitivity", ":material/show_chart:"),
    ("prune", "Prune", ":material/content_cut:"),
    ("explain", "Explain", ":material/visibility:"),
    ("runs", "Runs", ":material/model_training:"),
    ("export", "Export", ":material/download:"),
    ("lab", "Lab", ":material/science:"),
    ("lessons", "Lessons", ":material/school:"),
    ("help", "Help", ":material/help:"),
)
CHAPTERS = {
    "choose": "networks-and-data",
    "sensitivity": "repair",
    "export": "export",
    "lab": "lab",
}
"""What the documentation says of a page; of the others, the chapter on the studio does."""


def run(root: Path) -> None:
    """Show the page that the address names, within the frame."""
    st.set_page_config(page_title="PruneViz", page_icon="✂️", layout="wide")
    st.html(theme.STYLE + (theme.STYLE_DARK if theme.dark() else theme.STYLE_LIGHT))
    st.logo(str(Path(__file__).with_name("logo.svg")), size="large")
    revival.stand_by()
    _drawn().add("navigation")
    pages = {
        name: st.Page(
            root / "pages" / f"{name}.py", title=title, icon=icon, default=name == "choose"
        )
        for name, title, icon in PAGES
    }
    chosen = st.navigation(list(pages.values()), position="top")
    leaving.leave()
    name = next(n for n, p in pages.items() if p == chosen)
    state.enter(name)
    frame(chosen.title, chosen.run, None if name == "help" else (pages["help"], name))


def page(script: str, name: str) -> None:
    """Show a page; called by each script in `pages/`.

    It names the page rather than importing it, see `starting`.

    Streamlit runs such a script by itself, without the frame, for the first visitor of a server if
    the address names the page: it knows of the navigation only once that has been drawn.
    """
    if _navigation_is_known():
        import_module(f"pruneviz.ui.{name}.page").show()
    else:
        run(Path(script).parents[1])


@st.cache_resource(show_spinner=False)
def _drawn() -> set[str]:
    return set()


def _navigation_is_known() -> bool:
    return "navigation" in _drawn()


def frame(
    title: str, work: Callable[[], object], explained: tuple[st.Page, str] | None = None
) -> None:
    """Show a page between its title and the plan's bar, in the state that the address names."""
    arrival.note()
    with starting.alone():
        guarded(state.open_studio)()
    presenting.open_presentation()
    # The frame is drawn before anything heavy is imported, so that it is there at once.
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(title)
        presenting.button()
        if explained is not None:
            page_of_help, name = explained
            st.page_link(
                page_of_help,
                label="About this page",
                icon=":material/help:",
                query_params={"chapter": CHAPTERS.get(name, "studio")},
            )
    with loading.reserved():
        if not starting.imported():
            with loading.loading("Starting PyTorch …"):
                starting.import_pages(name for name, _, _ in PAGES)
        from pruneviz.ui.frame import plan_bar, plan_link
        from pruneviz.ui.lessons import panel

        guarded(plan_link.follow)()
        guarded(state.begin_page)()
        place = st.bottom.empty()
        guarded(plan_bar.make_way)(place)
        guarded(work)()
        guarded(plan_bar.show)(place)
        guarded(panel.show)()
    guarded(state.close_studio)()
    arrival.settle()
    memory.settle()
