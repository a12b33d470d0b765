"""How PruneViz's pictures look: one palette, one template for light and dark, numbers with units.

The colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart;
what matters is never told by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#8A8F98"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, "#7F6A00", GREY)
SERIES_DARK = (SKY, ORANGE, "#2FC79A", PURPLE, "#8FB8FF", "#FF8A3D", YELLOW, "#A9AFBA")

# Sequential scales for "how much": light paper goes to dark ink, dark paper to bright light.
SCALE = ["#EAF2F9", "#BBD7EC", "#7FB5DB", "#3A8BC2", "#0B5C94", "#06365A"]
SCALE_DARK = ["#18324A", "#1F4E75", "#2B74A8", "#4B9FD4", "#8CC8EE", "#E3F3FF"]

FONT = "Source Sans, Source Sans Pro, Helvetica, Arial, sans-serif"
MINUS = "\N{MINUS SIGN}"
TOOLBAR = 32
"""Pixels at the top of a figure that are Plotly's toolbar's."""
NARROW = "\N{NARROW NO-BREAK SPACE}"


def kept_colour(dark: bool) -> str:
    """The colour of what stays."""
    return SKY if dark else BLUE


def dropped_colour(dark: bool) -> str:
    """The colour of what goes."""
    return "#FF8A3D" if dark else VERMILLION


def ink(dark: bool) -> str:
    """The colour of text and lines."""
    return "#E6E8EB" if dark else "#24292F"


def grid(dark: bool) -> str:
    """The colour of grid lines."""
    return "rgba(230,232,235,0.14)" if dark else "rgba(36,41,47,0.12)"


@cache
def template(dark: bool) -> Any:
    """Return the plotly template that all figures share."""
    axis = {
        "gridcolor": grid(dark),
        "zeroline": False,
        "linecolor": grid(dark),
        "automargin": True,
        "exponentformat": "power",  # not 40µ; axes of MACs and parameters have their prefixes
        "ticklabelstandoff": 3,  # the zeros of both axes do not touch
        "title": {"standoff": 8, "font": {"size": 13}},
    }
    return go.layout.Template(
        layout={
            "colorway": SERIES_DARK if dark else SERIES,
            "font": {"color": ink(dark), "size": 13, "family": FONT},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "xaxis": axis,
            "yaxis": axis,
            "margin": {"l": 56, "r": 16, "t": TOOLBAR, "b": 48},
            "hoverlabel": {
                "bgcolor": "#2B2F36" if dark else "#FFFFFF",
                "font": {"color": ink(dark)},
                "align": "left",
            },
            "legend": {
                "orientation": "h",
                "yref": "container",  # at the foot: on top, long ones would lie on the toolbar
                "yanchor": "bottom",
                "y": 0,
                "xref": "container",
                "xanchor": "left",
                "x": 0,
            },
            "title": {
                "x": 0,
                "xanchor": "left",
                "font": {"size": 15},
                "yref": "container",
                "y": 1,
                "yanchor": "top",
                "pad": {"t": TOOLBAR},
            },
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": ink(dark)},
        }
    )


def new_figure(dark: bool, height: int = 360, **layout: Any) -> Any:
    """Return an empty figure in PruneViz's style."""
    figure = go.Figure()
    figure.update_layout(template=template(dark), height=height, **layout)
    return figure


