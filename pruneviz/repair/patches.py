"""What a layer reads at sampled positions, as rows of a matrix; and what it gives there.

A convolution is a linear map of patches: with the patch of output position p laid out as a row
x_p of length (C_in / groups) * kernel, its output there is x_p W^T + b. A few thousand rows say
enough of that map, so positions are sampled, other ones for every image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pruneviz.repair.calls import KINDS, LayerCall


def positions(call: LayerCall, out: Tensor, rows: int, seed: int) -> Tensor | None:
    """(N, P) which flat output positions of each image to look at; None for all of them.

    About `rows` rows over all images, drawn without repetition for each image.
    """
    places = _places(call, out)
    count, wanted = out.shape[0], -(-rows // out.shape[0])
    if wanted >= places:
        return None
    rng = torch.Generator().manual_seed(seed)
    if places <= 4096:
        return torch.rand(count, places, generator=rng).argsort(1)[:, :wanted]
    return torch.randint(0, places, (count, wanted), generator=rng)


def outputs(call: LayerCall, out: Tensor, where: Tensor | None) -> Tensor:
    """(N, P, C_out) the layer's outputs at the positions."""
    flat = out.reshape(out.shape[0], -1, out.shape[-1])
    if KINDS[call.layer.kind]:
        flat = out.flatten(2).transpose(1, 2)
    if where is None:
        return flat.contiguous()
    where = where.to(out.device)
    return flat.gather(1, where[:, :, None].expand(-1, -1, flat.shape[2]))


def inputs(call: LayerCall, out_size: torch.Size, where: Tensor | None) -> Tensor:
    """(N, P, groups, C_in / groups * kernel) what the layer reads for those outputs."""
    x = call.x
    dims = KINDS[call.layer.kind]
    if dims == 0:
        flat = x.reshape(x.shape[0], -1, x.shape[-1])
        if where is not None:
            index = where.to(x.device)[:, :, None].expand(-1, -1, flat.shape[2])
            flat = flat.gather(1, index)
        return flat.unsqueeze(2)
    kernel = call.weight.shape[2:]
    x = F.pad(x, _pads(call))
    sizes, channels = x.shape[2:], x.shape[1]
    place = torch.zeros(out_size[2:], dtype=torch.int64)
    patch = torch.zeros(tuple(kernel), dtype=torch.int64)
    for d in range(dims):
        step = int(torch.tensor(sizes[d + 1 :]).prod()) if d + 1 < dims else 1
        shape = [1] * dims
        shape[d] = -1
        place = place + (torch.arange(out_size[2 + d]) * call.stride[d] * step).view(shape)
        patch = patch + (torch.arange(kernel[d]) * call.dilation[d] * step).view(shape)
    starts = place.flatten()
    starts = starts.expand(x.shape[0], -1) if where is None else starts[where]
    index = (starts[:, :, None] + patch.flatten()).to(x.device)
    count, places, taps = index.shape
    rows = x.flatten(2).gather(2, index.view(count, 1, -1).expand(-1, channels, -1))
    rows = rows.view(count, call.groups, channels // call.groups, places, taps)
    return rows.permute(0, 3, 1, 2, 4).reshape(count, places, call.groups, -1)


def _places(call: LayerCall, out: Tensor) -> int:
    last = out.shape[1] if KINDS[call.layer.kind] else out.shape[-1]
    return out[0].numel() // last


def _pads(call: LayerCall) -> list[int]:
    """What `F.pad` takes: pairs, the last dimension first."""
    kernel = call.weight.shape[2:]
    pads: list[int] = []
    for d in reversed(range(len(kernel))):
        if call.padding == "same":
            whole = call.dilation[d] * (kernel[d] - 1)
            pads += [whole // 2, whole - whole // 2]
        elif isinstance(call.padding, str):
            pads += [0, 0]
        else:
            pads += [call.padding[d], call.padding[d]]
    return pads
