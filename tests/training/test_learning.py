"""Fine-tuning against the textbook: steps, optimisers, learning rates, events."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import nn

from pruneviz.data import DataSet, ImageSet
from pruneviz.training import (
    BatchEvent,
    EpochEvent,
    Settings,
    evaluate,
    fine_tune,
    learning_rate,
)
from pruneviz.training.step import seed_of
from tests.training.helpers import CLASSES, Fixed, coded, data_of, net


@pytest.mark.slow
def test_a_network_learns_the_digits(digits: DataSet) -> None:
    model = net()
    before = evaluate(model, digits).accuracy
    events = list(fine_tune(model, digits, epochs=6, lr=0.05, schedule="one-cycle"))
    assert [event.epoch for event in events] == [1, 2, 3, 4, 5, 6]
    assert events[-1].loss < events[0].loss / 2
    assert events[-1].accuracy > max(0.8, before + 0.3)
    after = evaluate(model, digits)
    assert events[-1].accuracy == after.accuracy
    assert events[-1].val_loss == pytest.approx(after.loss, rel=1e-6)


def test_one_step_is_gradient_descent_by_hand() -> None:
    model = Fixed([[0.5, 0.0, 0.0], [0.0, 0.0, 0.2]])
    table = model.table.detach().clone()
    data = data_of(coded([1, 2]))
    options = {"epochs": 1, "lr": 0.1, "momentum": 0.0, "weight_decay": 0.01, "batch_size": 2}
    list(fine_tune(model, data, schedule="constant", augment=None, **options))
    gradient = (table.softmax(1) - torch.eye(3)[[1, 2]]) / 2 + 0.01 * table
    torch.testing.assert_close(model.table.detach(), table - 0.1 * gradient)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_is_the_plain_loop_of_the_textbook(digits: DataSet, optimizer: str) -> None:
    """Slow reference: torch's own optimiser and scheduler, no layouts, no events."""
    fast, plain = net(), net()
    for model in (fast, plain):
        model.drop.p = 0.0
        # The digits' flat background makes ties, which a maximum breaks either way by rounding.
        model.features[2], model.features[5] = nn.Softplus(), nn.Softplus()
        model.features[6] = nn.AvgPool2d(2)
    options: dict[str, Any] = {"epochs": 2, "lr": 0.01, "batch_size": 64, "label_smoothing": 0.1}
    events = list(
        fine_tune(fast, digits, optimizer=optimizer, augment=None, batches=True, **options)
    )
    groups = [
        {"params": [p for p in plain.parameters() if p.ndim > 1], "weight_decay": 5e-4},
        {"params": [p for p in plain.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    stepper = (
        torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True)
        if optimizer == "sgd"
        else torch.optim.AdamW(groups, lr=0.01)
    )
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(stepper, T_max=10)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)
    plain.train()
    losses = []
    for epoch in range(2):
        order = seed_of(0, epoch, 0)
        for x, y in digits.train.batches(64, shuffle_seed=order):
            loss = loss_of(plain(x), y)
            stepper.zero_grad()
            loss.backward()
            stepper.step()
            cosine.step()
            losses.append(loss.item())
    assert [e.loss for e in events if isinstance(e, BatchEvent)] == pytest.approx(losses, rel=1e-4)
    if optimizer == "adamw":
        return  # Adam divides by the gradient's size: near zero, rounding alone moves a weight
    for (name, one), other in zip(fast.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-4, msg=name)


def test_auxiliary_classifiers_count_04_alone_and_03_as_two() -> None:
    class Auxiliary(nn.Module):
        def __init__(self, heads: int) -> None:
            super().__init__()
            self.heads = nn.ParameterList(nn.Parameter(torch.zeros(1, 3)) for _ in range(heads))

        def forward(self, x: torch.Tensor) -> Any:
            outputs = tuple(head.expand(len(x), -1) for head in self.heads)
            return outputs if self.training else outputs[0]

    for heads, weight in ((2, 0.4), (3, 0.3)):
        model = Auxiliary(heads)
        options = {"epochs": 1, "lr": 1.0, "momentum": 0.0, "weight_decay": 0.0, "batch_size": 4}
        events = list(
            fine_tune(model, data_of(coded([0, 0])), schedule="constant", augment=None, **options)
        )
        step = torch.tensor([[2 / 3, -1 / 3, -1 / 3]])
        torch.testing.assert_close(model.heads[0].detach(), step)
        for head in list(model.heads)[1:]:
            torch.testing.assert_close(head.detach(), weight * step)
        assert events[0].loss == pytest.approx(math.log(3) * (1 + weight * (heads - 1)))


def test_googlenet_trains_with_its_auxiliary_classifiers() -> None:
    from torchvision.models import GoogLeNet

    torch.manual_seed(0)
    model = GoogLeNet(num_classes=3, init_weights=False).eval()
    before = model.aux1.fc2.weight.detach().clone()
    images = ImageSet(torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.tensor([0, 1]))
    data = DataSet("tiny", images, images, None, CLASSES, (3, 64, 64), {})
    (event,) = fine_tune(model, data, epochs=1, augment=None)
    assert math.isfinite(event.loss)
    assert not torch.equal(model.aux1.fc2.weight, before)


def test_learning_rates_by_hand() -> None:
    base = Settings(
        epochs=2,
        lr=0.5,
        batch_size=4,
        seed=0,
        optimizer="sgd",
        schedule="cosine",
        momentum=0.9,
        weight_decay=0.0,
        label_smoothing=0.0,
        augment=None,
        patience=None,
        mixed_precision=False,
    )
    for schedule, progress, expected in (
        ("cosine", 0.0, 0.5),
        ("cosine", 0.5, 0.25),
        ("cosine", 1.0, 0.0),
        ("one-cycle", 0.0, 0.02),
        ("one-cycle", 0.3, 0.5),
        ("one-cycle", 0.65, 0.25),
        ("one-cycle", 1.0, 0.0),
        ("steps", 59 / 200, 0.5),
        ("steps", 60 / 200, 0.1),
        ("steps", 119 / 200, 0.1),
        ("steps", 120 / 200, 0.02),
        ("steps", 160 / 200, 0.004),
        ("steps", 199 / 200, 0.004),
        ("constant", 0.7, 0.5),
    ):
        settings = dataclasses.replace(base, schedule=schedule)
        assert learning_rate(settings, progress) == pytest.approx(expected, abs=1e-12)


def test_biases_and_affine_values_decay_on_request_only(digits: DataSet) -> None:
    # One step at lr 1 without momentum: two runs differ by the decay of what they start from.
    options: dict[str, Any] = {
        "epochs": 1,
        "lr": 1.0,
        "momentum": 0.0,
        "batch_size": len(digits.train),
    }
    after = []
    for decay_all in (False, True):
        model = net()
        started = {n: p.detach().clone() for n, p in model.named_parameters()}
        list(fine_tune(model, digits, weight_decay=0.1, decay_all=decay_all, **options))
        after.append(dict(model.named_parameters()))
    spared, all_of_them = after
    for name, start in started.items():
        less = 0.1 * start if start.ndim == 1 else torch.zeros_like(start)
        torch.testing.assert_close(spared[name] - all_of_them[name], less, atol=1e-5, rtol=1e-4)


def test_label_smoothing_and_decoupled_decay_change_the_outcome(digits: DataSet) -> None:
    outcomes = []
    for options in ({}, {"label_smoothing": 0.1}, {"optimizer": "adamw"}, {"augment": None}):
        model = net()
        list(fine_tune(model, digits, epochs=1, **options))
        outcomes.append(model.linear.weight.detach().clone())
    for i, one in enumerate(outcomes):
        assert not any(torch.equal(one, other) for other in outcomes[i + 1 :])


@pytest.mark.slow
def test_mixed_precision_stays_close(digits: DataSet) -> None:
    accuracies = []
    for mixed in (False, True):
        model = net()
        *_, last = fine_tune(model, digits, epochs=5, lr=0.05, mixed_precision=mixed)
        assert model.linear.weight.dtype == torch.float32
        accuracies.append(last.accuracy)
    assert accuracies[1] > accuracies[0] - 0.1


def test_early_stop_after_epochs_without_a_rise() -> None:
    # Every image is right from the first epoch on, so accuracy cannot rise after it.
    model = Fixed([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    data = data_of(coded([0, 0]), train=coded([0, 0]))
    events = list(fine_tune(model, data, epochs=20, patience=3, augment=None))
    assert len(events) == 4
    assert (
        list(fine_tune(model, data, epochs=20, patience=3, augment=None, resume=events[-1].state))
        == []
    )


def test_a_batch_tells_how_much_of_it_was_right() -> None:
    model = Fixed([[1.0, 0.0, 0.0]] * 4)  # whatever the image
    data = data_of(coded([0, 0]), train=coded([0, 0, 1, 0]))
    first, _ = fine_tune(model, data, epochs=1, batch_size=4, augment=None, batches=True)
    assert isinstance(first, BatchEvent)
    assert first.accuracy == 0.75


def test_events_are_frozen_and_batches_come_on_request(digits: DataSet) -> None:
    events = list(fine_tune(net(), digits, epochs=2, batch_size=64, batches=True))
    kinds = [type(event) for event in events]
    assert kinds == ([BatchEvent] * 5 + [EpochEvent]) * 2
    first, last = events[0], events[-1]
    assert (first.epoch, first.step, first.steps) == (1, 1, 5)
    assert (last.epoch, last.epochs) == (2, 2)
    assert last.seconds > 0
    mean = sum(event.loss for event in events[6:11]) / 5
    assert last.loss == pytest.approx(mean)
    for event, name in ((first, "loss"), (last, "accuracy")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, name, 1.0)
