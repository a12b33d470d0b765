"""One image through the network: every layer's feature maps, and what it is taken for."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph
from pruneviz.criteria.taps import Tap, find_taps, tapped
from pruneviz.modes import eval_mode
from pruneviz.outputs import logits
from pruneviz.plan import Plan, check_plan
from pruneviz.replay.columns import exact
from pruneviz.surgery import mask, prune
from pruneviz.trace import trace

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Passage:
    """What one image leaves in a network.

    `maps` holds each layer's feature map, float32 (filters, H, W), after the normalisation and
    activation that follow the layer directly; (filters, 1, 1) for a linear layer. A pruned filter's
    map is zero. `probabilities` is float64 (classes,), the softmax of the network's outputs.
    """

    layers: tuple[str, ...]
    maps: tuple[FloatArray, ...] = field(repr=False)
    probabilities: npt.NDArray[np.float64]

    @property
    def best(self) -> int:
        """The class that the network takes the image for."""
        return int(self.probabilities.argmax())

    def of(self, layer: str) -> FloatArray:
        """(filters, H, W): one layer's map; zero-sized where the layer has none in eval mode."""
        return self.maps[self.layers.index(layer)]

    def to_frame(self) -> pd.DataFrame:
        """One row a filter: its layer, and the mean and the maximum of its map."""
        import pandas as pd

        rows = [
            {"layer": layer, "filter": i, "mean": float(m.mean()), "max": float(m.max())}
            for layer, maps in zip(self.layers, self.maps, strict=True)
            for i, m in enumerate(maps)
        ]
        return pd.DataFrame(rows)


class Passages:
    """Sends an image through a network, and through what a plan leaves of it.

    Where masking gives the pruned network's outputs, only the masked network runs: a changed plan
    costs one forward pass of one image. May be used from several threads.

    Args:
        model: The network; it is not changed.
        graph: Its channels.
    """

    def __init__(self, model: nn.Module, graph: ChannelGraph) -> None:
        self.model, self.graph = model, graph
        self._taps: list[Tap] | None = None
        self._lock = threading.Lock()

    def __call__(self, image: Tensor, plan: Plan | None = None) -> Passage:
        """Return what an image (C, H, W), normalised as the data are, leaves in the network.

        Raises `PlanError` for a plan of another network.
        """
        if plan is None or not check_plan(self.graph, plan).dropped:
            return self._run(self.model, image)
        if exact(self.graph, plan):
            return self._run(mask(self.model, self.graph, plan), image)
        return self.through(prune(self.model, self.graph, plan), plan, image)

    def through(self, pruned: nn.Module, plan: Plan, image: Tensor) -> Passage:
        """Return what an image leaves in a network that a plan made smaller, repaired or trained.

        Its maps are put where their filters were in the unpruned network.
        """
        small = Passages(pruned, trace(pruned, tuple(image.shape)))(image)
        known = dict(zip(small.layers, small.maps, strict=True))
        spread = []
        for layer in self.graph.layers:
            kept = np.flatnonzero(plan.kept[layer.units])
            part = known.get(layer.name, np.zeros((len(kept), 0, 0), np.float32))
            whole = np.zeros((layer.out_channels, *part.shape[1:]), np.float32)
            whole[kept] = part
            spread.append(whole)
        names = tuple(layer.name for layer in self.graph.layers)
        return Passage(names, tuple(spread), small.probabilities)

    def _run(self, model: nn.Module, image: Tensor) -> Passage:
        batch = image.unsqueeze(0)
        with eval_mode(model), torch.no_grad():
            with self._lock:
                if self._taps is None:
                    self._taps = find_taps(self.model, self.graph, batch)
            maps: dict[str, FloatArray] = {}
            taps = self._taps

            def receive(index: int, map: Tensor) -> None:
                tap = taps[index]
                if tap.layer.name not in maps:
                    maps[tap.layer.name] = _by_filter(tap, map)

            with tapped(model, taps, receive):
                outputs = logits(model(batch))
        empty = np.zeros((0, 0, 0), np.float32)
        names = tuple(layer.name for layer in self.graph.layers)
        return Passage(
            names,
            tuple(maps.get(name, empty) for name in names),
            outputs[0].double().softmax(0).cpu().numpy(),
        )


def _by_filter(tap: Tap, map: Tensor) -> FloatArray:
    """(filters, H, W) of the one image, copied: the network may overwrite it."""
    value = map.detach().float()
    if tap.dim == -3 and tap.folded == 1 and value.ndim == 4:
        return value[0].cpu().numpy().copy()
    rows = tap.by_image(value)[0]
    return rows.unsqueeze(1).cpu().numpy().copy()
