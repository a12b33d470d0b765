"""The oracle says what masking and evaluating say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.data import DataSet, ImageSet
from pruneviz.errors import UnknownNameError
from pruneviz.replay import oracle
from tests.replay.helpers import Mixed, Sometimes, liven


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
