"""What counts of a network's output: one rule for evaluating, ranking, training and replays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pruneviz.errors import DataError
from pruneviz.outputs import class_logits, heads, logits

MAIN, AUXILIARY = torch.zeros(2, 3), torch.ones(2, 3)


@pytest.mark.parametrize(
    "output",
    [
        MAIN,
        (MAIN, AUXILIARY),
        {"aux": AUXILIARY, "logits": MAIN},
        SimpleNamespace(loss=None, logits=MAIN),
        SimpleNamespace(scores=MAIN, others=[AUXILIARY]),
    ],
)
def test_the_main_classifier_is_found(output: Any) -> None:
    assert logits(output) is MAIN
    assert class_logits(output, 3, exact=True) is MAIN


def test_auxiliary_heads_follow_the_main_one() -> None:
    assert [id(head) for head in heads((MAIN, None, AUXILIARY))] == [id(MAIN), id(AUXILIARY)]


def test_more_outputs_than_classes_are_refused_only_where_they_must_be_equal() -> None:
    assert class_logits(MAIN, 2) is MAIN
    with pytest.raises(DataError, match=r"one output for each of the 2 classes of 'digits', but"):
        class_logits(MAIN, 2, exact=True, data="digits")


@pytest.mark.parametrize("output", [MAIN, torch.zeros(2, 9, 4), torch.zeros(9)])
def test_too_few_outputs_and_other_shapes_are_refused(output: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"The teacher must .* load it with num_classes=4"):
        class_logits(output, 4, network="teacher")
