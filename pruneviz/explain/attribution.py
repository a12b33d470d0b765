"""Which pixels a network's answer rests on, by Captum, and how far two networks agree.

- Saliency (Simonyan et al. 2013): the mean over colours of |∂F/∂x|.
- Integrated Gradients (Sundararajan et al. 2017): the sum over colours of the gradients along the
  way from the mean colour to the image, times the way.
- Grad-CAM (Selvaraju et al. 2017): where the last feature maps that speak for the class are
  strong, enlarged to the image.
- Occlusion (Zeiler & Fergus 2014): how far F falls as a grey window, an eighth of the image wide,
  slides over it; the sum over colours.

F is the network's output (before softmax) for the class in question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pruneviz.arguments import one_of
from pruneviz.channels import ChannelGraph
from pruneviz.criteria.shared import private_copy
from pruneviz.errors import InvalidValueError
from pruneviz.outputs import logits

FloatArray = npt.NDArray[np.float64]
STEPS = 24
"""Steps of Integrated Gradients."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """A map an image, float64 (N, H, W): how much each pixel speaks for the class `targets`."""

    method: str
    maps: FloatArray = field(repr=False)
    targets: tuple[int, ...]


def attribute(
    model: nn.Module, graph: ChannelGraph, method: str, images: Tensor, targets: Tensor
) -> Attribution:
    """Ask which pixels speak for a class.

    Args:
        model: The network, pruned or not; it is not changed.
        graph: The channels of the unpruned network; says which layer Grad-CAM looks at.
        method: One of `METHODS`.
        images: (N, C, H, W), normalised as the network's data are.
        targets: (N,) int64, the class of each.

    Raises:
        UnknownNameError: There is no such method.
        InvalidValueError: Grad-CAM, and no convolution's map is an image.
    """
    work = METHODS[one_of("method", method, METHODS)]
    net, own = answering(model)
    maps = work(net, own, graph, images, targets)
    values = maps.detach().double().cpu().numpy()
    return Attribution(method, values, tuple(int(t) for t in targets))


def agreement(first: Attribution, second: Attribution) -> FloatArray:
    """(N,) Spearman's rank correlation of two maps' pixels, by image; nan for a constant map.

    1: both networks order the pixels alike; 0: one says nothing about the other.
    """
    from scipy.stats import rankdata

    def ranks(maps: FloatArray) -> FloatArray:
        placed = rankdata(maps.reshape(len(maps), -1), axis=1)
        centred: FloatArray = placed - placed.mean(1, keepdims=True)
        return centred

    a, b = ranks(first.maps), ranks(second.maps)
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement: FloatArray = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return agreement


class _Answer(nn.Module):
    """The network's main output alone, as Captum needs it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return logits(self.model(images))


def answering(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """A copy of a network as Captum needs it: its main output alone, and the copy's own layers."""
    own = _plain(model)
    return _Answer(own).eval(), own


def _plain(model: nn.Module) -> nn.Module:
    """A copy whose activations change nothing in place: Captum's hooks need what is overwritten."""
    own: nn.Module = private_copy(model)
    for module in own.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    return own.eval()


def _saliency(net: nn.Module, _: nn.Module, __: ChannelGraph, x: Tensor, y: Tensor) -> Tensor:
    from captum.attr import Saliency

    attributions: Tensor = Saliency(net).attribute(x.clone().requires_grad_(), target=y)
    return attributions.mean(1)


def _integrated(net: nn.Module, _: nn.Module, __: ChannelGraph, x: Tensor, y: Tensor) -> Tensor:
    from captum.attr import IntegratedGradients

    attributions: Tensor = IntegratedGradients(net).attribute(
        x, target=y, n_steps=STEPS, internal_batch_size=max(len(x), 64)
    )
    return attributions.sum(1)


def _gradcam(net: nn.Module, own: nn.Module, graph: ChannelGraph, x: Tensor, y: Tensor) -> Tensor:
    from captum.attr import LayerAttribution, LayerGradCam

    layer = own.get_submodule(last_map(graph))
    attributions = LayerGradCam(net, layer).attribute(x, target=y, relu_attributions=True)
    enlarged: Tensor = LayerAttribution.interpolate(attributions, x.shape[2:], "bilinear")
    return enlarged[:, 0]


def _occlusion(net: nn.Module, _: nn.Module, __: ChannelGraph, x: Tensor, y: Tensor) -> Tensor:
    from captum.attr import Occlusion

    window = max(2, x.shape[-1] // 8)
    with torch.no_grad():
        attributions: Tensor = Occlusion(net).attribute(
            x,
            target=y,
            sliding_window_shapes=(x.shape[1], window, window),
            strides=(x.shape[1], max(1, window // 2), max(1, window // 2)),
            perturbations_per_eval=8,
        )
    return attributions.sum(1)


def last_map(graph: ChannelGraph) -> str:
    """The last convolution whose map has more than one position: what Grad-CAM looks at."""
    for layer in reversed(graph.layers):
        if layer.kind == "conv2d" and layer.positions > 1 and layer.maps_at:
            return layer.name
    raise InvalidValueError(
        "Grad-CAM needs a convolution whose feature map is an image; this network has none."
    )


Work = Callable[[nn.Module, nn.Module, ChannelGraph, Tensor, Tensor], Tensor]
METHODS: Mapping[str, Work] = {
    "saliency": _saliency,
    "integrated gradients": _integrated,
    "grad-cam": _gradcam,
    "occlusion": _occlusion,
}
"""By name. A new method is a function and an entry."""
