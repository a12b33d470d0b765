"""The numbers of the bar as HTML: all of them on a wide screen, what counts on a narrow one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from pruneviz.figures import style


@dataclass(frozen=True)
class Part:
    """A number with its name. On a narrow screen those with a `brief` name are left.

    `note` and `of` are HTML; the other texts are escaped.
    """

    name: str
    value: str
    note: str = ""
    brief: str = ""
    """What a narrow screen calls it; empty: it waits behind the fold."""
    brief_value: str = ""
    """What a narrow screen shows for the value and its note; by default the value."""
    stale: bool = False
    """Whether the value is that of the plan before."""
    tip: str = ""


def cost_part(name: str, after: int, before: int, brief: str = "") -> Part:
    """A cost of the plan, its change, and what it was; a narrow screen has room for the change."""
    if after == before:
        return Part(name, style.si(after), brief=brief)
    change = style.change(after, before)
    return Part(name, style.si(after), f"{change} of {style.si(before)}", brief, change)


def bar_html(parts: Iterable[Part], *, opened: bool) -> str:
    """Write the bar's numbers. `opened` shows all of them on a narrow screen, too."""
    marks = "pv-bar" if opened else "pv-bar pv-folded"
    return f'<div class="{marks}" role="status">{"".join(map(_html, parts))}</div>'


def runs_html(parts: Iterable[Part], share: float, more: str, *, opened: bool) -> str:
    """Write what runs in the background; folded, a narrow screen shows one thin line of it.

    `share` (0..1) is how much of the first run is done.
    """
    listed = tuple(parts)
    about = escape(f"{listed[0].name}: {style.percent(share, 0)} done") if listed else ""
    line = f'<progress max="1" value="{share:.3f}" title="{about}" aria-label="{about}"></progress>'
    marks = "pv-bar" if opened else "pv-bar pv-folded"
    rest = f'<span class="pv-part pv-more pv-note">{escape(more)}</span>' if more else ""
    return f'<div class="{marks}">{line}{"".join(map(_html, listed))}{rest}</div>'


def _html(part: Part) -> str:
    marks = " ".join(["pv-part"] + ["pv-more"] * (not part.brief) + ["pv-stale"] * part.stale)
    tip = f' title="{escape(part.tip)}"' if part.tip else ""
    whole = (
        f'<span class="pv-more"><span class="pv-name">{escape(part.name)}</span> '
        f'<b>{part.value}</b> <span class="pv-note">{part.note}</span></span>'
    )
    brief = (
        f'<span class="pv-brief"><span class="pv-name">{escape(part.brief)}</span> '
        f"<b>{part.brief_value or part.value}</b></span>"
    )
    return f'<span class="{marks}"{tip}>{whole}{brief if part.brief else ""}</span>'
