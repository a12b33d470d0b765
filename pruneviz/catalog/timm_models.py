"""timm's convolutional networks, with its own loader and its own preprocessing."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pruneviz.catalog.architecture import Architecture
from pruneviz.catalog.downloads import Progress, offline
from pruneviz.catalog.preprocessing import INTERPOLATIONS, Preprocessing
from pruneviz.errors import MissingExtraError, UnknownNameError, WeightsError

PREFIX = "timm/"
TABLE = Path(__file__).with_name("timm_networks.json")
"""What `python -m tests.sweep_timm` found out: which networks keep the laws, and their sizes."""


@dataclass(frozen=True)
class TimmArchitecture(Architecture):
    """A network that timm builds and loads."""

    known_parameters: int = 0

    @property
    def plain(self) -> str:
        """timm's own name."""
        return self.name.removeprefix(PREFIX)

    def parameters(self) -> int:
        """Number of parameters, from the table."""
        if self.known_parameters:
            return self.known_parameters
        with torch.device("meta"):
            return sum(p.numel() for p in self.build().parameters())

    def offline(self) -> tuple[str, ...]:
        """The weights that timm has downloaded before."""
        return tuple(w for w in self.weights if _is_cached(self.plain, w))

    def state(self, weights: str, progress: Progress | None = None) -> dict[str, torch.Tensor]:
        """The weights as timm's own loader gives them.

        Raises `OfflineError` without a network.
        """
        what = f"The weights '{weights}' of '{self.name}'"
        if progress is not None:
            progress(0, 0, what)
        timm = library()
        try:
            model = timm.create_model(_full(self.plain, weights), pretrained=True)
        except Exception as error:
            if is_about_the_network(error):
                raise offline(what, "https://huggingface.co", error) from error
            raise WeightsError(
                f"{what} cannot be loaded by timm ({type(error).__name__}: {error})."
            ) from error
        return dict(model.state_dict())

    def preprocessing(self, weights: str | None) -> Preprocessing:
        """Mean, deviation, size and interpolation from timm's configuration of the weights."""
        timm = library()
        config = timm.get_pretrained_cfg(_full(self.plain, weights)).to_dict()
        settings = timm.data.resolve_data_config({}, pretrained_cfg=config)
        size = int(settings["input_size"][-1])
        kind = str(settings["interpolation"])
        return Preprocessing(
            size=size,
            resize=max(size, int(size / settings["crop_pct"])),
            interpolation=kind if kind in INTERPOLATIONS else "bicubic",
            mean=tuple(settings["mean"]),
            std=tuple(settings["std"]),
        )


def library() -> Any:
    """The module timm. Raises `MissingExtraError` if it is not installed."""
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("A network of timm", "timm", "timm") from error
    return timm


def find(name: str) -> TimmArchitecture:
    """timm's network `timm/<name>`, even if the table lacks it.

    Raises `UnknownNameError` for a name that timm does not know.
    """
    timm = library()
    plain = name.removeprefix(PREFIX)
    if not timm.is_model(plain):
        raise UnknownNameError("model of timm", plain, timm.list_models())
    config = timm.get_pretrained_cfg(plain)
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{plain}.*")]
    first = [config.tag] if config is not None and config.tag in tags else []
    return TimmArchitecture(
        name=f"{PREFIX}{plain}",
        family=family_title(plain),
        description=f"{plain}, from timm",
        source="timm",
        weights=tuple(dict.fromkeys([*first, *tags])),
        input_size=224 if config is None else int(config.input_size[-1]),
        classes=1000 if config is None else int(config.num_classes or 1000),
        build=partial(_build, plain),
        known_parameters=int(_rows().get(plain, {}).get("parameters", 0)),
    )


def listed() -> dict[str, TimmArchitecture]:
    """The networks that keep the laws, from the table, without loading timm."""
    return {
        f"{PREFIX}{plain}": TimmArchitecture(
            name=f"{PREFIX}{plain}",
            family=family_title(plain),
            description=f"{plain}, from timm",
            source="timm",
            weights=tuple(row.get("weights", ())),
            input_size=int(row["input_size"]),
            classes=int(row.get("classes", 1000)),
            build=partial(_build, plain),
            known_parameters=int(row["parameters"]),
        )
        for plain, row in _rows().items()
        if row.get("outcome") == "kept"
    }


def family_title(plain: str) -> str:
    """A family's name, as in the table."""
    return str(_rows().get(plain, {}).get("family", plain)).partition("/")[2] or plain


def is_about_the_network(error: BaseException | None) -> bool:
    """Whether a file could not be fetched, whichever Hugging Face library raised the error."""
    signs = ("Connect", "Timeout", "Offline", "LocalEntryNotFound", "NameResolution", "HTTPError")
    while error is not None:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        if any(sign in kind for sign in signs for kind in kinds) or "URLError" in kinds:
            return True
        error = error.__cause__ or error.__context__
    return False


@lru_cache(maxsize=1)
def _rows() -> Mapping[str, dict[str, Any]]:
    if not TABLE.is_file():
        return {}
    rows = json.loads(TABLE.read_text(encoding="utf-8"))["networks"]
    return {str(row["name"]): row for row in rows}


def _full(plain: str, weights: str | None) -> str:
    return f"{plain}.{weights}" if weights else plain


def _build(plain: str, num_classes: int | None = None, keys: Collection[str] = ()) -> nn.Module:
    options = {} if num_classes is None else {"num_classes": num_classes}
    model: nn.Module = library().create_model(plain, pretrained=False, **options)
    return model


def _is_cached(plain: str, weights: str) -> bool:
    """Whether the hub's cache has the file, without loading timm, which takes seconds."""
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    folder = cache / f"models--timm--{_full(plain, weights)}" / "snapshots"
    return any(folder.glob("*/model.safetensors"))
