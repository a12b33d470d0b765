"""A claim of a paper: what was measured, seed by seed, beside what was published."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import Any

import plotly.graph_objects as go

from pruneviz.figures import style, words
from pruneviz.figures.levels import draw_chance, is_near
from pruneviz.studies.papers.claims import find_claim
from pruneviz.studies.papers.result import LabResult

ROW = 30
"""Pixels a finding."""
NAME = 19
"""Pixels a line of the legend."""


@dataclass(frozen=True)
class LabInfo:
    """What the picture of one result shows."""

    title: str
    measure: str
    findings: tuple[tuple[str, float, tuple[float, ...]], ...]
    """(label, mean, one value a seed)."""
    published: tuple[tuple[str, float], ...] = ()
    percent: bool = False
    """Whether the values are fractions that are read as percentages."""
    chance: float | None = None
    """Where the values are accuracies: that of always predicting the most common class."""

    @property
    def told(self) -> str:
        """The picture in words."""
        measured = [f"{label} {self._shown(mean)}" for label, mean, _ in self.findings]
        text = f"{self.measure[:1].upper()}{self.measure[1:]}: {words.listed(measured, 8)}."
        if not self.published:
            return text
        papers = (f"{label} {self._shown(value)}" for label, value in self.published)
        return f"{text} Published: {words.listed(papers)}."

    def _shown(self, value: float) -> str:
        return style.percent(value, 2) if self.percent else f"{value:.3f}"


@dataclass(frozen=True)
class LayersInfo:
    """How each criterion agrees with the oracle within each layer."""

    title: str
    criteria: tuple[str, ...]
    layers: tuple[str, ...]
    correlation: tuple[tuple[float | None, ...], ...]
    """(criteria, layers) -1..1; None where a layer has too few units, or all alike."""

    @property
    def told(self) -> str:
        """The picture in words."""
        parts = []
        for name, row in zip(self.criteria, self.correlation, strict=True):
            known = [value for value in row if value is not None]
            if known:
                parts.append(f"{name} {style.signed(sum(known) / len(known))}")
        return (
            f"Spearman's correlation with the oracle, {style.counted(len(self.layers), 'layer')}; "
            f"means over them: {words.listed(parts, 8)}."
        )


def claim_figure(result: LabResult, *, title: bool = True, **look: Any) -> Any:
    """Draw what one claim's test has found; see `lab_figure`."""
    claim = find_claim(result.claim)
    info = LabInfo(
        title=f"{result.network} on {result.data}" if title else "",
        measure=claim.measure,
        findings=tuple((f.label, f.value, f.seeds) for f in result.findings),
        published=claim.figures,
        percent=claim.percent,
        chance=result.settings.get("chance") if claim.of_accuracy else None,
    )
    return lab_figure(info, **look)


def lab_figure(info: LabInfo, *, dark: bool = False, height: int | None = None) -> Any:
    """Draw a row a finding: its mean and its seeds; published figures as vertical lines."""
    rows = len(info.findings)
    tall = 170 + ROW * rows + NAME * len(info.published)
    figure = style.new_figure(dark, height or tall, hovermode="closest")
    shown = ":.2%" if info.percent else ":.3f"
    figure.add_trace(
        go.Scatter(
            x=[value for _, _, values in info.findings for value in values],
            y=[label for label, _, values in info.findings for _ in values],
            mode="markers",
            name="one seed",
            marker={"color": style.GREY, "size": 13, "symbol": "line-ns-open"},
            hovertemplate=f"%{{y}}: %{{x{shown}}}<extra>one seed</extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[mean for _, mean, _ in info.findings],
            y=[label for label, _, _ in info.findings],
            mode="markers",
            name="mean, measured",
            marker={"color": style.kept_colour(dark), "size": 11},
            hovertemplate=f"<b>%{{y}}</b>: %{{x{shown}}}<extra>mean</extra>",
        )
    )
    for (label, value), dash in zip(
        info.published, cycle(("dash", "dot", "dashdot", "longdash")), strict=False
    ):
        figure.add_trace(
            go.Scatter(
                x=[value, value],
                y=[info.findings[0][0], info.findings[-1][0]],
                mode="lines",
                name=f"published: {label}",
                line={"dash": dash, "color": style.dropped_colour(dark), "width": 1.5},
                hovertemplate=f"published: {label}, %{{x{shown}}}<extra></extra>",
            )
        )
    measured = [value for _, _, values in info.findings for value in values]
    if info.chance is not None and is_near(info.chance, measured):
        draw_chance(figure, info.chance, across=False)
    figure.update_xaxes(title_text=info.measure, tickformat=".1%" if info.percent else None)
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(margin={"l": 8}, title={"text": info.title})
    if info.title:
        figure.update_layout(margin={"t": 64})
    return words.describe(figure, info.told)


def layers_figure(info: LayersInfo, *, dark: bool = False, height: int | None = None) -> Any:
    """Draw a heat map: a row a criterion, a column a layer, from the input to the output."""
    figure = style.new_figure(dark, height or 150 + 22 * len(info.criteria))
    figure.add_trace(
        go.Heatmap(
            z=info.correlation,
            x=info.layers,
            y=info.criteria,
            zmin=-1,
            zmax=1,
            zmid=0,
            colorscale=[
                [0.0, style.dropped_colour(dark)],
                [0.5, "#20242B" if dark else "#FFFFFF"],
                [1.0, style.kept_colour(dark)],
            ],
            colorbar={"title": {"text": "Spearman"}, "thickness": 12},
            xgap=1,
            ygap=1,
            hoverongaps=False,
            hovertemplate="<b>%{y}</b> in %{x}<br>Spearman with the oracle %{z:.2f}<extra></extra>",
        )
    )
    figure.update_xaxes(
        type="category",
        showgrid=False,
        tickfont={"size": 10},
        tickvals=list(info.layers),
        ticktext=[style.short(name, 20) for name in info.layers],
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    figure.update_layout(margin={"l": 8}, title={"text": info.title})
    return words.describe(figure, info.told)
