"""Image sets: what a batch holds, that crops are crops, and that splits share nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneviz.augmentation import random_crop, random_shift_rotate
from pruneviz.catalog.digits import load_digits
from pruneviz.data import MEAN, STD, DataSet, ImageSet, chunks, normalise, stratified_split
from pruneviz.errors import DataError, InvalidValueError, UnknownNameError


def images_of(n: int, size: int = 8, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, size, size), generator=generator, dtype=torch.uint8)


def numbered(n: int, classes: int = 3) -> ImageSet:
    """Images of one value each, their own index, so that a batch tells which images it holds."""
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 3, 4, 4)
    return ImageSet(images, torch.arange(n) % classes)


def indices_in(x: torch.Tensor) -> list[int]:
    """Undo the normalisation of `numbered` images."""
    return ((x[:, 0, 0, 0] * STD[0] + MEAN[0]) * 255).round().int().tolist()


def test_normalisation_against_the_formula() -> None:
    images = images_of(5)
    expected = (images.numpy() / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    np.testing.assert_allclose(normalise(images).numpy(), expected, atol=1e-6)


def test_a_data_set_is_normalised_by_its_own_mean_and_deviation() -> None:
    mean, std = (0.5, 0.4, 0.3), (0.1, 0.2, 0.3)
    train, val = ImageSet(images_of(6), torch.zeros(6, dtype=torch.int64)), numbered(4)
    usual = DataSet("own", train, val, None, ("a", "b", "c"), (3, 8, 8), {})
    data = replace(usual, mean=mean, std=std)
    expected = (images_of(6) / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(
        3, 1, 1
    )
    for sample in (data.train, data.train.subset(torch.arange(6)), data.train.first(9)):
        ((x, _),) = sample.batches(6)
        torch.testing.assert_close(x, expected)
    assert data.digest != usual.digest  # what a network sees is other data
    assert replace(data, notes=("seen",)).digest == data.digest
    assert replace(data, mean=usual.mean, std=usual.std).digest == usual.digest


@pytest.mark.parametrize("std", [(0.1, 0.2), (0.1, 0.2, 0.0), (0.1, 0.2, math.nan), "abc", 0.2])
def test_a_deviation_that_is_none_is_refused(std: object) -> None:
    split = numbered(4)
    with pytest.raises(InvalidValueError, match="std must be"):
        DataSet("odd", split, split, None, ("a", "b", "c"), (3, 4, 4), {}, std=std)  # type: ignore[arg-type]


def test_batches_hold_every_image_once_and_in_order() -> None:
    batches = list(numbered(10).batches(4))
    assert [len(y) for _, y in batches] == [4, 4, 2]
    assert [i for x, _ in batches for i in indices_in(x)] == list(range(10))
    assert torch.cat([y for _, y in batches]).tolist() == [i % 3 for i in range(10)]
    assert all(x.dtype == torch.float32 and y.dtype == torch.int64 for x, y in batches)


def test_shuffled_batches_hold_every_image_once_with_its_label() -> None:
    seen, labels = [], []
    for x, y in numbered(50).batches(8, shuffle_seed=3):
        seen += indices_in(x)
        labels += y.tolist()
    assert sorted(seen) == list(range(50))
    assert seen != list(range(50))
    assert labels == [i % 3 for i in seen]


def test_the_seed_decides_order_and_augmentation() -> None:
    data = ImageSet(images_of(40), torch.zeros(40, dtype=torch.int64))
    for augment in (None, "crop", "crop-flip", "shift-rotate"):
        once, again, other = (
            torch.cat([x for x, _ in data.batches(16, shuffle_seed=seed, augment=augment)])
            for seed in (1, 1, 2)
        )
        assert torch.equal(once, again)
        assert not torch.equal(once, other)


def test_batches_leave_the_random_state_of_the_caller_alone() -> None:
    before = torch.get_rng_state()
    for augment in ("crop-flip", "shift-rotate"):
        list(numbered(20).batches(8, shuffle_seed=0, augment=augment))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_lone_last_image_joins_the_batch_before() -> None:
    assert chunks(9, 4) == [(0, 4), (4, 9)]
    assert chunks(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert chunks(1, 4) == [(0, 1)]
    assert chunks(3, 1) == [(0, 1), (1, 2), (2, 3)]
    assert chunks(0, 4) == []


def windows(image: torch.Tensor, padding: int) -> list[torch.Tensor]:
    """Slow reference: every window of the padded image, one by one."""
    height, width = image.shape[1:]
    padded = torch.zeros(len(image), height + 2 * padding, width + 2 * padding, dtype=torch.uint8)
    padded[:, padding : padding + height, padding : padding + width] = image
    return [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * padding + 1)
        for left in range(2 * padding + 1)
    ]


@pytest.mark.parametrize("flip", [False, True])
def test_a_random_crop_is_a_window_of_the_padded_image(flip: bool) -> None:
    images = images_of(60)
    cut = random_crop(images, torch.Generator().manual_seed(0), padding=2, flip=flip)
    mirrored, places = 0, set()
    for image, found in zip(images, cut, strict=True):
        plain = [i for i, w in enumerate(windows(image, 2)) if torch.equal(w, found)]
        turned = [i for i, w in enumerate(windows(image, 2)) if torch.equal(w.flip(2), found)]
        assert len(plain) + len(turned) == 1
        mirrored += len(turned)
        places.update(plain or turned)
    assert len(places) > 15, "the windows must differ from image to image"
    assert (20 < mirrored < 40) if flip else mirrored == 0


def test_the_default_padding_is_four_pixels_of_32() -> None:
    images = torch.full((400, 1, 32, 32), 255, dtype=torch.uint8)
    cut = random_crop(images, torch.Generator().manual_seed(0), flip=False)
    black_rows = (cut[:, 0].amax(2) == 0).sum(1)
    assert sorted(set(black_rows.tolist())) == [0, 1, 2, 3, 4]


def test_shift_and_rotation_without_a_move_change_nothing() -> None:
    x = normalise(images_of(4, 16))
    moved = random_shift_rotate(x, torch.Generator().manual_seed(0), shift=0, degrees=0)
    torch.testing.assert_close(moved, x, atol=1e-4, rtol=1e-4)


def test_shift_and_rotation_stay_small_and_never_mirror() -> None:
    x = torch.zeros(200, 1, 32, 32)
    x[:, :, 4:8, 4:8] = 1  # a spot near the upper left corner
    moved = random_shift_rotate(x, torch.Generator().manual_seed(0))
    mass = moved.sum((1, 2, 3))
    rows = (moved.sum((1, 3)) * torch.arange(32)).sum(1) / mass
    columns = (moved.sum((1, 2)) * torch.arange(32)).sum(1) / mass
    assert float(rows.max()) < 14
    assert float(columns.max()) < 14
    assert float(rows.std()) > 0.5
    assert float(columns.std()) > 0.5


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(lambda c: sum(c) >= 2),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_a_stratified_split_is_exact_disjoint_and_balanced(
    counts: list[int], share: float, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    n = len(labels)
    wanted = min(n - 1, max(1, round(share * n)))
    train, val = stratified_split(labels, wanted, seed=seed)
    assert sorted(train.tolist() + val.tolist()) == list(range(n))
    assert len(val) == wanted
    for label, count in enumerate(counts):
        held = int((labels[val] == label).sum())
        assert abs(held - count * wanted / n) < 1
    again = stratified_split(labels, wanted, seed=seed)[1]
    assert torch.equal(val, again)


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="at least 1 and at most 3"):
        stratified_split(torch.tensor([0, 0, 1, 1]), 4)


def test_first_takes_the_classes_in_turn() -> None:
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    images = numbered(6).images
    # turn by turn: images 0, 3, 4 (one of each class), then 1 and 5, then 2
    for n, expected in ((1, [0]), (3, [0, 3, 4]), (4, [0, 3, 4, 1]), (5, [0, 3, 4, 1, 5])):
        sample = ImageSet(images, labels).first(n)
        assert sample.images[:, 0, 0, 0].tolist() == expected
        assert sample.labels.tolist() == labels[expected].tolist()
    whole = ImageSet(images, labels)
    assert whole.first(6) is whole
    with pytest.raises(InvalidValueError, match="number of images must be a whole number from 1"):
        whole.first(0)


def test_wrong_tensors_are_refused_with_what_was_given() -> None:
    with pytest.raises(DataError, match=r"uint8.*float32"):
        ImageSet(torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(DataError, match="2 images"):
        ImageSet(images_of(2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(UnknownNameError, match="crop-flip"):
        list(numbered(4).batches(2, augment="blur"))
    with pytest.raises(InvalidValueError, match="batch_size must be a whole"):
        list(numbered(4).batches(0))


def test_a_split_that_is_absent_or_empty_names_those_that_are_there() -> None:
    data = DataSet("odd", numbered(4), numbered(0), None, ("a", "b", "c"), (3, 4, 4), {})
    assert data.split("train") is data.train
    for name in ("val", "test"):
        with pytest.raises(DataError, match=rf"'{name}'; use one of: train"):
            data.split(name)
    with pytest.raises(UnknownNameError, match="train, val"):
        data.split("holdout")


def test_digits_are_always_the_same_split_and_share_no_image() -> None:
    data, again = load_digits(), load_digits()
    assert data.digest == again.digest
    assert (len(data.train), len(data.val), data.test) == (1297, 500, None)
    assert data.input_shape == tuple(data.train.images.shape[1:]) == (3, 32, 32)
    assert torch.equal(data.train.images[:, 0], data.train.images[:, 2])
    counts = torch.bincount(data.val.labels)
    assert counts.min() >= 48
    assert counts.max() <= 52
    keys = [{image.numpy().tobytes() for image in split.images} for split in (data.train, data.val)]
    assert not keys[0] & keys[1]
    assert len(keys[0]) + len(keys[1]) == 1797
    assert data.augment == "shift-rotate", "a mirrored digit is no digit"


def test_digests_differ_with_the_data() -> None:
    data = load_digits()
    swapped = DataSet("x", data.val, data.train, None, data.classes, data.input_shape, {})
    assert swapped.digest != data.digest
