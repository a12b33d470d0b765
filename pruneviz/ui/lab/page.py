"""The page Lab: what the papers claim, what was measured here, and how to measure it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pruneviz.figures.lab_details import details_figure, pruned_figure
from pruneviz.studies.papers import Request, claims, find_claim, results
from pruneviz.ui.frame import actions, error_boundary, services, state, theme
from pruneviz.ui.frame.text import plain
from pruneviz.ui.lab import methods as lab_methods
from pruneviz.ui.lab import pretraining as lab_study
from pruneviz.ui.lab import race as lab_race
from pruneviz.ui.lab import records as lab_data
from pruneviz.ui.lab import trust as lab_trust
from pruneviz.ui.lab.records import Shown
from pruneviz.ui.widgets.duration import said

if TYPE_CHECKING:
    from pruneviz.jobs import RunView
    from pruneviz.studies.papers import Claim, LabResult

POLL_SECONDS = 1.0
HOLDS = {True: ":green-badge[:material/check: holds]", False: ":red-badge[does not hold]"}
SEEDS = (1, 3, 5)


def show() -> None:
    """Show the page."""
    actions.show_refusal()
    claimed, explained, raced, studied, trusted = st.tabs(
        [
            "Claims of the papers",
            "How the methods work",
            "Race of strategies",
            "Study of pretraining",
            "Trust meter",
        ],
        key="lab_tab",
        on_change="rerun",  # a method's steps are drawn for those who look
    )
    with claimed:
        error_boundary.guarded(_claims)()
    if explained.open:
        with explained:
            error_boundary.guarded(lab_methods.show)()
    with raced:
        error_boundary.guarded(lab_race.show)()
    with studied:
        error_boundary.guarded(lab_study.show)()
    with trusted:
        error_boundary.guarded(lab_trust.show)()


def _claims() -> None:
    st.caption(
        "PruneViz builds on these papers. Here each paper's central claim is tested, and the "
        "page says so if it does not hold. Accuracies are on held-out images."
    )
    stored = [Shown(result, ours=True) for result in results()]
    yours = lab_data.finished()
    _overview([*stored, *yours])
    keys = [claim.key for claim in claims()]
    key = st.selectbox(
        "Claim",
        keys,
        format_func=lambda k: f"{find_claim(k).title} ({find_claim(k).paper})",
        key="claim",
    )
    claim = find_claim(key)
    left, right = st.columns([1, 2], gap="large")
    with left:
        _about(claim)
        _start(claim)
        active = any(run.active for run in lab_data.runs())
        error_boundary.fragment(run_every=POLL_SECONDS if active else None)(_under_way)(
            claim, active
        )
    with right:
        results_shown = [shown for shown in (*stored, *yours) if shown.result.claim == key]
        _results(results_shown)


def _overview(results_shown: list[Shown]) -> None:
    """Every claim with its verdicts, a line a result."""
    order = [claim.key for claim in claims()]
    rows = [
        {
            "claim": find_claim(shown.result.claim).title,
            "network": shown.result.network,
            "data": shown.result.data,
            "verdict": _verdict(shown.result),
            "measured": "; ".join(text for text, _ in shown.result.readings),
            "seeds": len(shown.result.seeds),
            "by": "us" if shown.ours else "you",
        }
        for shown in sorted(results_shown, key=lambda s: order.index(s.result.claim))
    ]
    now = [shown.result for shown in results_shown if not shown.result.outdated]
    holding, earlier = sum(result.holds for result in now), len(results_shown) - len(now)
    with st.expander(
        f"All results: {holding} of {len(now)} hold"
        + (f"; {earlier} with an earlier version of the test" if earlier else ""),
        icon=":material/table_rows:",
    ):
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")


def _verdict(result: LabResult) -> str:
    verdict = "holds" if result.holds else "does not hold"
    return f"{verdict} (earlier version of the test)" if result.outdated else verdict


def _about(claim: Claim) -> None:
    st.markdown(
        f"**Published.** {claim.published}\n\n**Our test.** {claim.test}\n\n**Differences from "
        f"the paper.** {claim.differs}"
    )


def _results(results_shown: list[Shown]) -> None:
    if not results_shown:
        st.info(
            "No results for this claim yet. Start the test on the left, or run the command "
            "below it.",
            icon=":material/science:",
        )
        return
    for tab, shown in zip(
        st.tabs([plain(shown.title) for shown in results_shown]), results_shown, strict=True
    ):
        with tab:
            _result(shown)


def _result(shown: Shown) -> None:
    """One result: the verdict, the picture, and where it comes from."""
    result = shown.result
    lines = [f"{'✓' if holds else '✗'} {text}" for text, holds in result.readings]
    st.markdown(f"{HOLDS[result.holds]}  \n" + "  \n".join(lines))
    if result.outdated:
        st.warning(
            f"Measured with an earlier version of this test, without: {result.outdated}.",
            icon=":material/history:",
        )
    key = f"{shown.key}_{result.name}"
    theme.chart(result.figure(dark=theme.dark(), title=False), f"lab_{key}")
    details = details_figure(result, dark=theme.dark())
    if details is not None:
        st.caption(find_claim(result.claim).details)
        theme.chart(details, f"lab_details_{key}")
    pruned = pruned_figure(result, dark=theme.dark())
    if pruned is not None:
        st.caption("Accuracy after pruning in one step by each criterion, without training.")
        theme.chart(pruned, f"lab_pruned_{key}")
    with st.expander("Figures, command, seeds and machine"):
        st.dataframe(
            result.to_frame(),
            hide_index=True,
            width="stretch",
            column_config=_columns(find_claim(result.claim)),
        )
        st.code(result.command, language="sh", wrap_lines=True)
        seeds = ", ".join(map(str, result.seeds))
        st.caption(
            f"Measured by {'us' if shown.ours else 'you'}: commit {result.commit}; seeds {seeds}; "
            f"{result.machine}; {said(result.seconds)}."
        )
        settings = {k: v for k, v in result.settings.items() if not isinstance(v, dict | list)}
        st.caption("Settings: " + ", ".join(f"{k} {v}" for k, v in settings.items()))
        st.download_button(
            "JSON",
            result.to_json(),
            f"{result.name}.json",
            "application/json",
            key=f"json_{key}",
            icon=":material/download:",
        )


def _columns(claim: Claim) -> dict[str, Any]:
    """How the table's columns are read."""
    share = st.column_config.NumberColumn(format="percent")
    shares = {"macs": "MACs left", "params": "parameters left"}
    columns: dict[str, Any] = {
        name: st.column_config.NumberColumn(label, format="percent")
        for name, label in shares.items()
    }
    percent = ("mean", "std", "validation", "accuracy", "test_accuracy", "baseline_test_accuracy")
    return {**columns, **dict.fromkeys(percent, share)} if claim.percent else columns


