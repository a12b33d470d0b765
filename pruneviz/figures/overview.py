"""The whole network in one picture: every layer in order, its filters by score, what is dropped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pruneviz.channels import ChannelGraph
from pruneviz.figures import style, words
from pruneviz.stages import group_titles

BINS = 48


@dataclass(frozen=True)
class OverviewLayer:
    """A column of the picture."""

    name: str
    kind: str
    filters: int
    dropped: int
    macs: int
    group: str
    tied: tuple[str, ...]
    """Other layers whose filters go together with this one's."""
    reason: str | None


@dataclass(frozen=True, eq=False)
class OverviewInfo:
    """What the overview shows."""

    criterion: str
    layers: tuple[OverviewLayer, ...]
    heat: npt.NDArray[np.float64] = field(repr=False)
    """(BINS, layers) root of the score's place in the layer's own range (0..1), lowest first;
    nan where there is no score."""
    drop: npt.NDArray[np.bool_] = field(repr=False)
    """(BINS, layers) whether most filters in the bin are dropped."""
    selected: str | None = None

    @property
    def told(self) -> str:
        """The picture in words."""
        gone, every = sum(x.dropped for x in self.layers), sum(x.filters for x in self.layers)
        text = (
            f"{len(self.layers)} layers from input to output, {gone:,} of {every:,} filters pruned"
        )
        text += f"; in each, the filters sorted by {self.criterion}." if self.criterion else "."
        most = sorted((x for x in self.layers if x.dropped), key=lambda x: -x.dropped / x.filters)
        if most:
            shares = words.listed(f"{x.name}: {x.dropped} of {x.filters}" for x in most)
            text += f" The largest shares: {shares}."
        if closed := [x.name for x in self.layers if x.reason]:
            text += f" Cannot be pruned: {words.listed(closed)}."
        return text


def overview_info(
    graph: ChannelGraph,
    scores: npt.NDArray[np.float64] | None,
    kept: npt.NDArray[np.bool_] | None = None,
    *,
    criterion: str = "",
    selected: str | None = None,
) -> OverviewInfo:
    """Gather the overview from a graph, the units' scores (higher = keep) and what is kept."""
    count = len(graph.layers)
    heat = np.full((BINS, count), np.nan)
    drop = np.zeros((BINS, count), dtype=bool)
    columns = []
    groups = {group.name: group for group in graph.groups}
    titles = group_titles(graph)
    for x, layer in enumerate(graph.layers):
        units = layer.units
        gone = np.zeros(len(units), bool) if kept is None else ~kept[units]
        if layer.prunable:
            value = np.zeros(len(units)) if scores is None else scores[units]
            # Ties in score, and filters of one unit, stay together; what is dropped lies lowest.
            order = np.lexsort((units, np.nan_to_num(value, nan=np.inf), ~gone))
            edges = np.minimum(
                ((np.arange(BINS) + 0.5) * len(units) / BINS).astype(int), len(units)
            )
            picked = order[edges]
            low, high = np.nanmin(value, initial=np.inf), np.nanmax(value, initial=-np.inf)
            span = high - low
            relative = (value - low) / span if np.isfinite(span) and span > 0 else 0 * value + 0.5
            relative = np.sqrt(
                relative
            )  # a few scores far above the rest would leave it one colour
            heat[:, x] = relative[picked]
            drop[:, x] = gone[picked]
        tied = tuple(n for n in groups[layer.group].layers if n != layer.name)
        columns.append(
            OverviewLayer(
                name=layer.name,
                kind=layer.kind,
                filters=layer.out_channels,
                dropped=int(gone.sum()),
                macs=layer.macs,
                group=titles[layer.group],
                tied=tied,
                reason=None if layer.prunable else layer.reason,
            )
        )
    return OverviewInfo(criterion, tuple(columns), heat, drop, selected)


def overview_figure(info: OverviewInfo, *, dark: bool = False, height: int = 460) -> Any:
    """Draw the overview: widths above, sorted scores as a heat map, ties below."""
    count = len(info.layers)
    x = list(range(count))
    names = [layer.name for layer in info.layers]
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, row_heights=[0.24, 0.68, 0.08], vertical_spacing=0.035
    )
    kept = [layer.filters - layer.dropped for layer in info.layers]
    gone = [layer.dropped for layer in info.layers]
    figure.add_trace(
        go.Bar(x=x, y=kept, name="kept", marker_color=style.kept_colour(dark), hoverinfo="skip"),
        row=1,
        col=1,
    )
    figure.add_trace(
        go.Bar(
            x=x, y=gone, name="pruned", marker_color=style.dropped_colour(dark), hoverinfo="skip"
        ),
        row=1,
        col=1,
    )
    figure.add_trace(_heat(info, dark), row=2, col=1)
    figure.add_trace(_doors(info), row=2, col=1)
    _no_entry(figure, info, dark)
    ties = _ties(info, dark)
    # Without a trace Plotly would not draw the axis either, and the layers had no names.
    unseen = go.Scatter(x=x, y=[0] * count, mode="none", hoverinfo="skip", showlegend=False)
    figure.add_trace(ties if ties is not None else unseen, row=3, col=1)
    figure.update_layout(
        template=style.template(dark),
        height=height,
        barmode="overlay",
        bargap=0.12,
        margin={"l": 56, "r": 8, "t": 30, "b": 8},
        hovermode="closest",
        clickmode="event+select",
    )
    figure.data[1].base = kept
    # Beside a heat map Plotly draws ticks, at every fifth column: they point at no name.
    figure.update_xaxes(showgrid=False, range=[-0.6, count - 0.4], ticks="")
    figure.update_yaxes(ticks="")
    figure.update_xaxes(showticklabels=False, row=1)
    figure.update_xaxes(showticklabels=False, row=2)
    figure.update_xaxes(
        **style.name_ticks(names),
        row=3,
    )
    figure.update_yaxes(title_text="filters", row=1, nticks=3)
    figure.update_yaxes(
        title_text="filters, by score",
        range=[0, 1],
        tickformat=".0%",
        showgrid=False,
        row=2,
    )
    figure.update_yaxes(showticklabels=False, showgrid=False, range=[-0.5, 0.5], row=3)
    if info.selected in names:
        at = names.index(info.selected)
        figure.add_vrect(
            x0=at - 0.5, x1=at + 0.5, line={"color": style.ink(dark), "width": 2}, row=2, col=1
        )
        _frame_tied(figure, info, names, at, dark)
    return words.describe(figure, info.told)


