"""The ribbon on a page: a Streamlit component that draws what `figures.ribbon` has laid out.

It is a part of the page of its own: a slider brings the numbers first, and its bars after them.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import streamlit as st

from pruneviz.figures import style
from pruneviz.figures.ribbon import Ribbon, ribbon_layout
from pruneviz.figures.ribbon_step import RibbonStep
from pruneviz.figures.ribbon_svg import described
from pruneviz.stages import blocks
from pruneviz.ui.frame import error_boundary, leaving, state, theme

if TYPE_CHECKING:
    from pruneviz.channels import ChannelGraph
    from pruneviz.session.workbench import Workbench

KEY = "ribbon"
PICTURE = "ribbon_picture"
UNFOLDED = "ribbon_unfolded"
LAYER = "layer"
"""Where the page Rank finds the layer to show."""
FOLDER = Path(__file__).parent
_layouts: WeakKeyDictionary[ChannelGraph, dict[frozenset[str] | None, tuple[Ribbon, Any]]] = (
    WeakKeyDictionary()
)


def show(loaded: Workbench, *, selected: str | None = None) -> None:
    """Show the network with the current plan; a click on a layer leads to it on the page Rank."""
    error_boundary.fragment(key=KEY)(_show)(loaded, selected)


def _show(loaded: Workbench, selected: str | None) -> None:
    graph = loaded.graph
    plan, _ = state.in_hand()
    step = RibbonStep.of(graph, plan.kept)
    draw(graph, step, key=PICTURE, selected=selected)


def draw(graph: ChannelGraph, step: RibbonStep, *, key: str, selected: str | None = None) -> None:
    """Draw a network as it is at a step; a click on a layer leads to it on the page Rank."""
    network, chosen = st.session_state.get(UNFOLDED, (None, None))
    unfolded = chosen if network == graph.digest else None
    ribbon, drawn = _laid_out(graph, unfolded)
    names = [bar.layer for bar in ribbon.bars]
    dark = theme.dark()
    _component()(
        key=key,
        data={
            **drawn,
            "kept": step.kept,
            "selected": names.index(selected) if selected in names else -1,
            "title": ". ".join(filter(None, (described(ribbon, step.kept), step.told))),
            "notes": step.notes,
            "legend": step.legend(dark),
            "colours": {
                "layers": step.colours(dark),
                "kept": style.kept_colour(dark),
                "dropped": style.dropped_colour(dark),
                "closed": style.GREY,
            },
        },
        on_layer_change=state.while_here(partial(_to_layer, key)),
        on_folds_change=state.while_here(partial(_fold, key)),
    )


@cache
def _texts() -> tuple[str, ...]:
    return tuple(
        (FOLDER / f"ribbon.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )


def _component() -> Any:
    html, css, js = _texts()
    return st.components.v2.component("pruneviz_ribbon", html=html, css=css, js=js)


def _laid_out(graph: ChannelGraph, unfolded: frozenset[str] | None) -> tuple[Ribbon, Any]:
    """The layout, and as the component takes it; made once for each way of folding."""
    known = _layouts.setdefault(graph, {})
    if unfolded not in known:
        if len(known) > 16:
            known.clear()
        ribbon = ribbon_layout(graph, unfolded=unfolded)
        known[unfolded] = ribbon, _drawn(graph, ribbon)
    return known[unfolded]


def _drawn(graph: ChannelGraph, ribbon: Ribbon) -> dict[str, Any]:
    folded = "".join(str(int(fold.folded)) for fold in ribbon.folds)
    bars = [
        {
            "layer": bar.layer,
            "x": bar.x,
            "width": bar.width,
            "height": bar.height,
            "filters": bar.filters,
            "group": bar.group,
            "coupled": bar.coupled,
            "fold": bar.fold,
            "closed": bar.reason,
        }
        for bar in ribbon.bars
    ]
    return {
        "layout": f"{graph.digest} {folded}",
        "width": ribbon.width,
        "bars": bars,
        "arcs": [asdict(arc) for arc in ribbon.arcs],
        "folds": [asdict(fold) for fold in ribbon.folds],
        "stages": [asdict(stage) for stage in ribbon.stages],
    }


def _to_layer(key: str) -> None:
    """Go to the layer that was clicked, unless the page shows it already."""
    layer = state.sent(key, "layer")
    if not layer:
        return
    st.session_state[LAYER] = layer
    if st.session_state.get(state.PAGE) != "rank":
        leaving.go_to("rank")
    st.rerun()


def _fold(key: str) -> None:
    """Unfold a block, or all, or fold them again."""
    wanted = state.sent(key, "folds")
    if not wanted:
        return
    graph = state.session().workbench.graph
    every = frozenset(block.name for block in blocks(graph))
    network, now = st.session_state.get(UNFOLDED, (None, None))
    if network != graph.digest or now is None:
        now = frozenset(f.name for f in ribbon_layout(graph).folds if not f.folded)
    chosen = {"open": every, "close": frozenset()}.get(wanted, now | {wanted})
    st.session_state[UNFOLDED] = (graph.digest, chosen)
