"""The sliders of the page Prune: one for all, one a group.

Each group's slider is a fragment of its own: moving it redraws the slider and the bar with the
costs, and nothing else, so that the costs follow the hand even in a network of a hundred groups.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pruneviz.figures import style
from pruneviz.session.decisions import (
    release,
    set_group_ratio,
    set_multiple,
    set_protected,
    set_ratio,
    set_scope,
)
from pruneviz.session.workbench import Workbench
from pruneviz.stages import group_title, group_titles
from pruneviz.ui.frame import actions, error_boundary, plan_bar, state, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.prune import finding
from pruneviz.ui.ribbon import ribbon

MULTIPLES = (1, 2, 4, 8, 16, 32)
MOST = 95
"""Percent that the slider for all groups goes up to."""
ALL = "groups"


def show(loaded: Workbench) -> None:
    """Show all sliders and what goes with them."""
    error_boundary.fragment(key=ALL)(_all)(loaded)


def _all(loaded: Workbench) -> None:
    decisions = state.history().decisions
    left, right = st.columns([4, 3], vertical_alignment="bottom")
    with left:
        scope = state.control("scope", decisions.scope)
        st.segmented_control(
            "Pruning scope",
            ["global", "group"],
            default=scope.start,
            key=scope.key,
            required=True,
            format_func=lambda s: {"global": "global", "group": "per layer group"}[s],
            help=(
                "Global: prunes the lowest scores of the whole network, so some layers lose "
                "more than others. Per layer group: prunes the same fraction of every group."
            ),
            on_change=state.while_here(_set_scope),
        )
    with right:
        multiple = state.control("multiple", decisions.multiple)
        st.selectbox(
            "Round widths to multiples of",
            MULTIPLES,
            index=MULTIPLES.index(multiple.start),
            key=multiple.key,
            help=(
                "Every group keeps a multiple of this many units; pruned units with the highest "
                "scores are restored to get there. Hardware often runs multiples of 8 faster."
            ),
            on_change=state.while_here(_set_multiple),
        )
    everything = state.control("ratio_all", min(MOST, round(100 * decisions.ratio)))
    st.slider(
        "Pruning ratio, whole network",
        0,
        MOST,
        everything.start,
        key=everything.key,
        format="%d %%",
        on_change=state.while_here(_set_ratio),
        help=(
            "Prunes the units with the lowest scores. Manual picks, protected groups and groups "
            "with their own ratio stay as they are."
        ),
    )
    groups = loaded.graph.prunable_groups
    indices = finding.shown(loaded)
    with st.container(height=470, border=True, gap="xsmall"):
        for index, group in ((i, groups[i]) for i in indices):
            error_boundary.fragment(key=f"row{index}")(_row)(loaded, index, group.name)


def _row(loaded: Workbench, index: int, name: str) -> None:
    """One group: its slider, its lock, and what it weighs."""
    decisions = state.history().decisions
    group = loaded.graph.group(name)
    title = group_title(loaded.graph, name)
    plan, _ = state.in_hand()
    dropped = int((~plan.kept[group.start : group.start + group.width]).sum())
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        percent = percent_of(name, dropped, group.width)
        ratio = state.control(f"ratio{index}", percent, means_as_many(group.width))
        st.slider(
            f"**{plain(style.short_title(title))}** · {group.width - dropped} of {group.width}"
            f" · {_weight(loaded, name, dropped)}",
            0,
            100,
            ratio.start,
            key=ratio.key,
            format="%d %%",
            on_change=state.while_here(_set_group),
            args=(index, name),
            disabled=name in decisions.protected,
            help=plain(f"{_layers(group.layers)}. {group.note}"),
        )
        if name in dict(decisions.ratios):
            st.button(
                "set",
                key=f"release{index}",
                icon=":material/keep:",
                type="tertiary",
                on_click=state.while_here(_release),
                args=(index, name),
                help=(
                    "This group has its own ratio and ignores the slider for the whole network. "
                    "Click to make it follow again."
                ),
            )
        lock = state.control(f"lock{index}", name in decisions.protected)
        st.checkbox(
            "protect",
            lock.start,
            key=lock.key,
            on_change=state.while_here(_protect),
            args=(index, name),
        )


def percent_of(name: str, dropped: int, width: int) -> int:
    """Return what a group's slider shows: where a hand has set it, else what the plan prunes.

    Manual picks and rounded widths may prune more or fewer units than the ratio alone; a slider
    that showed that would jump from under the hand.
    """
    ratio = dict(state.history().decisions.ratios).get(name, dropped / width)
    return round(100 * ratio)


def units_of(percent: int, width: int) -> int:
    """Return how many of `width` units a slider's position drops; one always stays."""
    return min(int(percent / 100 * width + 0.5), width - 1)


