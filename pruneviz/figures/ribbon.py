"""The network as one picture: a bar a layer from left to right, arcs where branches meet.

`ribbon_layout` places bars, arcs and folded blocks; it knows neither a plan nor a screen. What a
plan leaves of each layer is `kept_filters`: a slider changes these numbers and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pruneviz.channels import ChannelGraph, WireKind
from pruneviz.stages import Block, blocks, group_titles

FOLDED_FROM = 40
"""Networks with more layers than this begin with their blocks folded."""
BAR, GAP = 12.0, 4.0
SLAT, CRACK = 3.5, 0.8
"""Of a layer within a folded block: its bar, and the space after it."""
BLOCK_GAP, STAGE_GAP = 7.0, 16.0


@dataclass(frozen=True)
class RibbonBar:
    """A layer: its place in the picture and what there is to say about it."""

    layer: str
    kind: str
    x: float
    width: float
    height: float
    """0..1: the square root of its filters' share of the widest layer's."""
    filters: int
    macs: int
    group: str
    """What a person calls the group of its filters."""
    coupled: tuple[int, ...]
    """The places of the bars whose filters go together with some of this one's."""
    fold: int
    """The place of its block in `Ribbon.folds`."""
    reason: str | None
    """Why it cannot be pruned."""


@dataclass(frozen=True)
class RibbonArc:
    """A connection that skips layers, from bar to bar."""

    source: int
    target: int
    kind: WireKind
    x0: float
    x1: float
    h0: float
    """0..1: how high it begins, as the bar's or the folded block's height."""
    h1: float


@dataclass(frozen=True)
class RibbonFold:
    """A block: successive layers that can be drawn as one."""

    name: str
    first: int
    last: int
    """The places of its first and its last bar."""
    x: float
    width: float
    folded: bool

    @property
    def middle(self) -> float:
        """Where arcs end that lead to the folded block."""
        return self.x + self.width / 2


@dataclass(frozen=True)
class RibbonStage:
    """Successive blocks that work at one size, or in one module."""

    label: str
    x: float
    width: float


@dataclass(frozen=True)
class Ribbon:
    """The whole picture, in units of its own."""

    bars: tuple[RibbonBar, ...]
    arcs: tuple[RibbonArc, ...]
    folds: tuple[RibbonFold, ...]
    stages: tuple[RibbonStage, ...]
    width: float


def ribbon_layout(graph: ChannelGraph, *, unfolded: Collection[str] | None = None) -> Ribbon:
    """Place a network's layers, blocks and stages from left to right, and the arcs over them.

    Args:
        graph: The network's channels.
        unfolded: Names of the blocks whose layers are drawn one by one; None for all of them in a
            network of up to 40 layers, and for none in a larger one.
    """
    every = blocks(graph)
    if unfolded is None:
        unfolded = {b.name for b in every} if len(graph.layers) <= FOLDED_FROM else ()
    folds, places = _place(every, unfolded)
    titles = group_titles(graph)
    index = {layer.name: i for i, layer in enumerate(graph.layers)}
    fold_of = [i for i, fold in enumerate(folds) for _ in range(fold.first, fold.last + 1)]
    widest = max(layer.out_channels for layer in graph.layers)
    bars = tuple(
        RibbonBar(
            layer=layer.name,
            kind=layer.kind,
            x=places[i][0],
            width=places[i][1],
            height=float(np.sqrt(layer.out_channels / widest)),
            filters=layer.out_channels,
            macs=layer.macs,
            group=titles[layer.group],
            coupled=tuple(
                sorted(
                    {index[n] for g in layer.groups for n in graph.group(g).layers if n in index}
                    - {i}
                )
            ),
            fold=fold_of[i],
            reason=None if layer.prunable else layer.reason,
        )
        for i, layer in enumerate(graph.layers)
    )
    width = folds[-1].x + folds[-1].width
    return Ribbon(bars, _arcs(graph, index, bars, folds), folds, _stages(every, folds), width)


def kept_filters(graph: ChannelGraph, kept: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """How many filters each layer keeps, given which units stay: (num_units,) bool."""
    return tuple(int(kept[layer.units].sum()) for layer in graph.layers)


def _place(
    every: Iterable[Block], unfolded: Collection[str]
) -> tuple[tuple[RibbonFold, ...], list[tuple[float, float]]]:
    """Blocks from left to right, and (x, width) of each layer's bar."""
    folds: list[RibbonFold] = []
    places: list[tuple[float, float]] = []
    x, last = 0.0, None
    for block in every:
        if last is not None:
            x += STAGE_GAP if block.stage != last.stage else BLOCK_GAP
        last = block
        folded = len(block.layers) > 1 and block.name not in unfolded
        bar, gap = (SLAT, CRACK) if folded else (BAR, GAP)
        start = x
        for _ in block.layers:
            places.append((x, bar))
            x += bar + gap
        x -= gap
        first = len(places) - len(block.layers)
        folds.append(RibbonFold(block.name, first, len(places) - 1, start, x - start, folded))
    return tuple(folds), places


def _arcs(
    graph: ChannelGraph,
    index: dict[str, int],
    bars: tuple[RibbonBar, ...],
    folds: tuple[RibbonFold, ...],
) -> tuple[RibbonArc, ...]:
    """What skips layers; of several arcs between the same ends one, and no detour's shortcut."""

    def end(bar: int) -> tuple[float, float]:
        fold = folds[bars[bar].fold]
        if not fold.folded:
            return bars[bar].x + bars[bar].width / 2, bars[bar].height
        return fold.middle, max(b.height for b in bars[fold.first : fold.last + 1])

    arcs: dict[tuple[float, float, WireKind], RibbonArc] = {}
    for wire in graph.wires:
        if wire.source not in index or wire.target not in index:
            continue
        source, target = sorted((index[wire.source], index[wire.target]))
        (x0, h0), (x1, h1) = end(source), end(target)
        follows = wire.kind == "reads" and target == source + 1
        if x0 != x1 and not follows:
            arcs.setdefault(
                (x0, x1, wire.kind), RibbonArc(source, target, wire.kind, x0, x1, h0, h1)
            )
    onward: dict[float, set[float]] = {}
    for x0, x1, kind in arcs:
        if kind == "concatenates":
            onward.setdefault(x0, set()).add(x1)

    def by_a_detour(arc: RibbonArc) -> bool:
        return arc.kind == "concatenates" and any(
            arc.x1 in onward.get(middle, ()) for middle in onward[arc.x0] - {arc.x1}
        )

    return tuple(arc for arc in arcs.values() if not by_a_detour(arc))


def _stages(every: tuple[Block, ...], folds: tuple[RibbonFold, ...]) -> tuple[RibbonStage, ...]:
    stages: list[RibbonStage] = []
    numbers = [block.stage for block in every]
    for number in dict.fromkeys(numbers):
        own = [fold for fold, n in zip(folds, numbers, strict=True) if n == number]
        label = f"stage {number}" if number else "stem"
        x = own[0].x
        stages.append(RibbonStage(label, x, own[-1].x + own[-1].width - x))
    return tuple(stages)
