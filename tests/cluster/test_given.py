"""What runs need of their owner's machine: weights and images travel by digest, code does not."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import pruneviz as pv
from pruneviz import errors
from pruneviz.catalog import ModelSource, own, own_data
from pruneviz.jobs import JobService, RunSpec, RunStore, given
from pruneviz.jobs.artifacts import digest_of
from pruneviz.jobs.elsewhere import Order, check_travels, run_elsewhere, versions
from pruneviz.jobs.given import Giver, paths_of
from pruneviz.jobs.steps import WEIGHTS
from pruneviz.jobs.worker import run_job
from pruneviz.studies.race_queue import RaceRequest, gather
from tests.cluster.servers import deployed

DIGITS: dict[str, Any] = {"name": "digits", "options": {}}
TRAIN = {"epochs": 1, "batch_size": 64, "teacher": False}
LONG = 240.0


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two classes of small images, and a file that is none of them."""
    rng = np.random.default_rng(0)
    for kind, bright in (("dark", 60), ("light", 190)):
        folder = tmp_path / "ann" / "photos.v2" / kind
        folder.mkdir(parents=True)
        for number in range(24):
            pixels = rng.integers(bright - 50, bright + 50, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    (tmp_path / "ann" / "photos.v2" / ".DS_Store").write_bytes(b"x")
    return tmp_path / "ann" / "photos.v2"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weights file of one's own."""
    (tmp_path / "ann").mkdir(exist_ok=True)
    path = tmp_path / "ann" / "mine.safetensors"
    model = pv.load_model("resnet20", weights="digits")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    return path


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    pytest.importorskip("fsspec", reason="needs the extra 'cluster'")
    (tmp_path / "studio").mkdir()
    return RunStore(tmp_path / "studio", artifacts=(tmp_path / "store").as_uri())


def spec_of(weights: Path | str, photos: Path) -> RunSpec:
    source = pv.load_dataset("folder", root=str(photos), size=16).source
    model = ModelSource("resnet20", str(weights)).to_dict()
    return RunSpec("fine_tune", model, dict(source), options=TRAIN)


def sent(store: RunStore, spec: RunSpec) -> str:
    """A run on record with what it was given."""
    return store.create(spec, given=Giver(store.files, store.home).send(spec)).id


def test_a_folder_has_the_digest_of_its_images_wherever_it_lies(photos: Path, tmp_path: Path):
    copy = tmp_path / "elsewhere" / "photos.v2"
    shutil.copytree(photos, copy)
    packed = [given.pack(f, tmp_path / f"{n}.zip") for n, f in enumerate((photos, copy))]
    assert packed[0].read_bytes() == packed[1].read_bytes()
    here, there = (pv.load_dataset("folder", root=str(f), size=16) for f in (photos, packed[0]))
    assert here.digest == there.digest
    (copy / "dark" / "0.png").write_bytes((copy / "dark" / "1.png").read_bytes())
    assert given.pack(copy, tmp_path / "2.zip").read_bytes() != packed[0].read_bytes()


def test_a_worker_gets_copies_and_keeps_them(store: RunStore, photos, weights, tmp_path):
    spec = spec_of(weights, photos)
    run_id = sent(store, spec)
    blobs = store.files.artifacts
    assert blobs is not None
    assert len(list(blobs.blobs())) == 2
    sent(store, spec)
    assert len(list(blobs.blobs())) == 2, "the same files, once"
    assert store.files.known(run_id) == {}, "the run has not written them"
    assert store.files.size([run_id]) == 0
    shutil.rmtree(weights.parent)
    (tmp_path / "worker").mkdir()
    there = given.bring(store.files, tmp_path / "worker", run_id, spec)
    copy = Path(there.model["weights"])
    assert copy.is_relative_to(tmp_path / "worker")
    assert Path(there.data["options"]["root"]).name == "photos.v2"
    assert Path(there.data["options"]["root"]).stem == Path(spec.data["options"]["root"]).stem
    assert (there.model["name"], there.options) == ("resnet20", spec.options)
    assert pv.load_dataset("folder", **there.data["options"]).classes == ("dark", "light")
    before = copy.stat().st_mtime_ns
    assert given.bring(store.files, tmp_path / "worker", run_id, spec) == there
    assert copy.stat().st_mtime_ns == before, "what is there is not fetched again"
    copy.write_bytes(b"damaged")
    given.bring(store.files, tmp_path / "worker", run_id, spec)
    assert digest_of(copy.read_bytes()) == copy.parent.name


def test_a_file_damaged_in_the_store_reaches_no_worker(store: RunStore, photos, weights, tmp_path):
    spec = spec_of(weights, photos)
    run_id = sent(store, spec)
    digest = digest_of(weights.read_bytes())
    (tmp_path / "store" / "blobs" / digest[:2] / digest).write_bytes(b"?")
    (tmp_path / "worker").mkdir()
    with pytest.raises(errors.StorageError, match="is damaged"):
        given.bring(store.files, tmp_path / "worker", run_id, spec)
    (folder,) = (tmp_path / "worker" / "given").glob(f"{digest}*")
    assert list(folder.iterdir()) == []


def test_copies_that_nobody_uses_make_room(store: RunStore, photos, weights, tmp_path, monkeypatch):
    first, second = (sent(store, spec_of(w, photos)) for w in ("digits", weights))
    (tmp_path / "worker").mkdir()
    monkeypatch.setattr(given, "KEEP_BYTES", 0)
    given.bring(store.files, tmp_path / "worker", first, spec_of("digits", photos))
    given.bring(store.files, tmp_path / "worker", second, spec_of(weights, photos))
    assert len(list((tmp_path / "worker" / "given").iterdir())) == 2, "used within a day"
    old = time.time() - 2 * given.IN_USE_SECONDS
    os.utime(tmp_path / "worker" / "given" / digest_of(weights.read_bytes()), (old, old))
    weights.write_bytes(weights.read_bytes() + b" ")
    third = sent(store, spec_of(weights, photos))
    given.bring(store.files, tmp_path / "worker", third, spec_of(weights, photos))
    kept = {path.name for path in (tmp_path / "worker" / "given").iterdir()}
    assert digest_of(weights.read_bytes()) in kept
    assert len(kept) == 2


@pytest.mark.parametrize(
    "model",
    [{"name": "resnet20", "weights": w} for w in ("digits", "run:3f2a", "run:a/b", None)],
)
def test_names_are_no_files(model: dict[str, Any]):
    assert paths_of(RunSpec("fine_tune", model, DIGITS)) == {}


def test_an_experiment_of_the_lab_says_in_its_options_where_its_images_are(photos):
    spec = RunSpec("claim", options={"root": str(photos), "weights": None})
    assert paths_of(spec) == {"options.root": photos}


def test_images_handed_over_by_python_travel(store: RunStore, tmp_path, monkeypatch):
    monkeypatch.setenv(own_data.VARIABLE, "")  # put back at the end, whoever sets it meanwhile
    data = pv.load_dataset("digits")
    own_data.hand_over(own_data.keep(data, tmp_path / "own"))
    spec = RunSpec("rank", data={"name": "own", "options": {"digest": data.digest}})
    run_id = sent(store, spec)
    shutil.rmtree(tmp_path / "own")
    # The worker's last run was about other images of somebody's own.
    other = replace(data, train=data.train.first(20), name="other")
    own_data.hand_over(own_data.keep(other, tmp_path / "others"))
    (tmp_path / "worker").mkdir()
    given.at_hand(store.files, tmp_path / "worker", run_id, spec)
    assert own_data.load({"digest": data.digest}).digest == data.digest
    copy = own_data.given()
    given.at_hand(store.files, tmp_path / "nowhere", run_id, spec)
    assert own_data.given() == copy, "what is here is not fetched again"


def test_a_file_that_is_gone_is_said_at_once(store: RunStore, photos, weights):
    spec = spec_of(weights, photos)
    weights.unlink()
    with pytest.raises(
        errors.InvalidValueError, match=r"There is no '.*mine.safetensors' any more"
    ):
        sent(store, spec)


def test_files_of_torchvision_stay(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    spec = RunSpec("rank", data={"name": "cifar10", "options": {"root": str(tmp_path)}})
    with pytest.raises(errors.NotAllowedError, match="are only on this machine"):
        check_travels(spec)


CODE = """
import torch

def make(num_classes=10):
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(8, num_classes))
"""


def test_code_runs_where_its_owner_started_it_and_nowhere_else(
    store: RunStore, tmp_path, monkeypatch
):
    (tmp_path / "mine.py").write_text(CODE)
    network = own.from_code(f"{tmp_path / 'mine.py'}:make")
    monkeypatch.setenv(own.VARIABLE, "")
    own.hand_over(network)
    spec = RunSpec("rank", {"name": network.model, "weights": network.weights}, DIGITS,
                   options={"criteria": ["l1"]})  # fmt: skip
    check_travels(spec)
    assert paths_of(spec) == {}
    database = f"sqlite:///{tmp_path}"
    monkeypatch.setattr("pruneviz.jobs.elsewhere.resolve_database", lambda: database)
    monkeypatch.setenv("PRUNEVIZ_STORE", (tmp_path / "store").as_uri())
    monkeypatch.setenv("PRUNEVIZ_HOME", str(store.home))
    monkeypatch.setattr(
        "pruneviz.jobs.elsewhere.RunStore", lambda home, _, files: RunStore(home, None, files)
    )
    order = Order(
        store.create(spec).id, "ticket", store.database.stamp, versions(), network=network.digest
    )
    (tmp_path / "other.py").write_text(CODE + "# changed\n")
    for mine in (None, own.from_code(f"{tmp_path / 'other.py'}:make")):
        monkeypatch.setenv(own.VARIABLE, "")
        if mine is not None:
            own.hand_over(mine)
        with pytest.raises(errors.WrongWorkerError, match=r"pruneviz worker --network FILE.py"):
            run_elsewhere(order)
        assert store.get(order.run_id).status == "queued"
    own.hand_over(network)
    assert run_elsewhere(order) == "done", store.get(order.run_id).trace


def test_an_object_of_a_notebook_does_not_travel(tmp_path, monkeypatch):
    monkeypatch.setenv(own.VARIABLE, "")
    own.hand_over(own.from_object(pv.load_model("resnet20"), tmp_path))
    with pytest.raises(errors.NotAllowedError, match="is code and does not travel"):
        check_travels(RunSpec("rank", {"name": "own/ResNet"}, DIGITS))


def save_hf(folder: Path, seed: int = 0) -> Path:
    """Have transformers write a small network, in two files of weights with an index."""
    transformers = pytest.importorskip("transformers", reason="needs the extra 'hf'")
    small = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "num_labels": 10}
    config = transformers.AutoConfig.for_model("resnet", **small)
    torch.manual_seed(seed)
    model = transformers.AutoModelForImageClassification.from_config(config)
    model.save_pretrained(folder, safe_serialization=True, max_shard_size="2KB")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle is not read, and does not travel")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def hf_spec(folder: Path, **options: Any) -> RunSpec:
    model = ModelSource(f"hf/{folder}", "pretrained").to_dict()
    return RunSpec("rank", model, DIGITS, options={"criteria": ["l1"], **options})


@pytest.fixture(params=["file", "s3", "gs"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    pytest.importorskip("fsspec", reason="needs the extra 'cluster'")
    (tmp_path / "studio").mkdir()
    buckets = {"s3": "new_bucket", "gs": "new_gs_bucket"}
    bucket = buckets.get(request.param)
    address = request.getfixturevalue(bucket) if bucket else (tmp_path / "store").as_uri()
    return RunStore(tmp_path / "studio", artifacts=address)


def test_a_folder_of_transformers_travels(any_store: RunStore, tmp_path: Path) -> None:
    store = any_store
    folder = save_hf(tmp_path / "ann" / "mine")
    spec = hf_spec(folder)
    wanted = pv.load_model(f"hf/{folder}", "pretrained").state_dict()
    run_id = sent(store, spec)
    names = {name.rpartition("/")[2] for name in store.files.given(run_id)}
    assert names == {path.name for path in folder.iterdir() if path.suffix != ".bin"}
    blobs = store.files.artifacts
    assert blobs is not None
    assert len(list(blobs.blobs())) == len(names)
    changed = json.loads((folder / "config.json").read_text()) | {"note": "other"}
    (folder / "config.json").write_text(json.dumps(changed))
    again = sent(store, spec)
    assert len(list(blobs.blobs())) == len(names) + 1, "the same weights, once"
    shutil.rmtree(folder.parent)
    (tmp_path / "worker").mkdir()
    there = given.at_hand(store.files, tmp_path / "worker", run_id, spec)
    copy = Path(there.model["name"].removeprefix("hf/"))
    assert copy.is_relative_to(tmp_path / "worker")
    assert copy.name == "mine"
    state = ModelSource.from_dict(there.model).load().state_dict()
    assert all(state[name].equal(value) for name, value in wanted.items())
    before = {path: path.stat().st_mtime_ns for path in copy.iterdir()}
    assert given.bring(store.files, tmp_path / "worker", run_id, spec) == there
    assert {path: path.stat().st_mtime_ns for path in copy.iterdir()} == before
    weights = next(copy.glob("*.safetensors"))
    intact = weights.read_bytes()
    weights.write_bytes(b"damaged")
    given.bring(store.files, tmp_path / "worker", run_id, spec)
    assert weights.read_bytes() == intact
    other = given.bring(store.files, tmp_path / "worker", again, spec)
    assert other.model["name"] != there.model["name"]


def test_a_folder_that_transformers_cannot_load_is_refused_at_once(
    store: RunStore, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    spec = hf_spec(folder)
    with pytest.raises(errors.InvalidValueError, match=r"There is no '.*mine' any more"):
        sent(store, spec)
    folder.mkdir()
    with pytest.raises(errors.InvalidValueError, match=r"'.*mine' has no config.json"):
        sent(store, spec)


def test_a_name_on_the_hub_is_no_folder():
    assert paths_of(hf_spec(Path("microsoft/resnet-50"))) == {}


def test_an_experiment_of_the_lab_names_its_network_among_its_options(tmp_path, monkeypatch):
    spec = RunSpec("claim", options={"network": f"hf/{tmp_path}"})
    assert paths_of(spec) == {"options.network": tmp_path}
    monkeypatch.setenv(own.VARIABLE, "")
    own.hand_over(own.from_object(pv.load_model("resnet20"), tmp_path))
    with pytest.raises(errors.NotAllowedError, match="is code and does not travel"):
        check_travels(RunSpec("claim", options={"network": "own/ResNet"}))


@pytest.mark.slow
def test_a_run_continues_from_the_network_of_one_whose_folder_is_gone(
    any_store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a worker, both runs' networks are copies; one race's parts are of one network."""
    store, folder = any_store, save_hf(tmp_path / "ann" / "mine")
    monkeypatch.setenv("PRUNEVIZ_STORE", str(store.files.address))
    monkeypatch.setenv("PRUNEVIZ_HOME", str(store.home))
    model = ModelSource(f"hf/{folder}", "pretrained").to_dict()
    race = RaceRequest(model, DIGITS, ("control",), epochs=1, seeds=(0, 1))
    ids = [
        store.create(spec, given=Giver(store.files, store.home).send(spec)).id
        for spec in (RunSpec("fine_tune", model, DIGITS, options=TRAIN), *race.specs())
    ]
    shutil.rmtree(folder.parent)
    run_job(str(store.home), ids[0], (), 1, None, store.files.address)
    assert store.get(ids[0]).status == "done", store.get(ids[0]).trace
    further = RunSpec("fine_tune", {**model, "weights": f"run:{ids[0]}"}, DIGITS, options=TRAIN)
    run = store.create(further, given=store.files.given(ids[0]))
    for run_id in (run.id, *ids[1:]):
        run_job(str(store.home), run_id, (), 1, None, store.files.address)
        assert store.get(run_id).status == "done", store.get(run_id).trace
    with JobService(store.home, artifacts=store.files.address) as service:
        parts = gather(service, [service.get(run_id) for run_id in ids[1:]])
    assert parts is not None
    assert (parts.network, len(parts.outcomes)) == (model["name"], 2)


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_workers_who_see_nothing_of_the_folder_end_with_the_same_weights(
    new_database: str, tmp_path: Path, photos: Path, weights: Path
) -> None:
    pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    spec = spec_of(weights, photos)
    with JobService(tmp_path / "here", threads=1) as service:
        local = service.wait(service.submit(spec), LONG)
        assert local.status == "done", local.error
        wanted = load_file(service.files(local.id) / WEIGHTS)
    cache = {"PRUNEVIZ_CACHE": str(tmp_path / "cache")}
    with deployed(tmp_path, new_database, environment=cache) as far:
        ids = [far.service.submit(spec) for _ in range(2)]
        photos.parent.rename(tmp_path / "hidden")  # before any worker is there
        for _ in range(2):
            far.dask.start_worker()
        for run_id in ids:
            run = far.service.wait(run_id, LONG)
            assert run.status == "done", run.trace
            state = load_file(far.service.files(run_id) / WEIGHTS)
            assert all(state[name].equal(value) for name, value in wanted.items())
        further = RunSpec(
            "fine_tune", {**spec.model, "weights": f"run:{ids[0]}"}, DIGITS, options=TRAIN
        )
        run = far.service.wait(far.service.submit(further), LONG)
        assert run.status == "done", run.trace
    copies = list((tmp_path / "dask").glob("worker-*/given/*/*"))
    assert {path.name for path in copies} == {"photos.v2", "mine.safetensors"}
