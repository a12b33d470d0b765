"""Preparing an image folder as a network's weights expect it, without being asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pruneviz.catalog.archives import open_tree
from pruneviz.catalog.imagenet import class_indices
from pruneviz.catalog.layout import lay_out
from pruneviz.catalog.models import ModelSource
from pruneviz.catalog.registry import find_architecture
from pruneviz.errors import DataError


def options_for(source: ModelSource, data: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with which `load_dataset(data, ...)` gives images as the network was trained on.

    For a folder, the preprocessing of the network's named weights, and all classes of ImageNet if
    the weights have these and every folder is named after one. Values given in `options` stay, and
    other data sets are left as they are.
    """
    chosen = dict(options)
    if data != "folder" or chosen.get("size") is not None or "preprocessing" in chosen:
        return chosen
    network = find_architecture(source.name)
    weights = None if source.weights is None else network.plain_weights(source.weights)
    if weights not in network.weights:
        return chosen
    prepared = network.preprocessing(weights)
    if prepared is None:
        return chosen
    chosen["preprocessing"] = prepared.to_json()
    if network.classes == 1000 and source.num_classes is None and "classes_of" not in chosen:
        try:
            with open_tree(str(chosen["root"])) as tree:
                folders = lay_out(tree).classes
        except (DataError, KeyError):  # loading it says what is wrong
            return chosen
        if class_indices(folders) is not None:
            chosen["classes_of"] = "imagenet"
    return chosen
