"""Folders and zips of images: which layouts make a data set, and what is told."""

from __future__ import annotations

import pytest
import torch

from pruneviz.catalog import load_dataset
from pruneviz.errors import DataError
from tests.catalog.folders.helpers import THREE, files, load, png, write, zipped


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
        (files("a", "b", count=19), "at least 20 images"),
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


def test_few_images_keep_enough_for_validation(tmp_path):
    """65 images, 5 of one class: a fifth would be too few to say anything, and was refused."""
    few = {**files("ants", count=5), **files("zebras", count=60)}
    data = load(write(tmp_path / "few", few))
    assert (len(data.train), len(data.val)) == (45, 20)
    assert data.val.labels.bincount(minlength=2).min() >= 1
    with pytest.raises(DataError, match="needs 40 in all"):
        load(write(tmp_path / "fewer", files("ants", "zebras", count=19)))
