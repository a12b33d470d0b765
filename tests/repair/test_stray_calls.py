"""A repair compares two passes call by call; calls of others do not count."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.repair import Repairer


def switch(_module: nn.Module, _given: object) -> None:
    """What a generator does that the garbage collector closes in the middle of a pass."""
    with torch.no_grad():
        pass


def ask(_module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
    """What a hook of somebody's does."""
    given[0].dim()
    given[0].mean()


@pytest.mark.parametrize(
    ("stray", "where"),
    [(switch, ""), (switch, "bn1"), (switch, "layer2.1"), (ask, ""), (ask, "layer1.0.conv2")],
)
def test_calls_of_others_during_the_pass_change_no_bit_of_a_repair(
    stray: Callable[..., None], where: str
) -> None:
    data, model = pv.load_dataset("digits"), pv.load_model("resnet20", weights="digits")
    graph = pv.trace(model, data.input_shape)
    plan = pv.threshold(graph, pv.rank(model, graph, None, "l2"), "l2", 0.4)
    repairer = Repairer(model, graph, data, images=64)
    undisturbed = repairer.full(plan).network.state_dict()
    hook = model.get_submodule(where).register_forward_pre_hook(stray)
    disturbed = repairer.full(plan).network.state_dict()
    hook.remove()
    assert [name for name in undisturbed if not undisturbed[name].equal(disturbed[name])] == []
