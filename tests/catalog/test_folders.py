"""Image folders and zips as data sets: layouts, splits, broken files, and the cache."""

from __future__ import annotations

import io
import os
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pruneviz.catalog import cache, decoded, load_dataset
from pruneviz.catalog.archives import Entry
from pruneviz.catalog.layout import Layout, default_val, divide, draw
from pruneviz.errors import (
    DataError,
    InvalidValueError,
    PruneVizError,
    StorageError,
    UnknownNameError,
)


def png(value: int, size: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), (value, value, value)).save(buffer, "PNG")
    return buffer.getvalue()


def files(*folders: str, count: int = 20, size: int = 8) -> dict[str, bytes]:
    """`count` images in each folder; the grey value is the number of the image."""
    return {f"{f}/{i:03d}.png": png(i % 256, size) for f in folders for i in range(count)}


def write(root: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def zipped(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PRUNEVIZ_CACHE", str(folder))
    return folder / "decoded"


def load(root, **options):
    return load_dataset("folder", root=root, **options)


THREE = files("train/ants", "train/bees", "val/ants", "val/bees", "test/ants", "test/bees")


@pytest.mark.parametrize("make", [write, lambda root, content: zipped(root / "set.zip", content)])
def test_three_splits_from_a_folder_and_from_a_zip(tmp_path, make):
    data = load(make(tmp_path, THREE))
    assert data.classes == ("ants", "bees")
    assert data.input_shape == (3, 32, 32)
    assert [len(s) for s in (data.train, data.val, data.test)] == [40, 40, 40]
    assert data.train.labels.tolist() == [0] * 20 + [1] * 20
    assert data.train.images[:, 0, 5, 5].tolist() == [*range(20), *range(20)]
    assert data.notes == ()


def test_a_folder_and_its_zip_have_the_same_digest(tmp_path):
    (tmp_path / "x").mkdir()
    first, second = load(write(tmp_path / "y", THREE)), load(zipped(tmp_path / "x/s.zip", THREE))
    assert first.digest == second.digest
    changed = load(zipped(tmp_path / "x" / "t.zip", THREE | {"train/ants/000.png": png(99)}))
    assert changed.digest != first.digest


def test_train_and_val_have_no_test(tmp_path):
    content = {k: v for k, v in THREE.items() if not k.startswith("test")}
    assert load(write(tmp_path, content)).test is None


def test_without_val_it_is_split_from_train_and_test_is_untouched(tmp_path):
    content = files("train/ants", "train/bees", count=100) | files("test/ants", "test/bees")
    data = load(write(tmp_path, content))
    assert [len(s) for s in (data.train, data.val, data.test)] == [160, 40, 40]
    assert torch.bincount(data.val.labels).tolist() == [20, 20]
    for label in (0, 1):
        values = [
            set(s.images[s.labels == label][:, 0, 0, 0].tolist()) for s in (data.train, data.val)
        ]
        assert not values[0] & values[1]
        assert len(values[0] | values[1]) == 100
    assert load(tmp_path, val=30).val.labels.shape == (30,)
    assert load(tmp_path, val=0.5).val.labels.shape == (100,)
    other = load(tmp_path, seed=1)
    assert other.digest != data.digest
    assert load(tmp_path).digest == data.digest


def test_one_folder_of_class_folders_is_split(tmp_path):
    content = files("cats", "dogs", "eels", count=50)
    data = load(write(tmp_path, content))
    assert data.classes == ("cats", "dogs", "eels")
    assert (len(data.train), len(data.val), data.test) == (120, 30, None)


@pytest.mark.parametrize("prefix", ["set/", "a/b/"])
def test_folders_around_it_all_are_skipped(tmp_path, prefix):
    content = {prefix + name: data for name, data in THREE.items()}
    data = load(zipped(tmp_path / "set.zip", content))
    assert data.classes == ("ants", "bees")
    assert data.test is not None


def test_other_names_of_the_splits_and_what_else_lies_there(tmp_path):
    names = {"train": "Training", "val": "validation", "test": "TEST"}
    content = {}
    for name, data in THREE.items():
        split, rest = name.split("/", 1)
        content[f"{names[split]}/{rest}"] = data
    content |= {"__MACOSX/train/ants/._000.png": b"x", ".DS_Store": b"x", "README.md": b"x"}
    content |= {"Training/ants/.hidden.png": b"x", "Training/ants/notes.txt": b"x"}
    content |= {"Training/ants/deep/er.PNG": png(1)}
    data = load(write(tmp_path, content))
    assert len(data.train) == 41
    assert data.notes == ()


def test_what_is_left_out_is_told(tmp_path):
    content = THREE | {"masks/1.png": png(1)}
    content = {k: v for k, v in content.items() if not k.startswith("test")} | {
        "test/1.png": png(1)
    }
    with pytest.warns(UserWarning, match="left out"):
        data = load(write(tmp_path, content))
    assert data.test is None
    assert len(data.notes) == 2
    assert "'test' has no class folders" in data.notes[0]
    assert "'masks'" in data.notes[1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"a/1.txt": b"x"}, "holds no images"),
        ({"1.png": png(1), "2.png": png(2)}, "2 images but no class folders"),
        ({"train/1.png": png(1)}, "no class folders"),
        (files("ants"), r"one class \('ants'\)"),
        (files("train/ants", "val/ants"), r"one class \('ants'\)"),
        (files("val/ants", "val/bees"), "no train folder"),
        (files("test/a", "test/b") | files("val/a", "val/b"), "no train folder"),
        (THREE | {"train/cats/": b""}, r"without images \('cats'\)"),
        (THREE | {"train/cats/readme.txt": b"x"}, r"without images \('cats'\)"),
        (THREE | {"val/cats/1.png": png(1)}, r"in 'val' that its training images lack \('cats'\)"),
        (THREE | {"train/cats/1.png": png(1)}, "No validation images are left of 'cats'"),
        (files("train/a", "train/b") | files("val/a", "val/b", count=9), "at least 20 images"),
        (files("a", "b", count=40), "at least 20 images"),
        (files("a", "b", count=1), "at least 20 images"),
    ],
)
def test_folders_that_make_no_data_set(tmp_path, content, says):
    with pytest.raises(DataError, match=says):
        load(zipped(tmp_path / "set.zip", content))


