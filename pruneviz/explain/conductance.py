"""How much each filter of a layer speaks for each class: layer attribution by conductance.

Dhamdhere, Sundararajan & Yan, *How Important Is a Neuron?* (2018): the part of Integrated Gradients
that flows through a filter, summed over its map. Over all filters of a layer that everything passes
through, the parts add up to F(image) - F(mean colour).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pruneviz.channels import ChannelGraph

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

STEPS = 16
"""Steps along the way from the mean colour to the image."""
AT_ONCE = 64
"""Images, times steps, of a forward pass."""


@dataclass(frozen=True, eq=False)
class Conductance:
    """Mean conductance of a layer's filters by class, float64 (classes, filters).

    Positive: the filter speaks for the class, on images of it; nan for a class without images.
    """

    layer: str
    by_class: npt.NDArray[np.float64] = field(repr=False)
    images: int

    def to_frame(self) -> pd.DataFrame:
        """One row a class and filter."""
        import pandas as pd

        classes, filters = self.by_class.shape
        index = pd.MultiIndex.from_product([range(classes), range(filters)])
        frame = pd.DataFrame({"conductance": self.by_class.ravel()}, index=index)
        return frame.reset_index(names=["class", "filter"])


def conductance(
    model: nn.Module,
    graph: ChannelGraph,
    layer: str,
    images: Tensor,
    labels: Tensor,
    classes: int,
) -> Conductance:
    """Ask how much each filter of a layer speaks for the true class of some images.

    Args:
        model: The network; it is not changed.
        graph: Its channels.
        layer: The layer's name.
        images: (N, C, H, W), normalised as the network's data are.
        labels: (N,) int64, their classes.
        classes: How many classes there are.

    Raises:
        UnknownNameError: There is no such layer.
    """
    import torch
    from captum.attr import LayerConductance

    from pruneviz.explain.attribution import answering

    name = graph.layer(layer).name
    net, own = answering(model)
    attributions = LayerConductance(net, own.get_submodule(name)).attribute(
        images, target=labels, n_steps=STEPS, internal_batch_size=max(2 * len(images), AT_ONCE)
    )
    parts: Tensor = (
        attributions.detach().double().flatten(2).sum(2)
        if attributions.ndim > 2
        else attributions.double()
    )
    by_class = np.full((classes, parts.shape[1]), np.nan)
    for number in torch.unique(labels).tolist():
        by_class[number] = parts[labels == number].mean(0).cpu().numpy()
    return Conductance(name, by_class, len(images))
