"""Narrow branches: zeroed filters are removed although the stream that they add to is not.

A channel of a residual stream can leave a network only where every layer that adds to it loses it.
Where each layer chooses the filters that it zeroes, its convolution can shrink all the same: the
channels left are put at their places in the stream, zeros at the others. (The public code of
He et al. 2018 does so with `index_add_`: github.com/he-y/soft-filter-pruning, and the first block
reads only the stem's remaining filters.)

The channels are put in place by padding one channel of zeros and `index_select`, which
`torch.export`, ONNX (Pad, Gather) and plain PyTorch can express.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pruneviz.errors import PlanError
from pruneviz.hooks import in_this_thread
from pruneviz.modes import eval_mode
from pruneviz.surgery import refit

Norm = nn.modules.batchnorm._BatchNorm
EXACT = 1e-4
"""Largest relative difference of an output that counts as rounding."""


class Spread(nn.Module):
    """Put k channels at their places among `width`, and zeros at the others.

    (N, k, H, W) -> (N, width, H, W)
    """

    places: Tensor

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        places = torch.full((width,), len(channels))  # the padded channel
        places[list(channels)] = torch.arange(len(channels))
        self.register_buffer("places", places)

    def forward(self, x: Tensor) -> Tensor:
        """Each channel at its place."""
        return nn.functional.pad(x, (0, 0, 0, 0, 0, 1)).index_select(1, self.places)


class Select(nn.Module):
    """Read only some channels: (N, C, H, W) -> (N, k, H, W)."""

    places: Tensor

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("places", torch.tensor(list(channels)))

    def forward(self, x: Tensor) -> Tensor:
        """The channels in their order."""
        return x.index_select(1, self.places)


def narrow_branches(network: nn.Module, input_shape: Sequence[int]) -> nn.Module:
    """A copy without the filters that output only zeros; its outputs are the same in eval mode.

    A filter is removed if its weights and bias are zero, and so is the batch norm's output for a
    zero, as in a network from the strategy "soft" with a `rate`; a convolution does not read
    channels that nothing writes to. The stream between branches keeps its width.

    Args:
        network: On any device; it is not changed.
        input_shape: (C, H, W) of one image.

    Raises:
        PlanError: The network's outputs change without these filters, because its code treats
            channels of zeros in a special way.

    Paper:
        He et al. 2018, *Soft Filter Pruning* (IJCAI), and its public code.

    Example:
        >>> *_, last = pv.run_strategy("soft", model, graph, data, rate=0.3, epochs=1)
        >>> small = pv.narrow_branches(last.result.model, data.input_shape)
        >>> sum(p.numel() for p in small.parameters()) < sum(
        ...     p.numel() for p in last.result.model.parameters())
        True
    """
    small = copy.deepcopy(network).eval()
    norms = norms_after(small, input_shape)
    for name, convolution in convolutions(small).items():
        norm = norms.get(name)
        kept = _alive(convolution, None if norm is None else small.get_submodule(norm))
        if kept.size in (0, convolution.out_channels):
            continue
        spread = Spread(kept.tolist(), convolution.out_channels)
        _cut(convolution, 0, kept)
        last = name
        if norm is not None:
            last = norm
            _cut(small.get_submodule(norm), 0, kept)
        small.set_submodule(last, nn.Sequential(small.get_submodule(last), spread))
    for name, read in inputs_read(small, input_shape).items():
        module = small.get_submodule(name)
        assert isinstance(module, nn.Conv2d)
        if read.size not in (0, module.in_channels):
            _cut(module, 1, read)
            small.set_submodule(name, nn.Sequential(Select(read.tolist()), module))
    _check_same(network, small, input_shape)
    return small.train(network.training)


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """The convolutions that mix channels, by name; depthwise and grouped ones only pass them on."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups == 1
    }


