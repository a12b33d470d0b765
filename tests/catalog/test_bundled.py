"""The bundled weights keep what their cards promise."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from pruneviz.catalog import pretrain
from pruneviz.catalog.digits import load_digits
from pruneviz.data import DataSet, ImageSet, decode
from pruneviz.errors import DataError
from pruneviz.training import evaluate

FILES = sorted(tuple(path.stem.rsplit("-", 1)) for path in pretrain.BUNDLED.glob("*.safetensors"))
CIFAR10 = [name for name, weights in FILES if weights == "cifar10"]


def load(name: str, weights: str) -> nn.Module:
    model = pretrain.NETWORKS[name]()
    model.load_state_dict(load_file(pretrain.BUNDLED / f"{name}-{weights}.safetensors"))
    return model.eval()


def card(name: str, weights: str) -> dict[str, Any]:
    path = pretrain.BUNDLED / f"{name}-{weights}.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sample(shared: Path) -> DataSet:
    """The first 100 test images of each class: 1,000 that no network was trained on."""
    with zipfile.ZipFile(shared / "data" / "cifar10-jpeg.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("test/") and n[-4:] == ".jpg")
        classes = tuple(sorted({name.split("/")[1] for name in names}))
        chosen = [n for c in classes for n in names if n.split("/")[1] == c and n[-8:] < "0100.jpg"]
        images = decode([archive.read(name) for name in chosen], (32, 32))
    labels = torch.tensor([classes.index(name.split("/")[1]) for name in chosen])
    split = ImageSet(images, labels)
    return DataSet("cifar10", split, split, None, classes, (3, 32, 32), {})


@pytest.mark.parametrize(("name", "weights"), FILES)
def test_files_are_small_half_precision_and_as_their_cards_say(name: str, weights: str) -> None:
    path = pretrain.BUNDLED / f"{name}-{weights}.safetensors"
    told = card(name, weights)
    assert path.stat().st_size == told["bytes"] <= 4 * 2**20
    assert hashlib.sha256(path.read_bytes()).hexdigest() == told["sha256"]
    assert (told["model"], told["weights"]) == (name, weights)
    assert told["command"].startswith("python -m pruneviz.catalog.pretrain ")
    assert {"seed", "epochs", "accuracy", "commit", "machine"} <= told.keys()
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"model": name, "weights": weights}
    for key, value in load_file(path).items():
        assert value.dtype == (torch.int64 if key.endswith("tracked") else torch.float16)
        assert value.isfinite().all(), key
    assert told["parameters"] == sum(p.numel() for p in load(name, weights).parameters())


@pytest.mark.parametrize("name", ["resnet20", "vgg16", "mobilenet_v2"])
def test_digits_weights_reach_their_accuracy(name: str) -> None:
    result = evaluate(load(name, "digits"), load_digits())
    promised = card(name, "digits")["accuracy"]["val"]
    assert promised["images"] == result.count == 500
    # Other processors round differently; two images of 500 may fall on the other side.
    assert result.accuracy == pytest.approx(promised["top1"], abs=0.0041)
    assert promised["top1"] >= 0.985


@pytest.mark.parametrize("name", CIFAR10)
def test_cifar10_cards_promise_enough(name: str) -> None:
    promised = card(name, "cifar10")["accuracy"]["test"]
    assert promised["images"] == 10_000
    assert promised["top1"] >= 0.82


@pytest.mark.parametrize("name", CIFAR10)
def test_cifar10_weights_reach_their_accuracy_on_a_sample(name: str, sample: DataSet) -> None:
    result = evaluate(load(name, "cifar10"), sample)
    promised = card(name, "cifar10")["accuracy"]["test"]["top1"]
    assert result.count == 1000
    # Three standard errors of a share of 0.85 in 1,000 images.
    assert result.accuracy == pytest.approx(promised, abs=0.034)


@pytest.mark.slow
def test_cifar10_weights_reach_their_accuracy_on_all_test_images(shared: Path) -> None:
    data = pretrain.cifar10_from_zip(shared / "data" / "cifar10-jpeg.zip")
    assert (len(data.train), len(data.val)) == (48_000, 2_000)
    assert torch.bincount(data.val.labels).tolist() == [200] * 10
    for name in CIFAR10:
        result = evaluate(load(name, "cifar10"), data, split="test")
        assert result.count == 10_000
        promised = card(name, "cifar10")["accuracy"]["test"]["top1"]
        assert result.accuracy == pytest.approx(promised, abs=0.0005)


def small(data: DataSet) -> DataSet:
    return DataSet(
        data.name,
        data.train.first(128),
        data.val.first(50),
        None,
        data.classes,
        data.input_shape,
        data.source,
        augment=data.augment,
    )


def test_pretraining_writes_weights_and_a_card_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small(load_digits())
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    options: dict[str, Any] = {"epochs": 3, "seed": 5}
    path = pretrain.pretrain("resnet20", "digits", data, whole, **options)
    told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert (told["seed"], told["epochs"], told["training_images"]) == (5, 3, 128)
    assert told["started_from"] == "random values"
    assert sorted(p.name for p in whole.iterdir()) == [
        "resnet20-digits.json",
        "resnet20-digits.safetensors",
    ]

    replace: Callable[[Path, Path], Path] = Path.replace

    def stop_after_two(self: Path, target: Path) -> Path:
        written.append(target.name)
        moved = replace(self, target)
        if len(written) == 2:
            raise KeyboardInterrupt
        return moved

    written: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            pretrain.pretrain("resnet20", "digits", data, broken, **options)
    assert [p.name for p in broken.iterdir()] == ["resnet20-digits.checkpoint"]
    again = pretrain.pretrain("resnet20", "digits", data, broken, **options)
    assert again.read_bytes() == path.read_bytes()


def test_a_transfer_keeps_all_but_the_classifier(tmp_path: Path) -> None:
    data = small(load_digits())
    start = pretrain.BUNDLED / "resnet20-digits.safetensors"
    path = pretrain.pretrain("resnet20", "digits", data, tmp_path, epochs=1, start=start)
    old, new = load_file(start), load_file(path)
    near = torch.nn.functional.cosine_similarity
    assert (
        near(old["conv1.weight"].float().flatten(), new["conv1.weight"].float().flatten(), 0) > 0.9
    )
    assert (
        near(old["linear.weight"].float().flatten(), new["linear.weight"].float().flatten(), 0)
        < 0.9
    )


def test_a_zip_without_test_images_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32)).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr("train/cat/0.png", buffer.getvalue())
    with pytest.raises(DataError, match="'test/<class>/', but has none"):
        pretrain.cifar10_from_zip(tmp_path / "odd.zip")
