"""trace(): run a network once and find out which channels go together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from pruneviz.arguments import network
from pruneviz.channels import ChannelGraph
from pruneviz.errors import TraceError
from pruneviz.inputs import Arguments, Example, given
from pruneviz.modes import eval_mode
from pruneviz.torch_calls import tensors_in
from pruneviz.trace.attributes import remembered
from pruneviz.trace.flow import LAYERS, Flow
from pruneviz.trace.grouping import resolve
from pruneviz.trace.mode import Blame, Watch

__all__ = ["trace"]


def trace(model: nn.Module, example: Example) -> ChannelGraph:
    """Find out which channels of a network are coupled.

    The network runs once, in eval mode, on one image; every torch call passes channel identities
    on (`pruneviz.trace.flow`). Heads that only run in training mode (the auxiliary classifiers of
    GoogLeNet and Inception v3) are followed in a second run.

    Args:
        model: A convolutional network; it is not changed.
        example: The shape (C, H, W) of one image, or a batch of images (N, C, H, W); sequences
            (C, L) and volumes (C, D, H, W) alike. For a network with several inputs a list of
            these, or a mapping from the names of its arguments (or from the keys of the one dict
            that it takes).

    Returns:
        The `ChannelGraph`: layers, groups of units, and the tensors they live in.

    Raises:
        TraceError: The model does not run on such an image, or is not a CNN.

    Example:
        >>> graph = pv.trace(pv.load_model("resnet20", weights="digits"), (3, 32, 32))
        >>> graph
        ChannelGraph(20 layers, 13 groups, 400 prunable units in 12 groups)
        >>> graph.layer("layer1.0.conv2").group  # coupled with the stem by a residual addition
        'conv1'
    """
    network(model)
    at = next((p for p in model.parameters()), None)
    if at is None:
        raise TraceError(f"{type(model).__name__} has no parameters, so nothing can be pruned.")
    arguments, inputs, handed_over = given(model, example)
    flow = Flow(model)
    with _undisturbed(model):
        outputs = _run(flow, model, arguments)
        flow.fix_all(tensors_in(_plain(outputs)), "feeds the network's output")
        if flow.foreigners:
            _blame_foreigners(flow, model, arguments)
        if any(_unseen(flow, module) for module in model.modules()):
            _follow_training_heads(flow, model, arguments)
    _check_is_cnn(flow, model)
    graph = resolve(flow, inputs[0].shape[1:])
    one = handed_over == "positions" and len(inputs) == 1
    return graph if one else replace(graph, inputs=inputs, handed_over=handed_over)


def _run(flow: Flow, model: nn.Module, arguments: Arguments) -> Any:
    images = list(tensors_in(arguments))
    for image in images:
        flow.know(image)
    flow.enliven(images)
    try:
        with torch.no_grad(), remembered(flow, model), Watch(flow):
            return model(*arguments[0], **arguments[1])
    except Exception as error:
        sizes = ", ".join("×".join(str(s) for s in image.shape[1:]) for image in images)
        what = "an image of shape" if len(images) == 1 else "inputs of the shapes"
        raise TraceError(
            f"{type(model).__name__} does not run on {what} {sizes} "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). "
            "Give the shape (channels, height, width) that the network expects."
        ) from error


def _plain(outputs: Any) -> Any:
    """Tuples, lists and dicts as they are; other containers by their attributes."""
    if isinstance(outputs, (Tensor, tuple, list, dict)):
        return outputs
    return dict(getattr(outputs, "__dict__", {}))


def _unseen(flow: Flow, module: nn.Module) -> bool:
    if not isinstance(module, LAYERS) or flow.paths[module] in flow.seen:
        return False
    stored = module._parameters.get("weight")
    return stored is None or flow.name(stored) not in flow.layers  # it may be shared


def _blame_foreigners(flow: Flow, model: nn.Module, arguments: Arguments) -> None:
    """Some tensor came from code that cannot be watched: find out which channels went into it."""
    flow.counting = False

    def fresh(value: Any) -> Any:
        """A copy that tracks gradients, and that the network may write into."""
        if isinstance(value, dict):
            return {key: fresh(item) for key, item in value.items()}
        if isinstance(value, tuple):
            return tuple(fresh(item) for item in value)
        return value.clone().requires_grad_() * 1 if value.is_floating_point() else value

    with torch.enable_grad():
        positions, named = fresh(arguments)
        images = list(tensors_in((positions, named)))
        for image in images:
            flow.know(image)
        flow.enliven(images)
        with Blame(flow):
            model(*positions, **named)


def _follow_training_heads(flow: Flow, model: nn.Module, arguments: Arguments) -> None:
    """Run once more in training mode (norms and dropout apart) so that auxiliary heads count."""
    model.train()
    for module in model.modules():
        if isinstance(module, (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)):
            module.eval()
    flow.counting = False
    outputs = _run(flow, model, arguments)
    flow.fix_all(tensors_in(_plain(outputs)), "feeds the network's output")


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode for a while; on exit, modes, buffers and the random state are as before."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.random.fork_rng(devices=[]), eval_mode(model):
        try:
            yield
        finally:
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
            f"{name} is not a CNN: its only convolution cuts the image into patches for a "
            "transformer. PruneViz prunes filters of convolutional networks."
        )
