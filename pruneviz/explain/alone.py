"""What if only this filter went? Asked of every filter of a layer, by replay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pruneviz.channels import ChannelGraph
from pruneviz.drawing import draw

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from pruneviz.data import DataSet


@dataclass(frozen=True, eq=False)
class Alone:
    """The accuracy of the network without one filter, for each filter of a layer.

    `accuracy` is float64 (filters,), 0..1, on `images` images; nan for filters that cannot go.
    `loss` is float64 (filters,), the change of the mean cross-entropy. What is coupled to a filter
    goes with it; nothing is repaired.
    """

    layer: str
    baseline: float
    accuracy: npt.NDArray[np.float64] = field(repr=False)
    loss: npt.NDArray[np.float64] = field(repr=False)
    images: int
    total: int

    @property
    def final(self) -> bool:
        """Whether all images have been seen."""
        return self.images == self.total

    @property
    def change(self) -> npt.NDArray[np.float64]:
        """(filters,) the change of accuracy, negative where it falls."""
        return self.accuracy - self.baseline

    def to_frame(self) -> pd.DataFrame:
        """One row a filter: accuracy, its change, and the change of the loss."""
        import pandas as pd

        return pd.DataFrame(
            {
                "filter": np.arange(len(self.accuracy)),
                "accuracy": self.accuracy,
                "change": self.change,
                "loss_change": self.loss,
            }
        )

    def figure(self, *, dark: bool = False, height: int | None = None) -> Any:
        """A bar a filter: how far accuracy changes if it goes alone."""
        return draw(self, dark=dark, height=height)


def alone(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    layer: str,
    *,
    images: int | None = 256,
    split: str = "val",
) -> Iterator[Alone]:
    """Silence each filter of a layer by itself; yields a result that grows by mini-batches.

    Args:
        model: The network; it is not changed.
        graph: Its channels.
        data: Where the images come from.
        layer: The layer's name.
        images: How many, classes balanced; None for the whole split.
        split: "train", "val" or "test".

    Raises:
        UnknownNameError: There is no such layer or split.
    """
    from pruneviz.replay import oracle

    target = graph.layer(layer)
    for seen in oracle(model, graph, data, images=images, split=split, groups=target.groups):
        correct = seen.correct[target.units].astype(float)
        correct[correct < 0] = np.nan
        yield Alone(
            layer=layer,
            baseline=seen.baseline_correct / seen.images,
            accuracy=correct / seen.images,
            loss=seen.change[target.units],
            images=seen.images,
            total=seen.total,
        )
