"""The share card: 1200 × 630 pixels that say what a pruning did."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

from pruneviz.figures import style
from pruneviz.report.facts import Facts

SIZE = (1200, 630)
_EDGE = 64
_INK, _SOFT, _GROUND = "#24292F", "#57606A", "#FFFFFF"


def share_card(facts: Facts) -> bytes:
    """Return the card as PNG, 1200 × 630 pixels: before, after, and each layer's width."""
    image = Image.new("RGB", SIZE, _GROUND)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, SIZE[0], 12), fill=style.BLUE)
    draw.text((_EDGE, 48), _fit(draw, facts.title, 46), font=_font(46), fill=_INK)
    told = f"on {facts.data}, {facts.stages[-1].count} {_split(facts.split)} images"
    draw.text((_EDGE, 110), told, font=_font(26), fill=_SOFT)
    boxes = _boxes(facts)
    width = (SIZE[0] - 2 * _EDGE) / len(boxes)
    for place, (name, value, note) in enumerate(boxes):
        left = _EDGE + place * width
        draw.text((left, 180), name, font=_font(24), fill=_SOFT)
        draw.text((left, 212), value, font=_font(52), fill=_INK)
        draw.text((left, 280), note, font=_font(22), fill=_SOFT)
    _widths(draw, facts)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _boxes(facts: Facts) -> list[tuple[str, str, str]]:
    first, last = facts.stages[0], facts.stages[-1]
    low, high = last.interval
    cost = facts.cost
    boxes = [
        (
            f"Accuracy ({last.name})",
            _percent(last.accuracy),
            f"95 %: {100 * low:.1f} to {_percent(high)}\nwas {_percent(first.accuracy)}",
        ),
        (
            "MACs",
            f"{100 * cost.macs_ratio:.0f} %",
            f"{_si(cost.macs)} of {_si(cost.baseline_macs)}",
        ),
        (
            "Parameters",
            f"{100 * cost.params_ratio:.0f} %",
            f"{_si(cost.params)} of {_si(cost.baseline_params)}",
        ),
    ]
    if facts.latency is not None:
        before, after = facts.latency.timings[0].median, facts.latency.of("pruned").median
        boxes.append(
            (
                "Latency",
                f"{1e3 * after:.2f} ms",
                f"was {1e3 * before:.2f} ms\nPyTorch, {facts.latency.device.upper()}, one image",
            )
        )
    return boxes


def _widths(draw: ImageDraw.ImageDraw, facts: Facts) -> None:
    """A bar a layer: what stays in blue, what went above it in orange."""
    graph = facts.plan.graph
    top, bottom, left, right = 366, 548, _EDGE, SIZE[0] - _EDGE
    layers = [layer for layer in graph.layers if layer.prunable] or list(graph.layers)
    widest = max(layer.out_channels for layer in layers)
    step = (right - left) / len(layers)
    for place, layer in enumerate(layers):
        kept = int(facts.plan.kept[layer.units].sum())
        x0 = left + place * step
        x1 = max(x0 + 1, x0 + step * 0.82)
        whole = bottom - (bottom - top) * layer.out_channels / widest
        stays = bottom - (bottom - top) * kept / widest
        draw.rectangle((x0, whole, x1, bottom), fill="#F6C9A8")
        draw.rectangle((x0, stays, x1, bottom), fill=style.BLUE)
    foot = f"Filters of the {len(layers)} prunable layers: blue kept, orange pruned"
    draw.text((_EDGE, 566), foot, font=_font(22), fill=_SOFT)
    made = "PruneViz"
    draw.text((right - draw.textlength(made, _font(22)), 566), made, font=_font(22), fill=_INK)


def _fit(draw: ImageDraw.ImageDraw, text: str, size: int) -> str:
    """As much of a text as fits on a line."""
    room = SIZE[0] - 2 * _EDGE
    if draw.textlength(text, _font(size)) <= room:
        return text
    while text and draw.textlength(f"{text}...", _font(size)) > room:
        text = text[:-1]
    return f"{text.rstrip()}..."


def _split(split: str) -> str:
    return "test" if split == "test" else "validation"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _si(value: float) -> str:
    return style.si(value).replace(style.NARROW, " ")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
