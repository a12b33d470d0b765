"""trace(): run a network once and find out which channels go together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.channels import ChannelGraph
from pruneviz.errors import TraceError
from pruneviz.trace.flow import Flow
from pruneviz.trace.grouping import resolve
from pruneviz.trace.mode import Blame, Watch, tensors_in

__all__ = ["trace"]


def trace(model: nn.Module, example: Sequence[int] | Tensor) -> ChannelGraph:
    """Find out which channels of a network must go together.

    The network is run once, in eval mode, on one image; every torch call carries channel
    identities along (`pruneviz.trace.flow`). Heads that only run in training mode (the auxiliary
    classifiers of GoogLeNet and Inception v3) are followed in a second run.

    Args:
        model: A convolutional network; it is left as it was.
        example: The shape (C, H, W) of one image, or a batch of images (N, C, H, W).

    Returns:
        The `ChannelGraph`: layers, groups of units, and the tensors they live in.

    Raises:
        TraceError: The model does not run on such an image, or is no CNN.
    """
    if isinstance(example, Tensor):
        image = example[:1] if example.ndim == 4 else example[None]
    else:
        try:
            shape = tuple(int(s) for s in example)
        except (TypeError, ValueError):
            shape = ()
        if not shape or min(shape) < 1:
            raise TraceError(f"An image's shape is (channels, height, width), but got {example!r}.")
        image = torch.zeros(1, *shape)
    at = next((p for p in model.parameters()), None)
    if at is None:
        raise TraceError(f"{type(model).__name__} has no parameters, so nothing can be pruned.")
    image = image.to(device=at.device, dtype=at.dtype)
    flow = Flow(model)
    with _undisturbed(model):
        outputs = _run(flow, model, image)
        flow.fix_all(tensors_in(_plain(outputs)), "feeds the network's output")
        if flow.foreigners:
            _blame_foreigners(flow, model, image)
        if any(_unseen(flow, module) for module in model.modules()):
            _follow_training_heads(flow, model, image)
    _check_is_cnn(flow, model)
    return resolve(flow, tuple(int(s) for s in image.shape[1:]))


def _run(flow: Flow, model: nn.Module, image: Tensor) -> Any:
    flow.know(image)
    try:
        with torch.no_grad(), Watch(flow):
            return model(image)
    except Exception as error:
        size = "×".join(str(s) for s in image.shape[1:])
        raise TraceError(
            f"{type(model).__name__} does not run on an image of shape {size} "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). "
            "Give the shape (channels, height, width) that the network was made for."
        ) from error


def _plain(outputs: Any) -> Any:
    """Tuples, lists and dicts as they are; other containers by their attributes."""
    if isinstance(outputs, (Tensor, tuple, list, dict)):
        return outputs
    return dict(getattr(outputs, "__dict__", {}))


def _unseen(flow: Flow, module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return (
        isinstance(module, (nn.Linear, nn.modules.conv._ConvNd))
        and weight is not None
        and flow.name(weight) not in flow.layers
    )


def _blame_foreigners(flow: Flow, model: nn.Module, image: Tensor) -> None:
    """A tensor came from nowhere: find out which channels went into it."""
    flow.counting = False
    image = image.clone().requires_grad_()
    with torch.enable_grad():
        image = image * 1  # so that the network may write into it
        flow.know(image)
        with Blame(flow):
            model(image)


def _follow_training_heads(flow: Flow, model: nn.Module, image: Tensor) -> None:
    """Run once more in training mode (norms and dropout apart) so that auxiliary heads count."""
    model.train()
    for module in model.modules():
        if isinstance(module, (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)):
            module.eval()
    flow.counting = False
    outputs = _run(flow, model, image)
    flow.fix_all(tensors_in(_plain(outputs)), "feeds the network's output")


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode for a while; modes, buffers and the random state come back as they were."""
    modes = {module: module.training for module in model.modules()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.random.fork_rng(devices=[]):
        try:
            model.eval()
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    if name in buffers and not torch.equal(buffer, buffers[name]):
                        buffer.copy_(buffers[name])


def _check_is_cnn(flow: Flow, model: nn.Module) -> None:
    convolutions = [r for r in flow.layers.values() if r.kind.startswith("conv")]
    name = type(model).__name__
    if not convolutions:
        raise TraceError(
            f"{name} has no convolution that PruneViz can follow: it prunes filters of "
            "convolutional networks."
        )
    patches = [r for r in convolutions if r.kernel == r.stride and max(r.kernel) > 1]
    if len(patches) == len(convolutions) and (flow.tokens or flow.attention):
        raise TraceError(
            f"{name} is no CNN: its only convolution cuts the image into patches for a "
            "transformer. PruneViz prunes filters of convolutional networks."
        )
