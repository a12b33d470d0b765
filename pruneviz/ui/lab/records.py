"""Runs of the lab in the terms of its page: experiments, races, and what they found."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.errors import PruneVizError
from pruneviz.jobs import RunSpec
from pruneviz.jobs.listing import Which
from pruneviz.jobs.planned import CANCELLED, OPEN
from pruneviz.studies.papers import LabResult, Request, results
from pruneviz.studies.papers.claims import SCALES
from pruneviz.studies.queue import Queue
from pruneviz.ui.frame import actions, error_boundary, services, state, workbench
from pruneviz.ui.frame.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pruneviz.jobs import RunView
    from pruneviz.jobs.planned import Planned
    from pruneviz.session.workbench import Workbench
    from pruneviz.studies.queue import Study

CLAIM = "claim"
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Shown:
    """A result, and whose it is."""

    result: LabResult
    ours: bool
    key: str = "stored"

    @property
    def title(self) -> str:
        """How a tab calls it."""
        by = "" if self.ours else ", yours"
        mark = "✓" if self.result.holds else "✗"
        scale = "" if self.result.scale == SCALES[0] else f", {self.result.scale}"
        return f"{mark} {self.result.network} on {self.result.data}{scale}{by}"


def runs(claim: str | None = None) -> list[RunView]:
    """The experiments of this home, of one claim or all, newest first."""
    return [
        run
        for run in services.jobs().list(Which(kinds=(CLAIM,)))
        if (claim is None or run.spec.options.get("claim") == claim)
    ]


def finished() -> list[Shown]:
    """What the experiments of this home found, newest first."""
    shown_results = []
    for run in runs():
        stored = services.jobs().results(run.id).get("lab") if run.status == "done" else None
        if stored:
            result = LabResult.from_json(json.dumps(stored))
            shown_results.append(Shown(result, ours=False, key=run.id))
    return shown_results


def spec(request: Request, owner: str) -> RunSpec:
    """The specification of an experiment."""
    return RunSpec(
        kind=CLAIM,
        options=request.to_dict(),
        name=f"{request.about.title}: {request.network} on {request.called}",
        owner=owner,
    )


def expected(request: Request) -> float | None:
    """Seconds a seed that an experiment is likely to take, by the stored result of its kind."""
    for result in results():
        if result.name == request.name:
            return result.seconds / len(result.seeds)
    return None


def keep_known(shown: str, studies: Collection[str]) -> None:
    """Let the control with this key forget a study whose runs were deleted."""
    if st.session_state.get(shown) not in studies:
        st.session_state.pop(shown, None)


def queue(study: Study, shown: str) -> None:
    """Queue the runs of a study that are missing, resume those that stopped, and show it.

    `shown` is the key of the control that picks the study to look at.
    """
    waiting = Queue(services.jobs(), study, state.session().visitor)

    def begin() -> None:
        waiting.advance()
        waiting.keep()

    if actions.attempt(begin):
        st.toast("Queued.", icon=":material/science:")
        st.session_state[shown] = study.id
    st.rerun()


def how_far(runs: Sequence[RunView]) -> None:
    """Show how far a study is while one of its runs is under way, and what went wrong."""
    under_way = [run for run in runs if run.active]
    if under_way:
        now = next((run for run in under_way if run.status == "running"), under_way[0])
        share = sum(1.0 if run.status == "done" else run.progress for run in runs) / len(runs)
        done = sum(run.status == "done" for run in runs)
        what = f"{done} of {len(runs)} done. {now.name.partition(': ')[2] or now.name}"
        st.progress(min(1.0, max(0.0, share)), plain(f"{what}: {now.message or now.status}"))
    for run in runs:
        if run.error:
            st.error(plain(f"{run.name}: {run.error}"), icon=":material/error:")


def beside(
    form: Callable[[Workbench], object], live: Callable[[bool], object], active: bool
) -> None:
    """A form on the left; on the right what it started, drawn anew while that is active."""
    loaded = workbench.bench(state.history().subject)
    left, right = st.columns([1, 2], gap="large")
    with left:
        form(loaded)
    with right:
        error_boundary.fragment(run_every=POLL_SECONDS if active else None)(live)(active)


def plan_of(runs: Sequence[RunView]) -> Planned | None:
    """What is on record of the study of some runs, if its first runs decide which others it has."""
    parent = runs[0].parent
    return None if parent is None else services.jobs().planned(parent)


def under_way(runs: Sequence[RunView], plan: Planned | None) -> bool:
    """Whether a study goes on by itself: with its runs, or soon with those that follow."""
    more = plan is not None and plan.status == OPEN and plan.error is None
    return any(run.active for run in runs) or (more and all(run.status == "done" for run in runs))


def buttons(*runs: RunView, plan: Planned | None = None) -> None:
    """What can be done with runs that are not all done: one experiment, or a whole study.

    `plan` is what is on record of a study with runs that are still to be submitted.
    """
    service = services.jobs()
    if not all(services.may_change(run) for run in runs):
        st.caption("Started by another visitor; only they can cancel or delete it.")
        return
    active = [run.id for run in runs if run.active]
    stopped = [run.id for run in runs if run.resumable]
    first = runs[0].id
    study = [] if plan is None else [plan.id]
    halted = plan is not None and plan.status == CANCELLED
    with st.container(horizontal=True):
        if under_way(runs, plan):
            _button(
                "Cancel", "stop", first, (study, service.cancel_study), (active, service.cancel)
            )
        else:
            if stopped or halted:
                _button(
                    "Resume", "play_arrow", first,
                    (study, service.resume_study), (stopped, service.resume),
                )  # fmt: skip
            _button("Delete", "delete", first, ([run.id for run in runs], service.delete))


def _button(
    label: str, icon: str, key: str, *steps: tuple[Sequence[str], Callable[[str], object]]
) -> None:
    def act() -> None:
        for ids, action in steps:
            for one in ids:
                try:
                    action(one)
                except PruneVizError as error:
                    st.session_state[actions.REFUSAL] = str(error)

    if st.button(label, key=f"{label}_{key}", icon=f":material/{icon}:", on_click=act):
        st.rerun()
