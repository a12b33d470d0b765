"""Every network of the catalogue by name, with the weights it can be given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, partial

from torch import nn

from pruneviz.catalog import (
    hf_models,
    hub,
    mobilenet,
    own,
    resnet,
    timm_models,
    torchvision_models,
    vgg,
)
from pruneviz.catalog.architecture import PREFIX, Architecture, hub_weights
from pruneviz.errors import UnknownNameError

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


def find_architecture(name: str) -> Architecture:
    """The network called `name`. Raises `UnknownNameError`, which lists the choices."""
    known = architectures()
    if isinstance(name, str) and name in known and known[name].source != "timm":
        return known[name]
    if isinstance(name, str) and name.startswith(timm_models.PREFIX):
        return timm_models.find(name)
    if isinstance(name, str) and name.startswith(hf_models.PREFIX):
        return hf_models.find(name)
    if isinstance(name, str) and name.startswith(own.PREFIX):
        return own.find(name)
    plain = str(name).removeprefix(PREFIX)
    if plain != str(name) and plain in torchvision_models.names():
        return known[plain]
    raise UnknownNameError("model", name, known)


@lru_cache(maxsize=1)
def architectures() -> Mapping[str, Architecture]:
    """Every network by its name, the bundled ones first."""
    by_name: dict[str, Architecture] = {}
    for name, (family, title, builder) in _CIFAR.items():
        bundled = ("digits", "cifar10") if name in _WITH_WEIGHTS else ()
        extra = (hub_weights(name),) if name in hub.CIFAR_RESNETS else ()
        by_name[name] = Architecture(
            name=name,
            family=family,
            description=f"{title} for 32×32 images",
            source="hub" if extra and not bundled else "bundled",
            weights=(*bundled, *extra),
            input_size=32,
            classes=10,
            build=partial(_build_cifar, builder),
        )
    for name in torchvision_models.names():
        family = torchvision_models.family(name)
        full = PREFIX + name if name in _CIFAR else name
        by_name[full] = Architecture(
            name=full,
            family=family,
            description=f"{family} for ImageNet ({name})",
            source="torchvision",
            weights=torchvision_models.weights_names(name),
            input_size=torchvision_models.meta(name)[1],
            classes=1000,
            build=partial(torchvision_models.build, name),
        )
    return by_name | timm_models.listed()


def _build_cifar(
    builder: Callable[..., nn.Module], num_classes: int | None = None, keys: Collection[str] = ()
) -> nn.Module:
    return builder(num_classes=10 if num_classes is None else num_classes)
