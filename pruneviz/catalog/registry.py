"""Every network of the catalogue by name, with the weights it can be given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import nn

from pruneviz.catalog import hub, mobilenet, resnet, torchvision_models, vgg
from pruneviz.catalog.checkpoints import read_weights
from pruneviz.catalog.downloads import Progress
from pruneviz.errors import UnknownNameError

BUNDLED = Path(__file__).parent / "weights"
PREFIX = "torchvision/"

_CIFAR: Mapping[str, tuple[str, str, Callable[..., nn.Module]]] = {
    "resnet20": ("ResNet", "ResNet-20", resnet.resnet20),
    "vgg16": ("VGG-BN", "VGG-16 with batch norm, narrowed,", vgg.vgg16),
    "mobilenet_v2": ("MobileNetV2", "MobileNetV2, narrowed,", mobilenet.mobilenet_v2),
    "resnet32": ("ResNet", "ResNet-32", resnet.resnet32),
    "resnet44": ("ResNet", "ResNet-44", resnet.resnet44),
    "resnet56": ("ResNet", "ResNet-56", resnet.resnet56),
    "resnet110": ("ResNet", "ResNet-110", resnet.resnet110),
}
_WITH_WEIGHTS = ("resnet20", "vgg16", "mobilenet_v2")


@dataclass(frozen=True)
class Architecture:
    """One network of the catalogue: what `models()` tells of it, and how to build it.

    `build(num_classes=None, keys=())` gives it with random weights; `keys` are the names of the
    tensors that will be loaded into it.
    """

    name: str
    family: str
    description: str
    source: str
    weights: tuple[str, ...]
    input_size: int
    classes: int
    build: Callable[..., nn.Module]

    @property
    def plain(self) -> str:
        """The name at the place it comes from."""
        return self.name.removeprefix(PREFIX)

    def parameters(self) -> int:
        """Number of parameters, without filling any."""
        if self.source == "torchvision":
            return torchvision_models.meta(self.plain)[0]
        with torch.device("meta"):
            return sum(p.numel() for p in self.build().parameters())

    def offline(self) -> tuple[str, ...]:
        """The weights that load without a network: bundled, or downloaded before."""
        if self.source == "torchvision":
            return torchvision_models.available(self.plain)
        return tuple(
            w for w in self.weights if bundled_path(self.name, w).is_file() or self._in_hub(w)
        )

    def _in_hub(self, weights: str) -> bool:
        return weights == hub_weights(self.name) and hub.is_cached(hub.url_of(self.name))

    def state(self, weights: str, progress: Progress | None = None) -> dict[str, torch.Tensor]:
        """The state dict of one of `weights`, bundled or from the network."""
        if self.source == "torchvision":
            return torchvision_models.pretrained(self.plain, weights, progress)
        if weights == hub_weights(self.name):
            return hub.cifar_resnet(self.name, progress)
        return read_weights(bundled_path(self.name, weights))

    def plain_weights(self, weights: str) -> str:
        """The one name of a set of weights that has two."""
        if self.source != "torchvision":
            return weights
        return torchvision_models.plain_weights(self.plain, weights)

    def unknown_weights(self, weights: str) -> UnknownNameError:
        """The error that lists what `weights` could have been."""
        choices = [*self.weights, "the path of a weights file"]
        if self.source != "torchvision" and PREFIX + self.name in architectures():
            choices.append(f"those of the ImageNet network '{PREFIX}{self.name}'")
        return UnknownNameError(f"{self.name} weights", weights, choices)


def find_architecture(name: str) -> Architecture:
    """The network called `name`. Raises `UnknownNameError`, which lists the choices."""
    known = architectures()
    if isinstance(name, str) and name in known:
        return known[name]
    plain = str(name).removeprefix(PREFIX)
    if plain != str(name) and plain in torchvision_models.names():
        return known[plain]
    raise UnknownNameError("model", name, known)


@lru_cache(maxsize=1)
def architectures() -> Mapping[str, Architecture]:
    """Every network by its name, the bundled ones first."""
    found: dict[str, Architecture] = {}
    for name, (family, title, builder) in _CIFAR.items():
        bundled = ("digits", "cifar10") if name in _WITH_WEIGHTS else ()
        extra = (hub_weights(name),) if name in hub.CIFAR_RESNETS else ()
        found[name] = Architecture(
            name=name,
            family=family,
            description=f"{title} for 32×32 images",
            source="bundled" if bundled else "hub",
            weights=(*bundled, *extra),
            input_size=32,
            classes=10,
            build=partial(_build_cifar, builder),
        )
    for name in torchvision_models.names():
        family = torchvision_models.family(name)
        full = PREFIX + name if name in _CIFAR else name
        found[full] = Architecture(
            name=full,
            family=family,
            description=f"{family} for ImageNet ({name})",
            source="torchvision",
            weights=torchvision_models.weights_names(name),
            input_size=torchvision_models.meta(name)[1],
            classes=1000,
            build=partial(torchvision_models.build, name),
        )
    return found


def bundled_path(name: str, weights: str) -> Path:
    """Where the package keeps weights that it brings along."""
    return BUNDLED / f"{name}-{weights}.safetensors"


def hub_weights(name: str) -> str:
    """What the weights from torch.hub are called; `resnet20` has bundled ones called "cifar10"."""
    return "cifar10-hub" if name == "resnet20" else "cifar10" if name in hub.CIFAR_RESNETS else ""


def _build_cifar(
    builder: Callable[..., nn.Module], num_classes: int | None = None, keys: Collection[str] = ()
) -> nn.Module:
    return builder(num_classes=10 if num_classes is None else num_classes)
