"""A network's blocks and stages, and titles for its groups, read off names and wires.

A group is named after its first layer, which serves as a key. `group_titles` says what a person
reads: which layers lose filters together, and where.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from pruneviz.channels import ChannelGraph, Group

BLOCK_LAYERS = 8
"""A module with more layers than this is looked into, whatever its children are."""

T = TypeVar("T")


@dataclass(frozen=True)
class Block:
    """Successive layers of one module: a residual block, a dense layer, an inception block."""

    name: str
    """The module's; a layer that belongs to no block is a block of its own."""
    layers: tuple[str, ...]
    stage: int
    """Counted from 1; 0 before the first."""


def _once(work: Any) -> Any:
    """Computed once for each graph, and forgotten with it."""
    known: WeakKeyDictionary[ChannelGraph, Any] = WeakKeyDictionary()

    @wraps(work)
    def look(graph: ChannelGraph) -> Any:
        if graph not in known:
            known[graph] = work(graph)
        return known[graph]

    return look


@_once
def blocks(graph: ChannelGraph) -> tuple[Block, ...]:
    """The network's blocks in the order in which it computes them."""
    entries: list[tuple[str, str, list[str]]] = []
    for layer in graph.layers:
        parent, block = _block_of(layer.name, _tree(graph))
        if entries and entries[-1][1] == block and block != layer.name:
            entries[-1][2].append(layer.name)
        else:
            entries.append((parent, block, [layer.name]))
    numbers = _stages(graph, [(parent, names) for parent, _, names in entries])
    return tuple(
        Block(block, tuple(names), number)
        for (_, block, names), number in zip(entries, numbers, strict=True)
    )


@_once
def group_titles(graph: ChannelGraph) -> Mapping[str, str]:
    """Group name -> title on a screen; no two titles are the same.

    Example:
        >>> group_titles(graph)["conv1"]  # doctest: +SKIP
        'stage 1 stream: conv1 + 9 layers'
    """
    added = {(w.source, w.target) for w in graph.wires if w.kind == "adds"}
    stage = {name: block.stage for block in blocks(graph) for name in block.layers}
    titles = {group.name: _title(graph, group, added, stage) for group in graph.groups}
    often = Counter(titles.values())
    return {n: t if often[t] == 1 else f"{t} ({n})" for n, t in titles.items()}


def group_title(graph: ChannelGraph, name: str) -> str:
    """A group's title on a screen; `UnknownNameError` for an unknown group."""
    title: str = group_titles(graph)[graph.group(name).name]
    return title


def listed(names: Sequence[str], shown: int = 3) -> str:
    """Some names of many: `a, b, c and 7 more`."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def _title(
    graph: ChannelGraph, group: Group, added: set[tuple[str, str]], stage: Mapping[str, int]
) -> str:
    first, *rest = group.layers
    if not rest:
        return first
    inside = set(group.layers)
    if any(a in inside and b in inside for a, b in added):
        number = next((n for name in group.layers if (n := stage[name])), 0)
        return (
            f"stage {number} stream: {first} + {_count(rest)}"
            if number
            else (f"stream: {first} + {_count(rest)}")
        )
    if len(rest) == 1 and graph.layer(rest[0]).conv_groups == graph.layer(rest[0]).out_channels:
        return f"{first} + its depthwise layer"
    return f"{first} + {_count(rest)}"


def _count(layers: Sequence[str]) -> str:
    return f"{len(layers)} layer{'s' if len(layers) > 1 else ''}"


# -- blocks from module names ------------------------------------------------------------------


@_once
def _tree(graph: ChannelGraph) -> dict[str, list[str]]:
    """Module -> the names of all layers within it."""
    tree: dict[str, list[str]] = {}
    for layer in graph.layers:
        for parent in _parents(layer.name):
            tree.setdefault(parent, []).append(layer.name)
    return tree


def _parents(name: str) -> Iterable[str]:
    """The modules around a layer, the outermost first; the network itself is ""."""
    parts = name.split(".")
    return (".".join(parts[:i]) for i in range(len(parts)))


def _block_of(layer: str, tree: Mapping[str, list[str]]) -> tuple[str, str]:
    """The outermost module around a layer that is no sequence of blocks, and what holds it."""
    before = ""
    for module in _parents(layer):
        if module and len(tree[module]) > 1 and not _is_sequence(module, tree):
            return before, module
        before = module
    return before, layer


def _is_sequence(module: str, tree: Mapping[str, list[str]]) -> bool:
    """Whether a module holds blocks, and is none itself."""
    depth = module.count(".") + 1
    children: dict[str, int] = Counter(name.split(".")[depth] for name in tree[module])
    large = [child for child, count in children.items() if count > 1]
    numbered = all(child.isdigit() for child in large)
    if not large:
        return all(child.isdigit() for child in children)
    many = len(tree[module]) > BLOCK_LAYERS
    return many or (len(large) > 1 and numbered)


def _stages(graph: ChannelGraph, entries: Sequence[tuple[str, list[str]]]) -> list[int]:
    """A stage is a sequence of blocks; where the network has one only, a size of feature maps."""
    parents = [parent for parent, names in entries if len(names) > 1]
    if len(set(parents)) > 1:
        numbers, now, last = [], 0, None
        for parent, names in entries:
            if len(names) > 1 and parent != last:
                now, last = now + 1, parent
            numbers.append(now)
        return numbers
    numbers, sizes = [], dict[int, None]()
    for _, names in entries:
        layer = graph.layer(names[-1])
        if layer.kernel:
            smallest = min(sizes, default=layer.positions + 1)
            if layer.positions < smallest:
                sizes[layer.positions] = None
        numbers.append(max(1, len(sizes)))
    return numbers
