"""What becomes of zeroed filters: a network of one layer, whose ways are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.data import DataSet
from pruneviz.figures import style, words
from pruneviz.figures.lab_details import details_figure
from pruneviz.studies.papers import soft_regrowth
from pruneviz.studies.papers.result import LabResult
from pruneviz.studies.papers.setting import finding


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return pv.load_dataset("digits")


def network(offset: float) -> nn.Module:
    """Ten filters behind a norm of this offset and a ReLU, then a classifier."""
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 10, 3), nn.BatchNorm2d(10)
    nn.init.constant_(norm.bias, offset)
    head = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 10))
    return nn.Sequential(conv, norm, *head)


@pytest.mark.parametrize(("offset", "share"), [(0.5, 1.0), (-0.5, 0.0)])
def test_the_sign_of_the_offset_decides(
    digits: DataSet, offset: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ReLU cuts a negative offset off, and the gradient with it."""
    monkeypatch.setattr(soft_regrowth, "MARKS", (0, 1, 4))
    model = network(offset)
    averages = model[1].running_mean.clone()
    said = soft_regrowth.regrow(model, digits, 0, {"lr": 0.1})
    assert said["back"] == [0.0, share, share]
    assert said["norms"][0] == 0.0
    assert (said["norms"][1] > 0) == bool(share)
    assert said["negative"] == (0.0 if share else 1.0)
    assert len(said["accuracy"]) == 3
    assert not torch.equal(averages, model[1].running_mean), "its own updates, and they alone"


def test_zeroed_norms_hold_their_filters(digits: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_regrowth, "MARKS", (0, 1, 4))
    said = soft_regrowth.regrow(network(0.5), digits, 0, {"norms": True})
    assert said["back"] == said["norms"] == [0.0, 0.0, 0.0]


def test_the_picture_has_a_panel_a_quantity_and_says_it_in_words() -> None:
    curves = {"marks": [0, 1], "back": [0.0, 0.4], "norms": [0.0, 0.1], "accuracy": [0.1, 0.8]}
    result = LabResult(
        "regrowth", "resnet20", "digits", "minutes", (0,),
        (finding("as in the paper", [0.4], **curves), finding("slow", [0.4], **curves)),
        (("so it is", True),), {}, "pruneviz lab run regrowth", "abc", "a machine", 1.0,
    )  # fmt: skip
    figure = details_figure(result)
    assert [list(trace.y) for trace in figure.data[::2]] == [
        curves["back"], curves["norms"], curves["accuracy"],
    ]  # fmt: skip
    said = words.told(figure).replace(style.NARROW, " ")
    assert "as in the paper: 40 % of the zeroed filters are back at the end" in said
