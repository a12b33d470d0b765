"""Points that papers published, to be drawn beside what was measured here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedPoint:
    """A pruned network of a paper: accuracy (0..1) at a fraction of the unpruned MACs."""

    strategy: str
    network: str
    data: str
    macs_ratio: float
    accuracy: float
    baseline: float
    """Accuracy of the paper's own unpruned network."""
    paper: str


PUBLISHED = (
    PublishedPoint("soft", "resnet20", "cifar10", 1 - 0.422, 0.9083, 0.9220, "He et al. 2018"),
    PublishedPoint("soft", "resnet56", "cifar10", 1 - 0.526, 0.9335, 0.9359, "He et al. 2018"),
    PublishedPoint("one_shot", "resnet56", "cifar10", 1 - 0.276, 0.9306, 0.9304, "Li et al. 2016"),
    PublishedPoint("one_shot", "resnet110", "cifar10", 1 - 0.386, 0.9330, 0.9353, "Li et al. 2016"),
)


def published(network: str, data: str) -> tuple[PublishedPoint, ...]:
    """The published points for this network on these data."""
    return tuple(p for p in PUBLISHED if (p.network, p.data) == (network, data))
