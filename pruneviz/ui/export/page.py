"""The page Export: the pruned network, its plan, and the lines that load them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.errors import PruneVizError
from pruneviz.figures import style
from pruneviz.session.workbench import Workbench
from pruneviz.ui.export import files
from pruneviz.ui.export.network import PLAIN, REPAIRED, Measured, accuracy_of, network_of
from pruneviz.ui.frame import plan_link, state, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.runs import records as runs_data
from pruneviz.ui.widgets.memory import let_go

if TYPE_CHECKING:
    from pruneviz.export import Bundle
    from pruneviz.jobs import RunView
    from pruneviz.plan import Plan

PLAN_MIB = 16
"""The largest plan that is read; one of ResNet-152 takes 0.2 MiB."""
WHICH, ABOUT = "export_which", "export_about"
EXPORTED = "exported"
"""Where the page Runs leaves the run that is to be exported."""


def show() -> None:
    """Show the page."""
    history = state.history()
    loaded = workbench.bench(history.subject)
    runs = runs_data.finished(loaded)
    names = {
        REPAIRED: REPAIRED,
        PLAIN: PLAIN,
        **{run.id: f"{run.name} (fine-tuned)" for run in runs},
    }
    in_hand, _ = state.in_hand()
    plans = {run.id: runs_data.plan_of_run(loaded, run) for run in runs}
    first = default_of(in_hand.digest, {r: p.digest for r, p in plans.items()})
    asked = st.session_state.pop(EXPORTED, None)
    about = f"{loaded.subject.digest}{in_hand.digest}"  # another plan in hand, another default
    # Streamlit forgets what a list showed once another page is open.
    if asked in names or st.session_state.get(ABOUT) != about or WHICH not in st.session_state:
        st.session_state[WHICH] = asked if asked in names else first
        st.session_state[ABOUT] = about
    chosen = st.selectbox(
        "Network",
        list(names),
        format_func=lambda k: names[k],
        key=WHICH,
        help="The current plan, repaired or not, or a fine-tuned run with its own plan.",
    )
    run = next((r for r in runs if r.id == chosen), None)
    plan = in_hand if run is None else plans[chosen]
    accuracy = accuracy_of(loaded, chosen, plan, run)
    if run is not None and plan.digest != in_hand.digest:
        st.warning(
            f"This is the network from '{plain(run.name)}', which prunes {len(plan):,} units; "
            f"the current plan is a different one and prunes {len(in_hand):,}.",
            icon=":material/difference:",
        )
    cost = workbench.cost_of(loaded, plan)
    # Before the numbers: a button must not lead to what was written before they were known.
    bundle = _bundle(loaded, chosen, plan, run, accuracy)
    with st.container(horizontal=True):
        st.metric(
            "Accuracy (top-1)",
            "…" if accuracy is None else style.percent(accuracy.accuracy),
            "measuring" if accuracy is None else f"on {accuracy.images:,} images",
            delta_color="off",
            delta_arrow="off",
            width="content",
        )
        st.metric(
            "MACs",
            style.si(cost.macs),
            style.change(cost.macs, cost.baseline_macs),
            delta_color="off",
            delta_arrow="off",
            width="content",
        )
        st.metric(
            "Parameters",
            style.si(cost.params),
            style.change(cost.params, cost.baseline_params),
            delta_color="off",
            delta_arrow="off",
            width="content",
        )
    if not plan.dropped:
        as_is = "original network" if run is None else "fine-tuned network with all its filters"
        st.info(f"Nothing is pruned: you would download the {as_is}.")
    stem = f"{loaded.subject.model.replace('/', '-')}-{plan.digest[:6]}"
    with st.container(horizontal=True):
        st.download_button(
            "Everything (zip)",
            bundle.zip(),
            f"{stem}.zip",
            "application/zip",
            type="primary",
            icon=":material/folder_zip:",
            on_click="ignore",
        )
        st.download_button(
            "Weights (safetensors)",
            bundle.weights,
            f"{stem}.safetensors",
            icon=":material/download:",
            on_click="ignore",
        )
        st.download_button(
            "Plan (JSON)",
            bundle.plan,
            f"{stem}.plan.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        plan_link.show(loaded, plan)
    st.markdown("**Load it** anywhere PruneViz is installed:")
    st.code(bundle.snippet, language="python", wrap_lines=True)
    files.show(loaded, chosen, plan, run, stem)
    files.session(loaded, chosen, plan, run, stem)
    st.divider()
    _read_plan(loaded)


def default_of(in_hand: str, plans: Mapping[str, str]) -> str:
    """Return what is exported unless told otherwise: the newest run of the plan in hand, or that.

    `in_hand` is the plan's digest, `plans` the runs' by their ids, newest first.
    """
    return next((run for run, plan in plans.items() if plan == in_hand), REPAIRED)


def _bundle(
    loaded: Workbench, chosen: str, plan: Plan, run: RunView | None, accuracy: Measured | None
) -> Bundle:
    key = (loaded.subject.digest, chosen, plan.digest, accuracy)
    kept: dict[str, Any] = st.session_state.setdefault("bundle", {})
    if kept.get("key") != key:
        from pruneviz.export import bundle

        network = network_of(loaded, chosen, plan, run)
        cost = workbench.cost_of(loaded, plan)
        facts: dict[str, Any] = {"macs": cost.macs, "params": cost.params}
        if accuracy is not None:
            facts |= {"accuracy": accuracy.accuracy, "images": accuracy.images}
        kept = {
            "key": key,
            "bundle": bundle(
                network, plan, model=loaded.source, data=loaded.data.source, facts=facts
            ),
        }
        st.session_state.bundle = kept
    made: Bundle = kept["bundle"]
    return made


def _read_plan(loaded: Workbench) -> None:
    """Load a plan that was written before."""
    from pruneviz.plan import Plan
    from pruneviz.session.decisions import exactly
    from pruneviz.ui.frame import actions

    file = st.file_uploader(
        "Load a plan (JSON)", type=["json"], key="plan_file", max_upload_size=PLAN_MIB
    )
    if file is None or not st.button("Load plan", icon=":material/upload:"):
        return
    try:
        plan = Plan.from_json(loaded.graph, file.getvalue())
    except PruneVizError as error:
        st.error(plain(error), icon=":material/error:")
        return
    finally:
        let_go(file)
    label = f"plan from {file.name}"
    actions.take(exactly(state.history().decisions, frozenset(plan.dropped), label))
    st.rerun()
