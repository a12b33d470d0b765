"""The race of strategies: accuracy against MACs, with the spread over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pruneviz.figures import style, words
from pruneviz.figures.levels import draw_baseline, draw_chance, draw_level, is_near
from pruneviz.strategies.registry import title_of
from pruneviz.studies.race_result import Race

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon", "pentagon")


@dataclass(frozen=True)
class RacePoint:
    """One strategy: means over its seeds, standard deviations (0 for a single run)."""

    strategy: str
    title: str
    """What people call it."""
    macs: float
    """Fraction of the unpruned network's."""
    macs_std: float
    accuracy: float
    accuracy_std: float
    runs: tuple[tuple[float, float], ...]
    """(MACs, accuracy) of each seed."""


@dataclass(frozen=True)
class RaceInfo:
    """What the picture of a race shows."""

    title: str
    split: str
    baseline: float
    target: float
    points: tuple[RacePoint, ...]
    published: tuple[tuple[str, float, float], ...]
    """(label, MACs, accuracy) of papers on the same network and data."""
    chance: float | None = None
    """Accuracy (0..1) of always predicting the most common class."""

    @property
    def told(self) -> str:
        """The picture in words."""
        best = sorted(self.points, key=lambda p: -p.accuracy)
        parts = (
            f"{p.title} {style.percent(p.accuracy, 2)} with {style.percent(p.macs)} of the MACs"
            for p in best
        )
        text = f"Accuracy on {self.split} images; baseline {style.percent(self.baseline)}."
        return (
            f"{text} Best first: {words.listed(parts, 10)}."
            if best
            else f"{text} None has finished yet."
        )


def race_info(race: Race) -> RaceInfo:
    """Gather the strategies that have ended at least once."""
    points = []
    row: Any
    for row in race.to_frame().itertuples():
        if not row.runs:
            continue
        runs = tuple((o.macs / race.macs, o.accuracy) for o in race.of(str(row.strategy)))
        points.append(
            RacePoint(
                strategy=str(row.strategy),
                title=title_of(str(row.strategy)),
                macs=float(row.macs),
                macs_std=0.0 if math.isnan(row.macs_std) else float(row.macs_std),
                accuracy=float(row.accuracy),
                accuracy_std=0.0 if math.isnan(row.accuracy_std) else float(row.accuracy_std),
                runs=runs,
            )
        )
    return RaceInfo(
        title=f"{race.network} on {race.data}, {_count(race.epochs, 'epoch')}, "
        + _count(len(race.seeds), "seed"),
        split=race.split,
        baseline=race.baseline,
        target=race.target_macs,
        points=tuple(points),
        published=tuple(
            (f"{title_of(p.strategy)} ({p.paper})", p.macs_ratio, p.accuracy)
            for p in race.published
        ),
        chance=race.chance,
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def race_figure(info: RaceInfo, *, dark: bool = False, height: int = 480) -> Any:
    """Draw each strategy's mean with its spread, every single run, and what papers published."""
    figure = style.new_figure(dark, height, hovermode="closest")
    colours = style.SERIES_DARK if dark else style.SERIES
    for i, point in enumerate(info.points):
        control = point.strategy == "control"
        colour = style.ink(dark) if control else colours[i % len(colours)]
        symbol = "star" if control else SYMBOLS[i % len(SYMBOLS)]
        figure.add_trace(
            go.Scatter(
                x=[x for x, _ in point.runs],
                y=[y for _, y in point.runs],
                mode="markers",
                marker={"color": colour, "size": 5, "opacity": 0.45, "symbol": symbol},
                legendgroup=point.strategy,
                showlegend=False,
                hovertemplate=f"{point.title}, one seed<br>%{{y:.2%}} at %{{x:.1%}} of the MACs"
                "<extra></extra>",
            )
        )
        spread = f" ± {100 * point.accuracy_std:.2f}" if len(point.runs) > 1 else ""
        figure.add_trace(
            go.Scatter(
                x=[point.macs],
                y=[point.accuracy],
                error_x={"type": "data", "array": [point.macs_std], "thickness": 1},
                error_y={"type": "data", "array": [point.accuracy_std], "thickness": 1.5},
                mode="markers",
                name=point.title,
                legendgroup=point.strategy,
                marker={"color": colour, "size": 12, "symbol": symbol},
                hovertemplate=f"<b>{point.title}</b><br>{100 * point.accuracy:.2f}{spread} %"
                f"<br>{style.percent(point.macs)} of the MACs, {_count(len(point.runs), 'seed')}"
                "<extra></extra>",
            )
        )
    if info.published:
        figure.add_trace(
            go.Scatter(
                x=[x for _, x, _ in info.published],
                y=[y for _, _, y in info.published],
                text=[label for label, _, _ in info.published],
                mode="markers+text",
                textposition="bottom center",
                name="published",
                marker={"color": style.GREY, "symbol": "x-thin-open", "size": 11},
                hovertemplate="<b>%{text}</b><br>%{y:.2%} at %{x:.1%} of the MACs<extra></extra>",
            )
        )
    draw_baseline(figure, info.baseline)
    measured = [info.baseline, *(y for point in info.points for _, y in point.runs)]
    if info.chance is not None and is_near(info.chance, measured):
        draw_chance(figure, info.chance)
        measured.append(info.chance)
    measured += [y for _, _, y in info.published]
    name = f"target, {style.percent(info.target, 0)} of the MACs"
    draw_level(figure, info.target, name, across=False, dash="dashdot", width=1)
    figure.update_xaxes(title_text="MACs left", tickformat=".0%", range=[0, 1.05])
    figure.update_yaxes(
        title_text=f"accuracy (top-1, {'test' if info.split == 'test' else 'validation'})",
        **style.accuracy_axis(min(measured), max(measured), least=0.02),
    )
    figure.update_layout(title={"text": info.title}, margin={"t": 64 if info.title else 36})
    return words.describe(figure, info.told)
