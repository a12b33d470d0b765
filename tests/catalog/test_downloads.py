"""Downloads through the real code of torch.hub and torchvision, from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import socket
import struct
import tarfile
import threading
import time
import urllib.error
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image
from torchvision import datasets as zoo
from torchvision import models as networks

from pruneviz.catalog import (
    datasets,
    describe_model,
    downloads,
    hub,
    load_dataset,
    load_model,
    models,
    torchvision_data,
)
from pruneviz.catalog.downloads import download, offline
from pruneviz.errors import DataError, OfflineError, StorageError, WeightsError


@pytest.fixture
def served(tmp_path):
    """A folder and the address under which a server gives its files; requests are counted."""
    folder = tmp_path / "served"
    folder.mkdir()
    requests: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

        def do_GET(self):
            requests.append(self.path)
            super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/", requests
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("PRUNEVIZ_CACHE", str(tmp_path / "cache"))
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def nobody() -> str:
    """An address at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/"


def saved_resnet20(folder, name=None) -> str:
    state = {f"module.{k}": v for k, v in load_model("resnet20").state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"state_dict": state, "best_prec1": 91.0}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
    name = name or f"resnet20-{digest}.th"
    (folder / name).write_bytes(buffer.getvalue())
    return name


def test_weights_arrive_once_with_their_hash_checked_and_progress_told(served, monkeypatch):
    folder, address, requests = served
    name = saved_resnet20(folder)
    monkeypatch.setattr(hub, "BASE", address)
    monkeypatch.setitem(hub.CIFAR_RESNETS, "resnet20", name)
    monkeypatch.setattr(downloads, "POLL_SECONDS", 0.001)
    told: list[tuple[int, int, str]] = []
    assert "cifar10-hub" not in models().set_index("name").loc["resnet20", "offline"]

    model = load_model("resnet20", "cifar10-hub", progress=lambda *step: told.append(step))

    assert describe_model(model).weights_classes == 10
    size = (folder / name).stat().st_size
    assert told[-1] == (size, size, "The CIFAR-10 weights of 'resnet20'")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    load_model("resnet20", "cifar10-hub")
    assert requests == [f"/{name}"]
    assert "cifar10-hub" in models().set_index("name").loc["resnet20", "offline"]


def test_a_download_with_another_hash_is_refused_and_not_kept(served, monkeypatch):
    folder, address, _ = served
    name = saved_resnet20(folder, "resnet20-00000000.th")
    monkeypatch.setattr(hub, "BASE", address)
    monkeypatch.setitem(hub.CIFAR_RESNETS, "resnet20", name)
    with pytest.raises(WeightsError, match="arrived damaged"):
        load_model("resnet20", "cifar10-hub")
    assert not hub.cached_path(address + name).exists()


def test_a_damaged_file_that_was_kept_is_named(served, monkeypatch):
    folder, address, _ = served
    name = saved_resnet20(folder)
    monkeypatch.setattr(hub, "BASE", address)
    monkeypatch.setitem(hub.CIFAR_RESNETS, "resnet20", name)
    path = hub.cached_path(address + name)
    path.parent.mkdir(parents=True)
    path.write_bytes((folder / name).read_bytes()[:1000])
    with pytest.raises(WeightsError, match=f"{name} is damaged; delete it"):
        load_model("resnet20", "cifar10-hub")


def test_imagenet_weights_come_through_torchvisions_api(served, monkeypatch):
    folder, address, requests = served
    state = networks.squeezenet1_1().state_dict()
    torch.save(state, folder / "w.pth")
    digest = hashlib.sha256((folder / "w.pth").read_bytes()).hexdigest()[:8]
    (folder / "w.pth").rename(folder / f"squeezenet1_1-{digest}.pth")
    entry = networks.SqueezeNet1_1_Weights.IMAGENET1K_V1.value
    monkeypatch.setattr(type(entry), "__setattr__", object.__setattr__)  # it is frozen
    monkeypatch.setattr(entry, "url", f"{address}squeezenet1_1-{digest}.pth")
    for weights in ("imagenet", "IMAGENET1K_V1"):
        loaded = load_model("squeezenet1_1", weights).state_dict()
        assert all(torch.equal(loaded[key], state[key]) for key in state)
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("name", "weights"), [("resnet56", "cifar10"), ("resnet20", "cifar10-hub")]
)
def test_without_a_network_one_sentence_soon(nobody, monkeypatch, name, weights):
    monkeypatch.setattr(hub, "BASE", nobody)
    started = time.monotonic()
    with pytest.raises(OfflineError) as caught:
        load_model(name, weights)
    assert time.monotonic() - started < 20
    text = str(caught.value)
    assert text.startswith(f"The CIFAR-10 weights of '{name}' had to be downloaded from 127.0.0.1")
    assert "'digits'" in text
    assert text.count(".") - text.count("127.0.0.1") * 3 == 1


def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(downloads, "CONNECT_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(hub, "BASE", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        with pytest.raises(OfflineError, match="resnet20"):
            load_model("resnet20", "cifar10-hub")


def test_a_file_that_is_not_there(served, monkeypatch):
    _, address, _ = served
    monkeypatch.setattr(hub, "BASE", address)
    with pytest.raises(OfflineError, match="it answered 404"):
        load_model("resnet20", "cifar10-hub")


def test_a_connection_that_breaks_half_way(tmp_path, served):
    folder, address, _ = served
    (folder / "file").write_bytes(b"x")

    def broken():
        raise RuntimeError("wrapped") from urllib.error.URLError("reset by peer")

    with pytest.raises(OfflineError, match="reset by peer"):
        download("The file", [address + "file"], tmp_path, broken)
    with pytest.raises(RuntimeError, match="a mistake"):  # what is not the network's stays
        download("The file", [address + "file"], tmp_path, _mistake)
    assert socket.getdefaulttimeout() is None


def _mistake():
    raise RuntimeError("a mistake")


def test_the_sentence_names_host_and_reason():
    error = offline(
        "The data set 'svhn'", "http://example.org/a", urllib.error.URLError("no route.")
    )
    assert "from example.org, which failed (no route);" in str(error)


@pytest.mark.parametrize("name", list(torchvision_data._URLS))
def test_data_sets_without_a_network(nobody, monkeypatch, name):
    monkeypatch.setitem(torchvision_data._URLS, name, lambda: [nobody + "file"])
    with pytest.raises(OfflineError, match=f"The data set '{name}' had to be downloaded"):
        load_dataset(name)
    assert not datasets().set_index("name").loc[name, "offline"]


def test_downloads_that_cannot_be_kept(tmp_path, served, monkeypatch):
    monkeypatch.setattr(hub, "BASE", served[1])
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        load_dataset("cifar10", root=tmp_path / "file" / "below")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="TORCH_HOME"):
        load_model("resnet56", "cifar10")


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
