"""What the catalogue knows about a network, and how it builds and loads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pruneviz.catalog import hub, torchvision_models
from pruneviz.catalog.checkpoints import read_weights
from pruneviz.catalog.downloads import Progress
from pruneviz.catalog.preprocessing import Preprocessing
from pruneviz.errors import UnknownNameError

BUNDLED = Path(__file__).parent / "weights"
PREFIX = "torchvision/"


@dataclass(frozen=True)
class Architecture:
    """One network of the catalogue: what `models()` says about it, and how to build it.

    `build(num_classes=None, keys=())` returns it with random weights; `keys` are the names of the
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
        """The name that its source uses."""
        return self.name.removeprefix(PREFIX)

    def parameters(self) -> int:
        """Number of parameters, counted without allocating them."""
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

    def preprocessing(self, weights: str | None) -> Preprocessing | None:
        """How images were prepared for the weights; None for the CIFAR forms, which take them as
        they are.
        """
        if self.source == "torchvision":
            return torchvision_models.preprocessing(self.plain, weights)
        return None

    def plain_weights(self, weights: str) -> str:
        """The canonical name of a set of weights that has two names."""
        if self.source != "torchvision":
            return weights
        return torchvision_models.plain_weights(self.plain, weights)

    def unknown_weights(self, weights: str) -> UnknownNameError:
        """The error that lists what `weights` could have been."""
        choices = [*self.weights, "the path of a weights file"]
        if self.source != "torchvision" and self.name in torchvision_models.names():
            choices.append(f"those of the ImageNet network '{PREFIX}{self.name}'")
        return UnknownNameError(f"{self.name} weights", weights, choices)


def bundled_path(name: str, weights: str) -> Path:
    """Where the package keeps its bundled weights."""
    return BUNDLED / f"{name}-{weights}.safetensors"


def hub_weights(name: str) -> str:
    """The name of the weights from torch.hub; `resnet20` has bundled ones called "cifar10"."""
    return "cifar10-hub" if name == "resnet20" else "cifar10" if name in hub.CIFAR_RESNETS else ""
