"""The view Latency of the page Prune: measured time of plans beside their MACs."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st

from pruneviz.figures import style
from pruneviz.figures.latency import latency_figure, latency_info
from pruneviz.jobs.listing import Which
from pruneviz.latency import BASELINE, Latency
from pruneviz.machine import cores
from pruneviz.plan import Plan
from pruneviz.session.workbench import Workbench
from pruneviz.ui.frame import actions, error_boundary, services, state, theme, workbench
from pruneviz.ui.frame.text import plain
from pruneviz.ui.prune import timings, width_latency
from pruneviz.ui.prune.timings import Setting

POLL_SECONDS = 0.7
MOST_PLANS = 12
"""Visited plans that one run measures; the latest come first."""


def show(loaded: Workbench) -> None:
    """Show the view."""
    plan, _ = state.in_hand()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        how = _setting(loaded)
        latencies = timings.measured(loaded, how)
        _ask(loaded, plan, how, latencies)
    wait(loaded)
    own = latencies.get(plan.digest if plan.dropped else BASELINE)
    if own is not None:
        _beside(own, plan)
    elif timings.active(loaded) is None:
        whose = "This plan" if plan.dropped else "The unpruned network"
        st.info(
            f"{whose} has not been timed yet ({how.said}). Fewer MACs do not always mean less "
            "time. Measuring takes about five seconds and alternates the plan with the "
            "unpruned network.",
            icon=":material/timer:",
        )
    _all(loaded, latencies, plan)
    st.divider()
    width_latency.show(loaded, plan, how)


def _setting(loaded: Workbench) -> Setting:
    usual = timings.latest_setting(loaded) or Setting(1, max(1, cores() - 1))
    batches = sorted({*timings.batches(loaded), usual.batch_size})
    batch = st.selectbox(
        "Batch size",
        batches,
        index=batches.index(usual.batch_size),
        key="latency_batch",
        help=(
            "Images per forward pass: 1 for latency, more for throughput. A network can be faster "
            "at one batch size and slower at another."
        ),
        width=120,
    )
    threads = st.selectbox(
        "Threads",
        range(1, max(cores(), usual.threads) + 1),
        index=usual.threads - 1,
        key="latency_threads",
        help="CPU threads per operation.",
        width=110,
    )
    offered = timings.runtimes()
    runtime = st.selectbox(
        "Runtime",
        offered,
        index=offered.index(usual.runtime) if usual.runtime in offered else 0,
        key="latency_runtime",
        help=(
            "PyTorch, or ONNX Runtime after export to ONNX. A network that is slow in one may be "
            "fast in the other."
        ),
        width=150,
    )
    return Setting(int(batch), int(threads), str(runtime))


def _ask(loaded: Workbench, plan: Plan, how: Setting, latencies: dict[str, Latency]) -> None:
    others = [p for p in missing(loaded, latencies) if p.digest != plan.digest][: MOST_PLANS - 1]
    busy = timings.active(loaded) is not None
    done = (plan.digest if plan.dropped else BASELINE) in latencies
    st.button(
        "Measure again" if done else "Measure this plan" if plan.dropped else "Measure",
        key="latency_measure",
        type="secondary" if done else "primary",
        icon=":material/timer:",
        disabled=busy,
        on_click=_measure_in_hand,
        args=(loaded, how),
    )
    if others:
        several = [*([plan] if plan.dropped and not done else []), *others]
        st.button(
            f"Measure {len(several)} visited plans"
            if len(several) > 1
            else "Measure the other visited plan",
            key="latency_others",
            disabled=busy,
            on_click=_measure,
            args=(loaded, several, how),
            help="Times all visited plans that have not been timed, alternating them in one run.",
        )


def missing(loaded: Workbench, latencies: dict[str, Latency] | dict[str, float]) -> list[Plan]:
    """Return the visited plans that have no time, the latest first."""
    steps = reversed(tuple(state.history().steps.values()))
    return timings.unmeasured((workbench.plan_at(loaded, s.decisions)[0] for s in steps), latencies)


def _measure_in_hand(loaded: Workbench, how: Setting) -> None:
    """Measure the plan as it is when the button is pressed; sliders may have moved meanwhile."""
    plan, _ = state.in_hand()
    _measure(loaded, [plan] if plan.dropped else [], how)


def _measure(loaded: Workbench, plans: list[Plan], how: Setting) -> None:
    spec = timings.plans_spec(loaded, plans, how, state.session().visitor)
    actions.attempt(services.jobs().submit, spec)


def ask_for_missing(loaded: Workbench) -> None:
    """Under a picture with measured time as its axis: say what is missing, offer to measure it."""
    how = timings.latest_setting(loaded) or Setting(1, max(1, cores() - 1))
    plans = missing(loaded, timings.relative(loaded, how))[:MOST_PLANS]
    wait(loaded)
    if plans and timings.active(loaded) is None:
        one = len(plans) == 1
        st.button(
            f"Measure {'the visited plan' if one else f'{len(plans)} visited plans'} not timed "
            f"yet ({how.said})",
            key="latency_missing",
            icon=":material/timer:",
            on_click=_measure,
            args=(loaded, plans, how),
        )


def wait(loaded: Workbench) -> None:
    """Show how far the measurement is, and draw the page again once it has ended."""
    run = timings.active(loaded)
    if run is not None:
        error_boundary.fragment(run_every=POLL_SECONDS)(_wait)(run.id)
        return
    newest = next(iter(timings.runs(loaded, timings.LATENCY, timings.WIDTHS)), None)
    if newest is not None and newest.error:
        st.error(plain(newest.error), icon=":material/error:")


def _wait(run_id: str) -> None:
    run = services.jobs().get(run_id)
    if not run.active:
        st.rerun()
    ahead = services.jobs().count(Which(active=True)) - 1
    waiting = run.status == "queued" and ahead
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(
            min(1.0, run.progress),
            "Waiting for the current run to finish, as it would distort the times"
            if waiting
            else run.message or "Starting",
        )
        if services.may_change(run):
            st.button(
                "Stop",
                key="latency_stop",
                icon=":material/stop:",
                on_click=_stop,
                args=(run_id,),
            )


def _stop(run_id: str) -> None:
    actions.attempt(services.jobs().cancel, run_id)


def _beside(latency: Latency, plan: Plan) -> None:
    """The plan in hand beside the unpruned network, from the same run."""
    names = {BASELINE: "unpruned", plan.digest: "this plan"}
    shown = [t for t in latency.timings if t.name in names]
    named = replace(latency, timings=tuple(replace(t, name=names[t.name]) for t in shown))
    if len(shown) > 1:
        own, base = named.of("this plan"), named.of("unpruned")
        with st.container(horizontal=True, gap="large"):
            for label, timing in (("This plan", own), ("Unpruned", base)):
                spread = _spread(timing.low, timing.high)
                st.metric(label, _ms(timing.median), help=spread, width="content")
            st.metric(
                "Speedup",
                f"{named.speedup('this plan'):.2f}",
                f"{named.macs_ratio('this plan'):.2f} times fewer MACs",
                delta_color="off",
                delta_arrow="off",
                width="content",
            )
        remark = named.remark("this plan")
        if remark:
            st.warning(remark[0].upper() + remark[1:], icon=":material/hourglass_disabled:")
    theme.chart(
        latency_figure(latency_info(named), dark=theme.dark()),
        "latency_bars",
    )
    how = Setting(latency.batch_size, latency.threads, latency.runtime)
    st.caption(
        f"Medians of {min(len(t.seconds) for t in shown)} passes, networks alternating; "
        f"whiskers are quartiles; {how.said}, on this machine ({latency.device}). "
        f"{latency.disturbance}"
    )


def _ms(seconds: float) -> str:
    return style.si(1e3 * seconds, "ms") if seconds < 1 else style.si(seconds, "s")


def _spread(low: float, high: float) -> str:
    return f"Half of the passes took {_ms(low)} to {_ms(high)}."


def _all(loaded: Workbench, latencies: dict[str, Latency], plan: Plan) -> None:
    """All visited plans that were measured in this setting."""
    rows = {}
    for step in reversed(tuple(state.history().steps.values())):
        visited, _ = workbench.plan_at(loaded, step.decisions)
        latency = latencies.get(visited.digest)
        if latency is not None:
            own = latency.of(visited.digest)
            rows[visited.digest] = {
                "plan": ("▸ " if visited.digest == plan.digest else "") + step.label,
                "ms": 1e3 * own.median,
                "unpruned ms": 1e3 * latency.of(BASELINE).median,
                "times as fast": latency.speedup(own.name),
                "times fewer MACs": latency.macs_ratio(own.name),
                "remark": latency.remark(own.name).partition(", but ")[2],
            }
    if len(rows) > 1:
        st.dataframe(
            pd.DataFrame(list(rows.values())),
            hide_index=True,
            column_config={
                name: st.column_config.NumberColumn(format="%.3g")
                for name in ("ms", "unpruned ms", "times as fast", "times fewer MACs")
            },
        )
