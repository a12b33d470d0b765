"""The layers to choose from on a page about filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from pruneviz.session.workbench import Workbench


def prunable(loaded: Workbench) -> list[str]:
    """Return the names of the layers that can be pruned; says so where there are none."""
    names = [layer.name for layer in loaded.graph.layers if layer.prunable]
    if not names:
        st.info(
            "No layer of this network can be pruned. The view Prunability of the page Prune says "
            "why.",
            icon=":material/block:",
        )
    return names
