"""The network that is exported: of the plan in hand, repaired or as it was cut, or of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruneviz.jobs.steps import WEIGHTS
from pruneviz.session import fine_tuned
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.frame.loading import loading

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.jobs import RunView
    from pruneviz.plan import Plan
    from pruneviz.recipe import Step
    from pruneviz.repair import Depth
    from pruneviz.session.workbench import Workbench

REPAIRED = "the current plan, repaired"
PLAIN = "the current plan, not repaired"


def depth_of(loaded: Workbench) -> Depth:
    """Return how deep a plan is repaired here: in full, or at once where that takes minutes."""
    return "full" if loaded.repairs_quickly else "instant"


def network_of(loaded: Workbench, chosen: str, plan: Plan, run: RunView | None) -> nn.Module:
    """Return the chosen network; what the accuracy beside it was measured on."""
    from pruneviz.surgery import prune

    if chosen == REPAIRED and plan.dropped:
        with loading("Repairing the current plan …"):
            return loaded.repairer(plan, depth_of(loaded)).network
    network = prune(loaded.model, loaded.graph, plan)
    if run is not None:
        from pruneviz.session.fine_tuned import load_weights

        load_weights(network, services.jobs().files(run.id) / WEIGHTS)
    return network


@dataclass(frozen=True)
class Measured:
    """An accuracy, 0..1, and the number of validation images that it is of."""

    accuracy: float
    images: int


def accuracy_of(loaded: Workbench, chosen: str, plan: Plan, run: RunView | None) -> Measured | None:
    """Return the accuracy of the chosen network, None where it is not measured yet."""
    if run is not None:
        outcome = fine_tuned.outcome(services.jobs(), run)
        return None if outcome is None else Measured(outcome.accuracy, outcome.count)
    worth = workbench.known_worth(loaded, plan)
    if chosen == PLAIN or worth.whole:
        answer = worth.cut
    else:
        answer = worth.repaired if depth_of(loaded) == "full" else worth.instant
    if answer.value is None:
        return None
    return Measured(answer.value.accuracy, answer.value.count)


def steps_of(loaded: Workbench, chosen: str, plan: Plan) -> list[Step]:
    """Return the steps of a recipe after the plan; none for the plain cut."""
    from pruneviz.recipe import Step

    if chosen != REPAIRED or not plan.dropped:
        return []
    return [Step("repair", {"depth": depth_of(loaded)}, "Repair")]
