"""On a fine-tuning run's card: its network, and images that were wrong, epoch by epoch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import network
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.runs.replay import replay
from pruneviz.ui.widgets import pictures

if TYPE_CHECKING:
    from pruneviz.jobs import RunView
    from pruneviz.session.workbench import Workbench

SIDE = 64


def show(loaded: Workbench, run: RunView, results: dict[str, Any]) -> None:
    """Show a fine-tuning run of the network and data in hand: live, and epoch by epoch after."""
    if run.kind != runs_data.FINE_TUNE or not runs_data.about(loaded, run):
        return
    wall = _wall(loaded, results)
    last = len(wall["taken_for"]) - 1 if wall else max(runs_data.movement(run), default=0)
    if wall is None and (run.active or not last):
        return
    title = _title(wall["truth"], wall["taken_for"], wall["of"]) if wall else "Epoch by epoch"
    st.session_state.setdefault(f"epochs_{run.id}", run.active)  # and stays open at the end
    epochs = st.expander(
        title,
        icon=":material/slow_motion_video:",
        key=f"epochs_{run.id}",
        on_change="rerun",
    )
    if not epochs.open:
        return
    shown = partial(_epoch, loaded, run, wall)
    with epochs:
        if run.active:
            shown(last)
        else:
            replay(f"healing_{run.id}", "Epoch", 0, last, shown)


def _wall(loaded: Workbench, results: dict[str, Any]) -> dict[str, Any] | None:
    """What was noted of images; None where there are none, or of another state of the data."""
    kept = results.get("healing")
    if not isinstance(kept, dict) or not kept.get("images"):
        return None
    count = len(loaded.data.val)
    return kept if all(0 <= i < count for i in kept["images"]) else None


def _epoch(loaded: Workbench, run: RunView, wall: dict[str, Any] | None, epoch: int) -> None:
    if not run.active:  # live, it is above the charts
        kept = runs_data.plan_of_run(loaded, run).kept
        network.show(loaded.graph, run, kept, epoch, key=run.id)
    if wall is None:
        return
    images, truth, course = wall["images"], wall["truth"], wall["taken_for"]
    names, now = loaded.data.classes, course[min(epoch, len(course) - 1)]
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