def whole_ticks(last: int) -> dict[str, int | str]:
    """An axis that counts from 1: ticks at whole numbers alone, ten or so of them."""
    return {"tick0": 0, "dtick": max(1, -(-last // 10)), "tickformat": "d"}


def name_ticks(names: Sequence[str], room: int = 100) -> dict[str, Any]:
    """An x axis with a name at each whole number from 0: every so many where there are many.

    Names lie flat where all of them fit into `room` characters, otherwise they are slanted.
    """
    step = max(1, round(len(names) / 32))
    shown = [short(name) for name in names[::step]]
    flat = len(shown) * (2 + max(map(len, shown), default=0)) <= room
    return {
        "tickvals": list(range(len(names)))[::step],
        "ticktext": shown,
        "tickangle": 0 if flat else -50,
        "tickfont": {"size": 12 if flat else 10},
    }


def score(value: float) -> str:
    """Format a score, however small: `0.6592`, `4.70×10⁻⁶`; never with a prefix such as µ."""
    if not math.isfinite(value):
        return "–"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}".replace("-", MINUS)
    digits, _, power = f"{value:.2e}".partition("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits}×10{raised}".replace("-", MINUS)


def counted(number: int, what: str, several: str = "") -> str:
    """Say how many: `1 group`, `2 groups`; `several` is a plural that takes more than an s."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {several or what + 's'}"


def signed(value: float) -> str:
    """A correlation: two digits, with a true minus; a dash where there is none."""
    return f"{value:.2f}".replace("-", MINUS) if math.isfinite(value) else "–"


def of(count: int, whole: int) -> str:
    """Say "3 of 8" where a course is looked at before its end; the end of one under way is open."""
    return f"{count} of {whole}" if count < whole else f"{count}"


def si(value: float, unit: str = "", digits: int = 3) -> str:
    """Format a number with an SI prefix: `si(41_223_424, "MACs")` is `41.2 M MACs`."""
    if value is None or not math.isfinite(value):
        return "–"
    sign = MINUS if value < 0 else ""
    size = abs(value)
    for step, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= step * 0.9995:
            size, tail = size / step, prefix
            break
    else:
        tail = ""
    if not tail and float(size).is_integer():
        text = f"{int(size)}"
    else:
        before = len(str(int(size)))
        text = f"{size:.{max(0, digits - before)}f}"
    parts = [f"{sign}{text}{' ' + tail if tail else ''}", unit]
    return NARROW.join(p.replace(" ", NARROW) if i == 0 else p for i, p in enumerate(parts) if p)


def percent(fraction: float, digits: int = 1) -> str:
    """Format a fraction: `percent(0.987)` is `98.7 %`; no answer is a dash."""
    if fraction is None or not math.isfinite(fraction):
        return "–"
    text = f"{100 * abs(fraction):.{digits}f}"
    sign = MINUS if fraction < 0 and float(text) != 0 else ""
    return f"{sign}{text}{NARROW}%"


def share(fraction: float) -> str:
    """Format a share of a cost: what rounds to nothing but is something, as `< 0.1 %`."""
    return f"< 0.1{NARROW}%" if 0 < fraction < 0.0005 else percent(fraction)


def change(after: float, before: float, digits: int = 0) -> str:
    """Format a relative change with its sign: `change(1, 2)` is `−50 %`."""
    if not before:
        return "–"
    fraction = after / before - 1
    text = percent(fraction, digits)
    return text if fraction <= 0 else f"+{text}"


def accuracy_axis(low: float, high: float, least: float = 0.05) -> dict[str, Any]:
    """An axis of accuracies from `low` to `high`, with some room around them.

    It spans at least `least`, so that no two ticks read alike and noise does not fill a chart.
    """
    missing = max(0.0, least - (high - low)) / 2
    low, high = low - missing, high + missing
    low, high = max(0.0, low - max(0.0, high - 1)), min(1.0, high + max(0.0, -low))
    room = max(0.01, 0.06 * (high - low))
    edge = 0.03 * (high - low)  # no tick below 0 or above 100 %, and whole markers at both
    bottom, top = max(-edge, low - room), min(1 + edge, high + room)
    return {"range": [bottom, top], "tickformat": ".0%" if top - bottom > 0.1 else ".1%"}


def points(after: float, before: float) -> str:
    """Format a difference of two fractions in percentage points: `−1.2 points`."""
    if not (math.isfinite(after) and math.isfinite(before)):
        return "–"
    difference = 100 * (after - before)
    text = f"{abs(difference):.1f}"
    sign = "±" if float(text) == 0 else (MINUS if difference < 0 else "+")
    return f"{sign}{text}{NARROW}points"


def short(name: str, length: int = 18) -> str:
    """Shorten a layer's name from its beginning: the end tells more."""
    return name if len(name) <= length else "…" + name[-(length - 1) :].lstrip(".")


def wrapped(name: str, line: int = 34) -> str:
    """Break a long name for a legend, which would cut it off on a narrow chart."""
    return "<br>".join(wrap(name, line)) or name


def short_title(title: str, length: int = 36) -> str:
    """Shorten a group's title: the layer's name in it gives way, from its beginning."""
    place, _, rest = title.rpartition(": ")
    name, plus, others = rest.partition(" + ")
    around = len(title) - len(name)
    before = f"{place}: " if place else ""
    return f"{before}{short(name, max(8, length - around))}{plus}{others}"
