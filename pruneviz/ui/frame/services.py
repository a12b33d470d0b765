"""What all visitors of a server share: loaded networks, previews, runs, stored steps, answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.jobs import resolve_home
from pruneviz.jobs.uploaded import Uploaded
from pruneviz.jobs.votes import Votes
from pruneviz.machine import cores
from pruneviz.session.background import Background
from pruneviz.session.step_store import StepStore
from pruneviz.session.uploads import Uploads
from pruneviz.ui.serving import visitors
from pruneviz.ui.serving.sharing import current

if TYPE_CHECKING:
    from pruneviz.jobs import JobService, RunView
    from pruneviz.session.previews import Previews
    from pruneviz.session.workbenches import Workbenches


@st.cache_resource(show_spinner=False)
def home() -> Path:
    """Return the folder for records and results."""
    return resolve_home()


@st.cache_resource(show_spinner=False)
def background() -> Background:
    """Return the server's threads for short computations."""
    return Background()


@st.cache_resource(show_spinner=False)
def workbenches() -> Workbenches:
    """Return the networks that are loaded."""
    import torch

    from pruneviz.session.run_rankings import stored_rankings
    from pruneviz.session.workbenches import Workbenches

    # One core is left to the pages and to the visitor's browser: sliders must answer meanwhile.
    torch.set_num_threads(max(1, cores() - 1))
    return Workbenches(stored=stored_rankings(jobs))


@st.cache_resource(show_spinner=False)
def previews() -> Previews:
    """Return what measures plans in the background."""
    from pruneviz.session.previews import Previews

    return Previews(background())


@st.cache_resource(show_spinner=False)
def steps() -> StepStore:
    """Return the store of steps that addresses lead to."""
    return StepStore(jobs().store.database, home() / "steps")


def uploads() -> Uploads:
    """Return the files that visitors uploaded."""
    return Uploads(home(), _in_store())


@st.cache_resource(show_spinner=False)
def votes() -> Votes:
    """Return the answers that a class gave to the lessons' questions."""
    return Votes(jobs().store.database)


def _in_store() -> Uploaded | None:
    """Return where uploads are kept for all studios of the deployment; None without a store."""
    records = jobs().store
    artifacts = records.files.artifacts
    return None if artifacts is None else Uploaded(records.database, artifacts)


_serving: list[JobService] = []


@st.cache_resource(show_spinner=False)
def jobs() -> JobService:
    """Return the service that does long work; runs of a former server are taken up again.

    A visitor starts and changes runs through it as themselves.
    """
    from pruneviz.jobs import JobService
    from pruneviz.jobs.gate import Gate

    gate = Gate(
        lambda: visitors.here(), current().limits, lambda visitor: uploads().taken(visitor.id)
    )
    service = JobService(home(), gate=gate)
    service.recover()
    _serving.append(service)
    return service


def may_change(run: RunView) -> bool:
    """Tell whether the visitor may cancel, resume, rename or delete a run."""
    return visitors.here().may_change(run)


def whose(run: RunView) -> str:
    """Say whose run it is, where others may come in; an anonymous visitor has a short id."""
    if not current().shared:
        return ""
    if run.owner is None:
        return "started in the terminal"
    return "yours" if run.owner == visitors.here().id else f"visitor {run.owner[:4]}"


def close() -> None:
    """End what is under way, with the server: its runs can be resumed."""
    while _serving:
        _serving.pop().close()
