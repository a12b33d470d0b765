"""The ribbon as a still picture for notebooks and reports: SVG, without any script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from pruneviz.figures import style
from pruneviz.figures.ribbon import Ribbon, RibbonArc, RibbonBar

ARCS, BARS, LABELS = 46.0, 84.0, 18.0
"""Heights of the three rows."""
MARGIN = 8.0


@dataclass(frozen=True)
class Svg:
    """A picture as SVG text; notebooks show it as it is."""

    text: str

    def _repr_svg_(self) -> str:
        return self.text

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file and return its path."""
        file = Path(path)
        file.write_text(self.text, encoding="utf-8")
        return file


def ribbon_svg(
    ribbon: Ribbon,
    kept: Sequence[int] | None = None,
    *,
    colours: Sequence[str | None] = (),
    dark: bool = False,
) -> Svg:
    """Draw the ribbon; `kept` filters a layer (all by default) in blue, pruned ones in orange.

    `colours`, one a layer, replace the blue.
    """
    own = tuple(colours) or (None,) * len(ribbon.bars)
    left = tuple(bar.filters for bar in ribbon.bars) if kept is None else tuple(kept)
    width, height = ribbon.width + 2 * MARGIN, ARCS + BARS + LABELS
    ink = style.ink(dark)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-MARGIN:g} 0 {width:g} {height:g}" '
        f'width="100%" style="max-width:{2 * width:g}px" role="img" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="9" fill="{ink}">',
        f"<title>{escape(described(ribbon, left))}</title>",
        *(_arc(arc, ink) for arc in ribbon.arcs),
        *(_bar(*each, dark) for each in zip(ribbon.bars, left, own, strict=True)),
    ]
    for stage in ribbon.stages:
        y = ARCS + BARS + 4
        parts.append(
            f'<path d="M{stage.x:g} {y:g}H{stage.x + stage.width:g}" stroke="{ink}" '
            f'opacity="0.4"/><text x="{stage.x:g}" y="{y + 11:g}" opacity="0.8">'
            f"{escape(_label(stage.label, stage.width))}</text>"
        )
    return Svg("\n".join([*parts, "</svg>"]))


def described(ribbon: Ribbon, kept: Sequence[int]) -> str:
    """The picture in words, for those who do not see it."""
    pruned = sum(bar.filters - count for bar, count in zip(ribbon.bars, kept, strict=True))
    total = sum(bar.filters for bar in ribbon.bars)
    stages = sum(stage.label != "stem" for stage in ribbon.stages)
    return (
        f"{len(ribbon.bars)} layers in {stages} stage{'s' if stages != 1 else ''}, "
        f"{pruned:,} of {total:,} output channels pruned"
    )


def _label(label: str, width: float) -> str:
    """The stage's label, or its number alone where there is no room for more."""
    return label if 5 * len(label) <= width + 8 else label.removeprefix("stage ")


def _bar(bar: RibbonBar, kept: int, own: str | None, dark: bool) -> str:
    top = ARCS + BARS * (1 - bar.height)
    # Heights are square roots of widths, so that what is kept is as tall as a layer that wide.
    inner = BARS * bar.height * (kept / bar.filters) ** 0.5
    colour = own or (style.GREY if bar.reason else style.kept_colour(dark))
    gone = BARS * bar.height - inner
    title = f"{bar.layer}: {bar.filters} filters, {bar.filters - kept} pruned"
    return (
        f'<g><title>{escape(title)}</title><rect x="{bar.x:g}" y="{top:g}" width="{bar.width:g}" '
        f'height="{gone:.2f}" fill="{style.dropped_colour(dark)}"/><rect x="{bar.x:g}" '
        f'y="{top + gone:.2f}" width="{bar.width:g}" height="{inner:.2f}" fill="{colour}"/></g>'
    )


def _arc(arc: RibbonArc, ink: str) -> str:
    """An arc from top to top, above what it skips."""
    y0, y1 = (ARCS + BARS * (1 - height) - 2 for height in (arc.h0, arc.h1))
    rise = max(-10, min(y0, y1) - 10 - (arc.x1 - arc.x0) / 3)
    dash = ' stroke-dasharray="3 2"' if arc.kind == "multiplies" else ""
    width = 0.8 if arc.kind == "reads" else 1.4
    return (
        f'<path d="M{arc.x0:g} {y0:.1f}C{arc.x0:g} {rise:.1f} {arc.x1:g} {rise:.1f} {arc.x1:g} '
        f'{y1:.1f}" fill="none" stroke="{ink}" stroke-width="{width}" opacity="0.45"{dash}/>'
    )
