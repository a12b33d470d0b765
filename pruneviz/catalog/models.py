"""Loading a network of the catalogue, and what is known about it afterwards."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from pruneviz.arguments import path_of, whole
from pruneviz.catalog import own, torchvision_models
from pruneviz.catalog.checkpoints import State, read_weights
from pruneviz.catalog.downloads import Progress
from pruneviz.catalog.elsewhere import is_elsewhere
from pruneviz.catalog.elsewhere import load as load_elsewhere
from pruneviz.catalog.fitting import load_into
from pruneviz.catalog.heads import classifier_names, count_classes, replace_classifier
from pruneviz.catalog.preprocessing import Preprocessing
from pruneviz.catalog.registry import architectures, find_architecture
from pruneviz.errors import InvalidValueError, WeightsError, shown

MOST_CLASSES = 100_000
"""More would make a classifier of gigabytes; ImageNet-21k has 21,841."""

_ATTRIBUTE = "_pruneviz_loaded"


@dataclass(frozen=True)
class ModelSource:
    """Where a network comes from, as a value that JSON can hold and that loads it again.

    `seed` decides the weights that no file gives: all of them where `weights` is None, the
    classifier where `num_classes` differs from the weights'. With a seed, the same source always
    loads the same network; with None these weights are drawn from torch's global random state.
    """

    name: str
    weights: str | None = None
    num_classes: int | None = None
    seed: int | None = 0

    def load(self, progress: Progress | None = None) -> nn.Module:
        """The network, in eval mode; with a seed, the global random state stays as it was."""
        if self.seed is None:
            return load_model(
                self.name, self.weights, num_classes=self.num_classes, progress=progress
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            model = replace(self, seed=None).load(progress)
        _remember(model, replace(describe_model(model), source=self))
        return model

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelSource:
        """The source that `to_dict` wrote. Raises `InvalidValueError` for anything else."""
        none = type(None)
        known: dict[str, tuple[type, ...]] = {
            "name": (str,),
            "weights": (str, none),
            "num_classes": (int, none),
            "seed": (int, none),
        }
        fits = isinstance(data, Mapping) and set(data) <= set(known) and "name" in data
        if not fits or not all(type(value) in known[key] for key, value in data.items()):
            raise InvalidValueError(
                "A model source has 'name', 'weights', 'num_classes' and 'seed', but got "
                f"{shown(data)}; write it with ModelSource.to_dict()."
            )
        return cls(**data)

    @property
    def digest(self) -> str:
        """SHA-256 over the source and, if the weights are a file, the file's content."""
        data: dict[str, Any] = self.to_dict()
        if self.weights is not None and not is_elsewhere(self.weights) and _is_path(self.weights):
            try:
                with Path(self.weights).expanduser().open("rb") as file:
                    data["weights"] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise WeightsError(
                    f"The weights file '{self.weights}' cannot be read ({error.strerror}); "
                    "give the path of one that can."
                ) from error
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class LoadedModel:
    """What is known about a loaded network; see `describe_model`.

    `weights_classes` is the number of classes of the weights; None if there are no weights.
    """

    source: ModelSource
    family: str
    input_shape: tuple[int, int, int]
    classes: int
    weights_classes: int | None
    preprocessing: Preprocessing | None = None
    """How images were prepared for the weights; None if that is not known."""

    @property
    def classifier_replaced(self) -> bool:
        """Whether the classifier is fresh because the number of classes is not the weights'."""
        return self.weights_classes is not None and self.weights_classes != self.classes

    @property
    def needs_fine_tuning(self) -> bool:
        """Whether some of its weights are random, so that its accuracy means nothing yet."""
        return self.classifier_replaced or self.weights_classes is None

    @property
    def note(self) -> str:
        """One sentence on what has to be done first; empty if nothing."""
        if self.classifier_replaced:
            return (
                f"The weights '{self.source.weights}' are for {self.weights_classes} classes, but "
                f"the network now has {self.classes}: its classifier is new, so fine-tune it "
                "first."
            )
        if self.weights_classes is None:
            return "The network has random weights, so train it first."
        return ""


def models() -> pd.DataFrame:
    """The networks that can be loaded, one per row.

    Columns: `name` (for `load_model`), `family`, `description`, `source` ("bundled", "hub",
    "torchvision", "timm" or "your own"), `weights` (names for `load_model`, separated by commas),
    `input_size` (side in pixels), `classes`, `parameters` (count) and `offline` (the weights that
    load without a network: bundled or downloaded before). `vgg16` and `mobilenet_v2` are the
    bundled CIFAR forms; torchvision's own are `torchvision/vgg16` and `torchvision/mobilenet_v2`.
    Of timm's networks, those that keep the laws are listed; `load_model` also takes the others.
    """
    rows = [
        {
            "name": a.name,
            "family": a.family,
            "description": a.description,
            "source": a.source,
            "weights": ", ".join(a.weights),
            "input_size": a.input_size,
            "classes": a.classes,
            "parameters": a.parameters(),
            "offline": ", ".join(a.offline()),
        }
        for a in {**own.listed(), **architectures()}.values()
    ]
    return pd.DataFrame(rows)


