"""What accuracy does if only one filter goes: asked of every filter of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pruneviz.figures import style
from pruneviz.figures.alone import alone_figure
from pruneviz.ui.explain import waiting
from pruneviz.ui.frame import address, theme
from pruneviz.ui.frame.text import plain
from pruneviz.ui.ribbon.ribbon import LAYER

if TYPE_CHECKING:
    from pruneviz.explain.alone import Alone
    from pruneviz.session.workbench import Workbench


def show(loaded: Workbench) -> None:
    """Show the view."""
    names = [layer.name for layer in loaded.graph.layers if layer.prunable]
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
    theme.chart(alone_figure(losses, dark=theme.dark()), "explain_alone", alt="Accuracy by filter")
    worst = int(np.nanargmin(losses.accuracy))
    free = int((losses.change >= 0).sum())
    st.markdown(
        f"Without filter **{worst}** accuracy changes most: "
        f"{style.points(losses.accuracy[worst], losses.baseline)}. "
        f"**{free} of {len(losses.accuracy)}** filters could each go alone at no loss."
    )
    st.caption(
        f"Each filter is silenced by itself, what is coupled with it too, in the unpruned network; "
        f"nothing is repaired. {losses.images} validation images, "
        f"{style.percent(losses.baseline)} of them right with all filters."
    )
    st.dataframe(losses.to_frame(), hide_index=True, height=260)


def measure(loaded: Workbench, layer: str) -> Alone:
    """Measure all filters of a layer, on the images that every accuracy is measured on."""
    from pruneviz.explain.alone import alone

    *_, losses = alone(loaded.model, loaded.graph, loaded.data, layer, images=loaded.preview_images)
    return losses
