"""What is ranked together, and what is left to a run in the background."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torchvision

import pruneviz as pv
from pruneviz.criteria.registry import registered
from pruneviz.session import rankings as rankings_module
from pruneviz.session.rankings import Rankings


@pytest.fixture(scope="module")
def rankings_of_resnet() -> Any:
    data = pv.load_dataset("digits")
    each: dict[str, Rankings] = {}
    for name in ("resnet18", "resnet50"):
        model = torchvision.models.get_model(name, num_classes=10)
        each[name] = Rankings(model, pv.trace(model, data.input_shape), data)
    return each


def test_what_takes_minutes_on_a_large_network_keeps_no_slider_waiting(
    rankings_of_resnet: Any,
) -> None:
    small, large = rankings_of_resnet["resnet18"], rankings_of_resnet["resnet50"]
    assert not small.takes_long("reconstruction")
    assert "reconstruction" in small.offered()
    assert large.takes_long("reconstruction")
    assert "reconstruction" not in large.offered()  # Rank offers to compute it
    assert "fisher" in large.offered()


def test_the_oracle_always_takes_long(rankings_of_resnet: Any) -> None:
    assert all(rankings.takes_long("oracle") for rankings in rankings_of_resnet.values())


def test_the_usual_criterion_is_ranked_without_those_that_take_long(
    rankings_of_resnet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def note(_model: object, graph: Any, _data: object, names: list[str], **_: object) -> Any:
        asked.append(names)
        return pv.Ranking(graph, {name: [0.0] * graph.num_units for name in names})

    monkeypatch.setattr(rankings_module, "rank", note)
    for rankings in rankings_of_resnet.values():
        rankings.of("fisher")
    small, large = asked
    assert "taylor" in small
    assert set(small) - set(large) == {"reconstruction"}


def test_a_criterion_is_asked_once_whether_it_takes_minutes(
    rankings_of_resnet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every move of a slider asks; for ResNet-50 the answer takes milliseconds."""
    rankings = Rankings(
        *(getattr(rankings_of_resnet["resnet18"], f"_{x}") for x in ("model", "graph", "data"))
    )
    asked: list[str] = []

    def ask(graph: pv.ChannelGraph) -> bool:
        asked.append(graph.digest)
        return False

    known = {
        **registered(),
        "patient": replace(registered()["fisher"], name="patient", takes_minutes=ask),
    }
    monkeypatch.setattr(rankings_module, "registered", lambda: known)
    for _ in range(3):
        assert not rankings.takes_long("patient")
    assert len(asked) == 1
