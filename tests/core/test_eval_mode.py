"""Eval mode ends where it began, for nested users and for users in several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruneviz.modes import eval_mode


def network() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    model.train()
    model[1].eval()
    return model


def test_every_module_is_back_in_its_own_mode() -> None:
    model = network()

    def fail() -> None:
        with eval_mode(model, model[0]):
            assert not any(m.training for m in model.modules())
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert [m.training for m in model.modules()] == [True, True, False]


def test_the_mode_inside_is_the_mode_after_a_nested_one() -> None:
    model = network()
    with eval_mode(model):
        model[0].train()
        with eval_mode(model):
            assert not model[0].training
        assert model[0].training
    assert [m.training for m in model.modules()] == [True, True, False]


@given(st.permutations([0, 1, 2]), st.permutations([0, 1, 2]))
def test_it_lasts_until_the_last_thread_ends(begin: list[int], end: list[int]) -> None:
    model = network()
    holds = [eval_mode(model) for _ in range(3)]
    with ThreadPoolExecutor(1) as a, ThreadPoolExecutor(1) as b, ThreadPoolExecutor(1) as c:
        threads = (a, b, c)
        for i in begin:
            threads[i].submit(holds[i].__enter__).result()
        for left, i in enumerate(reversed(range(3))):
            threads[end[left]].submit(holds[end[left]].__exit__, None, None, None).result()
            assert model[0].training is (i == 0)
    assert [m.training for m in model.modules()] == [True, True, False]
