"""Evaluation against hand-computed values."""

from __future__ import annotations

import math
from collections import namedtuple
from typing import Any

import pytest
import torch

from pruneviz.data import DataSet
from pruneviz.errors import DataError
from pruneviz.training import evaluate
from tests.training.helpers import CLASSES, Fixed, coded, data_of, net


def test_accuracy_and_loss_by_hand() -> None:
    model = Fixed([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
    result = evaluate(model, data_of(coded([0, 1, 0, 0])), batch_size=3)
    # predictions 0, 1, 1, 2 against 0, 1, 0, 0
    assert result.predictions.tolist() == [0, 1, 1, 2]
    assert result.accuracy == 0.5
    assert result.count == 4
    assert result.per_class[:2] == (pytest.approx(1 / 3), 1.0)
    assert math.isnan(result.per_class[2]), "there is no image of class c"
    log_sums = (
        math.log(math.exp(2) + 2),
        math.log(math.e + 2),
        math.log(math.exp(3) + 2),
        math.log(math.e + 2),
    )
    by_hand = (log_sums[0] - 2 + log_sums[1] - 1 + log_sums[2] - 0 + log_sums[3] - 0) / 4
    assert result.loss == pytest.approx(by_hand, rel=1e-6)
    frame = result.to_frame()
    assert list(frame["class"]) == list(CLASSES)
    assert frame["accuracy"][1] == 1.0


def test_a_limit_takes_a_balanced_sample_and_the_batch_size_does_not_matter() -> None:
    model = Fixed(torch.eye(3).repeat(4, 1).tolist())
    data = data_of(coded([0, 1, 2] * 4))
    assert evaluate(model, data, limit=6).per_class == (1.0, 1.0, 1.0)
    assert evaluate(model, data, limit=6).count == 6
    assert evaluate(model, data, limit=99).count == 12
    losses = {round(evaluate(model, data, batch_size=size).loss, 6) for size in (1, 5, 12, 64)}
    assert len(losses) == 1


def test_evaluation_uses_eval_mode_and_restores_every_mode(digits: DataSet) -> None:
    model = net().train()
    model.features[1].eval()  # a frozen normalisation stays frozen
    before = {key: value.clone() for key, value in model.state_dict().items()}
    once, again = evaluate(model, digits), evaluate(model, digits)
    assert once.loss == again.loss, "dropout would make the two differ"
    assert model.training
    assert not model.features[1].training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_evaluation_takes_the_first_of_several_outputs() -> None:
    pair = namedtuple("pair", "logits aux")

    class Two(Fixed):
        def forward(self, x: torch.Tensor) -> Any:
            logits = super().forward(x)
            return pair(logits, -logits)

    table = torch.eye(3).tolist()
    data = data_of(coded([0, 1, 2]))
    assert evaluate(Two(table), data).loss == evaluate(Fixed(table), data).loss


def test_what_cannot_be_evaluated_says_why() -> None:
    model = Fixed([[1.0, 0.0, 0.0]])
    empty = data_of(coded([]))
    with pytest.raises(DataError, match="no images in its split 'val'"):
        evaluate(model, empty)
    with pytest.raises(DataError, match="no images in its split 'test'; use one of: train, val"):
        evaluate(model, data_of(coded([0])), split="test")
    with pytest.raises(DataError, match=r"3 classes of 'coded'.*\(1, 2\).*num_classes=3"):
        evaluate(Fixed([[1.0, 0.0]]), data_of(coded([0])))
