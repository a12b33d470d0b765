"""Batch norms' statistics recomputed, without training."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruneviz.arguments import network, whole
from pruneviz.data import DataSet, check_data
from pruneviz.modes import eval_mode
from pruneviz.training.evaluation import channels_last, device_of

IMAGES = 4096


@torch.no_grad()
def recalibrate(
    model: nn.Module, data: DataSet, *, images: int = IMAGES, batch_size: int = 128, seed: int = 0
) -> int:
    """Set every batch norm's running mean and variance to those over training images; in place.

    Means over mini-batches of the batches' own statistics (Wu & Johnson 2021, "precise" batch
    norm, arXiv:2105.07576). A pruned network's activations differ from those that the statistics
    were gathered from, so that its accuracy is underestimated (Li et al. 2020, EagleEye,
    arXiv:2007.02491). The weights do not change, and everything but the norms is in eval mode.

    Args:
        model: The network; its modes do not change.
        data: Its training images are used, with their augmentation.
        images: How many of them, at most.
        batch_size: Images in a mini-batch.
        seed: Decides which, and their augmentation.

    Returns:
        How many images were used; 0 where there is no batch norm that keeps statistics.

    Raises:
        InvalidValueError: No data set, or images, batch_size or seed that is no whole number.
        DataError: There are no training images.

    Example:
        >>> small = pv.prune(model, graph, pv.Plan(graph).drop("layer1.0.conv1", [3, 5]))
        >>> pv.recalibrate(small, data, images=256)
        256
    """
    network(model)
    check_data(data)
    whole("images", images)
    whole("batch_size", batch_size)
    whole("seed", seed, 0)
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return 0
    momenta = [norm.momentum for norm in norms]
    used = 0
    with eval_mode(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.train()
        try:
            for x, _ in data.split("train").batches(
                batch_size, shuffle_seed=seed, augment=data.augment, device=device_of(model)
            ):
                model(channels_last(x))
                used += len(x)
                if used >= images:
                    break
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
    return used
