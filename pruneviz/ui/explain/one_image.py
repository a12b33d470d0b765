"""One image through the network: feature maps as small pictures, the answer at the end.

A click on a map prunes its filter: one forward pass of one image later, all that comes after it and
the answer have changed.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.figures import style
from pruneviz.figures.answers import answers_figure
from pruneviz.stages import blocks
from pruneviz.ui.explain import networks, picker, waiting
from pruneviz.ui.explain.component import component
from pruneviz.ui.frame import actions, error_boundary, plan_bar, state, theme
from pruneviz.ui.ribbon import ribbon

if TYPE_CHECKING:
    from pruneviz.explain.passage import Passage
    from pruneviz.session.workbench import Workbench

KEY = "one_image"
MAPS = "explain_maps"
WHOLE = 24
"""Networks of up to this many layers are shown whole, larger ones a stage at a time."""
WAYS = {"after": "After", "before": "Before", "difference": "Difference"}


def show(loaded: Workbench) -> None:
    """Show the view."""
    error_boundary.fragment(key=KEY)(_show)(loaded)


def _show(loaded: Workbench) -> None:
    left, right = st.columns([2, 5], gap="large")
    with left:
        picked = picker.pick(loaded)
    if picked is None:
        return
    plan, _ = state.in_hand()
    image = picked.normalised(loaded)
    send = networks.passages(loaded)
    before = send(image)
    after = send(image, plan) if plan.dropped else before
    with left:
        _answers(loaded, picked, before, after)
    with right:
        _maps(loaded, picked.key, before, after)


def _answers(loaded: Workbench, picked: picker.Picked, before: Passage, after: Passage) -> None:
    """Bars of the likeliest classes, unpruned, cut and repaired."""
    plan, _ = state.in_hand()
    rows = {networks.UNPRUNED: before.probabilities}
    if plan.dropped:
        rows[networks.CUT] = after.probabilities
        known = st.empty()
        image = picked.normalised(loaded)

        def work() -> object:
            small = networks.network(loaded, networks.REPAIRED, plan)
            return networks.passages(loaded).through(small, plan, image).probabilities

        key = ("answer", loaded.subject.digest, plan.digest, picked.key)
        with known.container():
            repaired = waiting.answer(key, work, "Repairing the network …")
        if repaired is not None:
            rows[networks.REPAIRED] = repaired  # type: ignore[assignment]
    names = loaded.data.classes
    theme.chart(
        answers_figure(
            {k: v.tolist() for k, v in rows.items()}, names, truth=picked.truth, dark=theme.dark()
        ),
        "explain_answers",
    )


def _maps(loaded: Workbench, image: str, before: Passage, after: Passage) -> None:
    from pruneviz.explain.tiles import tiles

    with st.container(horizontal=True, vertical_alignment="bottom"):
        way = st.segmented_control(
            "Feature maps",
            list(WAYS),
            default="after",
            required=True,
            key="explain_way",
            format_func=WAYS.__getitem__,
            help="Before: unpruned. After: pruned, not repaired. Difference: after minus before; "
            "orange where a filter responds more, blue where it responds less.",
        )
        layers = _layers(loaded)
    graph = loaded.graph
    plan, _ = state.in_hand()
    made = tiles(before, after, layers, str(way))
    rows = []
    for each in made:
        layer = graph.layer(each.layer)
        gone = set(plan.dropped_filters(each.layer))
        rows.append(
            {
                "layer": each.layer,
                "filters": each.filters,
                "more": each.more,
                "gone": [i in gone for i in each.filters],
                "height": each.values.shape[1],
                "width": each.values.shape[2],
                "bytes": base64.b64encode(each.values.tobytes()).decode(),
                "open": layer.prunable,
                "reason": layer.reason or "",
            }
        )
    component("maps")(
        key=MAPS,
        data={
            "layout": f"{graph.digest} {image} {layers[0]} {len(layers)}",
            "rows": rows,
            "signed": way == "difference",
            "gone": style.dropped_colour(theme.dark()),
        },
        on_filter_change=state.while_here(_click),
    )
    st.caption(
        "Each small picture is one filter's feature map, brighter where the filter responds more; "
        "the strongest are shown. Click one to prune its filter, click again to keep it. Coupled "
        "filters follow."
    )


def _layers(loaded: Workbench) -> list[str]:
    """The layers to show: all, or one stage's."""
    names = [layer.name for layer in loaded.graph.layers]
    if len(names) <= WHOLE:
        return names
    stages: dict[int, list[str]] = {}
    for block in blocks(loaded.graph):
        stages.setdefault(block.stage, []).extend(block.layers)
    stage = st.selectbox(
        "Stage",
        list(stages),
        key="explain_stage",
        format_func=lambda n: f"stage {n}" if n else "stem",
        width=140,
    )
    return stages[stage]


def _click() -> None:
    """Prune the filter that was clicked, or keep it again."""
    clicked = state.sent(MAPS, "filter")
    if not clicked:
        return
    layer, _, number = clicked.rpartition(" ")
    loaded = state.session().workbench
    plan, _ = state.in_hand()
    actions.take(
        actions.toggle(loaded.graph, state.history().decisions, plan.dropped, layer, [int(number)])
    )
    if actions.REFUSAL in st.session_state:
        st.rerun()
    st.rerun([KEY, plan_bar.KEY, ribbon.KEY])
