"""Sensitivity: a curve for each group that can be pruned."""

from __future__ import annotations

from pruneviz import figures
from pruneviz.sensitivity_result import Sensitivity, SensitivityPoint


def test_sensitivity_curves_start_at_the_baseline_and_leave_closed_groups_out() -> None:
    scan = Sensitivity(
        criterion="l1",
        split="val",
        baseline_correct=95,
        baseline_loss=0.1,
        images=100,
        total=100,
        ratios=(0.25, 0.5),
        points=(
            SensitivityPoint("a", 0.25, 1, 4, 90, 100, 0.3, 9, 0.1),
            SensitivityPoint("a", 0.5, 2, 4, 60, 100, 0.5, 8, 0.2),
            SensitivityPoint("b", 0.5, 1, 2, 80, 100, 0.5, 8, 0.2),
        ),
        closed=(("out", "is the network's output"),),
        final=True,
    )
    figure = figures.curves_figure(scan, tolerance=0.05)
    lines = [t for t in figure.data if t.mode == "lines+markers"]
    assert [t.name for t in lines] == ["a", "b"], "the closed group has no curve"
    assert list(lines[0].x) == [0.0, 0.25, 0.5]
    assert list(lines[0].y) == [0.95, 0.9, 0.6]
    assert "1 of 4 units pruned" in lines[0].customdata[1][1]
    heat = figures.sensitivity_heat_figure(scan).data[0]
    assert list(heat.y) == ["a", "b"]
    assert heat.z[1][0] is None
