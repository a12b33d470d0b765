"""One criterion against chance: accuracy as more and more of the lowest units go, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pruneviz.figures import TradeoffPoint
from pruneviz.session.decisions import Decisions
from pruneviz.session.previews import CUT, INSTANT, REPAIRED
from pruneviz.session.workbench import Workbench
from pruneviz.ui.frame import workbench

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CONTROL = "random"


@dataclass(frozen=True)
class SweepStep:
    """One ratio of one criterion, cut or repaired; the decisions lead to its plan."""

    decisions: Decisions
    kind: str = REPAIRED

    @property
    def key(self) -> str:
        """Names the step for whoever clicks its point."""
        return f"{self.decisions.criterion}:{self.decisions.ratio}:{self.kind}"

    @property
    def label(self) -> str:
        """What the point is called."""
        share = f"{self.decisions.ratio:.0%}"
        return f"{self.decisions.criterion}, {share} of the whole network, {self.kind}"


def steps(criterion: str) -> Iterator[SweepStep]:
    """Yield the ratios in the order in which they are measured: the lines grow side by side."""
    for ratio in RATIOS:
        yield SweepStep(Decisions(criterion=criterion, ratio=ratio))
        if criterion != CONTROL:
            yield SweepStep(Decisions(criterion=criterion, ratio=ratio), CUT)
            yield SweepStep(Decisions(criterion=CONTROL, ratio=ratio))


def decisions_of(key: str) -> Decisions:
    """Return the decisions behind a point's key."""
    criterion, ratio, _kind = key.rsplit(":", 2)
    return Decisions(criterion=criterion, ratio=float(ratio))


def grow(of: Workbench, criterion: str) -> tuple[list[TradeoffPoint], bool]:
    """Return the points measured so far, and whether that is all; ask for the next one.

    Only one is asked for at a time, so that a visitor's own plan never waits behind the sweep.
    """
    base = workbench.accuracy(of, None)
    if base.value is None:
        return [], base.error is not None
    points = [
        TradeoffPoint(
            key="baseline",
            label="nothing pruned",
            kind="baseline",
            macs=workbench.plan_at(of, Decisions())[1].macs,
            params=workbench.plan_at(of, Decisions())[1].params,
            accuracy=base.value.accuracy,
            images=base.value.count,
        )
    ]
    for step in steps(criterion):
        plan, cost = workbench.plan_at(of, step.decisions)
        repaired = REPAIRED if of.repairs_quickly else INSTANT
        answer = workbench.accuracy(of, plan, CUT if step.kind == CUT else repaired)
        if not answer.ready:
            return points, False
        if answer.value is None:
            continue
        control = step.decisions.criterion == CONTROL and criterion != CONTROL
        points.append(
            TradeoffPoint(
                key=step.key,
                label=step.label,
                kind="control" if control else "cut" if step.kind == CUT else "plan",
                macs=cost.macs,
                params=cost.params,
                accuracy=answer.value.accuracy,
                images=answer.value.count,
                series=f"{step.decisions.criterion} {step.kind}",
            )
        )
    return points, True
