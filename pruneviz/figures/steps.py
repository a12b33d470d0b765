"""The steps of a strategy that tells no more than accuracy and MACs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pruneviz.cost import cost
from pruneviz.figures import style, words
from pruneviz.strategies.course import Course


@dataclass(frozen=True)
class StepsInfo:
    """Accuracy and MACs left, fractions, by step."""

    steps: tuple[int, ...]
    accuracy: tuple[float, ...]
    macs: tuple[float, ...]
    whole: int
    """The last step of the whole course."""

    @property
    def told(self) -> str:
        """The picture in words."""
        if not self.steps:
            return "No step has been recorded yet."
        return (
            f"Step {style.of(self.steps[-1], self.whole)}: "
            f"accuracy {style.percent(self.accuracy[-1])} "
            f"with {style.percent(self.macs[-1])} of the MACs."
        )


def steps_info(course: Course, step: int | None = None) -> StepsInfo:
    """Gather the figures up to a step."""
    shown, whole = course.until(step).steps, cost(course.graph).macs
    return StepsInfo(
        steps=tuple(s.step for s in shown),
        accuracy=tuple(s.accuracy for s in shown),
        macs=tuple(s.macs / whole for s in shown),
        whole=course.steps[-1].step if course.steps else 1,
    )


def steps_figure(info: StepsInfo, *, dark: bool = False, height: int = 320) -> Any:
    """Draw both as lines over the steps."""
    figure = style.new_figure(dark, height)
    for name, values, colour, dash in (
        ("accuracy", info.accuracy, style.kept_colour(dark), "solid"),
        ("MACs left", info.macs, style.dropped_colour(dark), "dash"),
    ):
        figure.add_trace(
            go.Scatter(
                x=list(info.steps),
                y=list(values),
                mode="lines+markers",
                name=name,
                line={"color": colour, "dash": dash},
                hovertemplate=f"step %{{x}}: {name} %{{y:.1%}}<extra></extra>",
            )
        )
    figure.update_xaxes(
        title_text="step", range=[0.7, info.whole + 0.3], **style.whole_ticks(info.whole)
    )
    figure.update_yaxes(tickformat=".0%", range=[-0.02, 1.04])
    return words.describe(figure, info.told)
