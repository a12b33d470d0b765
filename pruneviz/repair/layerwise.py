"""Repair layer by layer: each pruned layer is fitted to the outputs of the unpruned one.

The unpruned network runs once and leaves, at sampled positions, what every layer gave. Then the
pruned network runs once on the same images; just before a layer is called, what it reads now (the
layers before it are repaired by then) is regressed on the unpruned layer's outputs at the filters
that stay, and the layer runs with its new weights. So one pass of each repairs all layers in order.

He, Zhang & Sun (2017), *Channel Pruning for Accelerating Very Deep Neural Networks*,
arXiv:1707.06168, and Luo, Wu & Lin (2017), *ThiNet*, arXiv:1707.06342, reconstruct layers' outputs
by least squares, the former from the outputs of the unpruned network, as here. Taken from them: the
regression and its target. Zhang, Zou, He & Sun (2015), *Efficient and Accurate Approximations of
Nonlinear Convolutional Networks*, arXiv:1411.4229, fit a layer behind its ReLU; taken from them:
that goal. Ours: any layer that the graph knows, in one pass; the pull towards the present weights
and its strength chosen on images left out; the ReLU as an interval of outputs that will do, which
makes the problem convex; constants folded into norms.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from pruneviz.bars import Progress, bar
from pruneviz.channels import ChannelGraph, Layer
from pruneviz.plan import Plan
from pruneviz.repair import patches
from pruneviz.repair.calls import KINDS, LayerCall, OtherCall, Place, Run, watching
from pruneviz.repair.ridge import Lack, ridge
from pruneviz.repair.structure import Structure, structure

ROWS = 4096
"""Rows a layer is fitted to, at least; eight an image, or four for each weight of a filter, where
that is more."""
MOST_ROWS = 16384
ROUNDING = 1e-11
"""A layer that lacks less, as a fraction of its outputs' mean square, is as it was."""
HELD_OUT = 5
"""One image in five chooses the strength of the ridge."""


@dataclass(frozen=True)
class LayerRepair:
    """What became of one layer: errors are fractions of its unpruned outputs' mean square."""

    layer: str
    refitted: bool
    reason: str | None
    """Why the layer is as it was cut, None where it was refitted."""
    error_before: float
    error_after: float


@dataclass
class Reference:
    """What the unpruned network's layers gave at sampled positions, for some images."""

    images: Tensor
    """(N, C, H, W), normalised."""
    behind: Structure
    outputs: dict[str, Tensor] = field(default_factory=dict)
    """Layer -> (N, P, C_out)."""
    added: dict[str, Tensor] = field(default_factory=dict)
    """Layer -> (N, P, C_out) what is added to its outputs behind it."""
    where: dict[str, Tensor | None] = field(default_factory=dict)
    sizes: dict[str, torch.Size] = field(default_factory=dict)
    """Layer -> the shape of its outputs."""
    calls: dict[str, int] = field(default_factory=dict)
    """Layer -> how often it is called in a pass."""

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        tensors = [self.images, *self.outputs.values(), *self.added.values()]
        tensors += [w for w in self.where.values() if w is not None]
        return sum(t.nbytes for t in tensors)


def reference(model: nn.Module, graph: ChannelGraph, images: Tensor, seed: int) -> Reference:
    """Run the unpruned network once over `images` (N, C, H, W)."""
    out = Reference(images, structure(model, graph, images[:2]))
    held = _Held(out.behind)

    def visit(call: LayerCall, run: Run) -> Tensor:
        result = run()
        name = call.layer.name
        out.calls[name] = call.number + 1
        if call.number == 0:
            rows = min(max(ROWS, 8 * len(images), 4 * call.weight[0].numel()), MOST_ROWS)
            draw = zlib.crc32(f"{seed} {name}".encode())
            out.where[name] = patches.positions(call, result, rows, draw)
            out.sizes[name] = result.shape
            out.outputs[name] = patches.outputs(call, result, out.where[name])
            other = held.take(name)
            if other is not None:
                out.added[name] = patches.outputs(call, other, out.where[name])
        held.offer(call.place, result)
        return result

    with watching(model, graph, visit, held.notice):
        model(images)
    return out


class _Held:
    """Results of earlier calls, kept until the layer to whose outputs they are added has run."""

    def __init__(self, behind: Structure) -> None:
        self._others = behind.others
        self._wanted = set(behind.others.values())
        self._kept: dict[Place, Tensor] = {}

    def offer(self, place: Place, result: object) -> None:
        """Keep the result of a call, if a layer will want it."""
        if place in self._wanted and isinstance(result, Tensor):
            self._kept[place] = result

    def notice(self, call: OtherCall) -> None:
        """Offer the result of a call that is no layer's."""
        self.offer(call.place, call.result)

    def take(self, layer: str) -> Tensor | None:
        """What will be added to this layer's outputs; let go after the last layer that needs it."""
        place = self._others.get(layer)
        if place is None:
            return None
        wanted_by = [x for x, other in self._others.items() if other == place]
        last = wanted_by[-1] == layer
        return self._kept.pop(place, None) if last else self._kept.get(place)


