"""What the page Prune shows beside the sliders: classes, history, what can be pruned."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pruneviz.figures import ClassesInfo, classes_figure, style
from pruneviz.session.history import Step
from pruneviz.session.workbench import Workbench
from pruneviz.stages import group_title
from pruneviz.ui.frame import state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.widgets import pictures

FLIPPED = 12
SCROLLS_FROM = 8
"""Steps up to which the history is as tall as they are."""


def classes(loaded: Workbench) -> None:
    """Show which classes pay, and the images whose answer changed."""
    plan, _ = state.in_hand()
    before, after = workbench.known_accuracy(loaded, None), workbench.known_accuracy(loaded, plan)
    if before is None or after is None:
        st.caption("Measuring accuracy …")
        return
    names = before.classes
    labels = loaded.data.val.first(loaded.preview_images).labels.numpy()
    counts = tuple(int((labels == i).sum()) for i in range(len(names)))
    if len(names) > 40:
        worst = sorted(range(len(names)), key=lambda i: after.per_class[i] - before.per_class[i])
        shown = worst[:40]
        st.caption("The 40 classes that lose the most accuracy.")
    else:
        shown = list(range(len(names)))
    info = ClassesInfo(
        tuple(names[i] for i in shown),
        tuple(before.per_class[i] for i in shown),
        tuple(after.per_class[i] for i in shown),
        tuple(counts[i] for i in shown),
    )
    theme.chart(classes_figure(info, dark=theme.dark()), "classes")
    _flipped(loaded, labels, before.predictions, after.predictions)


def _flipped(loaded: Workbench, labels: object, before: object, after: object) -> None:
    import numpy as np

    truth, old, new = np.asarray(labels), np.asarray(before), np.asarray(after)
    lost = np.flatnonzero((old == truth) & (new != truth))
    won = np.flatnonzero((old != truth) & (new == truth))
    if not len(lost) and not len(won):
        st.caption("Every image that was right is still right, and every wrong one still wrong.")
        return
    st.markdown(f"This plan **loses {len(lost)} images and gains {len(won)}**")
    images = loaded.data.val.first(loaded.preview_images).images
    chosen = [*lost[:FLIPPED].tolist(), *won[: max(0, FLIPPED - len(lost))].tolist()]
    names = loaded.data.classes
    st.image(
        [pictures.enlarged(images[i].permute(1, 2, 0).numpy(), 64) for i in chosen],
        caption=[plain(c) for c in answered(chosen, truth.tolist(), new.tolist(), names)],
        alt=[
            f"{names[truth[i]]}, "
            + ("now correct" if new[i] == truth[i] else f"mistaken for {names[new[i]]}")
            for i in chosen
        ],
        width=84,
    )


def answered(
    chosen: Sequence[int], truth: Sequence[int], new: Sequence[int], names: Sequence[str]
) -> list[str]:
    """What some images show, and what the network takes them for; a tick where that is the same."""
    return [
        f"✓ {names[truth[i]]}" if new[i] == truth[i] else f"{names[truth[i]]} → {names[new[i]]}"
        for i in chosen
    ]


def history(loaded: Workbench) -> None:
    """Show the steps as a tree; each can be gone back to, and two can be compared."""
    history = state.history()
    rows = list(history.tree())
    many = len(rows) > SCROLLS_FROM
    with st.container(height=300 if many else "content", border=True, gap=None):
        for depth, step in rows:
            here = step.digest == history.current
            branch = "\u2003" * depth + ("↳ " if depth else "")
            st.button(
                f"{branch}{plain(step.label)}{_worth(loaded, step)}",
                key=f"step_{step.digest}",
                type="primary" if here else "tertiary",
                icon=":material/location_on:" if here else ":material/circle:",
                on_click=state.go,
                args=(step.digest,),
            )
    if len(rows) < 2:
        st.caption("Lists every step you take, including branches.")
        return
    names = {s.digest: f"{i + 1}. {s.label}" for i, (_, s) in enumerate(rows)}
    with st.container(horizontal=True):
        first = st.selectbox("Compare", list(names), format_func=names.__getitem__, key="compare_a")
        second = st.selectbox(
            "with",
            list(names),
            index=len(names) - 1,
            format_func=names.__getitem__,
            key="compare_b",
        )
    st.dataframe(_comparison(loaded, [history.steps[d] for d in (first, second)]))


def _worth(loaded: Workbench, step: Step) -> str:
    plan, cost = workbench.plan_at(loaded, step.decisions)
    known = workbench.known_accuracy(loaded, plan)
    text = f" — {style.si(cost.macs, 'MACs')}"
    return text + (f", {style.percent(known.accuracy)}" if known is not None else "")


def _comparison(loaded: Workbench, steps: list[Step]) -> pd.DataFrame:
    columns = {}
    for number, step in zip("AB", steps, strict=True):
        plan, cost = workbench.plan_at(loaded, step.decisions)
        known = workbench.known_accuracy(loaded, plan)
        values = {
            "units pruned": f"{len(plan):,}",
            "MACs": f"{style.si(cost.macs)} ({style.change(cost.macs, cost.baseline_macs)})",
            "parameters": f"{style.si(cost.params)} "
            f"({style.change(cost.params, cost.baseline_params)})",
            "accuracy": style.percent(known.accuracy) if known else "not measured",
        }
        if known is not None and len(known.classes) <= 20:
            values |= {
                f"accuracy of {c}": style.percent(a)
                for c, a in zip(known.classes, known.per_class, strict=True)
            }
        columns[f"{number}: {step.label}"] = values
    return pd.DataFrame(columns)


def prunability(loaded: Workbench) -> None:
    """Show of every layer whether it can be pruned, and why not."""
    graph = loaded.graph
    _, cost = state.in_hand()
    frame = pd.DataFrame(
        {
            "layer": [x.name for x in graph.layers],
            "prunable": [x.prunable for x in graph.layers],
            "why": [
                x.reason
                or (graph.group(x.group).note if len(graph.group(x.group).layers) > 1 else "")
                for x in graph.layers
            ],
            "filters": [x.out_channels for x in graph.layers],
            "left": list(cost.filters),
            "group": [group_title(graph, x.group) for x in graph.layers],
            "kind": [x.kind for x in graph.layers],
            "MACs": list(cost.layer_macs),
        }
    )
    closed = int((~frame["prunable"]).sum())
    st.caption(
        f"{len(frame) - closed} of {len(frame)} layers can be pruned. Coupled filters of a group "
        "are pruned together."
    )
    numbers = {"MACs": st.column_config.NumberColumn(format="localized")}
    st.dataframe(frame, hide_index=True, height=480, column_config=numbers)
