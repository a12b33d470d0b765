"""Rankings that take minutes: runs in the background compute them, sessions read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pruneviz.criteria import Ranking
from pruneviz.jobs import JobService, RunView
from pruneviz.jobs.listing import Which
from pruneviz.jobs.results import ranking_of
from pruneviz.session.rankings import Stored
from pruneviz.session.workbench import Workbench

RANK = "rank"
UNDER_WAY = ("queued", "running", "cancelling")


def is_about(workbench: Workbench, run: RunView) -> bool:
    """Tell whether a run works on this network and this data."""
    same_data = dict(run.spec.data) == dict(workbench.data.source)
    return same_data and dict(run.spec.model) == workbench.source


def ranking_runs(service: JobService, workbench: Workbench) -> dict[str, RunView]:
    """Return the newest ranking run of a subject by each criterion; one that is done wins."""
    newest: dict[str, RunView] = {}
    for run in service.list(Which(kinds=(RANK,))):
        if not is_about(workbench, run):
            continue
        if run.status not in ("done", *UNDER_WAY):
            continue
        for name in run.spec.options.get("criteria", ()):
            if name not in newest or (run.status == "done" != newest[name].status):
                newest[name] = run
    return newest


def stored_rankings(jobs: Callable[[], JobService]) -> Callable[[Workbench], Stored]:
    """Return where workbenches find the rankings that runs have computed; each is read once."""

    def of(workbench: Workbench) -> Stored:
        read: dict[str, Ranking] = {}

        def stored() -> Mapping[str, Ranking]:
            service = jobs()
            done = {
                name: run.id
                for name, run in ranking_runs(service, workbench).items()
                if run.status == "done"
            }
            for run_id in set(done.values()) - set(read):
                read[run_id] = ranking_of(workbench.graph, service.files(run_id))
            return {name: read[run_id] for name, run_id in done.items()}

        return stored

    return of
