"""A kill at any moment leaves the last good checkpoint."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pruneviz.errors import StorageError, StorageGoneError
from pruneviz.jobs.checkpoints import Checkpoints
from pruneviz.jobs.files import atomic_write, make_below


def _state(number: int) -> dict:
    return {"epoch": number, "model": {"w": torch.full((1000,), float(number))}, "row": None}


def test_what_was_saved_is_loaded_and_two_are_kept(tmp_path):
    kept = Checkpoints(tmp_path / "run")
    assert kept.load() is None
    for number in range(1, 6):
        kept.save(_state(number))
        loaded = kept.load()
        assert loaded["epoch"] == number
        assert torch.equal(loaded["model"]["w"], _state(number)["model"]["w"])
    assert [path.name for path in kept.paths()] == ["checkpoint-000005.pt", "checkpoint-000004.pt"]
    assert len(list((tmp_path / "run").iterdir())) == 2


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text", "code"])
def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path, damage):
    kept = Checkpoints(tmp_path)
    kept.save(_state(1))
    newest = kept.save(_state(2))
    content = bytearray(newest.read_bytes())
    if damage == "empty":
        content = bytearray()
    elif damage == "truncated":
        del content[len(content) // 2 :]
    elif damage == "flipped":  # one bit in the middle of the weights
        content[bytes(content).index(torch.tensor([2.0] * 9).numpy().tobytes()) + 7] ^= 16
    elif damage == "text":
        content = bytearray(b"hello")
    newest.write_bytes(content)
    if damage == "code":  # a pickle that wants to run something is not loaded
        torch.save({"epoch": Path}, newest)
    assert kept.load()["epoch"] == 1
    kept.save(_state(3))
    assert kept.load()["epoch"] == 3


def test_a_full_disk_leaves_the_last_good_one(tmp_path, monkeypatch):
    kept = Checkpoints(tmp_path)
    kept.save(_state(1))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"disk that holds .* is full .*resume the run"):
            kept.save(_state(2))
    assert kept.load()["epoch"] == 1
    assert len(list(tmp_path.iterdir())) == 1, "the part that was written is gone"


def test_a_file_is_old_or_new_never_a_part(tmp_path):
    path = tmp_path / "below" / "file"
    atomic_write(path, b"old")
    atomic_write(path, memoryview(b"new"))
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


KILLED = """
import sys, torch
from pathlib import Path
from pruneviz.jobs.checkpoints import Checkpoints
torch.set_num_threads(1)
kept, number = Checkpoints(Path(sys.argv[1])), 0
while True:
    number += 1
    kept.save({"epoch": number, "w": torch.full((300_000,), float(number))})
    print(number, flush=True)
"""


@pytest.mark.slow
def test_killed_while_saving(tmp_path):
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    writer.stdout.readline()
    time.sleep(0.033)
    writer.send_signal(signal.SIGKILL)
    saved = 1 + len(writer.stdout.read().split())
    writer.wait()
    loaded = Checkpoints(tmp_path).load()
    assert loaded["epoch"] in (saved, saved + 1)
    assert torch.equal(loaded["w"], torch.full((300_000,), float(loaded["epoch"])))


def test_folders_are_made_below_a_home_and_never_the_home_itself(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    atomic_write(home / "runs" / "one" / "file", b"kept", below=home)
    assert (home / "runs" / "one" / "file").read_bytes() == b"kept"
    shutil.rmtree(home)
    for path in (home / "file", home / "runs" / "one" / "file"):
        with pytest.raises(StorageError):
            atomic_write(path, b"lost", below=home)
    with pytest.raises(StorageGoneError, match="was deleted"):
        make_below(home, home / "runs")
    assert not home.exists()
