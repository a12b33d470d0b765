"""Oracle and previews say what masking and evaluating says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import pruneviz as pv
from pruneviz.data import DataSet, ImageSet
from pruneviz.errors import UnknownNameError
from pruneviz.replay import Preview, Previewer, oracle, preview
from tests.replay.helpers import Mixed, Sometimes, liven, random_plan


def images(count: int, seed: int) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    colour = torch.randint(0, 200, (count, 3, 1, 1), generator=generator)
    noise = torch.randint(0, 56, (count, 3, 8, 8), generator=generator)
    return ImageSet((colour + noise).to(torch.uint8), torch.arange(count) % 5)


@pytest.fixture(scope="module")
def data() -> DataSet:
    return DataSet("noise", images(30, 1), images(45, 2), None, tuple("abcde"), (3, 8, 8), {})


class Grouped(Mixed):
    """A norm across channels: masking is not exact here."""

    def __init__(self) -> None:
        super().__init__()
        self.stem_norm = nn.GroupNorm(2, 8)  # type: ignore[assignment]


def make(kind: type[Mixed]) -> tuple[nn.Module, pv.ChannelGraph]:
    torch.manual_seed(4)
    model = liven(kind())
    return model, pv.trace(model, (3, 8, 8))


KINDS = [Mixed, Sometimes, Grouped]


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_is_the_loss_change_of_each_unit(kind: type[Mixed], data: DataSet) -> None:
    model, graph = make(kind)
    steps = list(oracle(model, graph, data, images=24, batch_size=10))
    assert [s.images for s in steps] == sorted({s.images for s in steps})
    assert [s.final for s in steps] == [False] * (len(steps) - 1) + [True]
    last = steps[-1]
    base = pv.evaluate(model, data, split="train", limit=24)
    assert last.loss == pytest.approx(base.loss, abs=1e-5)
    assert last.baseline_correct == round(base.accuracy * 24)
    for unit in range(graph.num_units):
        if not graph.prunable[unit]:
            assert np.isnan(last.change[unit])
            assert last.correct[unit] == -1
            continue
        pruned = pv.prune(model, graph, pv.Plan(graph, [unit]))
        slow = pv.evaluate(pruned, data, split="train", limit=24)
        assert last.change[unit] == pytest.approx(slow.loss - base.loss, abs=1e-5)
        assert last.correct[unit] == round(slow.accuracy * 24)
    assert np.nanstd(last.change) > 1e-3, "units differ, or the test says nothing"


def test_oracle_scores_and_frame(data: DataSet) -> None:
    model, graph = make(Mixed)
    last = list(oracle(model, graph, data, images=10, groups=["side", "last"]))[-1]
    measured = np.flatnonzero(~np.isnan(last.change))
    assert set(measured) == {*graph.group("side").units, *graph.group("last").units}
    assert (last.change[measured] < 0).any(), "some unit harms, or the kinds do not differ"
    np.testing.assert_array_equal(last.scores("abs")[measured], np.abs(last.change[measured]))
    np.testing.assert_array_equal(last.scores("loss"), last.change)
    with pytest.raises(UnknownNameError, match="kind of oracle 'l1'"):
        last.scores("l1")  # type: ignore[arg-type]
    frame = last.to_frame()
    assert list(frame["unit"]) == list(measured)
    assert set(frame["group"]) == {"side", "last"}
    assert frame["index"].max() < 16


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1000),
    kind=st.sampled_from(KINDS),
    memory=st.sampled_from([0, 20_000, 1 << 29]),
    workers=st.integers(1, 2),
)
def test_any_plans_one_after_another(
    seed: int, kind: type[Mixed], memory: int, workers: int, data: DataSet
) -> None:
    model, graph = make(kind)
    rng = np.random.default_rng(seed)
    show = Previewer(model, graph, data, images=None, memory=memory, batch_size=20, workers=workers)
    visited = [random_plan(graph, rng, int(rng.integers(0, 5))) for _ in range(4)]
    visited.append(visited[0])
    for plan in visited:
        found, slow = show(plan), pv.evaluate(pv.prune(model, graph, plan), data)
        assert isinstance(found, Preview)
        assert found.accuracy == slow.accuracy
        assert found.count == slow.count == 45
        assert found.loss == pytest.approx(slow.loss, rel=1e-4)
        assert show.nbytes <= memory * 1.01


def test_a_preview_starts_at_the_first_layer_that_the_change_reaches(data: DataSet) -> None:
    model, graph = make(Mixed)
    show = Previewer(model, graph, data, batch_size=45, workers=1)
    first = pv.Plan(graph).drop("stem", [1, 2])
    show(first)
    (tape, _), calls = show._tapes[0], []
    steps = tape.recipe.steps
    tape.recipe.steps = lambda names, keep: calls.append(found := steps(names, keep)) or found  # type: ignore[method-assign, func-returns-value]
    assert show(first.drop("last", [0, 3])).correct == round(
        45 * pv.evaluate(pv.prune(model, graph, first.drop("last", [0, 3])), data).accuracy
    )
    assert [[s.op.label for s in found] for found in calls] == [["linear"]]


def test_one_preview_and_its_standard_error(data: DataSet) -> None:
    model, graph = make(Mixed)
    plan = pv.Plan(graph).drop("last", range(9))
    found = preview(model, graph, plan, data, images=20)
    assert found.accuracy == pv.evaluate(pv.prune(model, graph, plan), data, limit=20).accuracy
    assert found.count == 20
    p = found.accuracy
    assert found.error == pytest.approx(np.sqrt(p * (1 - p) / 20))
    assert found.to_frame().loc[0, "accuracy"] == p
