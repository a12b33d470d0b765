"""What a loaded network knows of itself: each thing computed once, and let go with it."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from pruneviz.criteria import Ranking, registry
from pruneviz.errors import UnknownNameError
from pruneviz.session import decisions as d
from pruneviz.session import rankings as rankings_module
from pruneviz.session.decisions import Decisions, Subject
from pruneviz.session.rankings import Rankings
from pruneviz.session.workbench import Workbench
from pruneviz.session.workbenches import Workbenches
from tests.session.conftest import images, network


def test_criteria_of_a_family_are_ranked_together_once(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    real = rankings_module.rank

    def counted(
        model: object, graph: object, data: object, names: list[str], **more: int
    ) -> Ranking:
        asked.append(names)
        return real(model, graph, data, names, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(rankings_module, "rank", counted)
    assert not workbench.rankings.known("l1")
    one, two = workbench.rankings.of("l1"), workbench.rankings.of("l2")
    assert one is two
    assert len(asked) == 1
    assert "taylor" not in asked[0], "weights are scored without looking at images"
    assert workbench.rankings.known("l2")
    assert set(workbench.rankings.scores()) == set(asked[0])


def test_a_network_without_batch_norms_is_not_offered_their_scales(workbench: Workbench) -> None:
    offered = workbench.rankings.offered()
    assert offered[0] == Decisions().criterion
    assert "l1" in offered
    assert "oracle" not in offered, "it takes a run"
    assert not any("bn" in name for name in offered)


def test_what_a_run_computed_is_offered_and_used(workbench: Workbench) -> None:
    scores = np.arange(workbench.graph.num_units, dtype=float)
    done = Ranking(workbench.graph, {"oracle": scores})
    known = Rankings(workbench.model, workbench.graph, workbench.data, lambda: {"oracle": done})
    assert known.of("oracle") is done
    assert "oracle" in known.offered()
    assert list(known.scores()) == ["oracle"]


def test_an_unknown_criterion_is_refused_with_the_choices(workbench: Workbench) -> None:
    with pytest.raises(UnknownNameError, match="l1"):
        workbench.plan_at(Decisions(criterion="nonsense", ratio=0.5))


def test_equal_weights_are_the_same_subject() -> None:
    one, two, other = (Workbench.of(network(seed), images()) for seed in (0, 0, 1))
    assert one.subject == two.subject != other.subject
    assert one.title.startswith("Sequential (given-")


def test_networks_that_no_longer_fit_go_with_all_that_was_computed_for_them() -> None:
    loaded = Workbenches(limit=10_000)  # one of these networks has 5.6 kB of weights
    first = Workbench.of(network(0), images())
    first.plan_at(d.set_ratio(Decisions(criterion="l1"), 0.5)[0])
    subject = first.subject
    gone = [weakref.ref(first), weakref.ref(first.model), weakref.ref(first.rankings)]
    loaded.put(first)
    del first
    loaded.put(Workbench.of(network(1), images()))
    gc.collect()
    assert subject not in loaded
    assert [ref() for ref in gone] == [None, None, None]


def test_a_subject_is_loaded_by_its_sources_once() -> None:
    loaded = Workbenches()
    one = loaded.get(Subject())
    assert loaded.get(Subject()) is one
    assert one.source["weights"] == "digits"
    assert 64 <= one.preview_images <= 1000
    assert registry.registered().keys() >= set(one.rankings.offered())
