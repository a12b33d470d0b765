"""Which pixels an answer rests on, in the unpruned network and in what pruning left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pruneviz.figures import style
from pruneviz.ui.explain import networks, waiting
from pruneviz.ui.explain.wall import changed
from pruneviz.ui.frame import state
from pruneviz.ui.frame.text import plain
from pruneviz.ui.widgets import pictures

if TYPE_CHECKING:
    from pruneviz.explain.attribution import Attribution
    from pruneviz.jobs import RunView
    from pruneviz.plan import Plan
    from pruneviz.session.workbench import Workbench

IMAGES = 6
CHOICES = {
    "first": "One image per class",
    "made": "New errors after pruning",
    "unmade": "Errors fixed by pruning",
}
TITLES = {
    "saliency": "Saliency",
    "integrated gradients": "Integrated Gradients",
    "grad-cam": "Grad-CAM",
    "occlusion": "Occlusion",
}


def show(loaded: Workbench) -> None:
    """Show the view."""
    plan, _ = state.in_hand()
    runs = networks.fine_tuned(loaded)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = st.selectbox(
            "Method", list(TITLES), key="explain_method", format_func=TITLES.__getitem__, width=220
        )
        which = st.selectbox(
            "Images", list(CHOICES), key="explain_which", format_func=CHOICES.__getitem__, width=240
        )
        pruned = [networks.REPAIRED, networks.CUT] if plan.dropped else []
        against = st.selectbox(
            "Compare the unpruned network with",
            [*pruned, *runs],
            key=f"explain_against_{len(pruned)}",  # with nothing to choose it would stay empty
            placeholder="nothing is pruned",
            width=300,
        )
    chosen = _images(loaded, str(which))
    if not chosen:
        st.info("No such images: the plan changed no prediction this way.")
        return
    base = ("maps", loaded.subject.digest, method, tuple(chosen))
    doing = f"{TITLES[method]} of {len(chosen)} images …"
    first = waiting.answer(
        (*base, networks.UNPRUNED),
        lambda: _maps(loaded, method, networks.UNPRUNED, chosen, plan),
        doing,
    )
    second = None
    if against is not None:
        run = runs.get(against)
        named = f"{against} {'' if against in runs else plan.digest}"
        second = waiting.answer(
            (*base, named),
            lambda: _maps(loaded, method, against, chosen, plan, run),
            f"{doing} ({against})",
        )
    if first is not None:
        _grid(loaded, chosen, first, second, against)


def _images(loaded: Workbench, which: str) -> list[int]:
    labels = loaded.data.val.first(loaded.preview_images).labels.numpy()
    if which == "first":
        _, where = np.unique(labels, return_index=True)
        return sorted(where.tolist())[:IMAGES]
    return [int(i) for i in changed(loaded)[0 if which == "made" else 1][:IMAGES]]


def _maps(
    loaded: Workbench,
    method: str,
    name: str,
    chosen: list[int],
    plan: Plan,
    run: RunView | None = None,
) -> Attribution:
    """The maps of one network; done in the background, so all it needs is handed over."""
    import torch

    from pruneviz.explain.attribution import attribute

    model = networks.network(loaded, name, plan, run)
    sample = loaded.data.val.first(loaded.preview_images).subset(torch.tensor(chosen))
    images, labels = next(iter(sample.batches(len(chosen))))
    return attribute(model, loaded.graph, method, images, labels)


def _grid(
    loaded: Workbench,
    chosen: list[int],
    first: Attribution,
    second: Attribution | None,
    against: str | None,
) -> None:
    """The images, their maps, and how far the two networks agree."""
    from pruneviz.explain.attribution import agreement

    sample, names = loaded.data.val.first(loaded.preview_images), loaded.data.classes
    alike = None if second is None else agreement(first, second)
    if alike is not None and np.isfinite(alike).any():
        st.markdown(
            f"Rank correlation of the maps, mean of {len(chosen)} images: "
            f"**{np.nanmean(alike):.2f}** (1: both look at the same pixels)"
        )
    with st.container(key="maps"):  # on a narrow screen, see `frame.theme`
        columns = st.columns(IMAGES)[: len(chosen)]
    for place, column in enumerate(columns):
        index = chosen[place]
        with column:
            truth = names[int(sample.labels[index])]
            image = sample.images[index].permute(1, 2, 0).numpy()
            st.image(
                pictures.enlarged(image), caption=plain(f"{index}: {truth}"), width=150, alt=truth
            )
            st.image(
                _drawn(first, place),
                caption="unpruned",
                width=150,
                alt=f"Map of the unpruned network, {truth}",
            )
            if second is not None and alike is not None:
                value = alike[place]
                said = f"{value:.2f}".replace("-", style.MINUS) if np.isfinite(value) else "none"
                caption = plain(f"{str(against).partition(':')[0]}, correlation {said}")
                st.image(_drawn(second, place), caption=caption, width=150, alt=f"Map: {caption}")
    st.caption(
        "How much each pixel contributes to the true class: orange for, blue against; each map on "
        "its own scale. Computed with Captum."
    )


def _drawn(attribution: Attribution, place: int) -> pictures.Image:
    values = attribution.maps[place]
    limit = float(np.quantile(np.abs(values), 0.99)) or float(np.abs(values).max())
    return pictures.enlarged(pictures.diverging(values, limit))