def load_model(
    name: str,
    weights: str | os.PathLike[str] | None = None,
    *,
    num_classes: int | None = None,
    progress: Progress | None = None,
) -> nn.Module:
    """A network of the catalogue as a plain `nn.Module` in eval mode.

    `name` is one of `models()`; torchvision's may also be written `torchvision/<name>`, which is
    needed for `vgg16` and `mobilenet_v2`, whose plain names are the bundled CIFAR forms.

    `timm/<name>` is any network of timm (extra `timm`), with the weights that timm lists for it;
    `hf/<folder>` an image classifier that transformers wrote there, and `hf/<name>` one of the
    hub's (extra `hf`), both with the weights "pretrained".

    `weights`: "digits" or "cifar10" (bundled); "cifar10-hub" for `resnet20` and "cifar10" for the
    deeper CIFAR ResNets (from the network); "imagenet", or a name of torchvision's such as
    "IMAGENET1K_V2"; the path of a `.safetensors`, `.pt` or `.pth` file; "run:" and the id or name
    of a finished run, whose network is loaded as the run left it (pruned, if the run pruned it); or
    None for random weights, drawn from torch's global random state.

    `num_classes`: if it is not the weights' number of classes, the classifier is replaced by a
    fresh one, and `describe_model(model)` says so. By default, the weights' number.

    Images are expected as (N, 3, H, W), normalised with ImageNet's mean and standard deviation,
    for every network. `progress` is called with (bytes done, bytes in all, what) by a download.

    Raises `UnknownNameError`, `InvalidValueError`, `WeightsError`, `OfflineError`.
    """
    architecture = find_architecture(name)
    if num_classes is not None:
        whole("num_classes", num_classes, 2, MOST_CLASSES)
    elsewhere = str(weights) if is_elsewhere(weights) else None
    if weights is not None and elsewhere is None:
        weights = path_of("weights", weights, "a weights file, or the name of trained weights")
    trained = None
    if weights is None:
        model = architecture.build(num_classes)
    elif elsewhere is not None:
        weights, model = elsewhere, load_elsewhere(elsewhere, architecture.name)
        trained = count_classes(model)
        if num_classes is not None and num_classes != trained:
            replace_classifier(model, num_classes)
    else:
        weights = architecture.plain_weights(str(weights))
        if weights not in architecture.weights and _is_path(weights):
            state = torchvision_models.adapt(architecture.plain, read_weights(weights))
            weights = str(Path(weights).expanduser().absolute())
            where = Path(weights).name
        elif weights in architecture.weights:
            state = architecture.state(weights, progress)
            where = f"{weights} weights of {architecture.plain}"
        else:
            raise architecture.unknown_weights(weights)
        with torch.random.fork_rng(devices=[]):  # whatever is drawn here is overwritten
            model = architecture.build(keys=state)
            trained = count_classes(model, state) or architecture.classes
            if trained != architecture.classes and _fits_but_for_classes(model, state):
                replace_classifier(model, trained)
        load_into(model, state, network=f"'{architecture.name}'", where=where)
        if num_classes is not None and num_classes != trained:
            replace_classifier(model, num_classes)
    size = architecture.input_size
    loaded = LoadedModel(
        source=ModelSource(architecture.name, weights, num_classes, seed=None),
        family=architecture.family,
        input_shape=(3, size, size),
        classes=count_classes(model),
        weights_classes=trained,
        preprocessing=architecture.preprocessing(
            weights if weights in architecture.weights else None
        ),
    )
    _remember(model, loaded)
    return model.eval()


def _fits_but_for_classes(model: nn.Module, state: State) -> bool:
    """Whether the classifier of `state` has the same inputs as this one; only then build it.

    A classifier with few values per class can list so many classes that one of the network's own
    width would fill the memory.
    """
    key = f"{classifier_names(model)[0]}.weight"
    return key in state and state[key].shape[1:] == model.get_parameter(key).shape[1:]


def describe_model(model: nn.Module) -> LoadedModel:
    """What is known about a network that `load_model` returned, or a copy of it.

    Raises `InvalidValueError` for a network from elsewhere.
    """
    loaded = getattr(model, _ATTRIBUTE, None)
    if not isinstance(loaded, LoadedModel):
        raise InvalidValueError(
            f"PruneViz does not know the weights of this {type(model).__name__}, as it was not "
            "loaded with load_model; load it with that."
        )
    return loaded


def _is_path(weights: str) -> bool:
    path = Path(weights)
    try:
        return len(path.parts) > 1 or bool(path.suffix) or path.is_file()
    except OSError:  # a name longer than any file's
        return False


def _remember(model: nn.Module, loaded: LoadedModel) -> None:
    # On the network itself, so that copies of it know, too; not a parameter, not in its state dict.
    setattr(model, _ATTRIBUTE, loaded)
