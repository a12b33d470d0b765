"""The same seed gives the same weights, also after an interruption."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
import torch
from torch import nn

from pruneviz.catalog.mobilenet import mobilenet_v2
from pruneviz.catalog.resnet import resnet20
from pruneviz.catalog.vgg import vgg16
from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError
from pruneviz.training import BatchEvent, EpochEvent, evaluate, fine_tune
from tests.training.helpers import net, same_weights


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    digits: DataSet, optimizer: str
) -> None:
    models = []
    for seed, batches in ((1, False), (1, True), (2, False)):
        models.append(net())
        torch.rand(len(models))  # whatever the caller drew before does not matter
        list(
            fine_tune(models[-1], digits, epochs=2, seed=seed, batches=batches, optimizer=optimizer)
        )
    assert same_weights(models[0], models[1])
    assert not same_weights(models[0], models[2])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("step", [1, 3, None], ids=["first", "third", "last"])
def test_a_run_that_stops_after_a_batch_ends_with_bit_identical_weights(
    digits: DataSet, optimizer: str, step: int | None
) -> None:
    options: dict[str, Any] = {"epochs": 3, "optimizer": optimizer, "schedule": "one-cycle"}
    whole, broken, resumed = net(), net(), net(seed=7)
    expected = list(fine_tune(whole, digits, **options))
    run = fine_tune(broken, digits, batches=True, **options)
    for event in run:
        if isinstance(event, BatchEvent) and (event.epoch, event.step) == (2, step or event.steps):
            checkpoint = io.BytesIO()
            torch.save(event.state(), checkpoint)
            break
    run.close()
    checkpoint.seek(0)
    state = torch.load(checkpoint, weights_only=True)
    rest = list(fine_tune(resumed, digits, resume=state, batches=True, **options))
    steps = [(e.epoch, e.step) for e in rest if isinstance(e, BatchEvent)]
    assert (2, step or 0) not in steps, "what was done is not done again"
    assert same_weights(whole, resumed)
    epochs = [e for e in rest if isinstance(e, EpochEvent)]
    assert [(e.loss, e.accuracy, e.lr) for e in epochs] == [
        (e.loss, e.accuracy, e.lr) for e in expected[1:]
    ]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stop", [1, 2])
def test_an_interrupted_run_ends_with_bit_identical_weights(
    digits: DataSet, optimizer: str, stop: int
) -> None:
    options: dict[str, Any] = {
        "epochs": 3,
        "optimizer": optimizer,
        "schedule": "one-cycle",
        "label_smoothing": 0.1,
    }
    whole, broken, resumed = net(), net(), net(seed=7)
    expected = list(fine_tune(whole, digits, **options))
    run = fine_tune(broken, digits, batches=True, **options)
    for event in run:  # stop in the middle of the epoch after the last checkpoint
        if isinstance(event, EpochEvent):
            checkpoint = io.BytesIO()
            torch.save(event.state, checkpoint)
        elif event.epoch == stop + 1 and event.step == 3:
            break
    run.close()
    checkpoint.seek(0)
    state = torch.load(checkpoint, weights_only=True)
    assert state["epoch"] == stop
    events = list(fine_tune(resumed, digits, resume=state, **options))
    assert [event.epoch for event in events] == list(range(stop + 1, 4))
    assert same_weights(whole, resumed)
    assert events[-1].loss == expected[-1].loss
    assert events[-1].accuracy == expected[-1].accuracy


@pytest.mark.slow
@pytest.mark.parametrize("make", [resnet20, vgg16, mobilenet_v2])
def test_the_bundled_architectures_resume_exactly(digits: DataSet, make: Any) -> None:
    data = dataclasses.replace(digits, train=digits.train.first(64), val=digits.val.first(20))
    models = []
    for _ in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            models.append(make())
    first, _ = fine_tune(models[0], data, epochs=2, batch_size=32, mixed_precision=True)
    list(
        fine_tune(
            models[1], data, epochs=2, batch_size=32, mixed_precision=True, resume=first.state
        )
    )
    assert same_weights(*models)


def test_a_state_does_not_change_after_it_was_given(digits: DataSet) -> None:
    run = fine_tune(net(), digits, epochs=2)
    first = next(run)
    weight = first.state["model"]["linear.weight"].clone()
    next(run)
    assert torch.equal(first.state["model"]["linear.weight"], weight)


def test_a_run_is_not_resumed_with_other_settings_or_data(digits: DataSet) -> None:
    first = next(fine_tune(net(), digits, epochs=2))
    with pytest.raises(InvalidValueError, match="epochs was 2, but got 5"):
        fine_tune(net(), digits, epochs=5, resume=first.state)
    other = dataclasses.replace(digits, train=digits.train.first(50), digest="")
    with pytest.raises(InvalidValueError, match="data was"):
        fine_tune(net(), other, epochs=2, batch_size=16, resume=first.state)
    narrower = net()
    narrower.linear = nn.Linear(256, 4)
    with pytest.raises(InvalidValueError, match="this one has other weights"):
        fine_tune(narrower, digits, epochs=2, resume=first.state)
    with pytest.raises(InvalidValueError, match=r"has no .*optimizer"):
        fine_tune(net(), digits, epochs=2, resume={"model": {}})


def test_the_random_state_of_the_caller_is_left_alone(digits: DataSet) -> None:
    before = torch.get_rng_state()
    for _ in fine_tune(net(), digits, epochs=1, batches=True):
        assert torch.equal(torch.get_rng_state(), before)


def test_what_the_caller_does_between_events_does_not_matter(digits: DataSet) -> None:
    plain, watched = net(), net()
    list(fine_tune(plain, digits, epochs=2))
    for _ in fine_tune(watched, digits, epochs=2, batches=True):
        torch.rand(3)
        evaluate(watched, digits, limit=10)
    assert same_weights(plain, watched)


def test_a_closed_run_leaves_the_network_usable(digits: DataSet) -> None:
    model = net()
    run = fine_tune(model, digits, epochs=3, batches=True)
    next(run)
    assert model.training
    run.close()
    assert not model.training
    assert all(value.is_contiguous() for value in model.state_dict().values())
    assert evaluate(model, digits).count == 100