def _start(claim: Claim) -> None:
    """The form that starts the experiment, and the command that does it on a larger scale."""
    with st.form("experiment", border=True):
        st.markdown("**Test it yourself** on the bundled digits, in minutes")
        network = st.selectbox("Network", claim.networks, key=f"lab_network_{claim.key}")
        count = st.segmented_control(
            "Seeds", SEEDS, default=SEEDS[0], key=f"lab_seeds_{claim.key}", required=True
        )
        started = st.form_submit_button(
            "Start", type="primary", icon=":material/play_arrow:", width="stretch"
        )
    request = Request(claim.key, network, seeds=tuple(range(count or SEEDS[0])))
    expected = lab_data.expected(request)
    if expected is not None:
        st.caption(f"Takes about {said(expected)} per seed, judging by the stored result.")
    if started:
        spec = lab_data.spec(request, state.session().visitor)
        if actions.attempt(services.jobs().submit, spec):
            st.toast("The experiment is queued.", icon=":material/play_arrow:")
        st.rerun()
    with st.expander("At full scale, from the command line (hours)"):
        hours = Request(
            claim.key, network, data="cifar10", root="cifar10.zip", scale="hours", seeds=(0, 1, 2)
        )
        st.code(hours.command(), language="sh", wrap_lines=True)
        st.caption(
            "`--root` is an image folder or zip of CIFAR-10; without it, torchvision downloads "
            "the data set."
        )


def _under_way(claim: Claim, was_active: bool) -> None:
    """The experiments of the claim that are not done; redrawn every second while one is active."""
    if was_active and not any(run.active for run in lab_data.runs()):
        st.rerun()
    for run in lab_data.runs(claim.key):
        if run.status != "done":
            _running(run)


def _running(run: RunView) -> None:
    with st.container(border=True, key=f"lab_run_{run.id}"):
        st.markdown(f"**{plain(run.name)}**")
        if run.active:
            st.progress(min(1.0, max(0.0, run.progress)), plain(run.message or run.status))
        elif run.error:
            st.error(plain(run.error), icon=":material/error:")
        else:
            st.caption(f"{run.status}, {run.progress:.0%} done")
        lab_data.buttons(run)
