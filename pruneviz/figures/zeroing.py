"""Filters zeroed epoch after epoch: which stay at zero, which come back, which are zeroed again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.figures import style, words
from pruneviz.figures.lines import joined
from pruneviz.strategies.course import Course
from pruneviz.strategies.details import FloatArray, Zeroing

LEARNING, ZEROED, BACK, AGAIN, REMOVED = range(5)
NAMES = ("never zeroed", "zeroed", "came back", "zeroed again", "zeroed for good")
SIGNS = ("", "×", "↑", "××", "■")
IN_CELLS = 1500
"""Cells up to which their signs are written into them."""

StateArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ZeroingInfo:
    """What the picture of one layer shows, and the counts of all."""

    layer: str
    step: int
    """The step that is looked at. After the last zeroing more may follow: removal, fine-tuning."""
    epochs: tuple[int, ...]
    """The steps at which filters were zeroed."""
    states: StateArray
    """(filters, epochs) `LEARNING`, `ZEROED`, `BACK`, `AGAIN`; `REMOVED` once it is final."""
    norms: FloatArray
    """(filters, epochs) l2 norms before the zeroing; nan where they were not kept."""
    last: int
    """The last step of the whole course, so that the axis does not jump."""
    counts: tuple[int, ...]
    """Filters of all layers in each state at the end."""

    @property
    def told(self) -> str:
        """The picture in words."""
        parts = [f"{n:,} {name}" for name, n in zip(NAMES, self.counts, strict=True) if n]
        text = f"Step {self.step}, filters of all layers: {', '.join(parts)}."
        if self.step > self.epochs[-1]:
            text += f" The last zeroing was at step {self.epochs[-1]}."
        return text


def zeroed_layers(course: Course) -> tuple[str, ...]:
    """The layers whose filters a course zeroes."""
    for step in course.steps:
        if isinstance(step.details, Zeroing):
            return step.details.layers
    return ()


def zeroing_info(course: Course, step: int | None = None, layer: str | None = None) -> ZeroingInfo:
    """Gather the states and norms up to a step, of one layer, by default the first with zeros.

    Raises:
        InvalidValueError: Nothing was zeroed up to that step.
        UnknownNameError: No filter of that layer is ever zeroed.
    """
    shown = course.until(step)
    steps = [s for s in shown.steps if isinstance(s.details, Zeroing)]
    known = [(s.step, s.details) for s in steps if isinstance(s.details, Zeroing)]
    known = [(n, d) for n, d in known if d.zeroed is not None]
    if not known:
        raise InvalidValueError("No filter has been zeroed yet; look at a later step.")
    first = known[0][1]
    if layer is not None and layer not in first.layers:
        raise UnknownNameError("layer whose filters are zeroed", layer, first.layers)
    zero = np.stack([d.zeroed for _, d in known if d.zeroed is not None], axis=1)
    name = layer if layer is not None else _first_zeroed(first, zero)
    place = first.layers.index(name)
    start = sum(first.widths[:place])
    own = slice(start, start + first.widths[place])
    states = states_of(zero)
    if any(s.final for s in shown.steps):
        states[zero[:, -1], -1] = REMOVED
    blank = np.full(len(zero), np.nan)
    norms = np.stack([blank if d.norms is None else d.norms for _, d in known], axis=1)
    return ZeroingInfo(
        layer=name,
        step=shown.steps[-1].step,
        epochs=tuple(n for n, _ in known),
        states=states[own],
        norms=norms[own],
        last=max(s.step for s in course.steps if isinstance(s.details, Zeroing)),
        counts=tuple(int((states[:, -1] == kind).sum()) for kind in range(len(NAMES))),
    )


def _first_zeroed(details: Zeroing, zero: npt.NDArray[np.bool_]) -> str:
    """The first layer of which a filter was ever zeroed; (filters of all layers, epochs)."""
    ends = np.cumsum(details.widths)
    place = int(np.searchsorted(ends, np.argmax(zero.any(axis=1)), side="right"))
    return details.layers[place]


def states_of(zero: npt.NDArray[np.bool_]) -> StateArray:
    """(filters, epochs) states, from which filters were zeroed when."""
    states = np.full(zero.shape, LEARNING)
    ever = np.zeros(len(zero), dtype=bool)
    returned = np.zeros(len(zero), dtype=bool)
    for epoch in range(zero.shape[1]):
        zeroed = zero[:, epoch]
        returned |= ever & ~zeroed
        states[zeroed, epoch] = ZEROED
        states[zeroed & returned, epoch] = AGAIN
        states[~zeroed & ever, epoch] = BACK
        ever |= zeroed
    return states


def zeroing_figure(info: ZeroingInfo, *, dark: bool = False, height: int = 520) -> Any:
    """Draw the layer's filters by epoch, and their norms below."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4],
                           vertical_spacing=0.06)  # fmt: skip
    figure.update_layout(
        template=style.template(dark),
        height=height,
        hovermode="closest",
    )
    colours = _colours(dark)
    states = info.states.astype(float)
    figure.add_trace(
        go.Heatmap(
            z=states,
            x=list(info.epochs),
            y=list(range(len(states))),
            zmin=-0.5,
            zmax=len(NAMES) - 0.5,
            colorscale=[
                part
                for i, colour in enumerate(colours)
                for part in ([i / len(colours), colour], [(i + 1) / len(colours), colour])
            ],
            showscale=False,
            xgap=1,
            ygap=1,
            text=[[SIGNS[s] for s in row] for row in info.states.tolist()],
            texttemplate="%{text}" if info.states.size <= IN_CELLS else None,
            customdata=[[NAMES[s] for s in row] for row in info.states.tolist()],
            hovertemplate="filter %{y}, step %{x}: %{customdata}<extra></extra>",
        ),
        row=1,
        col=1,
    )
    for kind, colour in enumerate(colours):  # a heat map has no legend of its own
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="markers",
                name=f"{SIGNS[kind]} {NAMES[kind]}".strip(),
                marker={"color": colour, "symbol": "square", "size": 11,
                        "line": {"color": style.ink(dark), "width": 0.5}},
            ),
            row=1,
            col=1,
        )  # fmt: skip
    _norms(figure, info, dark)
    ticks = {"range": [0.5, info.last + 0.5], **style.whole_ticks(info.last)}
    figure.update_xaxes(**ticks)
    figure.update_xaxes(title_text="step", row=2, col=1)
    figure.update_yaxes(
        title_text=f"filter of {style.short(info.layer)}", showgrid=False, row=1, col=1
    )
    figure.update_yaxes(title_text="l2 norm (log)", type="log", exponentformat="none", row=2, col=1)
    return words.describe(figure, info.told)


