"""repair(): prune, then refit the remaining weights in closed form. No training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from pruneviz.bars import Progress
from pruneviz.channels import ChannelGraph
from pruneviz.errors import UnknownNameError
from pruneviz.plan import Plan
from pruneviz.repair.images import sample
from pruneviz.repair.instant import fold
from pruneviz.repair.layerwise import LayerRepair, Reference, reference, refit
from pruneviz.repair.moments import Statistics, statistics
from pruneviz.repair.norms import NormMoments, correct_norms, measure_norms, rebase_norms
from pruneviz.surgery import prune

if TYPE_CHECKING:
    import pandas as pd

    from pruneviz.data import DataSet

Depth = Literal["full", "instant"]
DEPTHS: tuple[Depth, ...] = ("instant", "full")
NORM_IMAGES = 64
"""Images that correct the batch norms' statistics after an instant repair, at most."""


@dataclass(frozen=True, eq=False)
class Repaired:
    """A pruned and repaired network, and what became of each of its layers."""

    network: nn.Module
    layers: tuple[LayerRepair, ...]
    depth: Depth
    images: int
    """Training images that the repair looked at."""

    @property
    def untouched(self) -> Mapping[str, str]:
        """The layers that could not be refitted and stay as they were cut: name -> why."""
        return {x.layer: x.reason for x in self.layers if x.reason is not None}

    def to_frame(self) -> pd.DataFrame:
        """One row per layer: refitted or why not, and its error before and after.

        Errors are mean squares of what the outputs lack, on images left out, as fractions of the
        unpruned outputs' mean square. Where a ReLU reads them, only what it lets through counts.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                "layer": [x.layer for x in self.layers],
                "refitted": [x.refitted for x in self.layers],
                "error_before": [x.error_before for x in self.layers],
                "error_after": [x.error_after for x in self.layers],
                "reason": [x.reason or "" for x in self.layers],
            }
        )


class Repairer:
    """Repairs plans of the same network, one after another, and gathers once what they share.

    `full` plans share one pass of the unpruned network, `instant` ones its `statistics`. Safe to
    use from several threads.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        data: DataSet,
        *,
        images: int | None = None,
        seed: int = 0,
        seen: Statistics | None = None,
    ) -> None:
        self.model, self.graph, self.data, self.images, self.seed = model, graph, data, images, seed
        if seen is not None:
            seen.check(model, graph)
            self.statistics = seen

    @cached_property
    def reference(self) -> Reference:
        """What the unpruned network's layers give."""
        (x,) = sample(self.model, self.graph, self.data, self.images)
        return reference(self.model, self.graph, x, self.seed)

    @cached_property
    def statistics(self) -> Statistics:
        """Moments of what the unpruned network's layers read."""
        return statistics(self.model, self.graph, self.data, images=self.images)

    @cached_property
    def norms(self) -> tuple[Tensor, NormMoments]:
        """Images, and what the unpruned network's batch norms read over them."""
        (x,) = sample(self.model, self.graph, self.data, NORM_IMAGES)
        return x, measure_norms(prune(self.model, self.graph, Plan(self.graph)), x)

    def prepare(self, depth: Depth = "full") -> None:
        """Gather what all plans share, so that the first does not wait for it."""
        if depth == "full":
            _ = self.reference
        else:
            _ = self.statistics, self.norms

    def full(self, plan: Plan, *, progress: Progress = None) -> Repaired:
        """Refit every layer, in order, to what it reads in the repaired network."""
        unpruned = self.reference
        pruned = prune(self.model, self.graph, plan)
        layers = refit(pruned, self.graph, plan, unpruned, progress)
        if any(layer.refitted for layer in layers):
            rebase_norms(pruned, unpruned.images)
        return Repaired(pruned, layers, "full", len(unpruned.images))

    def instant(self, plan: Plan) -> Repaired:
        """Fold pruned inputs into the others; then correct the batch norms' statistics."""
        seen = self.statistics
        pruned = prune(self.model, self.graph, plan)
        with torch.no_grad():
            layers = fold(self.model, pruned, self.graph, plan, seen)
        correct_norms(self.model, pruned, self.graph, plan, *self.norms)
        return Repaired(pruned, layers, "instant", seen.images)

    def __call__(self, plan: Plan, depth: Depth = "full", *, progress: Progress = None) -> Repaired:
        """Repair a plan at either depth."""
        if depth not in DEPTHS:
            raise UnknownNameError("depth", depth, DEPTHS)
        return self.full(plan, progress=progress) if depth == "full" else self.instant(plan)


def repair(
    model: nn.Module,
    graph: ChannelGraph,
    plan: Plan,
    data: DataSet,
    *,
    images: int | None = None,
    depth: Depth = "full",
    seed: int = 0,
    seen: Statistics | None = None,
    progress: Progress = None,
) -> nn.Module:
    """Prune a network and repair the rest in closed form: no training, no labels.

    Let X be the input of a layer in the pruned (and so far repaired) network, and Y that layer's
    output in the unpruned one, at the filters that are kept. Its weights W become

        argmin_W dist(X W, [Y])^2 + s ||W - W_cut||^2

    where [Y] is Y itself, or, if a ReLU (and nothing else) reads the outputs, all outputs of which
    it makes the same as of Y.

    The result is an ordinary, smaller module of the same class; the original is untouched. A layer
    that cannot be refitted keeps its remaining weights; `Repairer(...).full(plan).untouched` says
    which and why.

    Args:
        model: The unpruned network.
        graph: Its channels, from `trace`.
        plan: Which units go.
        data: Its training images (N, C, H, W) are used, never its labels.
        images: How many, balanced over the classes; by default 512, fewer if they are large.
        depth: "full" refits layer by layer; "instant" uses moments gathered once for all plans and
            takes milliseconds per plan, plus one pass of a few images to correct the batch norms'
            statistics.
        seed: Draws the positions that are sampled; the same seed gives the same network.
        seen: For "instant": what `statistics` gathered before.
        progress: Called with the layers done and their number; False for no bar.

    Raises:
        PlanError: The plan or the graph belongs to another network.
        DataError: There are no training images.
        InvalidValueError: Fewer than one image, or statistics of another network.

    Sources: He, Zhang & Sun 2017; Luo, Wu & Lin 2017 (ThiNet); Zhang, Zou, He & Sun 2015; Hassibi &
    Stork 1993.

    >>> import pruneviz as pv
    >>> data = pv.load_dataset("digits")
    >>> model = pv.load_model("resnet20", weights="digits")
    >>> graph = pv.trace(model, data.input_shape)
    >>> plan = pv.threshold(graph, pv.rank(model, graph, None, "l2"), "l2", 0.5)
    >>> cut, small = pv.prune(model, graph, plan), pv.repair(model, graph, plan, data)
    >>> pv.evaluate(cut, data).accuracy < 0.2 < 0.9 < pv.evaluate(small, data).accuracy
    True
    """
    repairer = Repairer(model, graph, data, images=images, seed=seed, seen=seen)
    return repairer(plan, depth, progress=progress).network
