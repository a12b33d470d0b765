"""One filter looked at: its kernels, what it answers to, and its scores by all criteria."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from pruneviz.figures import style
from pruneviz.hooks import in_this_thread
from pruneviz.modes import eval_mode
from pruneviz.ui.frame import actions, error_boundary, state, workbench
from pruneviz.ui.frame.services import background
from pruneviz.ui.frame.text import plain
from pruneviz.ui.widgets import pictures

if TYPE_CHECKING:
    from pruneviz.figures import LayerInfo
    from pruneviz.session.workbench import Workbench

FILTER = "filter"
SAMPLES = 6
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FilterView:
    """Pictures of one filter."""

    kernels: Image | None
    inputs: int
    size: str
    """Of a kernel, such as `3×3`."""
    images: tuple[Image, ...]
    """The validation images that excite it most, the region that does framed."""
    maps: tuple[Image, ...]
    """Its activation on them, brighter = stronger."""
    peaks: tuple[float, ...]


def show(loaded: Workbench, layer: str, info: LayerInfo) -> None:
    """Show the filter that was clicked last, or one that is picked here."""
    count = len(info.filters)
    if not 0 <= st.session_state.get(FILTER, -1) < count:
        st.session_state[FILTER] = info.filters[-1]
    chosen = st.selectbox("Filter", range(count), key=FILTER, help="Or click a bar in the chart.")
    _decide(loaded, layer, int(chosen))
    key = ("filter", loaded.subject.digest, layer, chosen)
    answer = background().ask(key, lambda: look_at(loaded, layer, int(chosen)))
    if answer.error:
        st.caption(f"Cannot show this filter: {plain(answer.error)}")
    elif answer.value is None:
        st.caption("Running images through the network …")
        error_boundary.fragment(run_every=0.4)(_wait)(key)
    else:
        _pictures(answer.value)
    _scores(loaded, layer, int(chosen))


def _decide(loaded: Workbench, layer: str, chosen: int) -> None:
    """Drop or keep the filter by a button, too: a click on its bar takes a mouse."""
    plan, _ = state.in_hand()
    gone = loaded.graph.unit_of(layer, chosen) in plan.dropped
    st.button(
        f"{'Keep' if gone else 'Prune'} filter {chosen}",
        key="decide",
        icon=":material/undo:" if gone else ":material/content_cut:",
        help="Manual picks stay when sliders move. Coupled filters follow.",
        on_click=_toggle,
        args=(loaded, layer, chosen),
    )


def _toggle(loaded: Workbench, layer: str, chosen: int) -> None:
    decisions = state.history().decisions
    plan, _ = state.in_hand()
    actions.take(actions.toggle(loaded.graph, decisions, plan.dropped, layer, [chosen]))


def _wait(key: tuple[str, str, str, int]) -> None:
    if background().look(key).ready:
        st.rerun()


def _pictures(view: FilterView) -> None:
    if view.kernels is not None:
        shown = (
            f"Its {view.size} weights as RGB"
            if view.kernels.ndim == 3 and view.inputs == 3
            else (
                f"Its {view.size} weights for each of {view.inputs} input channels (orange: "
                "positive, blue: negative)"
            )
        )
        st.image(
            view.kernels,
            caption=shown,
            width=200,
            alt=shown,
        )
    if view.images:
        st.markdown(
            "**Images that activate it most**, with the region framed; activation maps below"
        )
        st.image(
            list(view.images),
            width=84,
            caption=[f"{p:.3g}" for p in view.peaks],
            alt=[f"Image {i + 1}, peak activation {p:.3g}" for i, p in enumerate(view.peaks)],
        )
        st.image(
            list(view.maps),
            width=84,
            alt=[f"Where image {i + 1} activates the filter" for i in range(len(view.maps))],
        )


def _scores(loaded: Workbench, layer: str, chosen: int) -> None:
    """Its place in the layer by every criterion that has been computed."""
    unit = loaded.graph.unit_of(layer, chosen)
    units = np.unique(loaded.graph.layer(layer).units)
    rows = []
    for name, scores in workbench.computed_scores(loaded).items():
        value = scores[unit]
        if np.isfinite(value):
            rows.append(
                {
                    "criterion": name,
                    "score": style.score(float(value)),
                    "rank": f"{int((scores[units] < value).sum()) + 1} of {len(units)}",
                }
            )
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={"score": st.column_config.TextColumn(alignment="right")},
        width="stretch",
    )
    missing = [
        n for n in workbench.offered_criteria(loaded) if n not in {r["criterion"] for r in rows}
    ]
    if missing and st.button(
        "Rank by all criteria",
        help="Scores the filters by every criterion, on a few images. Takes seconds.",
    ):
        for name in missing:
            workbench.ranking(loaded, name)
        st.rerun()


def look_at(of: Workbench, layer: str, filter: int) -> FilterView:
    """Find the sample images on which a filter's activation is highest, and draw it on them."""
    import torch

    from pruneviz.session.workbench import PREVIEW_MACS

    record = of.graph.layer(layer)
    weight = of.model.state_dict()[record.weight][filter].float().cpu().numpy()
    limit = max(16, min(200, int(PREVIEW_MACS / 2 / max(1, sum(x.macs for x in of.graph.layers)))))
    sample = of.data.val.first(limit)
    peaks, maps = [], []
    module = of.model.get_submodule(layer)
    caught: list[torch.Tensor] = []
    keep = in_this_thread(lambda _m, _i, out: caught.append(out[:, filter].clone()))
    handle = module.register_forward_hook(keep)
    try:
        with torch.no_grad(), eval_mode(of.model):
            for x, _ in sample.batches(50):
                of.model(x)
    finally:
        handle.remove()
    for out in caught:
        grid = out.float().relu()
        maps.append(grid)
        peaks.append(grid.flatten(1).amax(1) if grid.ndim > 1 else grid)
    strength = torch.cat(peaks)
    best = strength.argsort(descending=True)[:SAMPLES].tolist()
    images, drawn = [], []
    spatial = maps[0].ndim == 3
    every = torch.cat(maps) if spatial else None
    for index in best:
        image = sample.images[index].permute(1, 2, 0).numpy()
        if every is not None:
            values = every[index].numpy()
            images.append(pictures.framed(image, values))
            drawn.append(pictures.heat(values, image.shape[0]))
        else:
            images.append(pictures.enlarged(image))
    return FilterView(
        kernels=pictures.kernels(weight) if weight.ndim == 3 else None,
        inputs=weight.shape[0],
        size="×".join(str(n) for n in weight.shape[1:]),
        images=tuple(images),
        maps=tuple(drawn),
        peaks=tuple(float(strength[i]) for i in best),
    )
