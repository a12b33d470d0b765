"""One layer in detail: its filters sorted by score, the threshold, what is dropped and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from pruneviz.channels import ChannelGraph
from pruneviz.figures import style, words


@dataclass(frozen=True)
class LayerInfo:
    """The filters of a layer, lowest score first."""

    layer: str
    criterion: str
    filters: tuple[int, ...]
    scores: tuple[float, ...]
    dropped: tuple[bool, ...]
    by_hand: tuple[bool, ...]
    tied: tuple[str, ...]
    """What goes with each filter in other layers."""
    threshold: float | None
    """Score between the last dropped and the first kept, where that order holds."""

    @property
    def told(self) -> str:
        """The picture in words."""
        text = (
            f"The {len(self.filters)} filters of {self.layer}, lowest {self.criterion} score first"
        )
        ranked = [(f, s) for f, s in zip(self.filters, self.scores, strict=True) if s == s]
        if ranked:
            ends = (f"filter {f} ({style.score(s)})" for f, s in (ranked[0], ranked[-1]))
            text += f": from {' to '.join(ends)}"
        gone = [str(f) for f, dropped in zip(self.filters, self.dropped, strict=True) if dropped]
        return f"{text}. {len(gone)} pruned{f': {words.listed(gone, 8)}' if gone else ''}."


def layer_info(
    graph: ChannelGraph,
    layer: str,
    scores: npt.NDArray[np.float64],
    kept: npt.NDArray[np.bool_] | None = None,
    *,
    by_hand: frozenset[int] = frozenset(),
    criterion: str = "",
) -> LayerInfo:
    """Gather a layer's filters; `scores` and `kept` are over units, `by_hand` names units."""
    units = graph.layer(layer).units
    value = scores[units]
    gone = np.zeros(len(units), bool) if kept is None else ~kept[units]
    order = np.argsort(np.nan_to_num(value, nan=np.inf), kind="stable")
    flags = gone[order]
    count = int(flags.sum())
    threshold = None
    if 0 < count < len(flags) and flags[:count].all():
        threshold = float(value[order[count - 1]] + value[order[count]]) / 2
    return LayerInfo(
        layer=layer,
        criterion=criterion,
        filters=tuple(int(i) for i in order),
        scores=tuple(float(value[i]) for i in order),
        dropped=tuple(bool(f) for f in flags),
        by_hand=tuple(int(units[i]) in by_hand for i in order),
        tied=tuple(_tied(graph, layer, int(units[i]), int(i)) for i in order),
        threshold=threshold,
    )


def _tied(graph: ChannelGraph, layer: str, unit: int, filter: int) -> str:
    parts = []
    for name, filters in graph.members(unit).items():
        others = [f for f in filters if name != layer or f != filter]
        if others:
            parts.append(f"{name} [{', '.join(map(str, others[:4]))}{'…' * (len(others) > 4)}]")
    if len(parts) > 3:
        parts = [*parts[:3], f"{len(parts) - 3} more"]
    return ", ".join(parts)


def layer_figure(info: LayerInfo, *, dark: bool = False, height: int = 340) -> Any:
    """Draw the filters as bars that can be clicked; `customdata` starts with the filter's index."""
    figure = style.new_figure(dark, height, clickmode="event+select", bargap=0.15)
    position = range(len(info.filters))
    for flag, name, colour in (
        (False, "kept", style.kept_colour(dark)),
        (True, "pruned", style.dropped_colour(dark)),
    ):
        at = [i for i in position if info.dropped[i] is flag]
        figure.add_trace(
            go.Bar(
                x=at,
                y=[info.scores[i] for i in at],
                name=name,
                marker={
                    "color": colour,
                    "pattern": {
                        "shape": ["/" if info.by_hand[i] else "" for i in at],
                        "fgcolor": style.ink(dark),
                        "solidity": 0.25,
                    },
                },
                customdata=[
                    [info.filters[i], _state(info, i), style.score(info.scores[i])] for i in at
                ],
                hovertemplate="<b>filter %{customdata[0]}</b><br>score %{customdata[2]}"
                "<br>%{customdata[1]}<extra></extra>",
            )
        )
    if info.threshold is not None:
        figure.add_hline(
            y=info.threshold,
            line={"dash": "dash", "color": style.ink(dark), "width": 1.5},
            annotation={"text": "threshold", "font": {"size": 11}},
            annotation_position="top left",
        )
    step = max(1, len(info.filters) // 32)
    figure.update_xaxes(
        title_text="filters, lowest score first",
        tickvals=list(position)[::step],
        ticktext=[str(info.filters[i]) for i in position][::step],
        tickangle=0,
        showgrid=False,
    )
    figure.update_yaxes(title_text=f"{info.criterion} score" if info.criterion else "score")
    return words.describe(figure, info.told)


def _state(info: LayerInfo, i: int) -> str:
    text = "pruned" if info.dropped[i] else "kept"
    if info.by_hand[i]:
        text += " manually"
    if info.tied[i]:
        text += f"<br>coupled with {info.tied[i]}"
    return text
