"""torchvision's classification CNNs and their ImageNet weights, through its own weights API."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torchvision import models as zoo

from pruneviz.catalog.checkpoints import State, unwrap
from pruneviz.catalog.downloads import Progress
from pruneviz.catalog.hub import fetch, is_cached
from pruneviz.catalog.preprocessing import Preprocessing

TRANSFORMERS = ("vit_", "swin_", "maxvit_")
"""Families whose channels are not carried by convolutions."""

FAMILIES = {
    "alexnet": "AlexNet",
    "convnext": "ConvNeXt",
    "densenet": "DenseNet",
    "efficientnet_v2": "EfficientNetV2",
    "efficientnet": "EfficientNet",
    "googlenet": "GoogLeNet",
    "inception": "Inception v3",
    "mnasnet": "MNASNet",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3": "MobileNetV3",
    "regnet_x": "RegNetX",
    "regnet_y": "RegNetY",
    "resnet": "ResNet",
    "resnext": "ResNeXt",
    "shufflenet": "ShuffleNetV2",
    "squeezenet": "SqueezeNet",
    "vgg": "VGG",
    "wide_resnet": "Wide ResNet",
}

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# Its classifier is left out (NaN): it is for detectors, not for classification.
_NOT_CLASSIFIERS = {"IMAGENET1K_FEATURES"}

_OLD_DENSENET_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """torchvision's names of its classification CNNs."""
    return tuple(n for n in zoo.list_models(module=zoo) if not n.startswith(TRANSFORMERS))


def family(name: str) -> str:
    """The family a network belongs to, e.g. 'ResNet' for 'resnet50'; VGG with batch norm apart."""
    title = next(title for prefix, title in FAMILIES.items() if name.startswith(prefix))
    return f"{title}-BN" if name.endswith("_bn") else title


def weights_names(name: str) -> tuple[str, ...]:
    """The pretrained weights torchvision has for a network; 'imagenet' is its default."""
    left_out = {*_NOT_CLASSIFIERS, _weights(name, "imagenet").name}  # the default has one name
    return ("imagenet", *(w.name for w in zoo.get_model_weights(name) if w.name not in left_out))


def plain_weights(name: str, weights: str) -> str:
    """One name per set of weights: torchvision's default is also called 'imagenet'."""
    return "imagenet" if weights == _weights(name, "imagenet").name else weights


def meta(name: str) -> tuple[int, int]:
    """(parameters, side in pixels of the images it was trained for), without building it."""
    default = _weights(name, "imagenet")
    return int(default.meta["num_params"]), int(default.transforms.keywords["crop_size"])


def build(name: str, num_classes: int | None = None, keys: Collection[str] = ()) -> nn.Module:
    """Build the network with random weights; `keys` are the tensors that will be loaded into it.

    GoogLeNet has no auxiliary heads and Inception has them, as in torchvision with pretrained
    weights, unless `keys` say otherwise. Both take the catalogue's normalisation and
    convert it to theirs (`transform_input`).
    """
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        heads = any(key.startswith(("aux", "AuxLogits")) for key in keys)
        options = {
            "transform_input": True,
            "init_weights": True,
            "aux_logits": heads if keys else name == "inception_v3",
        }
    if num_classes is not None:
        options["num_classes"] = num_classes
    return cast("nn.Module", zoo.get_model_builder(name)(weights=None, **options))


def pretrained(
    name: str, weights: str, progress: Progress | None = None
) -> dict[str, torch.Tensor]:
    """torchvision's weights as a state dict, downloaded if torch.hub does not have them yet.

    Raises `OfflineError` without a network and `WeightsError` where the file is damaged. The file
    is read with `weights_only=True`, which torchvision's `weights=` does not do.
    """
    entry = _weights(name, weights)
    what = f"The {entry.name} weights of '{name}'"
    loaded = fetch(what, entry.url, entry.get_state_dict, progress=progress)
    state = adapt(name, unwrap(loaded, Path(entry.url).name))
    heads = name == "googlenet"  # as torchvision does: they only help training from scratch
    state = {k: v for k, v in state.items() if not (heads and k.startswith("aux"))}
    keywords = entry.transforms.keywords
    mean, std = keywords.get("mean", MEAN), keywords.get("std", STD)
    return state if tuple(mean) == MEAN else renormalise(state, mean, std)


def preprocessing(name: str, weights: str | None) -> Preprocessing:
    """How torchvision prepared ImageNet's images for these weights, or for its default ones.

    Mean and deviation are always the catalogue's; see `renormalise`.
    """
    known = weights if weights in weights_names(name) else "imagenet"
    keywords = _weights(name, str(known)).transforms.keywords
    size = int(keywords["crop_size"])
    mode = keywords.get("interpolation")
    return Preprocessing(
        size=size,
        resize=int(keywords.get("resize_size", 256)),
        interpolation="bilinear" if mode is None else str(mode.value),
    )


def adapt(name: str, state: State) -> dict[str, torch.Tensor]:
    """Rename tensors as the network has them today; DenseNet's first weights had extra dots."""
    if not name.startswith("densenet"):
        return dict(state)
    return {_OLD_DENSENET_KEY.sub(r"\1\2", key): value for key, value in state.items()}


def available(name: str) -> tuple[str, ...]:
    """The sets of weights that torch.hub has already downloaded."""
    return tuple(w for w in weights_names(name) if is_cached(_weights(name, w).url))


def renormalise(
    state: State, mean: tuple[float, ...], std: tuple[float, ...]
) -> dict[str, torch.Tensor]:
    """Change weights that expect `(x - mean) / std` to expect ImageNet's mean and deviation.

    For one normalisation z' = (x - m') / s' and another z = (x - m) / s, z = z' s'/s + (m' - m)/s:
    the first convolution takes the factor, the batch norm after it the constant. Exact but for
    the zeros that pad the image's border, which stand for another grey (EfficientNetV2-L only).
    """
    weight = state["features.0.0.weight"].float()
    centre, spread = torch.tensor(mean), torch.tensor(std)
    factor = (torch.tensor(STD) / spread).view(1, -1, 1, 1)
    shift = ((torch.tensor(MEAN) - centre) / spread).view(1, -1, 1, 1)
    constant = (weight * shift).sum((1, 2, 3))
    changed = dict(state)
    changed["features.0.0.weight"] = weight * factor
    changed["features.0.1.running_mean"] = state["features.0.1.running_mean"] - constant
    return changed


def _weights(name: str, weights: str) -> Any:
    choices = zoo.get_model_weights(name)
    return choices.DEFAULT if weights == "imagenet" else choices[weights]
