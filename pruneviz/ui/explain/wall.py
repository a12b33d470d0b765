"""The errors that pruning made, and those that it unmade, as a wall of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import streamlit as st

from pruneviz.figures.style import counted
from pruneviz.session.previews import CUT, INSTANT, REPAIRED
from pruneviz.ui.frame import state, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.widgets import pictures

if TYPE_CHECKING:
    from pruneviz.session.workbench import Workbench

MOST = 60
"""Images of a wall at most."""
Indices = npt.NDArray[np.int64]

STAGES = {CUT: "before repair", INSTANT: "after the instant repair", REPAIRED: "after repair"}
"""When the network had these errors."""


def show(loaded: Workbench) -> None:
    """Show the view."""
    plan, _ = state.in_hand()
    worth = workbench.worth(loaded, plan, owner=state.session().visitor)
    if not plan.dropped:
        st.info("Nothing is pruned yet: move a slider on the page Prune, or click a filter here.")
        return
    if worth.best is None or workbench.known_accuracy(loaded, None) is None:
        st.caption("Measuring accuracy …")
        return
    made, unmade = changed(loaded)
    stage = STAGES.get(worth.kind, worth.kind)
    st.markdown(
        f"The pruned network, **{stage}**, on {loaded.preview_images} validation images: "
        f"**{counted(len(made), 'new error')}, {len(unmade)} fixed**"
    )
    _wall(loaded, "New: right before, wrong now", made, worth.best.predictions)
    base = workbench.known_accuracy(loaded, None)
    assert base is not None
    _wall(loaded, "Fixed: wrong before, right now", unmade, base.predictions)


def changed(loaded: Workbench) -> tuple[Indices, Indices]:
    """Return the images that the current plan's network gets wrong anew, and right anew.

    Both are empty until the accuracies are measured.
    """
    plan, _ = state.in_hand()
    base = workbench.known_accuracy(loaded, None)
    now = workbench.known_worth(loaded, plan).best
    if base is None or now is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    truth = loaded.data.val.first(loaded.preview_images).labels.numpy()
    right, still = base.predictions == truth, now.predictions == truth
    return np.flatnonzero(right & ~still), np.flatnonzero(~right & still)


def _wall(loaded: Workbench, title: str, chosen: Indices, taken_for: Indices) -> None:
    st.subheader(title)
    if not len(chosen):
        st.caption("None.")
        return
    sample, names = loaded.data.val.first(loaded.preview_images), loaded.data.classes
    labels = sample.labels.tolist()
    told = [f"{names[labels[i]]}, not {names[taken_for[i]]}" for i in chosen[:MOST]]
    st.image(
        [
            pictures.enlarged(sample.images[int(i)].permute(1, 2, 0).numpy(), 64)
            for i in chosen[:MOST]
        ],
        caption=[plain(t) for t in told],
        alt=told,
        width=84,
    )
    if len(chosen) > MOST:
        st.caption(f"and {len(chosen) - MOST} more")
