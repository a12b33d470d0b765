"""Evaluation against hand-computed values; fine-tuning that can be stopped and resumed exactly."""

from __future__ import annotations

import dataclasses
import io
import math
from collections import namedtuple
from typing import Any

import pytest
import torch
from torch import nn

from pruneviz.catalog.digits import load_digits
from pruneviz.catalog.mobilenet import mobilenet_v2
from pruneviz.catalog.resnet import resnet20
from pruneviz.catalog.vgg import vgg16
from pruneviz.data import DataSet, ImageSet
from pruneviz.errors import DataError, InvalidValueError, TrainingError, UnknownNameError
from pruneviz.training import (
    BatchEvent,
    EpochEvent,
    Settings,
    evaluate,
    fine_tune,
    learning_rate,
    loop,
)

found_device = loop.default_device
CLASSES = ("a", "b", "c")


@pytest.fixture(autouse=True)
def _on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerators do not promise the same sums twice; what is tested here is the arithmetic."""
    monkeypatch.setattr(loop, "default_device", lambda: torch.device("cpu"))


class Fixed(nn.Module):
    """Gives the logits that the first pixel of an image selects from a table."""

    def __init__(self, table: list[list[float]]) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pixel = (x[:, 0, 0, 0] * 0.229 + 0.485) * 255
        return self.table[pixel.round().long()]


def coded(labels: list[int]) -> ImageSet:
    """One image a label; its pixels hold its index."""
    n = len(labels)
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 3, 4, 4)
    return ImageSet(images, torch.tensor(labels, dtype=torch.int64))


def data_of(val: ImageSet, train: ImageSet | None = None) -> DataSet:
    return DataSet("coded", val if train is None else train, val, None, CLASSES, (3, 4, 4), {})


class Net(nn.Module):
    """A small network with all that makes a run hard to repeat: batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=4, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.drop = nn.Dropout(0.2)
        self.linear = nn.Linear(16 * 16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.drop(self.features(x).flatten(1)))


def net(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net().eval()


@pytest.fixture(scope="module")
def digits() -> DataSet:
    whole = load_digits()
    return dataclasses.replace(whole, train=whole.train.first(320), val=whole.val.first(100))


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# ---------------------------------------------------------------- evaluate


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


# ---------------------------------------------------------------- learning


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
        order = loop._seed(0, epoch, 0)
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
        ("constant", 0.7, 0.5),
    ):
        settings = dataclasses.replace(base, schedule=schedule)
        assert learning_rate(settings, progress) == pytest.approx(expected, abs=1e-12)


def test_label_smoothing_and_decoupled_decay_change_the_outcome(digits: DataSet) -> None:
    outcomes = []
    for options in ({}, {"label_smoothing": 0.1}, {"optimizer": "adamw"}, {"augment": None}):
        model = net()
        list(fine_tune(model, digits, epochs=1, **options))
        outcomes.append(model.linear.weight.detach().clone())
    for i, one in enumerate(outcomes):
        assert not any(torch.equal(one, other) for other in outcomes[i + 1 :])


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


# ---------------------------------------------------------------- events, repeatability


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


# ---------------------------------------------------------------- what a user can do wrong


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "epochs must be at least 1, but got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, but got 0"),
        ({"lr": -1.0}, "lr must be a positive number, but got -1"),
        ({"lr": math.nan}, "lr must be a positive number, but got nan"),
        ({"momentum": 1.0}, "momentum must be at least 0 and less than 1"),
        ({"label_smoothing": -0.1}, "label_smoothing must be at least 0"),
        ({"patience": 0}, "patience must be at least 1 epoch, but got 0"),
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
    with pytest.raises(TrainingError, match="must stay a finite number"):
        list(fine_tune(net(), digits, epochs=3, lr=1e30))


def test_the_default_device_exists() -> None:
    assert torch.zeros(1, device=found_device()).item() == 0
