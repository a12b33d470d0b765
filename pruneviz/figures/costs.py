"""What each layer costs, before and after pruning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import plotly.graph_objects as go

from pruneviz.figures import style, words


@dataclass(frozen=True)
class CostsInfo:
    """MACs or parameters by layer, in execution order."""

    what: Literal["MACs", "parameters"]
    layers: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def told(self) -> str:
        """The picture in words."""
        before, after = sum(self.before), sum(self.after)
        text = f"{self.what} of {style.counted(len(self.layers), 'layer')}: {style.si(before)}"
        if after != before:
            text = f"{text} unpruned, {style.si(after)} now"
        most = sorted(zip(self.after, self.layers, strict=True), key=lambda pair: -pair[0])[:3]
        return f"{text}. The most: {', '.join(f'{name} {style.si(n)}' for n, name in most)}."


def costs_figure(info: CostsInfo, *, dark: bool = False, height: int = 320) -> Any:
    """Draw a bar a layer: what stays, and on top of it what is saved."""
    figure = style.new_figure(dark, height, barmode="stack", bargap=0.15, hovermode="x")
    x = list(range(len(info.layers)))
    saved = [b - a for b, a in zip(info.before, info.after, strict=True)]
    for name, values, colour in (
        ("stays", info.after, style.kept_colour(dark)),
        ("saved", saved, style.dropped_colour(dark)),
    ):
        if name == "saved" and not any(saved):
            continue
        figure.add_trace(
            go.Bar(
                x=x,
                y=list(values),
                name=name,
                marker_color=colour,
                customdata=[
                    [layer, style.si(value, info.what)]
                    for layer, value in zip(info.layers, values, strict=True)
                ],
                hovertemplate=f"%{{customdata[0]}}<br>{name} %{{customdata[1]}}<extra></extra>",
            )
        )
    figure.update_xaxes(
        **style.name_ticks(info.layers),
        showgrid=False,
    )
    figure.update_yaxes(title_text=info.what, exponentformat="SI")
    figure.update_layout(showlegend=any(saved))
    return words.describe(figure, info.told)
