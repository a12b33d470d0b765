"""Files that arrive: weights, what breaks on the way, and what is said then."""

from __future__ import annotations

import hashlib
import socket
import time
import urllib.error

import pytest
import torch
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
from pruneviz.errors import OfflineError, StorageError, WeightsError
from tests.catalog.downloads.helpers import saved_resnet20


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
