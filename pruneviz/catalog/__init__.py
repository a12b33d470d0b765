"""What can be loaded: networks, weights and data sets."""

from __future__ import annotations

from pruneviz.catalog.datasets import datasets, load_dataset
from pruneviz.catalog.matching import options_for
from pruneviz.catalog.models import LoadedModel, ModelSource, describe_model, load_model, models

__all__ = [
    "LoadedModel",
    "ModelSource",
    "datasets",
    "describe_model",
    "load_dataset",
    "load_model",
    "models",
    "options_for",
]
