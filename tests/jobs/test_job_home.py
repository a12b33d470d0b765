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
from pruneviz.jobs import RunStore, home, resolve_home
from pruneviz.jobs.files import atomic_write


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


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_records_and_results_are_for_their_owner_alone(tmp_path):
    def modes(folder: Path) -> dict[str, int]:
        return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}

    before = os.umask(0o022)
    try:
        own = resolve_home(tmp_path / "made" / "here")
        for _ in range(2):
            store = RunStore(own)
            home.reserve(own)
            atomic_write(store.directory("run") / "result.json", b"{}")
            found = modes(own)
            assert {found[name] for name in found if name != "runs"} == {0o600}
            assert "pruneviz.db" in found
            store.close()
            assert own.stat().st_mode & 0o777 == 0o700
            assert modes(own / "runs" / "run") == {"result.json": 0o600}
        for path in own.glob("pruneviz.db*"):  # as an older version left them
            path.chmod(0o644)
        assert modes(resolve_home(own))["pruneviz.db"] == 0o600
        shared = tmp_path / "shared"
        (shared / "other").mkdir(parents=True)
        assert resolve_home(shared).stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(before)
