"""Files that are not what they say: each is refused, or left out, with a sentence."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import EpsImagePlugin, Image

from pruneviz.catalog import load_model
from pruneviz.catalog.checkpoints import read_weights
from pruneviz.catalog.images import decode, shorter_side
from pruneviz.errors import DataError, WeightsError
from tests.catalog.folders.helpers import THREE, load, png, write, zipped

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n"


def test_what_calls_itself_png_starts_no_interpreter(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    with pytest.raises(Image.UnidentifiedImageError):
        decode(EPS, 32)
    assert shorter_side(EPS) is None
    with pytest.warns(UserWarning, match="1 of 120 images cannot be read: train/ants/000.png"):
        load(write(tmp_path, THREE | {"train/ants/000.png": EPS}))
    assert not started


def test_the_middle_of_a_long_image_is_what_counts():
    image = Image.new("RGB", (4000, 16), (255, 0, 0))
    image.paste((0, 0, 255), (1990, 0, 2010, 16))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    assert decode(buffer.getvalue(), 16)[:, 8, 8].tolist() == [0, 0, 255]


def test_a_huge_image_is_its_average_as_a_small_one_is():
    left, right = Image.new("L", (2600, 5200), 40), Image.new("L", (2600, 5200), 200)
    whole = Image.new("L", (5200, 5200))
    whole.paste(left, (0, 0))
    whole.paste(right, (2600, 0))
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", compress_level=1)
    pixels = decode(buffer.getvalue(), 32)
    assert pixels[0, 16, [2, 12, 20, 29]].tolist() == [40, 40, 200, 200]


def damaged(path: Path, member: str) -> Path:
    """A zip in which one member's bytes are others."""
    zipped(path, THREE)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
    content = bytearray(path.read_bytes())
    content[info.header_offset + 60 : info.header_offset + 64] = b"ruin"
    path.write_bytes(content)
    return path


def test_a_damaged_member_of_a_zip_is_left_out_with_its_name(tmp_path):
    path = damaged(tmp_path / "set.zip", "train/ants/000.png")
    with pytest.warns(UserWarning, match="1 of 120 images cannot be read: train/ants/000.png"):
        data = load(path)  # its first image is also the one whose size is looked at first
    assert len(data.train) == 39


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    write(tmp_path, THREE)
    try:
        (tmp_path / "train/ants/000.png").rename(tmp_path / os.fsdecode(b"train/ants/\xe9.png"))
    except OSError:
        pytest.skip("this file system keeps names in UTF-8")
    with pytest.raises(DataError, match=r"holds the name '.\.png', which is not UTF-8; rename"):
        load(tmp_path)


@pytest.mark.parametrize("root", ["x/" * 1500, "y" * 3000, "~nobody-has-this-name/x"])
def test_paths_that_cannot_be_are_refused(root):
    with pytest.raises(DataError, match=r"folder or zip"):
        load(root)
    with pytest.raises(WeightsError):
        read_weights(f"{root}.pt")


def test_a_zip_with_a_name_too_long_for_a_disk_is_refused(tmp_path):
    with pytest.raises(DataError, match="a path of 3,015 characters"):
        load(zipped(tmp_path / "set.zip", THREE | {f"train/ants/{'n' * 3000}.png": png(1)}))


def test_a_zip_packed_in_a_rare_way_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_LZMA) as archive:
        for name, content in THREE.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match="zip it again as an ordinary zip"):
        load(tmp_path / "set.zip")


def test_tensors_without_numbers_are_refused(tmp_path):
    with torch.device("meta"):
        state = load_model("resnet20").state_dict()
    torch.save(state, tmp_path / "meta.pt")
    with pytest.raises(WeightsError, match=r"conv1\.weight without its numbers \(a meta tensor\)"):
        load_model("resnet20", tmp_path / "meta.pt")


def test_checkpoints_of_training_scripts_are_still_read(tmp_path):
    model = load_model("resnet20", "digits")
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5, 5])
    model(torch.zeros(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    whole = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),  # holds a Counter
        "epoch": 3,
        "history": [0.5] * 10_000,
        "classes": ["a", "b"],
        "shape": torch.Size((3, 32, 32)),
        "random": torch.get_rng_state(),
        "device": torch.device("cpu"),
        "kind": torch.float16,
        "seen": {1, 2},
        "raw": b"bytes",
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    for new in (True, False):
        path = tmp_path / f"{new}.pt"
        torch.save(whole, path, _use_new_zipfile_serialization=new)
        loaded = load_model("resnet20", path)
        assert torch.equal(loaded.conv1.weight, model.conv1.weight)


def test_safetensors_with_a_header_of_any_length_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    for length in (0, 7, 2**32, 2**63, 2**64 - 1):
        path.write_bytes(struct.pack("<Q", length) + b"{}" + bytes(20))
        with pytest.raises(WeightsError):
            read_weights(path)