def test_an_empty_folder_and_one_with_an_empty_class(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        load(tmp_path)
    write(tmp_path, THREE)
    (tmp_path / "train" / "cats").mkdir()
    with pytest.raises(DataError, match=r"without images \('cats'\)"):
        load(tmp_path)


def test_one_validation_image_of_a_class_is_told(tmp_path):
    content = THREE | files("train/cats") | files("val/cats", count=1)
    with pytest.warns(UserWarning, match="one image only of 'cats'"):
        assert load(write(tmp_path, content)).notes


def test_broken_images_are_skipped_counted_and_told_also_from_the_cache(tmp_path):
    broken = {"train/ants/005.png": b"no image", "val/bees/000.png": png(3)[:40]}
    write(tmp_path, THREE | broken)
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"2 of 120 images cannot be read: train/ants/005"):
            data = load(tmp_path)
        assert [len(s) for s in (data.train, data.val, data.test)] == [39, 39, 40]
        values = data.train.images[:, 0, 5, 5].tolist()
        assert values == [i for i in range(20) if i != 5] + list(range(20))
        assert data.train.labels.tolist() == [0] * 19 + [1] * 20
        assert data.val.images[:, 0, 5, 5].tolist() == [*range(20), *range(1, 20)]
        assert data.test.images[:, 0, 5, 5].tolist() == [*range(20), *range(20)]


def test_too_many_broken_images_and_a_class_of_which_none_is_left(tmp_path):
    with pytest.raises(DataError, match=r"13 of the 120 images in 'a' cannot be read .*one in ten"):
        load(write(tmp_path / "a", THREE | {f"train/ants/{i:03d}.png": b"" for i in range(13)}))
    content = THREE | files("val/cats") | {"train/cats/1.png": b"broken"}
    with pytest.raises(DataError, match="No train images are left of 'cats'"):
        load(write(tmp_path / "b", content))
    with pytest.raises(DataError, match="120 of the 120"):
        load(write(tmp_path / "c", dict.fromkeys(THREE, b"broken")))


def test_the_size_follows_the_images_or_the_option(tmp_path):
    content = files("a", "b", count=50, size=70)
    assert load(write(tmp_path, content)).input_shape == (3, 224, 224)
    assert load(tmp_path, size=40).input_shape == (3, 40, 40)
    assert load(write(tmp_path / "s", files("a", "b", count=50, size=64))).input_shape[1] == 32


def test_limit_takes_that_many_of_each_class(tmp_path):
    content = files("a", count=100) | files("b", count=60)
    data = load(write(tmp_path, content), limit=30)
    assert torch.bincount(data.train.labels).tolist() == [30, 30]
    assert torch.bincount(data.val.labels).tolist() == [20, 12]
    whole = load(tmp_path)
    assert set(data.val.images[:, 0, 0, 0].tolist()) <= set(whole.val.images[:, 0, 0, 0].tolist())


def test_the_source_gives_the_same_again(tmp_path):
    write(tmp_path, files("a", "b", count=100))
    data = load(tmp_path, limit=40, seed=3, val=0.3)
    again = load_dataset(data.source["name"], **data.source["options"])
    assert again.digest == data.digest
    assert torch.equal(again.val.images, data.val.images)
    assert again.source == data.source


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
    "options", [{"size": 4}, {"size": 5000}, {"limit": 0}, {"val": 1.5}, {"val": 0.0}]
)
def test_options_out_of_range(tmp_path, options):
    write(tmp_path, THREE)
    with pytest.raises(InvalidValueError):
        load(tmp_path, **options)


@pytest.mark.parametrize("val", [0, -1, 200, 10**9])
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
    items = tuple((Entry((str(i),), 1, 1), label) for i, label in enumerate(labels))
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
