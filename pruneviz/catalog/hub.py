"""Weights from the network through torch.hub: its cache, its hash check, and the CIFAR ResNets.

The CIFAR-10 ResNets are those of Yerlan Idelbayev, *Proper ResNet Implementation for CIFAR10/100
in PyTorch*, https://github.com/akamaster/pytorch_resnet_cifar10: He et al. (2015), option A.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch

from pruneviz.catalog.checkpoints import unwrap
from pruneviz.catalog.downloads import Progress, download
from pruneviz.errors import StorageError, WeightsError

BASE = "https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/"

CIFAR_RESNETS = {
    "resnet20": "resnet20-12fca82f.th",
    "resnet32": "resnet32-d509ac18.th",
    "resnet44": "resnet44-014dd654.th",
    "resnet56": "resnet56-4bfd9763.th",
    "resnet110": "resnet110-1d1ed7c2.th",
}
"""Files by network; the last eight digits are the beginning of the file's SHA-256."""


# What torch.load raises on a file that is not what it should be.
_DAMAGE = (RuntimeError, EOFError, LookupError, ValueError, AttributeError, pickle.UnpicklingError)


def cifar_resnet(name: str, progress: Progress | None = None) -> dict[str, torch.Tensor]:
    """The CIFAR-10 weights of a ResNet of 20, 32, 44, 56 or 110 layers as a state dict.

    Raises `OfflineError` without a network, `WeightsError` if the file is not as expected.
    """
    url = url_of(name)

    def load(**options: Any) -> Any:
        return torch.hub.load_state_dict_from_url(url, **options)

    loaded = fetch(f"The CIFAR-10 weights of '{name}'", url, load, progress=progress)
    return unwrap(loaded, CIFAR_RESNETS[name])


def url_of(name: str) -> str:
    """The URL of the weights of a CIFAR ResNet."""
    return BASE + CIFAR_RESNETS[name]


def cached_path(url: str) -> Path:
    """Where torch.hub keeps what it downloads from `url` (under TORCH_HOME)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def is_cached(url: str) -> bool:
    """Whether torch.hub has the file already, so that no network is needed."""
    return cached_path(url).is_file()


def fetch(
    what: str, url: str, load: Callable[..., Any], *, progress: Progress | None = None
) -> Any:
    """Call torch.hub's `load` safely: hash checked, tensors only, on the CPU.

    Raises `OfflineError` if the file is missing and cannot be downloaded, `WeightsError` if it is
    damaged, `StorageError` if torch.hub's folder cannot be written.
    """
    path = cached_path(url)

    def action() -> Any:
        return load(
            map_location="cpu", check_hash=True, weights_only=True, progress=progress is None
        )

    try:
        if path.is_file():
            return action()
        return download(what, [url], path.parent, action, progress=progress)
    except _DAMAGE as error:
        if path.is_file():
            message = f"{path} is damaged; delete it, and it will be downloaded again."
        else:
            message = f"{what} arrived damaged (their hash is another); try again."
        raise WeightsError(message) from error
    except OSError as error:
        if isinstance(error, ConnectionError | TimeoutError):
            raise
        raise StorageError(
            f"{what} cannot be kept in {path.parent} ({error.strerror}); "
            "set TORCH_HOME to a folder that can be written."
        ) from error
