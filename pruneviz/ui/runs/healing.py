"""On a run's card: the images that were wrong when it began, turning right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.widgets import pictures

if TYPE_CHECKING:
    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench

SIDE = 64


def show(loaded: Workbench, run: RunView, results: dict[str, Any]) -> None:
    """Show the wall of a run on the network and data in hand: live, and epoch by epoch after."""
    kept = results.get("healing")
    if not isinstance(kept, dict) or not kept.get("images") or not runs_data.about(loaded, run):
        return
    images, truth, course = kept["images"], kept["truth"], kept["taken_for"]
    count = len(loaded.data.val)
    if any(not 0 <= i < count for i in images):
        return  # of another state of the data
    last = len(course) - 1
    with st.expander(_title(truth, course, kept["of"]), expanded=run.active):
        epoch = last
        if last and not run.active:
            epoch = st.slider("Epoch", 0, last, last, key=f"healing_{run.id}")
        names, now = loaded.data.classes, course[epoch]
        right = sum(a == b for a, b in zip(now, truth, strict=True))
        st.caption(
            f"{'Before training' if not epoch else f'After epoch {epoch}'}: {right} of "
            f"{len(images)} correct. All of them were misclassified when the run began."
        )
        shown = [_of(loaded, i, right=a == b) for i, a, b in zip(images, now, truth, strict=True)]
        st.image(
            shown,
            caption=[
                f"✓ {plain(names[b])}" if a == b else f"{plain(names[b])} → {plain(names[a])}"
                for a, b in zip(now, truth, strict=True)
            ],
            alt=[
                f"{names[b]}, {'right' if a == b else f'mistaken for {names[a]}'}"
                for a, b in zip(now, truth, strict=True)
            ],
            width=72,
        )


def _title(truth: list[int], course: list[list[int]], wrong: int) -> str:
    turned = sum(a == b for a, b in zip(course[-1], truth, strict=True))
    whole = f" (of {wrong} in all)" if wrong > len(truth) else ""
    return f"{turned} of {len(truth)} misclassified images are now correct{whole}"


def _of(loaded: Workbench, index: int, *, right: bool) -> pictures.Image:
    """The image; paler while it is wrong."""
    image = pictures.enlarged(loaded.data.val.images[index].permute(1, 2, 0).numpy(), SIDE)
    if right:
        return image
    paler: pictures.Image = (image // 2 + 96).astype(image.dtype)
    return paler
