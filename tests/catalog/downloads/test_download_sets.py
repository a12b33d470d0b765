"""Data sets of torchvision, as their servers give them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from torchvision import datasets as zoo

from pruneviz.catalog import datasets, load_dataset, torchvision_data
from pruneviz.errors import DataError


def serve_cifar(folder, address, monkeypatch, kind, per_class=30):
    """A small CIFAR archive in torchvision's form, with its checksums set to match."""
    classes = 10 if kind is zoo.CIFAR10 else 100
    key = "labels" if classes == 10 else "fine_labels"
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(classes), per_class)
    pixels = rng.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    train, test = len(labels) * 2 // 3, len(labels)
    parts = {"train": (0, train), "test": (train, test)}
    names = [f"class{i:03d}" for i in range(classes)]
    members = {"meta": pickle.dumps({kind.meta["key"]: names})}
    for split, (start, stop) in parts.items():
        batch = {"data": pixels[start:stop], key: labels[start:stop].tolist()}
        members[split] = pickle.dumps(batch)
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in members.items()}
    with tarfile.open(folder / "cifar.tar.gz", "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"{kind.base_folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    whole = hashlib.md5((folder / "cifar.tar.gz").read_bytes()).hexdigest()
    meta = {"filename": "meta", "key": kind.meta["key"], "md5": md5["meta"]}
    changes = {
        "url": address + "cifar.tar.gz",
        "filename": "cifar.tar.gz",
        "tgz_md5": whole,
        "meta": meta,
        "train_list": [["train", md5["train"]]],
        "test_list": [["test", md5["test"]]],
    }
    for name, value in changes.items():
        monkeypatch.setattr(kind, name, value)
    return pixels.reshape(-1, 3, 32, 32), labels, train, names


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), [("cifar10", zoo.CIFAR10), ("cifar100", zoo.CIFAR100)])
def test_cifar(served, monkeypatch, name, kind):
    folder, address, requests = served
    pixels, labels, count, names = serve_cifar(folder, address, monkeypatch, kind)
    told: list[tuple[int, int, str]] = []
    data = load_dataset(name, progress=lambda *step: told.append(step))
    size = (folder / "cifar.tar.gz").stat().st_size
    assert told[-1] == (size, size, f"The data set '{name}'")
    assert data.classes == tuple(names)
    val = count // 5
    assert [len(s) for s in (data.train, data.val, data.test)] == [
        count - val, val, len(labels) - count,
    ]  # fmt: skip
    ours = torch.cat([data.train.images, data.val.images]).flatten(1)
    assert {row.numpy().tobytes() for row in ours} == {
        p.tobytes() for p in pixels[:count].reshape(count, -1)
    }
    first = next(i for i in range(count, len(labels)) if labels[i] == 0)
    np.testing.assert_array_equal(data.test.images[0].numpy(), pixels[first])
    assert data.test.labels[0] == 0
    arrived = len(requests)
    again = load_dataset(data.source["name"], **json.loads(json.dumps(data.source["options"])))
    assert again.digest == data.digest
    assert len(requests) == arrived
    assert datasets().set_index("name").loc[name, "offline"]
    large = load_dataset(name, size=48, limit=3)
    assert large.input_shape == (3, 48, 48)
    assert torch.bincount(large.train.labels).tolist() == [3] * len(names)


def test_the_same_images_as_a_folder_give_the_same_split(served, tmp_path, monkeypatch):
    folder, address, _ = served
    pixels, labels, count, names = serve_cifar(folder, address, monkeypatch, zoo.CIFAR10)
    with zipfile.ZipFile(tmp_path / "cifar.zip", "w") as archive:
        for i, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            buffer = io.BytesIO()
            Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "PNG")
            split = "train" if i < count else "test"
            archive.writestr(f"{split}/{names[label]}/{i:05d}.png", buffer.getvalue())
    first = load_dataset("cifar10")
    second = load_dataset("cifar10", root=tmp_path / "cifar.zip")
    for a, b in zip((first.train, first.val, first.test), (second.train, second.val, second.test),
                    strict=True):  # fmt: skip
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.labels, b.labels)
    assert second.name == "cifar10"


def test_a_damaged_archive(served, monkeypatch):
    folder, address, _ = served
    serve_cifar(folder, address, monkeypatch, zoo.CIFAR10)
    path = folder / "cifar.tar.gz"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="arrived damaged"):
        load_dataset("cifar10")


