"""Folders are prepared as the weights' authors did, and known by ImageNet's classes."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pruneviz as pv
from pruneviz.catalog import ModelSource, imagenet, load_dataset, options_for
from pruneviz.catalog.preprocessing import Preprocessing
from pruneviz.catalog.registry import find_architecture
from pruneviz.errors import DataError, InvalidValueError, UnknownNameError


def folder_of(root, names, count=24, side=(320, 320)):
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize(side).save(root / name / f"{i}.png")
    return str(root)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet1_0", "efficientnet_b1", "efficientnet_v2_s"])
def test_torchvision_s_own_transforms_give_the_same_numbers(name: str, tmp_path) -> None:
    import torchvision

    root = folder_of(tmp_path, ["a", "b"])
    source = ModelSource(name, "IMAGENET1K_V1")
    data = load_dataset("folder", **options_for(source, "folder", {"root": root, "val": 40}))
    transforms = torchvision.models.get_model_weights(name).IMAGENET1K_V1.transforms()
    images, _ = next(data.train.batches(2))
    wanted = [transforms(Image.open(path)) for path in (tmp_path / "a").iterdir()]
    for image in images:
        assert image.shape == wanted[0].shape
        assert min(float((image - w).abs().mean()) for w in wanted) < 0.02


@pytest.mark.slow
def test_the_normalisation_of_the_weights_is_the_data_s(tmp_path) -> None:
    prepared = Preprocessing(24, 32, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    data = load_dataset("folder", root=folder_of(tmp_path, "ab"), val=20, preprocessing=prepared)
    assert data.mean == data.std == (0.5, 0.5, 0.5)
    images, _ = next(data.val.batches(8))
    assert torch.allclose(images, data.val.images[:8] / 127.5 - 1, atol=1e-5)
    again = load_dataset("folder", **data.source["options"])
    assert again.digest == data.digest


@pytest.mark.slow
def test_what_the_user_says_is_kept(tmp_path) -> None:
    source = ModelSource("squeezenet1_0", "imagenet")
    assert options_for(source, "folder", {"root": "x", "size": 64}) == {"root": "x", "size": 64}
    assert options_for(source, "digits", {}) == {}
    assert options_for(ModelSource("resnet20", "digits"), "folder", {"root": "x"}) == {"root": "x"}
    with pytest.raises(InvalidValueError, match="give one of both"):
        load_dataset("folder", root=folder_of(tmp_path, "ab"), size=64, preprocessing={"size": 32})
    with pytest.raises(InvalidValueError, match="resize not below size"):
        load_dataset("folder", root=str(tmp_path), preprocessing={"size": 64, "resize": 32})


def test_folders_named_by_synset_or_class_have_imagenet_s_labels(tmp_path) -> None:
    root = folder_of(tmp_path, ["n01440764", "great_white_shark", "n02510455-panda"], side=(40, 40))
    options = options_for(ModelSource("squeezenet1_0", "imagenet"), "folder", {"root": root})
    assert options["classes_of"] == "imagenet"
    small = options | {"preprocessing": Preprocessing(32, 32).to_json(), "val": 24}
    data = load_dataset("folder", **small)
    assert len(data.classes) == 1000
    assert set(data.val.labels.tolist()) == {0, 2, 388}
    assert [data.classes[i] for i in (0, 2, 388)] == ["tench", "great white shark", "giant panda"]
    model = pv.load_model("squeezenet1_0")
    found = pv.evaluate(model, data)
    assert found.count == len(data.val)
    assert sum(value == value for value in found.per_class) == 3  # nan where there are no images


def test_other_folders_are_their_own_classes(tmp_path) -> None:
    root = folder_of(tmp_path, ["ants", "tench"], side=(40, 40))
    options = options_for(ModelSource("squeezenet1_0", "imagenet"), "folder", {"root": root})
    assert "classes_of" not in options
    with pytest.raises(DataError, match="'ants' is no class of ImageNet"):
        load_dataset("folder", root=root, val=20, classes_of="imagenet")
    with pytest.raises(UnknownNameError, match="imagenet"):
        load_dataset("folder", root=root, val=20, classes_of="cifar10")


def test_every_class_of_imagenet_has_a_synset_and_a_name() -> None:
    assert len(set(imagenet.synsets())) == len(set(imagenet.names())) == 1000
    assert imagenet.class_indices(imagenet.synsets()) == list(range(1000))
    assert imagenet.class_indices(imagenet.names()) == list(range(1000))


def test_every_torchvision_network_has_a_preprocessing() -> None:
    for name in ("resnet50", "inception_v3", "efficientnet_b7", "googlenet"):
        found = find_architecture(name).preprocessing("imagenet")
        assert found is not None
        assert found.resize >= found.size


@pytest.mark.slow
def test_real_weights_know_real_ants_and_bees_among_a_thousand_classes(
    tmp_path: Path, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder named by synset, one by class: SqueezeNet's own preprocessing finds them again."""
    monkeypatch.setenv("TORCH_HOME", str(shared / "torch"))
    with zipfile.ZipFile(shared / "data" / "hymenoptera-256.zip") as archive:
        archive.extractall(tmp_path / "all")
    (train,) = (p for p in (tmp_path / "all").rglob("train") if p.is_dir())
    root = tmp_path / "renamed"
    shutil.copytree(train / "ants", root / "n02219486")
    shutil.copytree(train / "bees", root / "bee")
    source = ModelSource("squeezenet1_0", "imagenet")
    options = options_for(source, "folder", {"root": str(root), "val": 200})
    data = load_dataset("folder", **options)
    assert data.input_shape == (3, 224, 224)
    assert set(data.val.labels.tolist()) == {309, 310}
    right = pv.evaluate(source.load(), data)
    assert right.accuracy > 0.5, "chance is 0.001"
