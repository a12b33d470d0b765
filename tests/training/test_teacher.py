"""Learning from another network's outputs: by hand, resumed, without labels."""

from __future__ import annotations

import dataclasses
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pruneviz.data import DataSet
from pruneviz.errors import DataError, InvalidValueError
from pruneviz.training import EpochEvent, evaluate, fine_tune
from tests.training.helpers import Fixed, coded, data_of, net, same_weights


def softmax(logits: list[float]) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum()


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_loss_and_step_by_hand(weight: float, temperature: float) -> None:
    pupil, teacher = [0.5, -1.0, 2.0], [3.0, 0.0, -0.5]
    model = Fixed([pupil])
    options: dict[str, Any] = {"momentum": 0.0, "weight_decay": 0.0, "clip": math.inf}
    (event,) = fine_tune(
        model,
        data_of(coded([1])),
        epochs=1,
        lr=0.1,
        augment=None,
        schedule="constant",
        teacher=Fixed([teacher]),
        teacher_weight=weight,
        temperature=temperature,
        **options,
    )
    soft = [softmax([v / temperature for v in logits]) for logits in (teacher, pupil)]
    distance = temperature**2 * float((soft[0] * np.log(soft[0] / soft[1])).sum())
    hard = softmax(pupil)
    expected = (1 - weight) * -math.log(hard[1]) + weight * distance
    assert event.loss == pytest.approx(expected, rel=1e-5)
    gradient = (1 - weight) * (hard - [0, 1, 0]) + weight * temperature * (soft[1] - soft[0])
    np.testing.assert_allclose(model.table[0].detach(), pupil - 0.1 * gradient, rtol=1e-5)


def test_auxiliary_classifiers_are_taught_too() -> None:
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads = nn.ParameterList(nn.Parameter(torch.zeros(1, 3)) for _ in range(2))

        def forward(self, x: torch.Tensor) -> Any:
            outputs = tuple(head.expand(len(x), -1) for head in self.heads)
            return outputs if self.training else outputs[0]

    model = Auxiliary()
    options: dict[str, Any] = {"momentum": 0.0, "weight_decay": 0.0, "clip": math.inf}
    lesson = Fixed([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    data = data_of(coded([2, 2]))
    taught = fine_tune(
        model, data, epochs=1, lr=1.0, augment=None, schedule="constant", teacher=lesson,
        teacher_weight=1.0, temperature=1.0, **options,
    )  # fmt: skip
    list(taught)
    step = torch.from_numpy(softmax([1.0, 0.0, 0.0]) - 1 / 3)[None].float()
    torch.testing.assert_close(model.heads[0].detach(), step)
    torch.testing.assert_close(model.heads[1].detach(), 0.4 * step)


@pytest.mark.parametrize("augment", [None, "auto"])
def test_an_interrupted_run_ends_with_bit_identical_weights(
    digits: DataSet, augment: str | None
) -> None:
    options: dict[str, Any] = {"epochs": 3, "augment": augment, "teacher": net(3)}
    whole, broken, resumed = net(), net(), net(seed=7)
    expected = list(fine_tune(whole, digits, **options))
    run = fine_tune(broken, digits, batches=True, **options)
    checkpoint = io.BytesIO()
    for event in run:  # stop in the middle of the second epoch
        if isinstance(event, EpochEvent):
            torch.save(event.state, checkpoint)
        elif event.epoch == 2 and event.step == 3:
            break
    run.close()
    checkpoint.seek(0)
    state = torch.load(checkpoint, weights_only=True)
    events = list(fine_tune(resumed, digits, resume=state, **options))
    assert same_weights(whole, resumed)
    assert events[-1].loss == expected[-1].loss


def test_without_weight_a_teacher_changes_nothing(digits: DataSet) -> None:
    plain, heard = net(), net()
    list(fine_tune(plain, digits, epochs=2))
    list(fine_tune(heard, digits, epochs=2, teacher=net(3), teacher_weight=0.0))
    assert same_weights(plain, heard)


@pytest.mark.sweep
def test_with_full_weight_labels_are_not_looked_at(digits: DataSet) -> None:
    teacher = net()
    list(fine_tune(teacher, digits, epochs=6, lr=0.05, schedule="one-cycle"))
    wrong = (digits.train.labels + 1) % 10
    unlabelled = dataclasses.replace(
        digits, train=dataclasses.replace(digits.train, labels=wrong), digest=""
    )
    pupils = []
    for data in (digits, unlabelled):
        pupils.append(net(5))
        events = fine_tune(pupils[-1], data, epochs=6, lr=0.05, teacher=teacher, teacher_weight=1.0)
        list(events)
    assert same_weights(*pupils)
    assert evaluate(pupils[1], digits).accuracy > 0.8 > 0.3 > evaluate(net(5), digits).accuracy


@pytest.mark.parametrize(("augment", "looks"), [(None, 1), ("crop", 2)])
def test_a_teacher_looks_once_at_each_image_unless_it_is_augmented(
    digits: DataSet, augment: str | None, looks: int
) -> None:
    teacher, seen = net(3), []
    teacher.register_forward_hook(lambda module, given, out: seen.append((len(out), module)))
    list(fine_tune(net(), digits, epochs=2, augment=augment, teacher=teacher))
    assert sum(count for count, _ in seen) == looks * len(digits.train)
    assert not any(module.training for _, module in seen)


def test_a_teacher_stays_as_it_was_and_may_be_the_pupil_itself(digits: DataSet) -> None:
    teacher, twin = net().train(), net().train()
    list(fine_tune(net(3), digits, epochs=1, teacher=teacher))
    assert same_weights(teacher, twin)
    assert teacher.training
    assert all(p.requires_grad and p.grad is None for p in teacher.parameters())
    other, itself = net(), net()
    list(fine_tune(other, digits, epochs=1, teacher=net()))
    list(fine_tune(itself, digits, epochs=1, teacher=itself))
    assert same_weights(other, itself)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"teacher_weight": 1.5}, "teacher_weight must be a number between 0 and 1, but got 1.5"),
        ({"teacher_weight": math.nan}, "teacher_weight must be a number between 0 and 1"),
        ({"temperature": 0.0}, "temperature must be a positive number, but got 0"),
        ({"teacher": "resnet20"}, "teacher must be a Module, but got 'resnet20'"),
    ],
)
def test_what_cannot_teach_is_refused_at_the_call(
    digits: DataSet, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        fine_tune(net(), digits, **options)


def test_a_teacher_of_other_classes_is_refused(digits: DataSet) -> None:
    teacher = net()
    teacher.linear = nn.Linear(256, 4)
    with pytest.raises(DataError, match="The teacher must give one output for each of the 10"):
        next(fine_tune(net(), digits, teacher=teacher))


def test_a_run_is_not_resumed_with_another_teacher(digits: DataSet) -> None:
    state = next(fine_tune(net(), digits, epochs=2, teacher=net(3))).state
    with pytest.raises(InvalidValueError, match="teacher was"):
        fine_tune(net(), digits, epochs=2, teacher=net(4), resume=state)
    with pytest.raises(InvalidValueError, match=r"temperature was 4\.0, but got 2"):
        fine_tune(net(), digits, epochs=2, teacher=net(3), temperature=2.0, resume=state)


def test_a_state_from_before_there_were_teachers_is_resumed(digits: DataSet) -> None:
    whole, resumed = net(), net()
    first, _ = fine_tune(whole, digits, epochs=2)
    for name in ("teacher", "teacher_weight", "temperature"):
        del first.state["settings"][name]
    list(fine_tune(resumed, digits, epochs=2, resume=first.state))
    assert same_weights(whole, resumed)
