"""The loaded subject on a page: what takes seconds the first time says so while it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pruneviz.errors import DataError, InvalidValueError, PruneVizError, WeightsError
from pruneviz.figures.stats import wilson
from pruneviz.ui.frame.loading import loading
from pruneviz.ui.frame.services import previews, uploads, workbenches
from pruneviz.ui.frame.text import plain
from pruneviz.ui.serving import visitors

CUT = "cut"

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pruneviz.cost import Cost
    from pruneviz.criteria import Criterion, Ranking
    from pruneviz.plan import Plan
    from pruneviz.session.background import Answer
    from pruneviz.session.decisions import Decisions, Subject
    from pruneviz.session.previews import Worth
    from pruneviz.session.workbench import PlanCost, Workbench
    from pruneviz.training import Evaluation


def bench(subject: Subject) -> Workbench:
    """Return the loaded subject; the first time this takes seconds, and shows what it does.

    An upload that cannot be loaded is deleted at once; one that can is kept.

    Raises:
        NotAllowedError: it lies where visitors of a shared studio may not read.
    """
    for path in subject.paths:
        visitors.readable(path, uploads().folder)
    kept = [path for path in subject.paths if uploads().holds(path)]
    try:
        loaded = _bench(subject)
    except (WeightsError, DataError, InvalidValueError):
        for path in kept:
            uploads().refuse(path)
        raise
    for path in kept:
        uploads().take_up(path)
    return loaded


def _bench(subject: Subject) -> Workbench:
    if subject in workbenches():  # quick, and fit for callbacks, which cannot draw
        return workbenches().get(subject)
    with loading(f"Loading {plain(subject.title)} …") as place:

        def progress(done: int, total: int, name: str) -> None:
            share = min(1.0, done / total) if total else 0.0
            place.progress(
                share, f"Downloading {plain(name)}: {done / 1e6:.1f} of {total / 1e6:.1f} MB"
            )

        return workbenches().get(subject, progress)


def criteria() -> dict[str, Criterion]:
    """Return the criteria by name, the studio's first choice first."""
    from pruneviz.session.rankings import criteria as by_name

    return by_name()


def ranking(of: Workbench, criterion: str) -> Ranking:
    """Return scores by a criterion, and by those computed with it; computed once."""
    if of.rankings.known(criterion):
        return of.rankings.of(criterion)
    with loading(f"Ranking {of.graph.num_units:,} units by {criterion} …"):
        return of.rankings.of(criterion)


def offered_criteria(of: Workbench) -> list[str]:
    """Return the criteria that take seconds here, and those whose long runs are done."""
    return of.rankings.offered()


def computed_scores(of: Workbench) -> dict[str, npt.NDArray[np.float64]]:
    """Return the scores that were computed for the subject so far, by criterion."""
    return of.rankings.scores()


def plan_at(of: Workbench, decisions: Decisions) -> PlanCost:
    """Return the plan that follows from decisions, and what it costs."""
    if decisions.needs_ranking:
        ranking(of, decisions.criterion)  # the first time it takes seconds, and says so
    return of.plan_at(decisions)


def cost_of(of: Workbench, plan: Plan) -> Cost:
    """Return what any plan costs."""
    from pruneviz.cost import cost

    return cost(of.graph, plan)


def accuracy(
    of: Workbench, plan: Plan | None, kind: str = CUT, *, owner: str | None = None
) -> Answer[Evaluation]:
    """Return what is known of a plan's accuracy, and have it measured if nothing is."""
    return previews().ask(of, plan, kind, owner=owner)


def no_better_than_chance(of: Workbench) -> Evaluation | None:
    """Return what was measured of the unpruned network if its 95 % interval holds chance level."""
    measured = accuracy(of, None).value
    if measured is None or wilson(measured.accuracy, measured.count)[0] > of.chance:
        return None
    return measured


def worth(of: Workbench, plan: Plan | None, *, owner: str | None = None) -> Worth:
    """Return what is known of a plan, cut and repaired, and have the rest measured."""
    return previews().worth(of, plan, ask=True, owner=owner)


def known_worth(of: Workbench, plan: Plan | None) -> Worth:
    """Return what was measured of a plan already, cut and repaired."""
    return previews().worth(of, plan)


def known_accuracy(of: Workbench, plan: Plan | None) -> Evaluation | None:
    """Return what says most about a plan of what was measured already: repaired, else cut."""
    return known_worth(of, plan).best


def sentence(error: BaseException) -> str:
    """Return what a page says about an error."""
    return str(error) if isinstance(error, PruneVizError) else f"{type(error).__name__}: {error}"
