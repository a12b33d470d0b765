"""Where what goes is a linear combination of what stays, nothing is lost."""

from __future__ import annotations

import pytest
import torch

from pruneviz.repair import Repairer, repair
from pruneviz.surgery import prune
from pruneviz.trace import trace
from tests.repair.helpers import error, images_of, last_half, two_layers


@pytest.mark.parametrize("depth", ["full", "instant"])
@pytest.mark.parametrize(("norm", "bias"), [(True, False), (False, True), (True, True)])
def test_exact_combinations_are_made_up_for(depth: str, norm: bool, bias: bool) -> None:
    model, data = two_layers(norm=norm, bias=bias), images_of(16, 64)
    graph = trace(model, (3, 16, 16))
    plan = last_half(graph, "first")
    x = next(data.val.batches(32))[0]
    assert error(prune(model, graph, plan), model, x) > 1e-3
    if depth == "full":
        got = repair(model, graph, plan, data)
        with torch.no_grad():
            # Zero padding is no constant: only the border's own share of the 0.3 stays.
            inner, want = got(x), model(x)
        assert float((inner - want).abs().max()) < 0.05
        return
    # Without the pass that measures norms anew, which sees other images than the norm did.
    from pruneviz.repair.instant import fold

    pruned = prune(model, graph, plan)
    with torch.no_grad():
        fold(model, pruned, graph, plan, Repairer(model, graph, data).statistics)
    assert error(pruned, model, x) < 2e-3


def test_exact_to_the_fifth_decimal_without_a_border() -> None:
    model, data = two_layers(norm=True, bias=False), images_of(16, 64)
    model.second.padding = (0, 0)
    graph = trace(model, (3, 16, 16))
    small = repair(model, graph, last_half(graph, "first"), data)
    x = next(data.val.batches(32))[0]
    with torch.no_grad():
        torch.testing.assert_close(small(x), model(x), atol=1e-5, rtol=1e-5)


def test_grouped_convolutions_are_fitted_group_by_group() -> None:
    model, data = two_layers(norm=False, bias=True, groups=2, exact=False), images_of(16, 64)
    graph = trace(model, (3, 16, 16))
    unit = next(g for g in graph.prunable_groups if "first" in g.layers)
    from pruneviz.plan import Plan

    plan = Plan(graph, [unit.start])
    x = next(data.val.batches(32))[0]
    repaired = Repairer(model, graph, data).full(plan)
    assert error(repaired.network, model, x) < error(prune(model, graph, plan), model, x)


def test_the_same_seed_gives_the_same_network_and_the_original_stays() -> None:
    model, data = two_layers(norm=True, bias=False, exact=False), images_of(16, 48)
    graph = trace(model, (3, 16, 16))
    plan = last_half(graph, "first")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    one, two = (repair(model, graph, plan, data, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_an_empty_plan_changes_nothing() -> None:
    from pruneviz.plan import Plan

    model, data = two_layers(norm=True, bias=False, exact=False), images_of(16, 48)
    graph = trace(model, (3, 16, 16))
    same = repair(model, graph, Plan(graph), data).state_dict()
    assert all(torch.equal(same[k], v) for k, v in model.state_dict().items())
