"""The course of a strategy: every step's plan, numbers and details, to look at again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from pruneviz.channels import ChannelGraph
from pruneviz.drawing import Shown, draw
from pruneviz.plan import Plan
from pruneviz.strategies.base import Step, StrategyEvent
from pruneviz.strategies.details import BoolArray, Details

if TYPE_CHECKING:
    import pandas as pd

FIELDS = tuple(item.name for item in fields(Step))


@dataclass(frozen=True, eq=False)
class CourseStep(Step):
    """One step, as a strategy's event reported it."""

    kept: BoolArray = field(repr=False)
    """(num_units,) True for the units that the plan keeps."""
    details: Details | None = field(default=None, repr=False)

    @property
    def final(self) -> bool:
        """Whether it is the last: the pruned network is there."""
        return self.phase == "done"

    @classmethod
    def of(cls, graph: ChannelGraph, event: StrategyEvent) -> Self:
        """Keep an event without what only a resume needs."""
        return cls(
            **{name: getattr(event, name) for name in FIELDS},
            kept=Plan.from_json(graph, event.plan).kept,
            details=event.details,
        )


@dataclass(frozen=True, eq=False)
class Course(Shown):
    """All steps of one run of a strategy, in order.

    Example:
        >>> events = pv.run_strategy("uniform", model, graph, data, epochs=0)
        >>> course = pv.Course.of(graph, events)
        >>> [step.phase for step in course.steps]
        ['prune', 'done']
    """

    graph: ChannelGraph
    strategy: str
    steps: tuple[CourseStep, ...]

    @classmethod
    def of(cls, graph: ChannelGraph, events: Iterable[StrategyEvent]) -> Self:
        """Run a strategy to its end and keep its steps.

        Args:
            graph: The channels of the network that is pruned.
            events: What `run_strategy` yields.
        """
        strategy, steps = "", []
        for event in events:
            strategy = event.strategy
            steps.append(CourseStep.of(graph, event))
        return cls(graph, strategy, tuple(steps))

    def until(self, step: int | None) -> Self:
        """The course up to and including a step; all of it for None."""
        if step is None:
            return self
        return type(self)(self.graph, self.strategy, tuple(s for s in self.steps if s.step <= step))

    def plan(self, step: int | None = None) -> Plan:
        """The plan as it was at a step; by default at the last."""
        kept = self.until(step).steps[-1].kept
        return Plan(self.graph, (~kept).nonzero()[0].tolist())

    def figure(
        self,
        *,
        step: int | None = None,
        part: str | None = None,
        dark: bool = False,
        height: int | None = None,
    ) -> Any:
        """Draw the course as it was at a step: what is drawn depends on the strategy.

        Args:
            step: Counted from 1; by default the last.
            part: A layer or group to look at, where the picture shows them one by one.
            dark: Colours for a dark background.
            height: In pixels; by default as tall as the picture needs.
        """
        return draw(self, dark=dark, height=height, step=step, part=part)

    def to_frame(self) -> pd.DataFrame:
        """A row per step: phase, what was done, units left, MACs, parameters, losses, accuracy."""
        import pandas as pd

        prunable = self.graph.prunable
        rows = [
            {
                **{name: getattr(s, name) for name in FIELDS[:3]},
                "units_left": int(s.kept[prunable].sum()),
                **{name: getattr(s, name) for name in FIELDS[3:]},
            }
            for s in self.steps
        ]
        return pd.DataFrame(rows)
