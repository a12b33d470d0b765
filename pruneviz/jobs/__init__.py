"""Background work: runs that outlive a page, a reload and a restart."""

from __future__ import annotations

from pruneviz.jobs.home import resolve_home
from pruneviz.jobs.listing import Which
from pruneviz.jobs.records import RunStore
from pruneviz.jobs.registry import register
from pruneviz.jobs.service import JobService
from pruneviz.jobs.views import MetricView, RunSpec, RunView, metrics_frame

__all__ = [
    "JobService",
    "MetricView",
    "RunSpec",
    "RunStore",
    "RunView",
    "Which",
    "metrics_frame",
    "register",
    "resolve_home",
]
