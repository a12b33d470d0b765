"""The images that a repair uses: training images, the classes balanced, never a label."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pruneviz.arguments import whole
from pruneviz.channels import ChannelGraph
from pruneviz.data import DataSet, check_data

IMAGES = 512
LEAST = 64
PIXELS = 64 * 224 * 224
"""Pixels of all images together where their number is not given; memory is bounded by them."""


def usual_images(graph: ChannelGraph) -> int:
    """How many images are looked at where the caller does not say: 512 of 32x32, 64 of 224x224."""
    pixels = 1
    for size in graph.input_shape[1:]:
        pixels *= size
    return max(LEAST, min(IMAGES, PIXELS // max(pixels, 1)))


def sample(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    images: int | None,
    batch_size: int | None = None,
) -> Iterator[Tensor]:
    """Training images (N, C, H, W), normalised, in mini-batches; without a size all at once."""
    check_data(data)
    count = usual_images(graph) if images is None else whole("images", images)
    at = next(model.parameters(), None)
    device = torch.device("cpu") if at is None else at.device
    chosen = data.split("train").first(count)
    for x, _ in chosen.batches(batch_size or len(chosen), device=device):
        yield x if at is None else x.to(at.dtype)