def means_as_many(width: int) -> Callable[[int, int], bool]:
    """Return whether two positions of a slider drop as many units: the hand's own may stay."""
    return lambda shown, value: units_of(shown, width) == units_of(value, width)


def _weight(loaded: Workbench, name: str, dropped: int) -> str:
    """The share of MACs that runs through the group, and what dropping saves."""
    plan, cost = state.in_hand()
    group = loaded.graph.group(name)
    layers = set(group.layers)
    own = sum(m for n, m in zip(cost.layers, cost.layer_macs, strict=True) if n in layers)
    share = style.share(own / max(1, cost.macs))
    if not dropped:
        return f"{share} of MACs"
    whole = workbench.cost_of(loaded, plan.keep_units(group.units)).macs
    return f"{share} of MACs · saves {style.share((whole - cost.macs) / cost.baseline_macs)}"


def _layers(layers: tuple[str, ...]) -> str:
    shown = ", ".join(layers[:3])
    return shown if len(layers) <= 3 else f"{shown} and {len(layers) - 3} more layers"


def _after(*fragments: str) -> None:
    """Redraw the costs and these fragments, and leave the rest of the page alone."""
    if actions.REFUSAL in st.session_state:
        st.rerun()
    st.rerun([plan_bar.KEY, *fragments, ribbon.KEY])


def _set_ratio() -> None:
    ratio = state.control_value("ratio_all") / 100
    actions.take(set_ratio(state.history().decisions, ratio), slider=ALL)
    _after(ALL)


def _set_scope() -> None:
    actions.take(set_scope(state.history().decisions, state.control_value("scope")))
    _after(ALL)


def _set_multiple() -> None:
    actions.take(set_multiple(state.history().decisions, state.control_value("multiple")))
    _after(ALL)


def _set_group(index: int, name: str) -> None:
    set_group(name, state.control_value(f"ratio{index}"))
    _after(f"row{index}")


def set_group(name: str, percent: int) -> None:
    """Prune that much of a group; a position that it stands at already is no step.

    A slider that has just been drawn anew tells its position by itself, and that counts as a move
    where the run that drew it was cut short.

    Picks by hand stay, unless they alone prune more than that: after the plan of a run, where every
    unit is a pick, the slider would do nothing.
    """
    loaded = state.session().workbench
    group = loaded.graph.group(name)
    plan, _ = state.in_hand()
    dropped = int((~plan.kept[group.start : group.start + group.width]).sum())
    if not means_as_many(group.width)(percent, percent_of(name, dropped, group.width)):
        decisions = state.history().decisions
        picked = decisions.dropped.intersection(group.units)
        title = group_title(loaded.graph, name)
        released = picked if len(picked) > units_of(percent, group.width) else frozenset()
        change = set_group_ratio(decisions, name, percent / 100, title, released=released)
        actions.take(change, slider=name)


def _release(index: int, name: str) -> None:
    titles = group_titles(state.session().workbench.graph)
    actions.take(release(state.history().decisions, name, titles[name]))
    _after(ALL)


def _protect(index: int, name: str) -> None:
    decisions = state.history().decisions
    wanted = state.control_value(f"lock{index}")
    protected = decisions.protected | {name} if wanted else decisions.protected - {name}
    titles = group_titles(state.session().workbench.graph)
    actions.take(set_protected(decisions, protected, titles))
    _after(ALL)
