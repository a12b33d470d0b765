"""The page Export writes files that run elsewhere, and says how the network was made."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import pytest

from pruneviz.export import load_bundle
from pruneviz.figures import style
from pruneviz.plan import Plan
from pruneviz.session import previews as kinds
from pruneviz.session.decisions import Subject
from pruneviz.training import evaluate
from pruneviz.ui.export.network import PLAIN, REPAIRED
from pruneviz.ui.frame import services, workbench
from tests.ui.conftest import Open
from tests.ui.helpers import move, sound


@pytest.mark.sweep
def test_files_are_tried_before_they_are_offered(studio: Open) -> None:
    page = sound(studio("prune"))
    move(page, "ratio_all", 40)
    export = sound(studio("export", like=page))
    button = next(b for b in export.button if b.label == "Export and check")
    sound(button.click().run(timeout=200))
    kept = export.session_state["exported_files"]
    assert list(kept["table"]["format"]) == ["python"]
    assert kept["table"]["difference"].iloc[0] < 1e-4
    with zipfile.ZipFile(io.BytesIO(kept["zip"])) as archive:
        card = archive.read("README.md").decode()
    own = kept["table"]["accuracy"].iloc[0]
    assert card.startswith("---\nlibrary_name: pytorch")
    assert f"| {own:.2%} |" in card, "the file's own accuracy"
    assert ", repaired." in card
    loaded = workbench.bench(Subject())
    plan, _ = workbench.plan_at(loaded, page.session_state["session"].history.decisions)
    said = [c.value for c in export.code if "p1." in c.value]
    assert len(said) == 2, "the link and the line for a notebook, both in one place"
    assert all(Plan.from_link(loaded.graph, link_in(text)) == plan for text in said)


def link_in(text: str) -> str:
    found = re.search(r"p1\.[^\"&]+", text)
    assert found
    return found.group()


@pytest.mark.slow
def test_repaired_and_cut_are_different_networks_with_their_own_accuracy(
    studio: Open, tmp_path: Path
) -> None:
    """What is exported under a word gives that word's accuracy, and the recipe says how."""
    page = sound(studio("prune"))
    move(page, "ratio_all", 50)
    loaded = workbench.bench(Subject())
    plan, _ = workbench.plan_at(loaded, page.session_state["session"].history.decisions)
    for kind in (kinds.CUT, kinds.REPAIRED):
        services.previews().wait(loaded, plan, kind)
    export = sound(studio("export", like=page))
    shown = {}
    for chosen in (REPAIRED, PLAIN):
        export.selectbox(key="export_which").set_value(chosen)
        sound(export.run(timeout=200))
        found = export.session_state["bundle"]["bundle"]
        path = tmp_path / f"{len(shown)}.zip"
        path.write_bytes(found.zip())
        measured = evaluate(load_bundle(path), loaded.data, limit=loaded.preview_images)
        shown[chosen] = measured.accuracy
        assert export.metric[0].value == style.percent(measured.accuracy)
        assert export.metric[0].delta == f"on {measured.count} images", "of how many it is"
    assert shown[PLAIN] < 0.3 < 0.9 < shown[REPAIRED]