def _norms(figure: Any, info: ZeroingInfo, dark: bool) -> None:
    """A line a filter, those that are zero at the end apart."""
    last = info.states[:, -1]
    gone = (last == ZEROED) | (last == AGAIN) | (last == REMOVED)
    for chosen, colour, dash, name in (
        (~gone, style.kept_colour(dark), "solid", "not zeroed at the end"),
        (gone, style.dropped_colour(dark), "dot", "zeroed at the end"),
    ):
        lines = (
            (f"filter {i}", info.epochs, [n if n > 0 else None for n in info.norms[i].tolist()])
            for i in np.flatnonzero(chosen).tolist()
        )
        figure.add_trace(
            go.Scatter(
                **joined(lines),
                mode="lines+markers",
                showlegend=False,
                opacity=0.6,
                line={"color": colour, "dash": dash, "width": 1.3},
                marker={"size": 4},
                hovertemplate="%{text}, step %{x}: norm %{y:.3g}<br>before zeroing"
                f"<extra>{name}</extra>",
            ),
            row=2,
            col=1,
        )


def _colours(dark: bool) -> tuple[str, ...]:
    calm = "#2B2F36" if dark else "#F1F3F5"
    return (calm, style.ORANGE, style.kept_colour(dark), style.dropped_colour(dark),
            style.ink(dark))  # fmt: skip