def refit(
    pruned: nn.Module,
    graph: ChannelGraph,
    plan: Plan,
    unpruned: Reference,
    progress: Progress = None,
) -> tuple[LayerRepair, ...]:
    """Refit the pruned network's layers in place, in the order in which they run."""
    stays = _staying(graph, plan)
    repairs: dict[str, LayerRepair] = {}
    held = _Held(unpruned.behind)

    def visit(call: LayerCall, run: Run) -> Tensor:
        name = call.layer.name
        if call.number == 0:
            other = held.take(name)
            why = _why_not(call.layer, unpruned)
            repairs[name] = LayerRepair(name, False, why, 0.0, 0.0)
            if why is None:
                repairs[name] = _refit(call, other, unpruned, stays[name], pruned)
        result = run()
        held.offer(call.place, result)
        tick(len(repairs), len(graph.layers))
        return result

    with watching(pruned, graph, visit, held.notice), bar("Repairing", progress, "layer") as tick:
        pruned(unpruned.images)
    return tuple(
        repairs.get(x.name) or LayerRepair(x.name, False, _unreached(x), 0.0, 0.0)
        for x in graph.layers
    )


def _unreached(layer: Layer) -> str:
    if layer.kind not in KINDS:
        return f"{layer.kind} layers are not refitted"
    return "does not run in evaluation mode, or its weight is computed while the network runs"


def _why_not(layer: Layer, unpruned: Reference) -> str | None:
    if unpruned.calls.get(layer.name, 0) > 1:
        return "runs more than once in a pass"
    return None


def _staying(graph: ChannelGraph, plan: Plan) -> Mapping[str, Tensor]:
    """Layer -> indices of the filters that stay."""
    kept = plan.kept
    return {x.name: torch.from_numpy(np.flatnonzero(kept[x.units])) for x in graph.layers}


def _refit(
    call: LayerCall, other: Tensor | None, unpruned: Reference, stay: Tensor, pruned: nn.Module
) -> LayerRepair:
    """Refit one layer to what it reads now.

    Where something is added to the outputs behind the layer (a residual stream), what that lacks
    is asked of the layer too: its lack over the gain of the norm in between.
    """
    name = call.layer.name
    where, stay = unpruned.where[name], stay.to(call.x.device)
    x = patches.inputs(call, unpruned.sizes[name], where)
    count, places, groups, _ = x.shape
    rows = x.reshape(count * places, groups, -1).transpose(0, 1)
    target = unpruned.outputs[name][:, :, stay]
    added = None
    if other is not None and name in unpruned.added:
        added = patches.outputs(call, other, where)
        missing = unpruned.added[name][:, :, stay] - added
        per_sum = unpruned.behind.per_sum(name, pruned)
        target = target + (missing if per_sum is None else missing * per_sum)
    interval = unpruned.behind.interval(name, pruned, target, added)
    filters = call.weight.reshape(groups, -1, rows.shape[2]).transpose(1, 2)
    present = rows @ filters
    if call.bias is not None:
        present += call.bias.reshape(groups, 1, -1)

    def less(wanted: Tensor) -> Tensor:
        return wanted.reshape(count * places, groups, -1).transpose(0, 1) - present

    lack = Lack(less(target), None if interval is None else (less(interval[0]), less(interval[1])))
    energy = float(target.double().square().mean()) or 1.0
    before = lack.left(torch.zeros_like(present)) / energy
    if before < ROUNDING:
        return LayerRepair(name, False, None, before, before)
    constant = unpruned.behind.constant(call, pruned)
    held_out = _held_out(count, places).to(x.device)
    update = ridge(rows, lack, held_out, centred=constant is not None)
    if update is None:
        return LayerRepair(name, False, None, before, before)
    weight = call.weight.data
    weight.add_(update.weights.transpose(1, 2).reshape(weight.shape).to(weight.dtype))
    if constant is not None:
        constant(update.constant.flatten())
    return LayerRepair(name, True, None, update.before / energy, update.after / energy)


def _held_out(count: int, places: int) -> Tensor:
    """(N * P,) the rows of a fifth of the images, drawn; of a fifth of the rows of fewer images.

    Drawn at random, since the classes alternate: every fifth image would be of two classes of ten.
    """
    items = count if count >= HELD_OUT else count * places
    rng = torch.Generator().manual_seed(items)
    chosen = torch.zeros(items, dtype=torch.bool)
    chosen[torch.randperm(items, generator=rng)[: -(-items // HELD_OUT)]] = True
    return chosen.repeat_interleave(places) if count >= HELD_OUT else chosen
