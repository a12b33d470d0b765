"""What was uploaded to one studio, in another one that shares its records and its store."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pruneviz import errors
from pruneviz.jobs import RunStore
from pruneviz.jobs.collect import collect
from pruneviz.jobs.uploaded import Uploaded
from pruneviz.session.decisions import Subject
from pruneviz.session.uploads import PENDING, Uploads

CONTENT = b"weights"


@pytest.fixture(params=["file", "s3"])
def places(request: pytest.FixtureRequest, tmp_path: Path, new_database: str) -> tuple[str, str]:
    s3 = request.param == "s3"
    store = request.getfixturevalue("new_bucket") if s3 else (tmp_path / "store").as_uri()
    return new_database, store


@pytest.fixture
def records(places: tuple[str, str], tmp_path: Path) -> Iterator[RunStore]:
    made = RunStore(tmp_path / "one", *places)
    yield made
    made.close()


def studio(home: Path, records: RunStore) -> Uploads:
    """The uploads of a studio that has a home of its own."""
    home.mkdir(exist_ok=True)
    assert records.files.artifacts is not None
    return Uploads(home, Uploaded(records.database, records.files.artifacts))


def test_another_studio_fetches_what_was_loaded(records: RunStore, tmp_path: Path) -> None:
    one, two = studio(tmp_path / "one", records), studio(tmp_path / "two", records)
    path = one.keep("mine.pt", CONTENT, "ann")
    images = one.keep("images.zip", b"images", "ann")
    there = Subject("resnet20", str(path), None, "folder", (("root", str(images)), ("size", 32)))
    assert two.at_hand(there) == there, "nothing was loaded from it yet"
    for each in (path, images):
        one.take_up(each)
    here = two.at_hand(there)
    assert here.paths == tuple(str(two.folder / p.relative_to(one.folder)) for p in (path, images))
    assert [Path(p).read_bytes() for p in here.paths] == [CONTENT, b"images"]
    assert all(two.holds(p) for p in here.paths)
    assert dict(here.options)["size"] == 32
    assert not two.refuse(here.paths[0]), "it was loaded, and is no longer pending"
    assert two.sweep(0) == ()
    assert one.at_hand(here) == there
    assert collect(records, older_than=-60).files == 0, "uploads are no waste"


def test_visitors_are_charged_for_what_they_uploaded_anywhere(
    records: RunStore, tmp_path: Path
) -> None:
    one, two = studio(tmp_path / "one", records), studio(tmp_path / "two", records)
    one.take_up(one.keep("mine.pt", CONTENT, "ann"))
    two.keep("yours.pt", b"other", "ann")
    assert one.taken("ann") == len(CONTENT)
    assert two.taken("ann") == len(CONTENT) + len(b"other")
    assert two.taken("bob") == two.taken("") == 0
    one.keep("mine.pt", CONTENT, "bob")
    two.keep("mine.pt", CONTENT, "bob")
    assert two.taken("bob") == len(CONTENT), "once, not once a studio"


def test_what_is_no_upload_keeps_its_path(records: RunStore, tmp_path: Path) -> None:
    two = studio(tmp_path / "two", records)
    for path in ("/nowhere/mine.pt", "/x/uploads/0123456789abcdef/gone.pt",
                 "/x/uploads/%/mine.pt", "mine.pt", "run:3f2a", "digits", ""):  # fmt: skip
        assert two.at_hand(Subject(weights=path)).weights == path
    assert two.at_hand(Subject(weights=None)) == Subject(weights=None)


def test_while_the_store_does_not_answer_an_upload_is_not_taken_for_kept(
    records: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = studio(tmp_path / "one", records)
    path = one.keep("mine.pt", CONTENT, "ann")
    assert records.files.artifacts is not None

    def away(*_: object) -> None:
        raise errors.StorageUnreachableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(records.files.artifacts), "put_file", away)
        with pytest.raises(errors.StorageUnreachableError):
            one.take_up(path)
    assert (path.parent / PENDING).exists()
    one.take_up(path)
    assert studio(tmp_path / "two", records).at_hand(Subject(weights=str(path))).paths != (
        str(path),
    )
    then = time.time() - 7200
    os.utime(path, (then, then))
    assert one.sweep() == ()
