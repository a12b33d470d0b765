"""The page Export writes files that run elsewhere, and says how the network was made."""

from __future__ import annotations

from pruneviz.plan import Plan
from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import workbench
from tests.ui.conftest import Open
from tests.ui.helpers import move, sound


def test_files_are_tried_before_they_are_offered(studio: Open) -> None:
    page = sound(studio("prune"))
    move(page, "ratio_all", 40)
    export = sound(studio("export", like=page))
    button = next(b for b in export.button if b.label == "Write and try them")
    sound(button.click().run(timeout=200))
    kept = export.session_state["exported_files"]
    assert list(kept["table"]["format"]) == ["python"]
    assert kept["table"]["difference"].iloc[0] < 1e-4
    loaded = workbench.bench(Subject())
    plan, _ = workbench.plan_at(loaded, page.session_state["session"].history.decisions)
    link = next(c.value for c in export.code if c.value.startswith("p1."))
    assert Plan.from_link(loaded.graph, link) == plan
