"""The study of pretraining: both starts, the same budget, the same reductions."""

from __future__ import annotations

import pytest
from torch import nn

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.data import DataSet
from pruneviz.errors import InvalidValueError, UnknownNameError
from pruneviz.figures.pretraining import pretraining_info
from pruneviz.plan import Plan
from pruneviz.strategies import find_strategy, names
from pruneviz.studies.pretraining import PretrainingStudy, StudyPoint
from pruneviz.studies.pretraining_run import STUDY, run_study
from pruneviz.training import evaluate

QUICK = {"epochs_before": 2, "epochs": 1, "sparsities": 3, "largest": 0.6}


def test_both_starts_are_pruned_to_the_same_reductions(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = list(run_study(model, graph, data, **QUICK))
    points = events[-1].points
    assert [p.start for p in points] == ["pretrained"] * 4 + ["scratch"] * 4
    for four in (points[:4], points[4:]):
        assert four[0].removed == 0
        for point, wanted in zip(four[1:], (0.2, 0.4, 0.6), strict=True):
            assert wanted - 1e-9 <= point.removed < wanted + 0.1
            assert point.params == pytest.approx((1 - point.removed) * cost(graph).params)
    assert [p.removed for p in points[:4]] == [p.removed for p in points[4:]]
    assert events[-1].passes == 2 * (2 + 3 * 1)
    assert all(p.test_accuracy is not None for p in points)
    # What was trained already is ahead of what starts from new weights.
    assert points[0].accuracy > points[4].accuracy


def test_the_largest_reduction_within_the_tolerance_comes_out(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    for tolerance in (0.0, 1.0):
        last = list(run_study(model, graph, data, tolerance=tolerance, **QUICK))[-1]
        base, *rest = (p for p in last.points if p.start == "pretrained")
        good = [p for p in rest if p.accuracy >= base.accuracy - tolerance]
        best = good[-1] if good else base
        assert last.params == best.params
        assert last.result is not None
        assert evaluate(last.result.model, data).accuracy == best.accuracy
        assert last.result.plan == Plan.from_json(graph, last.plan)


def test_a_study_goes_on_where_it_stopped_and_ends_with_the_same_points(
    model: nn.Module, graph: ChannelGraph, data: DataSet
) -> None:
    events = list(run_study(model, graph, data, **QUICK))
    stopped = next(e for e in events if len(e.points) == 3 and e.state is not None)
    rest = list(run_study(model, graph, data, resume=stopped.state, **QUICK))
    assert rest[-1].points == events[-1].points
    assert rest[0].step == stopped.step + 1


def test_a_study_is_no_strategy() -> None:
    assert STUDY.name not in names()
    with pytest.raises(UnknownNameError):
        find_strategy(STUDY.name)


def made(shift: float = 0.0, test: bool = True) -> list[StudyPoint]:
    curves = {"pretrained": (0.9, 0.895, 0.88, 0.9), "scratch": (0.8, 0.7, 0.6, 0.5)}
    return [
        StudyPoint(start, 0.2 * k, 100, 100, a + shift, a + shift - 0.1 if test else None)
        for start, accuracies in curves.items()
        for k, a in enumerate(accuracies)
    ]


def test_studies_gather_runs_and_show_both_starts() -> None:
    study = (
        PretrainingStudy().add("vgg16", "digits", 0, made()).add("vgg16", "digits", 1, made(0.02))
    )
    study = study.add("mobilenet_v2", "digits", 0, made())
    assert study.add("vgg16", "digits", 1, made(0.02)).to_frame().shape == study.to_frame().shape
    assert len(study.to_frame()) == 24
    table = study.reductions().set_index(["network", "start"])
    # The third point falls by two points, so the fourth does not count.
    assert table.loc[("vgg16", "pretrained"), "mean"] == pytest.approx(0.2)
    assert table.loc[("vgg16", "pretrained"), "count"] == 2
    assert table.loc[("vgg16", "scratch"), "mean"] == 0
    assert study.reductions(tolerance=0.05)["mean"].tolist() == pytest.approx([0.6, 0, 0.6, 0])
    info = pretraining_info(study)
    assert info.split == "test"
    assert info.panels == ("vgg16 on digits", "mobilenet_v2 on digits")
    first = info.curves[0]
    assert first.removed == pytest.approx((0, 0.2, 0.4, 0.6))
    assert first.accuracy == pytest.approx((0.81, 0.805, 0.79, 0.81))
    assert first.spread == pytest.approx((0.02 / 2**0.5,) * 4)
    figure = study.figure()
    assert [t.name for t in figure.data if t.showlegend] == ["pretrained", "scratch"]
    assert PretrainingStudy.from_json(study.to_json()) == study
    assert (
        pretraining_info(PretrainingStudy().add("a", "b", 0, made(test=False))).split
        == "validation"
    )
    with pytest.raises(InvalidValueError):
        PretrainingStudy.from_json("{}")


@pytest.mark.parametrize(("panels", "rows", "columns"), [(1, 1, 1), (3, 1, 3), (4, 2, 2)])
def test_panels_stand_in_rows(panels: int, rows: int, columns: int) -> None:
    study = PretrainingStudy()
    for number in range(panels):
        study = study.add(f"net {number}", "digits", 0, made())
    figure = study.figure()
    bands = [t for t in figure.data if t.fill == "toself"]
    assert len(bands) == 2 * panels, "one point below each start's baseline"
    stars = [t for t in figure.data if t.marker.symbol == "star"]
    assert len(figure.data) == 4 * panels + len(stars)
    curves = [c for c in pretraining_info(study).curves if c.largest]
    assert len(curves) >= panels
    marked = [(t.x[0], t.y[0]) for t in stars]
    assert marked == [(c.removed[c.largest], c.accuracy[c.largest]) for c in curves]
    assert all(y >= c.accuracy[0] - 0.01 for (_, y), c in zip(marked, curves, strict=True))
    grid = figure._get_subplot_rows_columns()
    assert [len(part) for part in grid] == [rows, columns]
    assert len({t.xaxis for t in figure.data}) == panels
