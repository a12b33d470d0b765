"""Image classifiers of Hugging Face's transformers: from a local folder, or by their hub name."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pruneviz.catalog.architecture import Architecture
from pruneviz.catalog.downloads import Progress, offline
from pruneviz.catalog.preprocessing import Preprocessing
from pruneviz.catalog.timm_models import is_about_the_network
from pruneviz.errors import MissingExtraError, PruneVizError, WeightsError

PREFIX = "hf/"
WEIGHTS = "pretrained"
_INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class HfArchitecture(Architecture):
    """A network that transformers builds from a `config.json`."""

    @property
    def plain(self) -> str:
        """The folder, or the name on the hub."""
        return self.name.removeprefix(PREFIX)

    def parameters(self) -> int:
        """Number of parameters, counted without allocating them."""
        with torch.device("meta"):
            return sum(p.numel() for p in self.build().parameters())

    def offline(self) -> tuple[str, ...]:
        """The weights, if they are in a local folder."""
        return self.weights if any(Path(self.plain).glob("*.safetensors")) else ()

    def state(self, weights: str, progress: Progress | None = None) -> dict[str, torch.Tensor]:
        """The weights from safetensors; never from a pickle."""
        if progress is not None:
            progress(0, 0, f"The weights of '{self.name}'")
        network = _asked(
            self.plain,
            "The weights",
            lambda kind: kind.from_pretrained(self.plain, use_safetensors=True),
            "AutoModelForImageClassification",
        )
        return dict(network.state_dict())

    def preprocessing(self, weights: str | None) -> Preprocessing | None:
        """As `preprocessor_config.json` says; None if there is none."""
        path = Path(self.plain) / "preprocessor_config.json"
        if not path.is_file():
            return None
        told = json.loads(path.read_text(encoding="utf-8"))
        size = _side(told.get("crop_size")) or _side(told.get("size")) or self.input_size
        resize = _side(told.get("size")) or size
        if "crop_pct" in told and resize < 384:  # ConvNeXt's convention
            size, resize = resize, int(resize / told["crop_pct"])
        usual = Preprocessing()
        return Preprocessing(
            size=size,
            resize=max(resize, size),
            interpolation=_INTERPOLATIONS.get(told.get("resample", 2), "bilinear"),
            mean=tuple(told.get("image_mean") or usual.mean),
            std=tuple(told.get("image_std") or usual.std),
        )


@lru_cache(maxsize=32)
def find(name: str) -> HfArchitecture:
    """The network whose `config.json` lies in a folder, or on the hub: `hf/<folder or name>`.

    Raises `OfflineError` if it would have to be fetched without a network, `WeightsError` if there
    is no image classifier.
    """
    plain = name.removeprefix(PREFIX)
    folder = Path(plain).expanduser()
    if folder.is_dir():
        plain = str(folder.resolve())
        if not (folder / "config.json").is_file():
            raise WeightsError(
                f"'{folder}' has no config.json; give the folder that save_pretrained wrote."
            )
    config = _asked(
        plain, "The configuration", lambda kind: kind.from_pretrained(plain), "AutoConfig"
    )
    size = _side(getattr(config, "image_size", None)) or 224
    return HfArchitecture(
        name=f"{PREFIX}{plain}",
        family=str(config.model_type),
        description=f"{config.model_type}, from transformers",
        source="huggingface",
        weights=(WEIGHTS,),
        input_size=size,
        classes=int(config.num_labels),
        build=partial(_build, plain),
    )


def library() -> Any:
    """The module transformers. Raises `MissingExtraError` if it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("A network of Hugging Face", "transformers", "hf") from error
    logging.getLogger("transformers").setLevel(logging.ERROR)
    return transformers


def _build(plain: str, num_classes: int | None = None, keys: Collection[str] = ()) -> nn.Module:
    options = {} if num_classes is None else {"num_labels": num_classes}
    config = _asked(
        plain,
        "The configuration",
        lambda kind: kind.from_pretrained(plain, **options),
        "AutoConfig",
    )
    model: nn.Module = _asked(
        plain,
        "The network",
        lambda kind: kind.from_config(config),
        "AutoModelForImageClassification",
    )
    return model


def _asked(plain: str, what: str, action: Any, kind: str) -> Any:
    """Ask one of transformers' Auto classes; its errors become a sentence."""
    transformers = library()
    try:
        return action(getattr(transformers, kind))
    except PruneVizError:
        raise
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        if is_about_the_network(error) and not Path(plain).is_dir():
            raise offline(f"{what} of '{plain}'", "https://huggingface.co", error) from error
        raise WeightsError(
            f"{what} of '{plain}' cannot be read as an image classifier of transformers "
            f"({type(error).__name__}: {first[:200]}); give a folder with config.json and "
            "safetensors, or a name on the hub."
        ) from error


def _side(value: Any) -> int:
    """Pixels from 224, [224, 224], {"shortest_edge": 224} or {"height": 224, "width": 224}."""
    if isinstance(value, dict):
        value = value.get("shortest_edge") or value.get("height")
    if isinstance(value, (list, tuple)):
        value = value[-1] if value else None
    return int(value) if isinstance(value, (int, float)) else 0
