"""What the fuzzer found in long runs, each input by itself."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz import stored
from pruneviz.errors import InvalidValueError, PruneVizError, TraceError, UnknownNameError
from pruneviz.studies.papers.result import deviation
from pruneviz.training.recipe import settings_for


def test_an_array_is_no_name_of_a_data_set() -> None:
    with pytest.raises(UnknownNameError, match="data set"):
        pv.load_dataset(np.array([0, 1]))  # type: ignore[arg-type]


def test_an_array_is_no_augmentation() -> None:
    data, model = pv.load_dataset("digits"), pv.load_model("resnet20", weights="digits")
    with pytest.raises(PruneVizError, match="augmentation"):
        settings_for(model, data, augment=np.array([0, 1]))


def test_a_number_is_no_example_of_an_input() -> None:
    with pytest.raises(TraceError, match="axes"):
        pv.trace(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.tensor(0.5))


def test_a_network_without_weights_is_refused() -> None:
    data, model = pv.load_dataset("digits"), pv.load_model("resnet20", weights="digits")
    graph = pv.trace(model, data.input_shape)
    with pytest.raises(InvalidValueError, match="no weights"):
        list(pv.run_strategy("random", nn.Sequential(), graph, data, target_macs=0.5))


@pytest.mark.parametrize("as_bytes", [False, True])
def test_half_a_surrogate_pair_is_no_text(as_bytes: bool) -> None:
    text = json.dumps({"format": "x/1", "name": "\ud800"})
    with pytest.raises(InvalidValueError, match="surrogates"):
        stored.read(text.encode() if as_bytes else text, "A thing", "x/1", dict)
    with pytest.raises(InvalidValueError, match="surrogates"):
        stored.read('{"format": "x/1", "name": "\ud800"}', "A thing", "x/1", dict)
    whole = json.dumps({"format": "x/1", "name": "\U0001f600 ü"})
    assert stored.read(whole, "A thing", "x/1", dict) == {"name": "\U0001f600 ü"}


def test_seeds_that_are_not_finite_have_no_deviation() -> None:
    assert math.isnan(deviation([0.5, math.inf]))
    assert math.isnan(deviation([0.5]))
    assert deviation([0.0, 2.0]) == math.sqrt(2)
