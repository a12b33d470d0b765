"""On a trained network, Taylor tracks the oracle better than norms and activations do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import pruneviz as pv
from pruneviz.catalog.architecture import bundled_path
from pruneviz.criteria import Ranking, spearman
from pruneviz.replay import Replay, scan

UNITS = 96
IMAGES = 128


@pytest.fixture(scope="module")
def ranking() -> Ranking:
    """Six criteria, and the oracle for a sample of the units of the bundled VGG."""
    if not bundled_path("vgg16", "digits").is_file():
        pytest.skip("needs the bundled digits weights")
    model, data = pv.load_model("vgg16", weights="digits"), pv.load_dataset("digits")
    data = replace(data, train=data.train.first(IMAGES))
    graph = pv.trace(model, data.input_shape)
    names = ["l1", "l2", "mean_activation", "random", "taylor", "taylor_loss"]
    found = pv.rank(model, graph, data, names, images=IMAGES)
    rng = np.random.default_rng(0)
    units = rng.permutation(np.flatnonzero(graph.prunable))[:UNITS]
    plans = [pv.Plan(graph), *(pv.Plan(graph, [int(u)]) for u in units)]
    loss = np.zeros(len(plans))
    for scores in scan(Replay(model, graph), data.train, plans):
        loss += [score.loss for score in scores]
    truth = np.full(graph.num_units, np.nan)
    truth[units] = np.abs(loss[1:] - loss[0]) / IMAGES
    return found | Ranking(graph, {"oracle": truth})


def test_taylor_tracks_the_oracle(ranking) -> None:
    truth = ranking.of("oracle")
    known = np.isfinite(truth)

    def tracks(name: str) -> float:
        return spearman(ranking.comparable(name)[known], truth[known])

    assert tracks("taylor") > 0.5
    assert tracks("taylor_loss") > 0.5
    for weaker in ("l1", "l2", "mean_activation", "random"):
        assert tracks("taylor") > tracks(weaker) + 0.1, weaker
