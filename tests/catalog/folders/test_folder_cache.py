"""Decoded folders: the cache, options, and any input at all."""

from __future__ import annotations

import io
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pruneviz.catalog import cache, decoded, load_dataset
from pruneviz.catalog.archives import Entry, FolderTree
from pruneviz.catalog.layout import Layout, default_val, divide, draw
from pruneviz.errors import (
    DataError,
    InvalidValueError,
    PruneVizError,
    StorageError,
    UnknownNameError,
)
from tests.catalog.folders.helpers import THREE, files, load, png, write, zipped


def test_progress_is_told_while_decoding_and_not_from_the_cache(tmp_path):
    write(tmp_path, files("a", "b", count=100))
    told: list[tuple[int, int, str]] = []
    load(tmp_path, progress=lambda *step: told.append(step))
    assert told[-1] == (200, 200, "Decoding images")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert len(told) > 2
    told.clear()
    load(tmp_path, progress=lambda *step: told.append(step))
    assert told == []


def test_a_second_load_is_mapped_and_a_changed_file_is_seen(tmp_path, monkeypatch, own_cache):
    write(tmp_path, THREE)
    first = load(tmp_path)
    assert len(list(own_cache.glob("*.npy"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(decoded, "decode", None)  # nothing is decoded again
        second = load(tmp_path)
    assert torch.equal(first.train.images, second.train.images)
    second.train.images.fill_(0)  # what is written into it stays in this process
    assert torch.equal(load(tmp_path).train.images, first.train.images)
    path = tmp_path / "train" / "ants" / "000.png"
    path.write_bytes(png(200))
    os.utime(path, (1, 1))
    assert load(tmp_path).train.images[0, 0, 0, 0] == 200


def test_equal_names_sizes_and_times_are_not_equal_pixels(tmp_path, own_cache):
    for name, shift in (("one", 0), ("two", 100)):
        for path in THREE:
            other = png((int(path[-7:-4]) + shift) % 256)
            write(tmp_path / name, {path: other.ljust(200)})
            assert len(other) < 200
        for path in (tmp_path / name).rglob("*"):
            os.utime(path, (1, 1))
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    assert one.train.images[0, 0, 0, 0] == 0
    assert two.train.images[0, 0, 0, 0] == 100
    assert one.digest != two.digest


def test_a_file_that_was_changed_and_dated_back_is_seen(tmp_path, own_cache, monkeypatch):
    monkeypatch.setattr(decoded, "_SETTLED_NS", 0)
    path = tmp_path / "train" / "ants" / "000.png"
    write(tmp_path, THREE | {"train/ants/000.png": png(1).ljust(200)})
    load(tmp_path)
    times = path.stat()
    with path.open("r+b") as file:  # the same file, the same length
        file.write(png(7).ljust(200))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size
    assert load(tmp_path).train.images[0, 0, 0, 0] == 7


def test_a_copy_of_a_folder_is_not_decoded_again(tmp_path, monkeypatch, own_cache):
    write(tmp_path / "one", THREE)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first = load(tmp_path / "one")
    monkeypatch.setattr(decoded, "decode", None)
    assert load(tmp_path / "two").digest == first.digest


def test_files_that_did_not_change_are_not_read_again(tmp_path, monkeypatch, own_cache):
    monkeypatch.setattr(decoded, "_SETTLED_NS", 0)
    write(tmp_path, THREE)
    first = load(tmp_path)
    monkeypatch.setattr(FolderTree, "digest", None)
    assert load(tmp_path).digest == first.digest
    assert len(list(own_cache.glob("*.seen"))) == 1
    cache.make_room(own_cache, 10**6, 10**6)
    assert not list(own_cache.iterdir())  # what is known of images goes with them


def test_a_damaged_cache_is_made_again(tmp_path, own_cache):
    write(tmp_path, THREE)
    first = load(tmp_path)
    expected = first.train.images.clone()
    (path,) = own_cache.glob("*.npy")
    for damage in (b"", b"\x93NUMPY" + bytes(100), path.read_bytes()[:-100]):
        path.unlink()
        path.write_bytes(damage)
        assert torch.equal(load(tmp_path).train.images, expected)
    path.with_suffix(".json").write_text("{")
    assert torch.equal(load(tmp_path).train.images, expected)


def test_the_cache_is_bounded_and_drops_what_was_used_longest_ago(tmp_path, own_cache):
    roots = [write(tmp_path / f"set{i}", THREE | {"train/ants/000.png": png(i)}) for i in range(4)]
    one = 120 * 3 * 32 * 32
    bound = 3 * one + 1000
    for age, root in enumerate(roots[:3]):
        load(root, cache_bytes=bound)
        newest = max(own_cache.glob("*.npy"), key=lambda p: p.stat().st_mtime_ns)
        os.utime(newest, (1000 + age, 1000 + age))
    load(roots[0], cache_bytes=bound)  # used again, so the second is now the oldest
    before = {path.name for path in own_cache.glob("*.npy")}
    load(roots[3], cache_bytes=bound)
    after = {path.name for path in own_cache.glob("*.npy")}
    assert len(before) == len(after) == 3
    assert {path.stem for path in own_cache.glob("*.json")} == {Path(n).stem for n in after}
    assert not list(own_cache.glob("*.part"))
    with pytest.raises(DataError, match="load fewer with limit="):
        load(write(tmp_path / "more", files("a", "b", count=200)), cache_bytes=one)


def test_a_full_disk_and_a_folder_that_cannot_be_written(tmp_path, monkeypatch, own_cache):
    write(tmp_path / "set", THREE)
    usage = shutil._ntuple_diskusage(100, 90, 10)
    with monkeypatch.context() as patch:
        patch.setattr(cache.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(StorageError, match="PRUNEVIZ_CACHE"):
            load(tmp_path / "set")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", _full)
        with pytest.raises(StorageError, match="No space left on device"):
            load(tmp_path / "set")
    assert not list(own_cache.glob("*.part"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PRUNEVIZ_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be written"):
        load(tmp_path / "set")


def _full(path: Path, *arguments: object, **options: object) -> object:
    if path.suffix == ".part":
        raise OSError(28, "No space left on device")
    return io.open(path, *arguments, **options)  # noqa: UP020 - Path.open is replaced


@pytest.mark.parametrize(
    ("option", "values"), [("size", (4, 5000)), ("limit", (0,)), ("val", (1.5, 0.0, 0, -1))]
)
def test_options_out_of_range(tmp_path, option, values):
    write(tmp_path, THREE)
    for value in values:
        with pytest.raises(InvalidValueError):
            load(tmp_path, **{option: value})


@pytest.mark.parametrize("val", [200, 10**9])
def test_more_validation_images_than_there_are(tmp_path, val):
    with pytest.raises(DataError, match="keep at least 1 and at most 199"):
        load(write(tmp_path, files("a", "b", count=100)), val=val)


def test_unknown_names_and_options(tmp_path):
    with pytest.raises(UnknownNameError, match=r"data set 'digit'.*'digits'"):
        load_dataset("digit")
    with pytest.raises(UnknownNameError, match=r"sise.*'size'"):
        load(tmp_path, sise=3)
    with pytest.raises(UnknownNameError, match="option"):
        load_dataset("digits", root="here")
    with pytest.raises(InvalidValueError, match="needs root="):
        load_dataset("folder")
    with pytest.raises(DataError, match="There is no folder or zip"):
        load(tmp_path / "nowhere")


def test_a_named_set_from_a_folder_of_other_classes_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"'cifar10' has 10 classes, and 'set.zip' has 2"):
        load_dataset("cifar10", root=zipped(tmp_path / "set.zip", THREE))


entries = st.dictionaries(
    st.text("ab/.trainvlse", min_size=1, max_size=12).map(lambda name: name + ".png"),
    st.just(png(1)),
    max_size=12,
)


@given(content=entries)
def test_any_zip_gives_a_data_set_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.zip"
    zipped(path, content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            load(path)
        except PruneVizError as error:
            assert len(str(error)) > 20  # noqa: PT017


labels = st.lists(st.integers(0, 4), min_size=10, max_size=200)


@given(labels=labels, limit=st.integers(1, 30), seed=st.integers(0, 5))
def test_draw_takes_up_to_the_limit_of_each_class(labels, limit, seed):
    rows = draw(labels, limit, seed)
    assert rows == sorted(set(rows))
    for label in set(labels):
        assert sum(labels[row] == label for row in rows) == min(limit, labels.count(label))
    assert rows == draw(labels, limit, seed)


@given(labels=labels)
def test_divide_uses_every_image_once(labels):
    items = tuple((Entry((str(i),), 1), label) for i, label in enumerate(labels))
    splits = divide(Layout(tuple("abcde"), {"train": items}))
    assert sorted(splits["train"] + splits["val"]) == sorted(items)
    assert len(splits["val"]) == default_val(len(items))


def test_pixels_are_laid_out_as_channels_first(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = load(write(tmp_path, THREE | {"train/ants/000.png": buffer.getvalue()}))
    np.testing.assert_array_equal(data.train.images[0].numpy(), pixels.transpose(2, 0, 1))


def test_real_folders(shared):
    data = load(shared / "data" / "hymenoptera-256.zip")
    assert data.classes == ("ants", "bees")
    assert (len(data.train), len(data.val), data.test) == (243, 153, None)
    assert data.input_shape == (3, 224, 224)
