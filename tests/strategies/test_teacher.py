"""Strategies that may depart from their paper let the unpruned network teach the pruned one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError
from pruneviz.strategies import find_strategy, names, run_strategy
from pruneviz.strategies import run as running

OURS = {"iterative", "one_shot", "random", "uniform"}


@pytest.fixture
def teachers(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module | None]:
    """The teacher of each training, in order."""
    asked: list[nn.Module | None] = []
    real = running.fine_tune

    def fine_tune(*args: Any, **options: Any) -> Iterator[Any]:
        asked.append(options["teacher"])
        return real(*args, **options)

    monkeypatch.setattr(running, "fine_tune", fine_tune)
    return asked


def test_papers_have_none_by_default() -> None:
    assert {name for name in names() if find_strategy(name).defaults["teacher"]} == OURS


def test_the_unpruned_network_teaches_what_is_left(
    model: nn.Module, graph: ChannelGraph, data: DataSet, teachers: list[nn.Module | None]
) -> None:
    list(run_strategy("iterative", model, graph, data, rounds=2, epochs=1))
    assert [teacher is model for teacher in teachers] == [True, True]
    list(run_strategy("uniform", model, graph, data, epochs=1, teacher=False))
    list(run_strategy("control", model, graph, data, epochs=1, teacher=True))  # nothing is pruned
    assert teachers[2:] == [None, None]


def test_it_changes_the_weights_and_a_resume_keeps_it(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    def last(**more: Any) -> Any:
        return list(run_strategy("uniform", model, graph, data, epochs=2, **more))

    taught, alone = last(), last(teacher=False)
    assert taught[-1].val_loss != alone[-1].val_loss
    again = last(resume=taught[1].state)
    assert again[-1].val_loss == taught[-1].val_loss
    with pytest.raises(InvalidValueError, match="teacher was True, but got False"):
        last(resume=taught[1].state, teacher=False)


def test_a_run_from_before_goes_on_without_one(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    first = next(iter(run_strategy("uniform", model, graph, data, epochs=1, teacher=False)))
    assert first.state is not None
    state = {**first.state, "settings": dict(first.state["settings"])}
    del state["settings"]["teacher"]
    with pytest.raises(InvalidValueError, match="teacher was False, but got True"):
        list(run_strategy("uniform", model, graph, data, epochs=1, resume=state, teacher=True))
    assert list(run_strategy("uniform", model, graph, data, epochs=1, resume=state))


def test_a_network_with_a_new_classifier_teaches_nothing(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    teachers: list[nn.Module | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "knows_its_classes", lambda network: network is not model)
    list(run_strategy("uniform", model, graph, data, epochs=1))
    assert teachers == [None]
