"""Tables on pages: columns called as people call them, and no row of what is not known yet."""

from __future__ import annotations

import pandas as pd
from streamlit.testing.v1 import AppTest

from tests.ui.conftest import Open
from tests.ui.helpers import sound


def _half_a_scan() -> None:
    from pruneviz.sensitivity_result import Sensitivity, SensitivityPoint
    from pruneviz.session.decisions import Subject
    from pruneviz.ui.frame import workbench
    from pruneviz.ui.sensitivity import page

    loaded = workbench.bench(Subject())
    group = loaded.graph.prunable_groups[0].name
    points = tuple(
        SensitivityPoint(group, ratio, 2, 16, correct, images, 0.3, 9, 0.1)
        for ratio, correct, images in ((0.1, 90, 100), (0.3, 0, 0))
    )
    scan = Sensitivity("l1", "val", 95, 0.1, 100, 200, (0.1, 0.3), points, (), False)
    page.look_at(loaded, scan, finished=False, seconds=1.0)


def test_a_scan_under_way_lists_what_was_measured(studio: Open) -> None:
    """What was still to come stood there with an accuracy of None."""
    sound(studio("choose"))
    page = sound(AppTest.from_function(_half_a_scan, default_timeout=120).run())
    (table,) = (t.value for t in page.dataframe if "ratio" in t.value)
    assert table["ratio"].tolist() == [0.1]
    assert any("100 of 200 validation images, running; 1 prunable group;" in c.value
               for c in page.caption)  # fmt: skip


def test_costs_have_no_names_of_code(studio: Open) -> None:
    page = studio("prune")
    page.session_state["view"] = "Costs"
    page = sound(page.run())
    (table,) = (t for t in page.dataframe if isinstance(t.value, pd.DataFrame))
    columns = table.proto.columns
    for name in table.value.columns:
        assert "_" not in name or f'"{name}": {{"label"' in columns, (name, columns)
