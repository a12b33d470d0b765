"""A binary search for the widths: each layer's interval narrowing, and its trials' accuracies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pruneviz.figures import style, words
from pruneviz.stages import group_titles
from pruneviz.strategies.course import Course
from pruneviz.strategies.details import Trial

ROW = 36
"""Pixels a group."""


@dataclass(frozen=True)
class TrialsInfo:
    """What the picture of a search shows."""

    groups: tuple[tuple[str, str], ...]
    """(name, title) of all groups, in the order of the search."""
    trials: tuple[Trial, ...]
    whole: int
    """Trials of the whole course, so that the axis does not jump."""

    @property
    def told(self) -> str:
        """The picture in words."""
        passed = sum(t.passed for t in self.trials)
        count = f"{style.of(len(self.trials), self.whole)} trials: {passed} passed, "
        text = count + f"{len(self.trials) - passed} failed."
        if self.trials:
            last = self.trials[-1]
            verdict = "passes" if last.passed else "fails"
            text += (
                f" The last, {last.count} of {last.width} filters of {last.group} removed, "
                f"{verdict}: {style.percent(last.accuracy)}, needed {style.percent(last.goal)}."
            )
        return text


def trials_info(course: Course, step: int | None = None) -> TrialsInfo:
    """Gather the trials up to a step."""
    every = [s.details for s in course.steps if isinstance(s.details, Trial)]
    shown = [s.details for s in course.until(step).steps if isinstance(s.details, Trial)]
    titles = group_titles(course.graph)
    names = dict.fromkeys(
        [*(t.group for t in every), *(g.name for g in course.graph.prunable_groups)]
    )
    return TrialsInfo(
        groups=tuple((name, titles.get(name, name)) for name in names),
        trials=tuple(shown),
        whole=len(every),
    )


def trials_figure(info: TrialsInfo, *, dark: bool = False, height: int | None = None) -> Any:
    """Draw a band a group: its intervals from top to bottom, a mark where each trial cut."""
    rows = len(info.groups)
    figure = make_subplots(rows=1, cols=2, column_widths=[0.62, 0.38], horizontal_spacing=0.08)
    figure.update_layout(
        template=style.template(dark),
        height=height or max(300, 190 + ROW * rows),
        hovermode="closest",
    )
    places = _places(info)
    x: list[float | None] = []
    y: list[float | None] = []
    for trial, place in zip(info.trials, places, strict=True):
        x += [trial.low / trial.width, trial.high / trial.width, None]
        y += [place, place, None]
    figure.add_trace(
        go.Scatter(
            x=x,
            y=y,
            mode="lines",
            name="still possible",
            line={"color": style.GREY, "width": 3},
            opacity=0.5,
            hoverinfo="skip",
        ),
        row=1,
        col=1,
    )
    for passed, colour, symbol, name in (
        (True, style.kept_colour(dark), "circle", "passed"),
        (False, style.dropped_colour(dark), "x", "failed"),
    ):
        own = [i for i, t in enumerate(info.trials) if t.passed is passed]
        mark = {"color": colour, "symbol": symbol, "size": 8}
        told = [_hover(info.trials[i]) for i in own]
        for col, xs, ys in (
            (1, [t.count / t.width for t in info.trials], places),
            (2, [float(i + 1) for i in range(len(info.trials))], [t.accuracy for t in info.trials]),
        ):
            figure.add_trace(
                go.Scatter(
                    x=[xs[i] for i in own],
                    y=[ys[i] for i in own],
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=col == 1,
                    marker=mark,
                    text=told,
                    hovertemplate="%{text}<extra></extra>",
                ),
                row=1,
                col=col,
            )
    if info.trials:
        goal = info.trials[-1].goal
        figure.add_trace(
            go.Scatter(
                x=[0.5, info.whole + 0.5],
                y=[goal, goal],
                mode="lines",
                name=f"needed {style.percent(goal)}",
                line={"dash": "dash", "color": style.ink(dark), "width": 1},
                hoverinfo="skip",
            ),
            row=1,
            col=2,
        )
    figure.update_xaxes(
        title_text="filters of the group removed",
        tickformat=".0%",
        range=[-0.02, 1.02],
        row=1,
        col=1,
    )
    figure.update_xaxes(title_text="trial", range=[0, info.whole + 1], row=1, col=2)
    figure.update_yaxes(
        range=[rows - 0.5, -0.5],
        tickvals=list(range(rows)),
        ticktext=[style.short_title(title, 30) for _, title in info.groups],
        row=1,
        col=1,
    )
    figure.update_yaxes(title_text="accuracy of the trial", tickformat=".0%", row=1, col=2)
    figure.update_yaxes(side="right", row=1, col=2)  # its title would lie on the other panel
    return words.describe(figure, info.told)


def _places(info: TrialsInfo) -> list[float]:
    """The height of each trial: those of a group from the top of its row to the bottom."""
    rows = {name: row for row, (name, _) in enumerate(info.groups)}
    done: dict[str, int] = {}
    places = []
    for trial in info.trials:
        number = done[trial.group] = done.get(trial.group, 0) + 1
        most = max(trial.width - 1, 1).bit_length()
        places.append(rows[trial.group] - 0.4 + 0.8 * (number - 0.5) / max(most, number))
    return places


def _hover(trial: Trial) -> str:
    verdict = "passed" if trial.passed else "failed"
    return (
        f"<b>{trial.group}</b>, {trial.count} of {trial.width} filters removed<br>"
        f"{style.percent(trial.accuracy)}, needed {style.percent(trial.goal)}: {verdict}<br>"
        f"possible before: {trial.low} to {trial.high}"
    )