def norms_after(network: nn.Module, input_shape: Sequence[int]) -> dict[str, str]:
    """Convolution -> the batch norm that reads its output and nothing else, if there is one."""
    makers: dict[int, str] = {}
    norms: dict[str, str] = {}
    outputs: list[Tensor] = []  # held, so that no id is given twice

    def see(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(module, nn.Conv2d):
            makers[id(output)] = name
            outputs.append(output)
        elif id(inputs[0]) in makers:
            norms[makers[id(inputs[0])]] = name

    with _hooks(network, lambda m: isinstance(m, nn.Conv2d | Norm), see):
        _run(network, torch.zeros(1, *input_shape))
    return norms


def offset_of(norm: nn.Module) -> Tensor:
    """(C,) what a batch norm in eval mode makes of a channel of zeros."""
    with torch.no_grad(), eval_mode(norm):
        first = next(norm.parameters(), None)
        count = getattr(norm, "num_features")  # noqa: B009 - of no common base class
        zeros = torch.zeros(1, count, 1, 1, device=None if first is None else first.device)
        return norm(zeros).reshape(-1)  # type: ignore[no-any-return]


def _alive(convolution: nn.Conv2d, norm: nn.Module | None) -> Any:
    """Indices of the filters that output anything but zeros."""
    alive = convolution.weight.detach().flatten(1).ne(0).any(1)
    if convolution.bias is not None:
        alive = alive | convolution.bias.detach().ne(0)
    if norm is not None:
        alive = alive | offset_of(norm).ne(0)
    return np.flatnonzero(alive.cpu().numpy())


def _cut(module: nn.Module, dim: int, kept: Any) -> None:
    """Keep these slices of a convolution's weight, or of every tensor of a batch norm."""
    stay = torch.from_numpy(kept)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.ndim > dim and (dim == 0 or name == "weight"):
            cut = tensor.detach().index_select(dim, stay.to(tensor.device))
            own = nn.Parameter(cut, tensor.requires_grad)
            setattr(module, name, own if isinstance(tensor, nn.Parameter) else cut)
    refit(module)


def inputs_read(network: nn.Module, input_shape: Sequence[int]) -> dict[str, Any]:
    """Convolution -> the channels of its input that something writes to.

    Found by one run with all weights positive: no contributions can cancel out, so only a channel
    that nothing writes to is exactly zero.
    """
    probe = copy.deepcopy(network)
    with torch.no_grad():
        for module in probe.modules():
            if isinstance(module, Norm):
                offset = offset_of(module).ne(0).float()
                module.reset_running_stats()
                if module.affine:
                    module.weight.copy_(module.weight.ne(0))
                    module.bias.copy_(offset)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                used = module.weight.ne(0).flatten(1).any(1)
                shape = (-1, *[1] * (module.weight.ndim - 1))
                small = 2.0 ** -module.weight[0].numel().bit_length()  # sums stay in range
                module.weight.copy_((small * used).view(shape).expand_as(module.weight))
                if module.bias is not None:
                    module.bias.copy_(module.bias.ne(0))
    read: dict[str, Any] = {}

    def see(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        written = inputs[0].detach().ne(0).any(0).flatten(1).any(1)
        read[name] = np.flatnonzero(written.cpu().numpy())

    own = set(convolutions(probe).values())
    with _hooks(probe, lambda m: m in own, see):
        _run(probe, torch.ones(1, *input_shape))
    return read


def _check_same(before: nn.Module, after: nn.Module, input_shape: Sequence[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, *input_shape, generator=generator)
    wanted, got = _run(before, images), _run(after, images)
    far = float((wanted - got).abs().max() / wanted.abs().max().clamp_min(1e-12))
    if not far < EXACT:
        raise PlanError(
            "A network without its zeroed filters must give the same outputs, but they differ by "
            f"{far:.2g} of the largest; its code treats channels of zeros in a special way."
        )


def _run(network: nn.Module, images: Tensor) -> Tensor:
    first = next(network.parameters())
    with torch.no_grad(), eval_mode(network):
        return network(images.to(first.device, first.dtype))  # type: ignore[no-any-return]


@contextmanager
def _hooks(
    network: nn.Module,
    chosen: Callable[[nn.Module], bool],
    see: Callable[[str, nn.Module, Any, Any], None],
) -> Iterator[None]:
    """Call `see(name, module, inputs, output)` after each of these modules."""

    def hook(name: str) -> Any:
        return in_this_thread(lambda module, inputs, output: see(name, module, inputs, output))

    handles = [m.register_forward_hook(hook(n)) for n, m in network.named_modules() if chosen(m)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