def _frame_tied(figure: Any, info: OverviewInfo, names: list[str], at: int, dark: bool) -> None:
    """Frame the layers that lose filters together with the selected one, dotted."""
    places = {name: x for x, name in enumerate(names)}
    for x in (places[name] for name in info.layers[at].tied if name in places):
        line = {"color": style.ink(dark), "width": 1.5, "dash": "dot"}
        figure.add_vrect(x0=x - 0.5, x1=x + 0.5, line=line, row=2, col=1)


def _heat(info: OverviewInfo, dark: bool) -> Any:
    """The scores in one colour scale, what is dropped in the other colour, fainter when higher."""
    scale = style.SCALE_DARK if dark else style.SCALE
    gone = style.dropped_colour(dark)
    # One scale in two parts: 0..0.18 is "dropped", 0.2..1 is the score of what is kept.
    stops = [[0.0, gone], [0.18, gone]]
    stops += [[0.2 + 0.8 * i / (len(scale) - 1), colour] for i, colour in enumerate(scale)]
    stops[2][0] = 0.1801
    z = np.where(info.drop, 0.05, 0.2 + 0.8 * info.heat)
    return go.Heatmap(
        z=z,
        x=list(range(len(info.layers))),
        y=(np.arange(BINS) + 0.5) / BINS,
        zmin=0,
        zmax=1,
        colorscale=stops,
        xgap=1.5,
        hoverinfo="skip",
        showscale=False,
    )


def _doors(info: OverviewInfo) -> Any:
    """Invisible bars over the heat map: they carry the hover text and can be clicked."""
    return go.Bar(
        x=list(range(len(info.layers))),
        y=[1.0] * len(info.layers),
        marker={"color": "rgba(0,0,0,0)", "line": {"width": 0}},
        selected={"marker": {"opacity": 0.0}},
        unselected={"marker": {"opacity": 0.0}},
        customdata=[[layer.name] for layer in info.layers],
        text=[_hover(layer) for layer in info.layers],
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
        name="layers",
    )


def _hover(layer: OverviewLayer) -> str:
    lines = [
        f"<b>{layer.name}</b> ({layer.kind})",
        f"{layer.filters} filters, {layer.dropped} pruned",
        style.si(layer.macs, "MACs"),
    ]
    if layer.reason:
        lines.append(f"cannot be pruned: {layer.reason}")
    elif layer.tied:
        shown = ", ".join(layer.tied[:3]) + (
            f" and {len(layer.tied) - 3} more" if len(layer.tied) > 3 else ""
        )
        lines.append(f"coupled with {shown}")
    return "<br>".join(lines)


def _no_entry(figure: Any, info: OverviewInfo, dark: bool) -> None:
    """Mark the layers that cannot be pruned: grey and hatched, never just empty."""
    closed = [x for x, layer in enumerate(info.layers) if layer.reason]
    if closed:
        figure.add_trace(
            go.Bar(
                x=closed,
                y=[1.0] * len(closed),
                name="cannot be pruned",
                marker={
                    "color": "rgba(138,143,152,0.18)",
                    "pattern": {"shape": "/", "fgcolor": style.GREY, "size": 6, "solidity": 0.15},
                },
                hoverinfo="skip",
            ),
            row=2,
            col=1,
        )


def _ties(info: OverviewInfo, dark: bool) -> Any:
    """A strip of marks: layers with the same mark lose the same filters together."""
    tied = [(x, layer) for x, layer in enumerate(info.layers) if layer.tied and not layer.reason]
    if not tied:
        return None
    order = {name: i for i, name in enumerate(dict.fromkeys(layer.group for _, layer in tied))}
    colours = style.SERIES_DARK if dark else style.SERIES
    symbols = ("square", "diamond", "circle", "triangle-up", "cross", "star", "hexagon", "x")
    numbers = [order[layer.group] for _, layer in tied]
    return go.Scatter(
        x=[x for x, _ in tied],
        y=[0] * len(tied),
        mode="markers",
        marker={
            "symbol": [symbols[(n // len(colours) + n) % len(symbols)] for n in numbers],
            "color": [colours[n % len(colours)] for n in numbers],
            "size": 9 if len(info.layers) < 70 else 6,
        },
        text=[f"coupled: {layer.group}" for _, layer in tied],
        hovertemplate="%{text}<extra></extra>",
        name="coupled (same mark)",
    )
