"""Moments against numpy; stored, read again, and refused where they belong elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pruneviz.errors import DataError, InvalidValueError
from pruneviz.repair import Depth, Repairer, Statistics, repair, statistics
from pruneviz.repair.calls import LayerCall, Run, watching
from pruneviz.trace import trace
from tests.repair.helpers import images_of, last_half, two_layers


def test_moments_are_those_of_all_positions() -> None:
    model, data = two_layers(norm=True, bias=False), images_of(16, 40)
    graph = trace(model, (3, 16, 16))
    seen = statistics(model, graph, data, images=40, batch_size=16)
    rows: list[np.ndarray] = []

    def visit(call: LayerCall, run: Run) -> Tensor:
        if call.layer.name == "second":
            rows.append(call.x.movedim(1, -1).reshape(-1, 8).double().numpy())
        return run()

    with watching(model, graph, visit):
        model(next(data.train.first(40).batches(40))[0])
    moments = seen.moments["second"]
    np.testing.assert_allclose(moments.mean.numpy(), rows[0].mean(0), atol=1e-6)
    want = np.cov(rows[0].T, bias=True)
    np.testing.assert_allclose(moments.covariance.numpy(), want, atol=1e-5)
    frame = seen.to_frame().set_index("layer")
    assert 1 <= frame.loc["second", "dimension"] <= 8


def test_comes_back_from_a_file(tmp_path: Path) -> None:
    model, data = two_layers(norm=True, bias=False), images_of(16, 40)
    graph = trace(model, (3, 16, 16))
    seen = statistics(model, graph, data)
    seen.save(tmp_path / "seen.safetensors")
    again = Statistics.load(tmp_path / "seen.safetensors")
    plan = last_half(graph, "first")
    one = Repairer(model, graph, data, seen=seen).instant(plan).network.state_dict()
    two = repair(model, graph, plan, data, depth="instant", seen=again).state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert (again.images, again.behind, again.data) == (40, seen.behind, data.digest)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    model, data = two_layers(norm=True, bias=False), images_of(16, 40)
    graph = trace(model, (3, 16, 16))
    seen = statistics(model, graph, data)
    with torch.no_grad():
        model.first.weight += 1
    with pytest.raises(InvalidValueError, match="another network or other weights"):
        repair(model, graph, last_half(graph, "first"), data, depth="instant", seen=seen)
    (tmp_path / "text").write_text("no tensors")
    with pytest.raises(InvalidValueError, match="cannot be read as statistics"):
        Statistics.load(tmp_path / "text")


@pytest.mark.parametrize("images", [0, -1, 2.5, True])
def test_images_must_be_counted(images: object) -> None:
    model, data = two_layers(norm=True, bias=False), images_of(16, 40)
    graph = trace(model, (3, 16, 16))
    with pytest.raises(InvalidValueError, match="images must be a whole number from 1"):
        repair(model, graph, last_half(graph, "first"), data, images=images)  # type: ignore[arg-type]


@pytest.mark.parametrize("depth", ["full", "instant"])
@pytest.mark.parametrize("data", [None, "digits", torch.zeros(4, 3, 16, 16)])
def test_what_is_no_data_set_is_said(data: object, depth: Depth) -> None:
    model = two_layers(norm=True, bias=False)
    graph = trace(model, (3, 16, 16))
    with pytest.raises(DataError, match="data must be a DataSet"):
        repair(model, graph, last_half(graph, "first"), data, depth=depth)  # type: ignore[arg-type]
