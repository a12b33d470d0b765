"""Folders and zips read alike; zips that could do harm are refused with the path."""

from __future__ import annotations

import os
import stat
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneviz.catalog import archives
from pruneviz.catalog.archives import open_tree
from pruneviz.errors import DataError

FILES = {"a/1.png": b"one", "a/b/2.png": b"two", "c/3.png": b"three", "readme.txt": b"x"}


@pytest.fixture(params=["folder", "zip"])
def root(request, tmp_path):
    if request.param == "folder":
        for name, content in FILES.items():
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (tmp_path / "set" / "empty").mkdir()
        return tmp_path / "set"
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
        archive.mkdir("empty")
    return tmp_path / "set.zip"


def test_folder_and_zip_are_read_alike(root):
    with open_tree(root) as tree:
        assert {entry.path: tree.read(entry) for entry in tree.entries} == FILES
        assert {entry.path: entry.size for entry in tree.entries} == {
            name: len(content) for name, content in FILES.items()
        }
        assert {("a",), ("a", "b"), ("c",), ("empty",), ()} == set(tree.folders)


def test_no_such_path(tmp_path):
    with pytest.raises(DataError, match="There is no folder or zip"):
        open_tree(tmp_path / "nowhere")


def test_links_in_folders_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.png").write_bytes(b"one")
    (tmp_path / "set" / "a").mkdir(parents=True)
    try:
        (tmp_path / "set" / "a" / "2.png").symlink_to(tmp_path / "real" / "1.png")
        (tmp_path / "set" / "b").symlink_to(tmp_path / "real")
        (tmp_path / "set" / "a" / "again").symlink_to(tmp_path / "set")
        (tmp_path / "set" / "a" / "gone.png").symlink_to(tmp_path / "nothing")
    except OSError:
        pytest.skip("this system has no links")
    with open_tree(tmp_path / "set") as tree:
        assert {entry.path for entry in tree.entries} == {"a/2.png", "b/1.png"}


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:/evil.png", "..\\evil.png", "\\evil"],
)
def test_paths_that_lead_out(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a/1.png", b"one")
        archive.writestr(name, b"evil")
    with pytest.raises(DataError, match="leads out of the archive"):
        open_tree(tmp_path / "set.zip")


@given(parts=st.lists(st.sampled_from(["a", "..", ".", "b.c", "...", ""]), min_size=1, max_size=5))
def test_a_path_that_is_let_in_stays_inside(parts):
    path = "/".join(parts)
    inside = os.path.normpath(os.path.join("root", path))  # noqa: PTH118
    if not archives._leaves(path):
        assert inside == "root" or inside.startswith("root" + os.sep)
        assert not path.startswith("/")


def test_links_in_zips(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        link = zipfile.ZipInfo("a/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"holds the link 'a/link.png'"):
        open_tree(tmp_path / "set.zip")


def test_encrypted(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.png", b"one")
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 8  # the flags in the central directory
    content[at : at + 2] = struct.pack("<H", 1)
    path.write_bytes(content)
    with pytest.raises(DataError, match="encrypted"):
        open_tree(path)


def test_the_same_path_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a/1.png", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a/1.png", b"two")
    with pytest.raises(DataError, match="twice"):
        open_tree(tmp_path / "set.zip")


@pytest.mark.parametrize("content", [b"", b"this is no zip", b"PK\x03\x04" + bytes(50)])
def test_no_zip(tmp_path, content):
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(DataError, match="not a complete zip file"):
        open_tree(tmp_path / "set.zip")


def test_truncated_zip(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.png", os.urandom(1000))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(DataError, match="not a complete zip file"):
        open_tree(path)


def test_absurd_sizes(tmp_path, monkeypatch):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(4):
            archive.writestr(f"a/{i}.bmp", bytes(1_000_000))
    with open_tree(path) as tree:  # small enough to let it be
        assert len(tree.entries) == 4
    monkeypatch.setattr(archives, "INFLATION_FREE_BYTES", 1_000_000)
    with pytest.raises(DataError, match=r"unpack to 4,000,000 bytes, [\d,]+ times its size"):
        open_tree(path)
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 999_999)
    with pytest.raises(DataError, match=r"a/0.bmp' of 1,000,000 bytes"):
        open_tree(path)
    monkeypatch.setattr(archives, "MAX_FILES", 3)
    with pytest.raises(DataError, match="lists 4 files"):
        open_tree(path)


def test_a_listing_that_lies_about_its_sizes_gives_no_more_than_it_says(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/1.png", bytes(100_000))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = struct.pack("<L", 10)
    path.write_bytes(content)
    with open_tree(path) as tree, pytest.raises(DataError, match="Bad CRC"):
        tree.read(tree.entries[0])
