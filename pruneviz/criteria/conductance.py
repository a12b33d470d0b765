"""Conductance: how much of the network's output flows through a filter.

The same numbers as `captum.attr.LayerConductance(model, layer).attribute(images, target=labels,
n_steps=STEPS)`, but for all layers at once, and also where a layer is no module, is used twice or
is overwritten in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pruneviz.criteria.evidence import Evidence, FloatArray, usual_batch
from pruneviz.criteria.registry import Criterion

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 10
"""Steps of the path from an empty image to the image."""


def conductance(evidence: Evidence) -> FloatArray:
    """(num_units,) mean over images of the absolute conductance.

    On one image, the conductance of a channel is Σₖ Σ ∂F/∂a(k) · (a(k+1) - a(k)) over positions
    and steps k from the mean colour to the image; F is the output of the image's own class.
    """
    import torch

    from pruneviz.criteria.shared import private_copy
    from pruneviz.criteria.taps import find_taps, tapped
    from pruneviz.criteria.terms import UnitTerms
    from pruneviz.outputs import class_logits

    graph, images = evidence.graph, evidence.seen
    model = private_copy(evidence.model)
    at = next(model.parameters())
    size = max(1, (evidence.batch_size or usual_batch(graph)) // (STEPS + 1))
    first, _ = next(images.subset(torch.arange(min(2, len(images)))).batches(2, device=at.device))
    taps = find_taps(model, graph, first.to(at.dtype))
    terms = UnitTerms(graph, taps, flow, at.device)

    def receive(index: int, map: Tensor) -> None:
        terms.watch(index, map, taps[index].by_image(map.detach()))

    done = 0
    for x, labels in images.batches(size, device=at.device):
        points = torch.cat([alpha * x.to(at.dtype) for alpha in path(STEPS)]).requires_grad_(True)
        with torch.enable_grad():
            with tapped(model, taps, receive):
                output = model(points)
            target = labels.repeat(STEPS + 1)
            logits = class_logits(output, int(target.max()) + 1)
            answer = logits.gather(1, target[:, None]).sum()
            answer.backward()  # type: ignore[no-untyped-call]
        terms.end_batch(len(x))
        done += len(x)
        evidence.report(done, len(images))
    return terms.sums()[1] / len(images)


def flow(map: Tensor, gradient: Tensor) -> Tensor:
    """(N, C): what flows through each channel, from maps and gradients at all points of the path.

    Both are ((STEPS + 1) N, C, P), all images at the first point first.
    """
    count = len(map) // (STEPS + 1)
    moved = (map[count:] - map[:-count]).mul_(gradient[:-count])
    return moved.sum(2).view(STEPS, count, -1).sum(0)


def path(steps: int) -> list[float]:
    """The steps + 1 nodes of the Gauss-Legendre rule on [0, 1], ascending."""
    return [float(v) for v in (1 + np.polynomial.legendre.leggauss(steps + 1)[0]) / 2]


CRITERIA = (
    Criterion(
        name="conductance",
        title="Conductance",
        help="How much of the output for the correct class flows through the filter, on the path "
        "from an empty image to the image.",
        formula="meanₙ | Σ ∂F/∂a · da |",
        paper="Dhamdhere et al. 2018, How Important Is a Neuron?",
        score=conductance,
        needs_data=True,
        needs_gradient=True,
        own_pass=True,
    ),
)
