"""Pages of a shared studio: what a visitor may read, and whose runs they may change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pruneviz.errors import NotAllowedError, PruneVizError
from pruneviz.jobs.gate import Visitor
from pruneviz.session.decisions import Subject
from pruneviz.ui.frame import services, workbench
from pruneviz.ui.serving import sharing, visitors
from tests.ui.conftest import Open
from tests.ui.helpers import texts

Come = Callable[..., None]


@pytest.fixture
def come(monkeypatch: pytest.MonkeyPatch) -> Come:
    """Return a function that makes the studio a shared one, and whoever is named its visitor."""
    monkeypatch.setattr(sharing, "_current", [])

    def enter(name: str, *, owns_studio: bool = False, **settings: Any) -> None:
        sharing.take_up(sharing.sharing("0.0.0.0", **settings))
        monkeypatch.setattr(visitors, "here", lambda: Visitor(name, owns_studio))

    return enter


def folder(path: Path) -> Subject:
    return Subject(data="folder", options=(("root", str(path)),))


@pytest.mark.parametrize("owns_studio", [False, True])
def test_no_path_of_the_machine_is_read(
    studio: Open, come: Come, tmp_path: Path, owns_studio: bool
) -> None:
    come("ann", owns_studio=owns_studio)
    secret = tmp_path / "secret"
    secret.mkdir()
    own = (str(secret / "own.pt"), "own.safetensors")
    folders = (secret, Path("/"), Path("../x"))
    for subject in (*map(folder, folders), *(Subject(weights=name) for name in own)):
        with pytest.raises(NotAllowedError, match="reads nothing but uploads"):
            workbench.bench(subject)


def test_only_what_lies_under_the_data_root_is_read(
    studio: Open, come: Come, tmp_path: Path
) -> None:
    inside, outside = tmp_path / "images", tmp_path / "images-private"
    for made in (inside, outside):
        made.mkdir()
    (inside / "link").symlink_to(outside)
    come("ann", data_root=inside)
    for path in (outside, inside / "link", inside / ".." / "images-private", tmp_path):
        with pytest.raises(NotAllowedError, match="only folders under"):
            workbench.bench(folder(path))
    with pytest.raises(PruneVizError) as read:
        workbench.bench(folder(inside))
    assert not isinstance(read.value, NotAllowedError), "it was read, and found empty"


@pytest.mark.slow
def test_the_path_field_is_there_only_where_paths_are_read(studio: Open, come: Come) -> None:
    def fields() -> list[str]:
        page = studio("choose")
        data = next(box for box in page.selectbox if box.label == "Data")
        page = data.set_value("your own images …").run()
        assert not page.exception
        return [t.label for t in page.text_input]

    assert fields() == ["Folder or zip on this machine"]
    come("ann")
    assert fields() == []


def test_an_upload_is_refused_and_gone_or_loaded_and_kept(studio: Open, come: Come) -> None:
    come("ann")
    uploads = services.uploads()
    broken = uploads.keep("broken.zip", b"no zip", "ann")
    with pytest.raises(PruneVizError, match=r"broken\.zip"):
        workbench.bench(folder(broken))
    assert not broken.parent.exists()
    from safetensors.torch import save

    from pruneviz.catalog import load_model

    state = load_model("resnet20", weights="digits").state_dict()
    good = uploads.keep("good.safetensors", save(dict(state)), "ann")
    workbench.bench(Subject(weights=str(good)))
    assert uploads.sweep(0) == ()
    assert good.exists()


@pytest.mark.slow
def test_a_run_has_buttons_for_whom_it_belongs_to(studio: Open, come: Come) -> None:
    come("ann", owns_studio=False)
    from pruneviz.jobs import RunSpec

    loaded = workbench.bench(Subject())
    store = services.jobs().store
    spec = RunSpec("fine_tune", loaded.source, loaded.data.source, name="mine", owner="ann")
    run = store.create(spec).id
    store.request_cancel(run)

    def page_of(name: str, **role: bool) -> tuple[str, set[str]]:
        come(name, **role)
        page = studio("runs")
        assert not page.exception
        return texts(page), {b.label for b in page.button}

    said, buttons = page_of("ann")
    assert "yours" in said
    assert {"Resume", "Delete"} <= buttons
    said, buttons = page_of("bob")
    assert "visitor ann" in said
    assert not {"Resume", "Delete"} & buttons
    with pytest.raises(NotAllowedError):
        services.jobs().delete(run)  # whatever a forged click asks for
    said, buttons = page_of("zoe", owns_studio=True)
    assert {"Resume", "Delete"} <= buttons
