"""Networks as people write them in notebooks, each with something that is hard to follow."""

from tests.core.networks import followed, opaque
from tests.core.networks.registry import NETWORKS, SHAPE

__all__ = ["NETWORKS", "SHAPE", "followed", "opaque"]
