"""What all visitors of one server share: background answers, runs, stored steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pruneviz.jobs import resolve_home
from pruneviz.session.background import Background
from pruneviz.session.history import StepStore

if TYPE_CHECKING:
    from pruneviz.jobs import JobService


@st.cache_resource(show_spinner=False)
def home() -> Path:
    """Return the folder for records and results."""
    return resolve_home()


@st.cache_resource(show_spinner=False)
def background() -> Background:
    """Return the server's threads for short computations."""
    return Background()


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
