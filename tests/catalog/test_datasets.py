"""The catalogue of data sets, and the bundled one."""

from __future__ import annotations

import pytest
import torch

from pruneviz import evaluate
from pruneviz.catalog import datasets, load_dataset, load_model
from pruneviz.errors import InvalidValueError, UnknownNameError


def test_the_frame_tells_every_set_once():
    frame = datasets().set_index("name")
    assert list(frame.index) == [
        "digits", "cifar10", "cifar100", "svhn", "fashion_mnist", "flowers102", "caltech101",
        "folder",
    ]  # fmt: skip
    assert frame.loc["digits", "offline"]
    assert frame.loc["digits", "source"] == "bundled"
    torchvisions = frame[frame["source"] == "torchvision"]
    assert (torchvisions[["classes", "train", "val", "download_mb"]] > 0).all().all()


def test_the_frame_counts_the_bundled_set_as_it_is():
    row = datasets().set_index("name").loc["digits"]
    data = load_dataset("digits")
    assert (row["train"], row["val"], row["classes"]) == (
        len(data.train), len(data.val), len(data.classes),
    )  # fmt: skip
    assert data.input_shape == (3, row["input_size"], row["input_size"])
    assert data.test is None


def test_digits_for_networks_that_need_larger_images():
    small, large = load_dataset("digits"), load_dataset("digits", size=64)
    assert large.input_shape == (3, 64, 64)
    assert large.val.images.shape == (500, 3, 64, 64)
    assert torch.equal(small.val.labels, large.val.labels)
    assert small.digest != large.digest
    again = load_dataset(large.source["name"], **large.source["options"])
    assert again.digest == large.digest
    assert load_dataset("digits", size=32).digest == small.digest
    with pytest.raises(InvalidValueError, match="from 8 to 1,024"):
        load_dataset("digits", size=3)
    with pytest.raises(UnknownNameError, match="data set 'digit'"):
        load_dataset("digit")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "weights", "known"), [("resnet20", "cifar10-hub", 0.8103)])
def test_real_weights_on_real_images(shared, monkeypatch, name, weights, known):
    """The accuracy on all 10,000 test images is known; 1,000 of them come close to it."""
    monkeypatch.setenv("TORCH_HOME", str(shared / "torch"))
    data = load_dataset("cifar10", root=shared / "data" / "cifar10-jpeg.zip", limit=100)
    assert data.test is not None
    assert len(data.test) == 1000
    accuracy = evaluate(load_model(name, weights), data, split="test").accuracy
    assert abs(accuracy - known) < 0.04  # three standard errors
