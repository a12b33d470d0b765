from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from platformdirs import user_data_dir

from pruneviz.errors import StorageError
from pruneviz.jobs import home, resolve_home


def test_the_first_that_is_set_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("PRUNEVIZ_HOME", str(tmp_path / "variable"))
    assert resolve_home(tmp_path / "option") == tmp_path / "option"
    assert resolve_home() == tmp_path / "variable"
    assert (tmp_path / "variable").is_dir()
    monkeypatch.setenv("PRUNEVIZ_HOME", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "platform"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert resolve_home() == Path(user_data_dir("pruneviz", appauthor=False))


def test_a_relative_home_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_home("mine") == tmp_path / "mine"


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    for wanted in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match=r"need a folder; .*under, a file\. Choose .*--home"):
            resolve_home(wanted)


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs a folder that nobody writes")
def test_a_folder_that_cannot_be_written_is_said():
    with pytest.raises(StorageError, match=r"'/proc/pruneviz'.*Choose another folder with --home"):
        resolve_home("/proc/pruneviz")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_no_permission_is_said(tmp_path, monkeypatch, number):
    def refuse(**_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(home.tempfile, "TemporaryFile", refuse)
    with pytest.raises(StorageError, match=r"can be written; '.*' cannot\. Choose"):
        resolve_home(tmp_path)


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(home.shutil, "disk_usage", lambda _: real._replace(free=3 * 2**20))
    with pytest.raises(StorageError, match=r"needs 64 MiB of free space; .* has 3 MiB"):
        resolve_home(tmp_path)


def test_nothing_is_left_behind(tmp_path):
    resolve_home(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_records_are_read_without_torch():
    code = "import sys, pruneviz.jobs.results, pruneviz.jobs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
