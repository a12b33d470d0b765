"""Uploads: kept by content, counted by visitor, gone when refused or not taken up."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pruneviz.errors import InvalidValueError, NotAllowedError, StorageError
from pruneviz.session.uploads import PENDING, Uploads


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path.parent / PENDING, (then, then))


def test_what_nobody_took_up_is_deleted_and_what_was_loaded_stays(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    forgotten = uploads.keep("a.zip", b"a", "ann")
    loaded = uploads.keep("b.zip", b"b", "ann")
    fresh = uploads.keep("c.zip", b"c", "ann")
    uploads.take_up(loaded)
    age(forgotten, 3700)
    assert uploads.sweep() == (forgotten.parent,)
    assert not forgotten.exists()
    assert loaded.read_bytes() == b"b"
    assert fresh.read_bytes() == b"c"
    assert uploads.sweep() == ()


def test_uploads_of_an_older_pruneviz_stay(tmp_path: Path) -> None:
    old = tmp_path / "uploads" / "0123456789abcdef" / "images.zip"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    os.utime(old, (0, 0))
    assert Uploads(tmp_path).sweep(0) == ()
    assert not Uploads(tmp_path).refuse(old)
    assert old.exists()


def test_asking_again_for_a_pending_upload_keeps_it_for_another_hour(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    path = uploads.keep("a.zip", b"a", "ann")
    age(path, 3700)
    assert uploads.keep("a.zip", b"a", "bob") == path
    assert uploads.sweep() == ()


def test_a_refused_upload_is_gone_unless_somebody_uses_it(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    path = uploads.keep("a.pt", b"damaged", "ann")
    assert uploads.refuse(path)
    assert not path.parent.exists()
    used = uploads.keep("b.pt", b"good", "ann")
    uploads.take_up(used)
    assert not uploads.refuse(used)
    assert used.exists()
    elsewhere = tmp_path / "mine.pt"
    elsewhere.write_bytes(b"x")
    assert not uploads.refuse(elsewhere)
    assert elsewhere.exists()


def test_both_who_uploaded_the_same_are_charged_and_limits_have_a_sentence(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path)
    content = bytes(2**20)
    uploads.keep("a.zip", content, "ann")
    uploads.keep("a.zip", content, "bob", room=0)  # there already
    assert uploads.taken("ann") == uploads.taken("bob") == len(content)
    assert uploads.taken("eve") == uploads.taken("") == 0
    with pytest.raises(NotAllowedError, match=r"\(1.0 MiB\) is larger than the 0.5 MiB"):
        uploads.keep("b.zip", bytes(2**20 - 1), "ann", room=2**19)
    with pytest.raises(InvalidValueError, match=r"'c\.zip' is empty"):
        uploads.keep("c.zip", b"", "ann")
    assert len(list(uploads.folder.iterdir())) == 1, "a refused upload leaves nothing"


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="free some disk space"):
        Uploads(tmp_path).keep("a.zip", bytes(100))
    assert list((tmp_path / "uploads").iterdir()) == []
