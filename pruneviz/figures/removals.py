"""Filters ranked again and again while the lowest are removed: who falls, who rises, who goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from pruneviz.figures import style, words
from pruneviz.figures.lines import joined
from pruneviz.strategies.course import Course
from pruneviz.strategies.details import FloatArray, Removals

MOST = 12
"""Filters drawn of each fate; more lines could not be told apart."""
MOVED = 0.1
"""A rank that changes by so much (0..1) between the first and the last ranking has moved."""

Fate = Literal["removed", "rose", "fell", "steady"]


@dataclass(frozen=True)
class RankLine:
    """One unit's place among those left, ranking by ranking."""

    name: str
    rank: tuple[float, ...]
    """0 (the next to go) to 1; shorter than the course where the unit was removed."""
    fate: Fate


@dataclass(frozen=True)
class RanksInfo:
    """What the picture of the ranks shows."""

    lines: tuple[RankLine, ...]
    shown: tuple[int, ...]
    """Places in `lines` of those that are drawn."""
    removals: int
    """Rankings so far."""
    whole: int
    """Rankings of the whole course, so that the axis does not jump."""

    def count(self, fate: Fate) -> int:
        """How many units had this fate."""
        return sum(line.fate == fate for line in self.lines)

    @property
    def told(self) -> str:
        """The picture in words."""
        fewer = "" if len(self.shown) == len(self.lines) else f" Only {MOST} of each are drawn."
        return (
            f"After removal {style.of(self.removals, self.whole)}: "
            f"{self.count('removed'):,} filters removed, "
            f"{self.count('rose'):,} rose by a tenth of the ranking or more, "
            f"{self.count('fell'):,} fell as far, {self.count('steady'):,} stayed about where "
            f"they were.{fewer}"
        )


def ranks_info(course: Course, step: int | None = None, group: str | None = None) -> RanksInfo:
    """Gather the ranks up to a step, of one group's units or of all.

    Ranks are among all units that are left, whichever group is shown.
    """
    graph = course.graph
    scores, kept = _series(course.until(step))
    whole = _series(course)[0]
    units = [u for g in graph.prunable_groups if group in (None, g.name) for u in g.units]
    titles = {u: f"{g.name}, {i}" for g in graph.prunable_groups for i, u in enumerate(g.units)}
    ranks = np.array([places(row) for row in scores]).reshape(len(scores), graph.num_units)
    lines = tuple(_line(titles[u], ranks[:, u], bool(kept[-1, u])) for u in units if len(ranks))
    return RanksInfo(lines, _drawn(lines), len(scores), len(whole))


def places(scores: FloatArray) -> FloatArray:
    """(units,) 0 for the lowest score to 1 for the highest; nan where there is none."""
    there = np.flatnonzero(np.isfinite(scores))
    ranks = np.full(len(scores), np.nan)
    order = there[np.argsort(scores[there], kind="stable")]
    ranks[order] = np.arange(len(order)) / max(len(order) - 1, 1)
    return ranks


def ranks_figure(info: RanksInfo, *, dark: bool = False, height: int = 380) -> Any:
    """Draw a line a filter over the removals; where one ends, the filter was removed."""
    figure = style.new_figure(dark, height, hovermode="closest")
    looks: dict[Fate, tuple[str, str, str, float]] = {
        "steady": (style.GREY, "dot", "about the same", 0.5),
        "fell": (style.ORANGE, "dash", "fell", 0.8),
        "rose": (style.kept_colour(dark), "solid", "rose", 0.9),
        "removed": (style.dropped_colour(dark), "solid", "removed", 0.55),
    }
    drawn = [info.lines[i] for i in info.shown]
    for fate, (colour, dash, name, opacity) in looks.items():
        lines = [line for line in drawn if line.fate == fate]
        if not lines:
            continue
        end = 7 if fate == "removed" else 4
        marks = [size for line in lines for size in (*[0] * (len(line.rank) - 1), end, 0)]
        figure.add_trace(
            go.Scatter(
                **joined((o.name, range(1, len(o.rank) + 1), o.rank) for o in lines),
                mode="lines+markers",
                name=f"{name} ({info.count(fate):,})",
                opacity=opacity,
                line={"color": colour, "dash": dash, "width": 1.6},
                marker={"size": marks, "symbol": "x" if fate == "removed" else "circle"},
                hovertemplate="<b>%{text}</b><br>ranking %{x}: above %{y:.0%} of the filters left"
                f"<extra>{name}</extra>",
            )
        )
    figure.update_xaxes(
        title_text="removal",
        range=[0.7, max(info.whole, 2) + 0.3],
        **style.whole_ticks(info.whole),
    )
    figure.update_yaxes(
        title_text="rank among the filters left", tickformat=".0%", range=[-0.03, 1.03]
    )
    return words.describe(figure, info.told)


def _series(course: Course) -> tuple[FloatArray, Any]:
    """(removals, units) scores, and what each removal left, of all steps."""
    known = [s.details for s in course.steps if isinstance(s.details, Removals)]
    scores = [d.scores for d in known if d.scores is not None]
    kept = [d.kept for d in known if d.kept is not None]
    if not scores:
        empty = np.zeros((0, course.graph.num_units))
        return empty, empty.astype(bool)
    return np.concatenate(scores), np.concatenate(kept)


def _line(name: str, ranks: FloatArray, stays: bool) -> RankLine:
    there = ranks[np.isfinite(ranks)]
    moved = there[-1] - there[0] if len(there) else 0.0
    fate: Fate = (
        "removed"
        if not stays
        else "rose"
        if moved >= MOVED
        else "fell"
        if moved <= -MOVED
        else "steady"
    )
    return RankLine(name, tuple(there.tolist()), fate)


def _drawn(lines: tuple[RankLine, ...]) -> tuple[int, ...]:
    """Of each fate the lines that moved furthest; of those removed, some of every removal."""
    chosen: list[int] = []
    for fate in ("removed", "rose", "fell", "steady"):
        own = [i for i, line in enumerate(lines) if line.fate == fate and line.rank]
        if fate == "removed":
            own.sort(key=lambda i: (len(lines[i].rank), i))
            chosen += [own[k * len(own) // MOST] for k in range(MOST)] if len(own) > MOST else own
        else:
            own.sort(key=lambda i: -abs(lines[i].rank[-1] - lines[i].rank[0]))
            chosen += own[:MOST]
    return tuple(sorted(chosen))
