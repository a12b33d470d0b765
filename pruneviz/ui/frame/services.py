"""What all visitors of one server share: loaded networks, previews, runs, stored steps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.jobs import resolve_home
from pruneviz.session.background import Background
from pruneviz.session.history import StepStore

if TYPE_CHECKING:
    from pruneviz.jobs import JobService
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
    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
    return Workbenches(stored=stored_rankings(jobs))


@st.cache_resource(show_spinner=False)
def previews() -> Previews:
    """Return what measures plans in the background."""
    from pruneviz.session.previews import Previews

    return Previews(background())


@st.cache_resource(show_spinner=False)
def steps() -> StepStore:
    """Return the store of steps that addresses lead to."""
    return StepStore(home() / "steps")


@st.cache_resource(show_spinner=False)
def jobs() -> JobService:
    """Return the service that does long work; runs of a former server are taken up again."""
    from pruneviz.jobs import JobService

    service = JobService(home())
    service.recover()
    return service
