"""What accuracy does if only one filter goes: asked of every filter of a layer, and by class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pruneviz.figures import ClassesInfo, classes_figure, style
from pruneviz.figures.alone import alone_figure
from pruneviz.figures.conductance import conductance_figure
from pruneviz.ui.explain import waiting
from pruneviz.ui.frame import address, state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.ribbon.ribbon import LAYER
from pruneviz.ui.widgets import layers

if TYPE_CHECKING:
    from pruneviz.evaluation import Evaluation
    from pruneviz.explain.alone import Alone
    from pruneviz.explain.conductance import Conductance
    from pruneviz.session.workbench import Workbench

CHART, FILTER = "explain_alone", "alone_filter"
CLASSES = 30
"""Classes shown at most: those that lose or gain most."""
EACH = 4
"""Images of a class that conductance is measured on."""
IMAGES = 40


def show(loaded: Workbench) -> None:
    """Show the view."""
    names = layers.prunable(loaded)
    if not names:
        return
    address.seed(LAYER, names)
    layer = st.selectbox("Layer", names, key=LAYER, width=420)
    address.follow(LAYER, names[0])
    images = loaded.preview_images
    losses = waiting.answer(
        ("alone", loaded.subject.digest, layer, images),
        lambda: measure(loaded, str(layer)),
        f"Measuring the network without each filter of {plain(str(layer))} …",
    )
    if losses is None:
        return
    theme.chart(
        alone_figure(losses, dark=theme.dark()),
        CHART,
        on_select=_select,
        selection_mode="points",
    )
    worst = int(np.nanargmin(losses.accuracy))
    free = int((losses.change >= 0).sum())
    falls = losses.accuracy[worst] < losses.baseline
    st.markdown(
        (
            f"Without filter **{worst}**, accuracy falls most: "
            f"{style.points(losses.accuracy[worst], losses.baseline)}. "
            if falls
            else ""
        )
        + f"**{free} of {len(losses.accuracy)}** filters can each be removed at no loss."
    )
    st.caption(
        "Each filter is silenced alone, with the filters coupled with it, in the unpruned network "
        f"and without repair. Measured on {losses.images} validation images; with all filters, "
        f"accuracy is {style.percent(losses.baseline)}."
    )
    left, right = st.columns(2, gap="large")
    with left:
        chosen = _filter(losses, worst)
        _classes(loaded, str(layer), chosen)
    with right:
        _conductance(loaded, str(layer), chosen)
    columns = {
        "accuracy": st.column_config.NumberColumn("accuracy without it", format="percent"),
        "change": st.column_config.NumberColumn("accuracy change", format="percent"),
        "loss_change": st.column_config.NumberColumn("loss change", format="%.4f"),
    }
    st.dataframe(losses.to_frame(), hide_index=True, height=260, column_config=columns)


def _select() -> None:
    points = state.selected(CHART)
    if points and points[0].get("customdata"):
        st.session_state[FILTER] = int(points[0]["customdata"][0])


def _filter(losses: Alone, worst: int) -> int:
    """The filter that is looked at: one that was clicked or picked, or the one that costs most."""
    open_ones = np.flatnonzero(np.isfinite(losses.accuracy)).tolist()
    if st.session_state.get(FILTER) not in open_ones:
        st.session_state[FILTER] = worst
    return int(
        st.selectbox("Filter", open_ones, key=FILTER, help="Or click a bar above.", width=160)
    )


def _classes(loaded: Workbench, layer: str, chosen: int) -> None:
    """Which classes suffer if that filter goes alone."""
    st.markdown(f"**Which classes suffer without filter {chosen}**")
    base = workbench.accuracy(loaded, None).value
    after = waiting.answer(
        ("without", loaded.subject.digest, layer, chosen, loaded.preview_images),
        lambda: without(loaded, layer, chosen),
        "Measuring the classes …",
    )
    if base is None or after is None:
        return
    change = np.nan_to_num(np.array(after.per_class) - np.array(base.per_class))
    if not change.any():
        st.caption("None: every class keeps its accuracy.")
        return
    shown = np.sort(np.argsort(-np.abs(change), kind="stable")[:CLASSES])
    labels = loaded.data.val.first(loaded.preview_images).labels.numpy()
    info = ClassesInfo(
        tuple(base.classes[i] for i in shown),
        tuple(base.per_class[i] for i in shown),
        tuple(after.per_class[i] for i in shown),
        tuple(int((labels == i).sum()) for i in shown),
    )
    theme.chart(classes_figure(info, dark=theme.dark()), "alone_classes")


def _conductance(loaded: Workbench, layer: str, chosen: int) -> None:
    """Which classes each filter contributes to."""
    st.markdown("**Which classes each filter contributes to**")
    if not st.toggle(
        "Conductance",
        key="conductance",
        help="The part of Integrated Gradients that flows through a filter (Dhamdhere et al. "
        f"2018, computed with Captum), averaged over up to {EACH} images of each class, in the "
        "unpruned network.",
    ):
        return
    conductance = waiting.answer(
        ("conductance", loaded.subject.digest, layer),
        lambda: speaks_for(loaded, layer),
        f"Measuring the conductance of {plain(layer)} …",
    )
    if conductance is not None:
        theme.chart(
            conductance_figure(conductance, loaded.data.classes, chosen=chosen, dark=theme.dark()),
            "alone_conductance",
        )
        st.caption(
            f"{conductance.images} validation images. Orange: for their class. Blue: against it."
        )


def measure(loaded: Workbench, layer: str) -> Alone:
    """Measure all filters of a layer, on the images that every accuracy is measured on."""
    from pruneviz.explain.alone import alone

    *_, losses = alone(loaded.model, loaded.graph, loaded.data, layer, images=loaded.preview_images)
    return losses


def without(loaded: Workbench, layer: str, chosen: int) -> Evaluation:
    """Evaluate the network without one filter and what is coupled with it."""
    from pruneviz.plan import Plan
    from pruneviz.surgery import prune
    from pruneviz.training import evaluate

    small = prune(loaded.model, loaded.graph, Plan(loaded.graph).drop(layer, [chosen]))
    return evaluate(small, loaded.data, limit=loaded.preview_images, progress=False)


def speaks_for(loaded: Workbench, layer: str) -> Conductance:
    """Measure conductance on a few images of each class."""
    import torch

    from pruneviz.explain.conductance import conductance

    sample = loaded.data.val.first(loaded.preview_images)
    labels = sample.labels.numpy()
    classes = [np.flatnonzero(labels == i)[:EACH] for i in range(len(loaded.data.classes))]
    chosen = torch.from_numpy(np.concatenate(classes)[:IMAGES])
    images, targets = next(iter(sample.subset(chosen).batches(IMAGES)))
    return conductance(loaded.model, loaded.graph, layer, images, targets, len(loaded.data.classes))
