"""A network runs in several threads of a studio at once; none sees the passes of another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import pruneviz as pv
from pruneviz.explain.passage import Passages
from pruneviz.repair import Repairer
from pruneviz.ui.rank.filter_detail import FilterView, look_at

WAIT = 60.0


class Loaded:
    """A workbench whose sample stops after its first batch, until it is told to go on."""

    def __init__(self) -> None:
        self.model = pv.load_model("resnet20", weights="digits")
        self.data = pv.load_dataset("digits")
        self.graph = pv.trace(self.model, self.data.input_shape)
        self.begun, self.go_on = threading.Event(), threading.Event()
        sample = self.data.val.first(100)

        def batches(size: int) -> Iterator[Any]:
            for batch in sample.batches(size):
                yield batch
                self.begun.set()
                assert self.go_on.wait(WAIT)

        self.stopping: Any = SimpleNamespace(
            model=self.model,
            graph=self.graph,
            data=SimpleNamespace(
                val=SimpleNamespace(
                    first=lambda _: SimpleNamespace(images=sample.images, batches=batches)
                )
            ),
        )

    def look(self) -> FilterView:
        return look_at(self.stopping, "conv1", 3)


@pytest.fixture
def loaded() -> Loaded:
    return Loaded()


def test_an_image_passes_while_a_filter_is_looked_at(loaded: Loaded) -> None:
    send = Passages(loaded.model, loaded.graph)
    image = loaded.data.val.images[0].float()
    image = image.expand(loaded.data.input_shape) / 255
    alone = send(image)
    loaded.go_on.set()
    seen_alone = loaded.look()
    loaded.go_on.clear()
    loaded.begun.clear()
    with ThreadPoolExecutor(1) as other:
        looking = other.submit(loaded.look)
        assert loaded.begun.wait(WAIT)
        beside = send(image)
        loaded.go_on.set()
        seen_beside = looking.result(WAIT)
    assert all((a == b).all() for a, b in zip(alone.maps, beside.maps, strict=True))
    assert seen_beside.peaks == seen_alone.peaks
    assert all((a == b).all() for a, b in zip(seen_alone.maps, seen_beside.maps, strict=True))


def test_a_repair_is_the_same_while_a_filter_is_looked_at(loaded: Loaded) -> None:
    rank = pv.rank(loaded.model, loaded.graph, None, "l2")
    plan = pv.threshold(loaded.graph, rank, "l2", 0.4)

    def repaired() -> dict[str, torch.Tensor]:
        repairer = Repairer(loaded.model, loaded.graph, loaded.data, images=64)
        return repairer.full(plan).network.state_dict()

    alone = repaired()
    with ThreadPoolExecutor(1) as other:
        looking = other.submit(loaded.look)
        assert loaded.begun.wait(WAIT)
        beside = repaired()
        loaded.go_on.set()
        looking.result(WAIT)
    assert [name for name in alone if not alone[name].equal(beside[name])] == []
