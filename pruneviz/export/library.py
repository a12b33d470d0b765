"""A pruned network as timm's or transformers' own: a config with its widths, and the weights.

A config has few widths: one for each stage, say, where a plan may leave every layer its own. So the
widths are read off the pruned network, a network is built from the config, and only if every
tensor has the shape that the plan left is there a folder to write; plans with one pruning ratio for
all groups mostly fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pruneviz.errors import ExportError, MissingExtraError

Widths = Mapping[str, Any]
ELSE = "leave out the format 'config'"


def write_config(network: nn.Module, folder: Path) -> str:
    """Write `config.json` and safetensors that timm or transformers loads; returns a note.

    Raises:
        ExportError: The network is of neither, or its config cannot express the plan.
        MissingExtraError: The library is not installed.
    """
    if hasattr(network, "config") and hasattr(network, "save_pretrained"):
        return _transformers(network, folder)
    if isinstance(getattr(network, "pretrained_cfg", None), Mapping):
        return _timm(network, folder)
    raise ExportError(
        "Only networks of timm and transformers have a config of their own, but this is "
        f"{type(network).__name__}; {ELSE}."
    )


def _transformers(network: Any, folder: Path) -> str:
    kind = str(network.config.model_type)
    config = deepcopy(network.config)
    widths = _of("transformers", TRANSFORMERS, kind, network)
    for name, value in widths.items():
        setattr(config, name, value)
    made = _fitted("transformers", network, widths, lambda: type(network)(config))
    made.save_pretrained(folder)
    return "transformers: AutoModelForImageClassification.from_pretrained(FOLDER)"


def _timm(network: Any, folder: Path) -> str:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("A config of timm", "timm", "timm") from error
    widths = _of("timm", TIMM, type(network).__module__.rpartition(".")[2], network)
    name = network.pretrained_cfg["architecture"]
    given = {**widths, "num_classes": network.num_classes}
    made = _fitted("timm", network, widths, lambda: timm.create_model(name, **given))
    timm.models.save_for_hf(made, str(folder), model_args=dict(widths), safe_serialization=True)
    return "timm: create_model('local-dir:FOLDER', pretrained=True)"


def _of(
    library: str, known: Mapping[str, Callable[[Any], Widths]], kind: str, network: nn.Module
) -> Widths:
    if kind not in known:
        raise ExportError(
            f"The config of {library} has no widths that PruneViz can set for '{kind}'; it can "
            f"for {', '.join(known)}: {ELSE}."
        )
    return known[kind](network)


def _fitted(library: str, network: nn.Module, widths: Widths, make: Callable[[], nn.Module]) -> Any:
    """The network that the widths build, with the pruned network's weights."""
    left = network.state_dict()
    try:
        with torch.random.fork_rng(devices=[]):
            made = make()
        built = made.state_dict()
        astray = next((n for n in {**left, **built} if _shape(left, n) != _shape(built, n)), None)
    except Exception as error:  # widths that the library's own code cannot divide, say
        raise ExportError(
            f"The config of {library} cannot express this plan ({type(error).__name__}: "
            f"{str(error).splitlines()[0][:200]}); {ELSE}."
        ) from error
    if astray is not None:
        told = ", ".join(f"{name} {value}" for name, value in widths.items())
        raise ExportError(
            f"The config of {library} cannot express this plan: with {told}, '{astray}' has the "
            f"shape {_shape(built, astray)}, but the plan leaves {_shape(left, astray)}. One ratio "
            f"for all groups (threshold(..., scope='group')) mostly fits; or {ELSE}."
        )
    made.load_state_dict(left)
    return made.eval()


def _shape(state: Mapping[str, torch.Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None


def _width(layer: nn.Module) -> int:
    """Outputs of a convolution."""
    weight: Any = layer.weight
    return int(weight.shape[0])


# ------------------------------------------------------------------------------- transformers
def _resnet(network: Any) -> Widths:
    body = network.resnet
    return {
        "embedding_size": _width(body.embedder.embedder.convolution),
        "hidden_sizes": [_width(s.layers[-1].layer[-1].convolution) for s in body.encoder.stages],
    }


def _regnet(network: Any) -> Widths:
    body = network.regnet
    grouped = body.encoder.stages[-1].layers[-1].layer[1].convolution
    return {
        "embedding_size": _width(body.embedder.embedder.convolution),
        "hidden_sizes": [_width(s.layers[-1].layer[-1].convolution) for s in body.encoder.stages],
        "groups_width": int(grouped.weight.shape[1]),
    }


def _convnext(network: Any) -> Widths:
    return {"hidden_sizes": [_width(s.layers[-1].dwconv) for s in network.convnext.encoder.stages]}


def _mobilenet(network: Any) -> Widths:
    """One factor for all widths, no longer rounded to multiples of eight."""
    exact = {"depth_divisible_by": 1, "min_depth": 1}
    if network.config.model_type == "mobilenet_v1":
        last = network.mobilenet_v1.layer[-1].convolution
        return {"depth_multiplier": _width(last) / 1024, **exact}
    last = network.mobilenet_v2.conv_1x1.convolution
    return {"depth_multiplier": _width(last) / 1280, "finegrained_output": False, **exact}


TRANSFORMERS: Mapping[str, Callable[[Any], Widths]] = {
    "resnet": _resnet,
    "regnet": _regnet,
    "convnext": _convnext,
    "mobilenet_v1": _mobilenet,
    "mobilenet_v2": _mobilenet,
}
"""By `model_type`: what the config calls the widths, read off a network."""


# --------------------------------------------------------------------------------------- timm
def _timm_resnet(network: Any) -> Widths:
    """ResNet, ResNet-D, SE-ResNet, ResNeXt: without a deep stem, its 64 channels are fixed."""
    last = [getattr(network, f"layer{i}")[-1] for i in (1, 2, 3, 4)]
    channels = [_width(getattr(b, "conv3", b.conv2)) // b.expansion for b in last]
    deep = isinstance(network.conv1, nn.Sequential)
    return {"channels": channels, **({"stem_width": _width(network.conv1[3])} if deep else {})}


def _timm_convnext(network: Any) -> Widths:
    return {"dims": [_width(stage.blocks[-1].conv_dw) for stage in network.stages]}


def _timm_densenet(network: Any) -> Widths:
    return {"growth_rate": _width(network.features.denseblock1.denselayer1.conv2)}


TIMM: Mapping[str, Callable[[Any], Widths]] = {
    "resnet": _timm_resnet,
    "convnext": _timm_convnext,
    "densenet": _timm_densenet,
}
"""By timm's module: what `create_model` calls the widths."""
