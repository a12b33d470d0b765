"""What cannot be trained is refused with a sentence."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError, TrainingError, UnknownNameError
from pruneviz.training import fine_tune
from tests.training.conftest import found_device
from tests.training.helpers import net


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1, but got 0"),
        ({"epochs": "3"}, "epochs must be a whole number from 1, but got '3'"),
        ({"head_epochs": 0.5}, "head_epochs must be a whole number from 0, but got 0.5"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1, but got 0"),
        ({"lr": -1.0}, "lr must be a number from 0, but got -1"),
        ({"lr": math.nan}, "lr must be a number from 0, but got nan"),
        ({"momentum": 1.0}, "momentum must be at least 0 and less than 1"),
        ({"label_smoothing": -0.1}, "label_smoothing must be a number from 0"),
        ({"patience": 0}, "patience must be a whole number from 1, but got 0"),
    ],
)
def test_settings_out_of_range_are_refused_at_the_call(
    digits: DataSet, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        fine_tune(net(), digits, **options)


@pytest.mark.parametrize(
    ("options", "choices"),
    [
        ({"optimizer": "adam"}, "Did you mean 'adamw'"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"augment": "mixup"}, "crop, crop-flip, shift-rotate"),
    ],
)
def test_unknown_names_list_the_choices(
    digits: DataSet, options: dict[str, Any], choices: str
) -> None:
    with pytest.raises(UnknownNameError, match=choices):
        fine_tune(net(), digits, **options)


def test_a_loss_that_is_no_number_stops_the_run_with_a_sentence(digits: DataSet) -> None:
    model = net()
    with torch.no_grad():
        model.linear.weight[0, 0] = math.nan
    with pytest.raises(
        TrainingError, match=r"was nan in epoch 1, batch 1.*lower the learning rate"
    ):
        list(fine_tune(model, digits, epochs=1))
    assert not model.training


def test_a_learning_rate_far_too_high_stops_the_run_with_a_sentence(digits: DataSet) -> None:
    with pytest.raises(TrainingError, match="must stay finite"):
        list(fine_tune(net(), digits, epochs=3, lr=1e30))


def test_the_default_device_exists() -> None:
    assert torch.zeros(1, device=found_device()).item() == 0
