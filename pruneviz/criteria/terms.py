"""Products of feature maps and gradients, image by image, added up over each unit's channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pruneviz.channels import ChannelGraph
from pruneviz.criteria.evidence import FloatArray
from pruneviz.criteria.taps import Tap
from pruneviz.errors import InvalidValueError

Combine = Callable[[Tensor, Tensor], Tensor]
"""A feature map and its gradient, (N, C, P) each -> (images, C)."""


class Scratch:
    """Memory that is used again and again: fresh memory costs more than the sums themselves."""

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def like(self, other: Tensor) -> Tensor:
        """A tensor of that shape and precision with arbitrary values."""
        memory = self._memory
        if memory.numel() < other.numel() or memory.dtype != other.dtype:
            memory = torch.empty(other.numel(), dtype=other.dtype, device=other.device)
            self._memory = memory
        return memory[: other.numel()].view(other.shape)

    def dot(self, a: Tensor, b: Tensor) -> Tensor:
        """(N, C, P), (N, C, P) -> (N, C) sum of products over positions."""
        return torch.mul(a, b, out=self.like(a)).sum(2)


class UnitTerms:
    """Sums over images of each unit's term, its absolute value and its square.

    A unit's term on an image is the sum of what `combine` makes of its channels' maps and
    gradients; a map that only goes into a depthwise convolution of the same units is left out,
    or the same change would be counted twice. Terms are computed while gradients arrive, so no
    map is kept longer than autograd itself keeps it.
    """

    def __init__(
        self, graph: ChannelGraph, taps: Sequence[Tap], combine: Combine, device: torch.device
    ) -> None:
        self.taps, self.combine = taps, combine
        # Metal knows no double precision.
        self.wide = torch.float32 if device.type == "mps" else torch.float64
        self._units = torch.cat([torch.tensor(tap.layer.units) for tap in taps]).to(device)
        self._sums = torch.zeros(3, graph.num_units, dtype=self.wide, device=device)
        self._batch: dict[int, Tensor] = {}

    def watch(self, index: int, map: Tensor, value: Tensor) -> None:
        """Have the term computed as soon as the gradient of `map` is known.

        `value` is what the map holds, as `Tap.by_image` gives it.

        Raises:
            InvalidValueError: The map of a layer that can be pruned has no gradient.
        """
        tap = self.taps[index]
        if tap.inner:
            return
        if not map.requires_grad:
            if tap.layer.prunable:
                raise InvalidValueError(
                    f"No gradient reaches layer '{tap.layer.name}': the network computes it "
                    "without gradients (torch.no_grad or detach). Choose a criterion that needs "
                    "none, such as 'l1'."
                )
            return
        kept = value.clone() if tap.overwritten else value

        def on_gradient(gradient: Tensor) -> None:
            self._batch[index] = self.combine(kept, tap.by_image(gradient))

        map.register_hook(on_gradient)  # type: ignore[no-untyped-call]

    def end_batch(self, images: int) -> None:
        """Add up what arrived since the last mini-batch; maps without a gradient count as zero."""
        rows = [
            self._batch[i].to(self.wide).t()
            if i in self._batch
            else self._sums.new_zeros(tap.layer.out_channels, images)
            for i, tap in enumerate(self.taps)
        ]
        of_unit = self._sums.new_zeros(self._sums.shape[1], images)
        of_unit.index_add_(0, self._units, torch.cat(rows))
        self._sums += torch.stack([of_unit.sum(1), of_unit.abs().sum(1), (of_unit**2).sum(1)])
        self._batch = {}

    def sums(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(num_units,) sums over all images of the terms, their absolute values, their squares.

        Raises:
            InvalidValueError: A gradient is no number; names the first layer.
        """
        sums = self._sums.cpu().double()
        for tap in self.taps:
            if not bool(sums[:, torch.tensor(tap.layer.units)].isfinite().all()):
                raise not_a_number(tap.layer.name)
        term, absolute, square = sums.numpy()
        return term, absolute, square


def not_a_number(layer: str) -> InvalidValueError:
    """The error for a gradient that is NaN or infinite at a layer."""
    return InvalidValueError(
        f"The gradient of the loss at layer '{layer}' holds values that are not finite (NaN or "
        "infinite). Check the network's weights and the images."
    )