def test_svhn(served, monkeypatch):
    folder, address, _ = served
    rng = np.random.default_rng(0)
    files = {}
    for split, count in (("train", 200), ("test", 50)):
        images = rng.integers(0, 256, (32, 32, 3, count), dtype=np.uint8)
        labels = np.arange(count) % 10 + 1  # the digit 0 is called 10
        name = f"{split}_32x32.mat"
        scipy.io.savemat(folder / name, {"X": images, "y": labels[:, None]})
        md5 = hashlib.md5((folder / name).read_bytes()).hexdigest()
        files[split] = [address + name, name, md5]
        last = images
    monkeypatch.setattr(zoo.SVHN, "split_list", files)
    data = load_dataset("svhn")
    assert data.classes == tuple("0123456789")
    assert [len(s) for s in (data.train, data.val, data.test)] == [160, 40, 50]
    assert data.augment == "crop"
    zero = data.test.images[0].numpy()
    np.testing.assert_array_equal(zero, last[..., 9].transpose(2, 0, 1))


def test_fashion_mnist(served, monkeypatch):
    folder, address, _ = served
    rng = np.random.default_rng(0)
    resources = []
    for prefix, count in (("train", 200), ("t10k", 50)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        content = {
            f"{prefix}-images-idx3-ubyte.gz": struct.pack(">4i", 2051, count, 28, 28)
            + images.tobytes(),
            f"{prefix}-labels-idx1-ubyte.gz": struct.pack(">2i", 2049, count) + labels.tobytes(),
        }
        for name, raw in content.items():
            (folder / name).write_bytes(gzip.compress(raw))
            resources.append((name, hashlib.md5((folder / name).read_bytes()).hexdigest()))
    monkeypatch.setattr(zoo.FashionMNIST, "mirrors", [address])
    monkeypatch.setattr(zoo.FashionMNIST, "resources", resources)
    told: list[tuple[int, int, str]] = []
    data = load_dataset("fashion_mnist", progress=lambda *step: told.append(step))
    assert data.input_shape == (3, 32, 32)
    assert data.classes[-1] == "Ankle boot"
    assert [len(s) for s in (data.train, data.val, data.test)] == [160, 40, 50]
    assert torch.equal(data.test.images[:, 0], data.test.images[:, 2])
    assert told[-1][0] == told[-1][1] > 0
    assert load_dataset("fashion_mnist", size=28).test.images[0, 0].numpy().tobytes() == (
        images[0].tobytes()
    )


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 50), (value % 256,) * 3).save(buffer, "JPEG")
    return buffer.getvalue()


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.slow
def test_flowers(served, monkeypatch):
    folder, address, _ = served
    count = 102 * 6
    labels = np.arange(count) % 102 + 1
    ids = np.arange(1, count + 1)
    images = {f"jpg/image_{i:05d}.jpg": jpeg(i) for i in ids}
    (folder / "102flowers.tgz").write_bytes(tar_of(images))
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": labels})
    third = count // 3
    scipy.io.savemat(
        folder / "setid.mat",
        {"trnid": ids[:third], "valid": ids[third : 2 * third], "tstid": ids[2 * third :]},
    )
    md5 = {p.name: hashlib.md5(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    names = {"image": "102flowers.tgz", "label": "imagelabels.mat", "setid": "setid.mat"}
    monkeypatch.setattr(zoo.Flowers102, "_download_url_prefix", address)
    monkeypatch.setattr(zoo.Flowers102, "_file_dict", {k: (n, md5[n]) for k, n in names.items()})
    data = load_dataset("flowers102", size=32)
    assert [len(s) for s in (data.train, data.val, data.test)] == [third] * 3
    assert len(data.classes) == 102
    assert data.train.labels.tolist() == (labels[:third] - 1).tolist()
    assert abs(int(data.train.images[7, 0, 5, 5]) - 8) <= 1
    with pytest.warns(UserWarning, match="one image only"):
        assert len(load_dataset("flowers102", size=32, limit=1).train) == 102


def test_caltech(served, monkeypatch):
    folder, address, _ = served
    objects = {
        f"101_ObjectCategories/{name}/image_{i:04d}.jpg": jpeg(i)
        for name in ("BACKGROUND_Google", "Faces", "ant")
        for i in range(60)
    }
    with zipfile.ZipFile(folder / "caltech-101.zip", "w") as archive:
        archive.writestr("caltech-101/101_ObjectCategories.tar.gz", tar_of(objects))
        archive.writestr("caltech-101/Annotations.tar", b"")
    md5 = hashlib.md5((folder / "caltech-101.zip").read_bytes()).hexdigest()
    url = address + "caltech-101.zip"
    monkeypatch.setitem(torchvision_data._URLS, "caltech101", lambda: [url])
    original = zoo.caltech.download_and_extract_archive
    monkeypatch.setattr(
        zoo.caltech,
        "download_and_extract_archive",
        lambda _, download_root, filename, **__: original(url, download_root, None, filename, md5),
    )
    data = load_dataset("caltech101", size=32)
    assert data.classes == ("Faces", "ant")
    assert (len(data.train), len(data.val), data.test) == (96, 24, None)
