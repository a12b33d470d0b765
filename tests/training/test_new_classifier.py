"""A new classifier on few images, a rate that is too high, and networks that learn nothing."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pruneviz.catalog import ModelSource, load_dataset
from pruneviz.catalog.digits import load_digits
from pruneviz.data import DataSet
from pruneviz.errors import TrainingError
from pruneviz.training import (
    BatchEvent,
    EpochEvent,
    Evaluation,
    chance,
    evaluate,
    fine_tune,
    settings_for,
    verdict,
)
from tests.training.helpers import net


@pytest.fixture
def few(digits: DataSet) -> DataSet:
    """Two classes of digits, sixty images to learn from."""
    keep = [(s, s.labels < 2) for s in (digits.train, digits.val)]
    train, val = (s.subset(mask.nonzero().flatten()).first(60) for s, mask in keep)
    return dataclasses.replace(digits, train=train, val=val, classes=("0", "1"), digest="few")


@pytest.mark.slow
def test_a_new_classifier_learns_alone_first_and_then_all_do(few: DataSet) -> None:
    model = ModelSource("resnet20", "cifar10", 2).load()
    settings = settings_for(model, few)
    steps = math.ceil(60 / settings.batch_size)
    assert settings.head_epochs * steps >= 48
    assert (settings.epochs - settings.head_epochs) * steps >= 64
    assert settings.lr < settings.head_lr
    before = {k: v.clone() for k, v in model.state_dict().items()}
    run = fine_tune(model, few, epochs=4)
    events = [next(run), next(run)]  # half of the four are the classifier's
    after = model.state_dict()
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert moved == {"linear.weight", "linear.bias"}, "weights and statistics of the rest stay"
    events += list(run)
    moved = {k for k, v in model.state_dict().items() if not torch.equal(before[k], v)}
    assert "conv1.weight" in moved
    assert all(p.requires_grad for p in model.parameters())
    assert len(events) == 4


@pytest.mark.sweep
def test_the_defaults_learn_two_classes_from_sixty_images(few: DataSet) -> None:
    *_, last = fine_tune(ModelSource("resnet20", "cifar10", 2).load(), few)
    assert last.accuracy > 0.9


@pytest.mark.sweep
def test_a_run_on_a_new_classifier_resumes_exactly(few: DataSet) -> None:
    for stop in (1, 2, 3):
        whole, other = (ModelSource("resnet20", "cifar10", 2).load() for _ in range(2))
        events = list(fine_tune(whole, few, epochs=4))
        list(fine_tune(other, few, epochs=4, resume=events[stop - 1].state))
        pairs = zip(whole.state_dict().values(), other.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs), stop


def test_a_classifier_that_is_not_new_is_trained_as_before() -> None:
    settings = settings_for(ModelSource("resnet20", "digits").load(), load_digits())
    assert (settings.epochs, settings.head_epochs, settings.lr) == (3, 0, 0.02)
    assert settings.clip == math.inf


def test_without_layers_that_normalise_the_rate_is_lower(digits: DataSet) -> None:
    bare = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3600, 10))
    settings = settings_for(bare, digits)
    assert (settings.lr, settings.clip, settings.head_epochs) == (0.002, 1.0, 0)


class Brittle(nn.Module):
    """Overflows once its weight has moved far."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = x.mean((2, 3)) @ self.weight.T
        return out / 0 if self.weight.abs().max() > 1 else out


def test_a_loss_that_is_no_number_begins_again_at_a_lower_rate_and_says_so(few: DataSet) -> None:
    events = list(fine_tune(Brittle(), few, epochs=2, lr=30.0, augment=None, clip=math.inf))
    assert [e.epoch for e in events] == [1, 2]
    assert "restarted at a tenth" in events[0].message
    assert events[1].message == ""
    assert events[0].lr < 30.0
    assert all(math.isfinite(e.loss) for e in events)


def test_what_is_said_of_a_new_beginning_survives_a_stop_within_the_epoch(few: DataSet) -> None:
    options: dict[str, Any] = {
        "epochs": 2, "lr": 8.0, "augment": None, "clip": math.inf, "batch_size": 4
    }  # fmt: skip
    run = fine_tune(Brittle(), few, batches=True, **options)
    said = ""
    for event in run:
        if isinstance(event, BatchEvent):
            said = said or event.message
            if said and not event.message:  # a batch later
                break
    run.close()
    assert isinstance(event, BatchEvent)
    assert "restarted at a tenth" in said, "at once, not at the end of an epoch of an hour"
    rest = list(fine_tune(Brittle(), few, resume=event.state(), **options))
    assert [e.message for e in rest if isinstance(e, EpochEvent)] == [said, ""][: len(rest)]


def test_where_no_rate_is_low_enough_the_run_ends_with_a_sentence(digits: DataSet) -> None:
    with pytest.raises(TrainingError, match="must stay finite"):
        list(fine_tune(net(), digits, epochs=1, lr=1e30))


def test_the_gradient_is_clipped(digits: DataSet) -> None:
    moved = []
    for clip in (1e-6, math.inf):
        model = net()
        before = model.linear.weight.detach().clone()
        next(fine_tune(model, digits, epochs=1, clip=clip, weight_decay=0.0))
        moved.append(float((model.linear.weight - before).abs().max()))
    assert moved[0] < 1e-4 < moved[1]


def found(predictions: list[int], labels: list[int]) -> Evaluation:
    hits = np.array(predictions) == np.array(labels)
    return Evaluation(
        float(hits.mean()), 1.0, (0.5, 0.5), len(labels), ("a", "b"), np.array(predictions)
    )


def test_a_network_that_learnt_nothing_is_told() -> None:
    labels = [0, 1] * 50
    assert "all 100 images into one class, 'b'" in verdict(found([1] * 100, labels), 0.5)
    guess = [0, 0, 1, 1] * 25
    assert "50.0% of 100 images" in verdict(found(guess, labels), 0.5)
    assert verdict(found(labels, labels), 0.5) == ""


def test_chance_is_the_share_of_the_commonest_class(digits: DataSet) -> None:
    assert chance(digits.val) == pytest.approx(int(max(torch.bincount(digits.val.labels))) / 100)


@pytest.mark.sweep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_squeezenet_learns_ants_and_bees_with_the_defaults(
    shared: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(shared / "torch"))
    data = load_dataset("folder", root=str(shared / "data" / "hymenoptera-256.zip"))
    model = ModelSource("squeezenet1_0", "imagenet", len(data.classes)).load()
    list(fine_tune(model, data, seed=seed))
    assert evaluate(model, data).accuracy >= 0.86
