"""What goes wrong is a sentence where the work would have been shown, and the rest stays."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import streamlit as st

from pruneviz.errors import PruneVizError
from pruneviz.ui.frame import state
from pruneviz.ui.frame.text import plain

P = ParamSpec("P")


def guarded(work: Callable[P, object]) -> Callable[P, None]:
    """Have what goes wrong shown as a sentence."""

    @wraps(work)
    def show(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            work(*args, **kwargs)
        except PruneVizError as error:
            st.error(plain(error), icon=":material/error:")
        except Exception as error:
            st.error(
                f"PruneViz hit a bug ({type(error).__name__}: {plain(error)}). Your plan is safe: "
                "open another page, or undo the last step.",
                icon=":material/bug_report:",
            )
            with st.expander("For a bug report"):
                st.code("".join(traceback.format_exception(error)), wrap_lines=True)

    return show


def fragment(**options: Any) -> Callable[[Callable[P, object]], Callable[P, None]]:
    """`st.fragment` with these options, guarded: a part of a page that is drawn anew by itself."""

    def part(work: Callable[P, object]) -> Callable[P, None]:
        @wraps(work)
        def draw(*args: P.args, **kwargs: P.kwargs) -> None:
            state.hold_address()
            work(*args, **kwargs)

        return st.fragment(guarded(draw), **options)

    return part
