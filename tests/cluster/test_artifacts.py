"""The store of artifacts: written once, whole, read on another machine, tidied up."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pruneviz import errors
from pruneviz.commands.main import main
from pruneviz.jobs import JobService, RunSpec, RunStore
from pruneviz.jobs.artifacts import ArtifactStore, digest_of, resolve_store
from pruneviz.jobs.collect import collect
from pruneviz.jobs.context import JobContext
from pruneviz.jobs.heartbeat import Pulse
from pruneviz.jobs.leases import claim
from pruneviz.jobs.mirror import MARK, files_in
from pruneviz.jobs.recovery import release_run
from tests.cluster.servers import free_port

PLUGINS = ("tests.jobs.job_fakes",)


@pytest.fixture(params=["file", "s3", "gs"])
def address(request, tmp_path) -> str:
    buckets = {"s3": "new_bucket", "gs": "new_gs_bucket"}
    if request.param in buckets:
        return request.getfixturevalue(buckets[request.param])
    return (tmp_path / "store").as_uri()


@pytest.fixture
def artifacts(address) -> ArtifactStore:
    return ArtifactStore(address)


def working(home, address, run_id=None) -> JobContext:
    """A run that a worker with this home has in hand."""
    home.mkdir(exist_ok=True)
    store = RunStore(home, database_of[address], address)
    run_id = run_id or store.create(RunSpec("count")).id
    lease = claim(store, run_id)
    assert lease is not None
    context = JobContext(lease, Pulse(lease))
    context.restore()
    return context


class _Databases(dict):
    """Where the records of a store are: the test's own database, else a file in the home."""

    def __missing__(self, _):
        return None


database_of = _Databases()


@pytest.mark.slow
def test_a_file_is_known_by_what_it_holds(artifacts):
    digest = artifacts.put(b"weights")
    assert artifacts.put(memoryview(b"weights")) == digest == digest_of(b"weights")
    assert artifacts.get(digest) == b"weights"
    assert [(blob.digest, blob.size) for blob in artifacts.blobs()] == [(digest, 7)]
    assert abs(next(artifacts.blobs()).modified - time.time()) < 60
    artifacts.remove(digest)
    artifacts.remove(digest)
    assert not artifacts.has(digest)
    with pytest.raises(errors.StorageError, match=r"has no file .* any more"):
        artifacts.get(digest)
    artifacts.probe()
    assert list(artifacts.blobs()) == []


@pytest.mark.slow
def test_a_file_is_copied_there_and_back_without_being_read_whole(artifacts, tmp_path):
    for size in (0, 3 * 2**20):
        (tmp_path / "mine").write_bytes(os.urandom(size))
        digest = artifacts.put_file(tmp_path / "mine")
        assert artifacts.put_file(tmp_path / "mine") == digest
        artifacts.fetch(digest, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == (tmp_path / "mine").read_bytes()
        assert artifacts.get(digest) == (tmp_path / "mine").read_bytes()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(errors.StorageError, match=r"has no file .* any more"):
        artifacts.fetch("0" * 64, tmp_path / "none")
    assert sorted(tmp_path.iterdir()) == before


def test_many_who_write_the_same_file_leave_one(artifacts):
    threads = [threading.Thread(target=artifacts.put, args=(b"x" * 10**6,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(artifacts.blobs())) == 1
    assert artifacts.get(digest_of(b"x" * 10**6)) == b"x" * 10**6


def test_a_damaged_file_is_said(tmp_path):
    store = ArtifactStore((tmp_path / "store").as_uri())
    digest = store.put(b"weights")
    (tmp_path / "store" / "blobs" / digest[:2] / digest).write_bytes(b"weights?")
    with pytest.raises(errors.StorageError, match="is damaged"):
        store.get(digest)


@pytest.mark.slow
def test_another_worker_goes_on_from_what_the_first_one_left(tmp_path, new_database, address):
    database_of[address] = new_database
    first = working(tmp_path / "a", address)
    run_id = first.run.id
    first.checkpoint({"epoch": 1}, 0.1)
    first.checkpoint({"epoch": 2}, 0.2)
    first.checkpoint({"epoch": 3}, 0.3)
    first.write("parts/one.json", b"1")
    store = first._claim.store
    assert sorted(store.files.known(run_id)) == [
        "checkpoint-000002.pt", "checkpoint-000003.pt", "parts/one.json",
    ]  # fmt: skip
    release_run(store, run_id, first._claim.token, "it died")
    store.request_resume(run_id)
    second = working(tmp_path / "b", address, run_id)
    assert second.resume == {"epoch": 3}
    first.write("late.json", b"2")  # a worker that was only given up for dead
    assert "late.json" not in store.files.known(run_id)
    second.checkpoint({"epoch": 4}, 0.4)
    release_run(store, run_id, second._claim.token, "it died")
    store.request_resume(run_id)
    third = working(tmp_path / "a", address, run_id)  # where an older checkpoint lies
    assert third.resume == {"epoch": 4}
    third.write("weights", b"w")
    assert third._claim.finish("done")
    store.files.done(run_id)
    folder = RunStore(tmp_path / "c", new_database, address).files.read(run_id)
    names = {path.relative_to(folder).as_posix() for path in files_in(folder)}
    assert names == {"parts/one.json", "weights"}
    before = (folder / "weights").stat().st_mtime_ns
    RunStore(tmp_path / "c", new_database, address).files.read(run_id)
    assert (folder / "weights").stat().st_mtime_ns == before, "what is there is not brought again"
    assert (folder / MARK).exists()


def test_the_parts_of_an_experiment_are_in_the_store_when_they_are_done(tmp_path, monkeypatch):
    from pruneviz.studies.papers import experiment, kinds

    class StopError(Exception):
        pass

    def perform(request, *, keep, say, tick, asked):
        keep.write_text('{"first": 1}')
        say("first: 1")
        raise StopError

    monkeypatch.setattr(experiment, "perform", perform)
    (tmp_path / "home").mkdir()
    address = (tmp_path / "store").as_uri()
    made = RunStore(tmp_path / "home", None, address)
    run_id = made.create(RunSpec("claim", options={"claim": "oracle"})).id
    context = working(tmp_path / "home", address, run_id)
    with pytest.raises(StopError):
        kinds.claim(context)
    assert (made.files.read(run_id) / kinds.PARTS).read_text() == '{"first": 1}'
    made.close()


def test_a_checkpoint_that_is_damaged_in_the_store_is_left_out(tmp_path):
    address = (tmp_path / "store").as_uri()
    (tmp_path / "home").mkdir()
    first = working(tmp_path / "home", address)
    for epoch in (1, 2):
        first.checkpoint({"epoch": epoch})
    files, run_id = first._claim.store.files, first.run.id
    digest = files.known(run_id)["checkpoint-000002.pt"].digest
    (tmp_path / "store" / "blobs" / digest[:2] / digest).write_bytes(b"?")
    for path in files_in(files.own(run_id)):
        path.unlink()
    release_run(first._claim.store, run_id, first._claim.token, "it died")
    first._claim.store.request_resume(run_id)
    assert working(tmp_path / "home", address, run_id).resume == {"epoch": 1}


def test_what_no_run_has_any_more_goes(tmp_path, address, capsys, monkeypatch):
    monkeypatch.setenv("PRUNEVIZ_STORE", address)
    kept, gone = working(tmp_path, address), working(tmp_path, address)
    for context, content in ((kept, b"kept"), (gone, b"gone"), (gone, b"kept")):
        context.write(f"{content.decode()}.bin", content)
    store = kept._claim.store
    store.delete(gone.run.id)
    files = store.files.artifacts
    assert files is not None
    assert collect(store).files == 0, "too young"
    command = ["store", "gc", "--home", str(tmp_path), "--older-than", "-1"]
    assert main([*command, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == 1
    assert files.has(digest_of(b"gone"))
    assert main(command) == 0
    assert "1 file deleted" in capsys.readouterr().out
    assert not files.has(digest_of(b"gone"))
    assert files.get(digest_of(b"kept")) == b"kept"


def test_a_file_deleted_before_it_was_named_is_put_there_again(tmp_path, monkeypatch):
    context = working(tmp_path, (tmp_path / "store").as_uri())
    files = context._claim.store.files
    assert files.artifacts is not None
    renew, tidied = type(context._claim).renew, []

    def late(self, session):
        if not tidied:  # between the writing and the naming
            tidied.append(files.artifacts.remove(digest_of(b"x")))
        return renew(self, session)

    monkeypatch.setattr(type(context._claim), "renew", late)
    context.write("x.bin", b"x")
    assert files.artifacts.get(files.known(context.run.id)["x.bin"].digest) == b"x"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ftp://x/y", "begins with 'ftp:'"),
        ("s3://key:hidden@bucket/x", "must not contain keys"),
        ("file:///proc/nowhere", "cannot be written"),
        ("/just/a/folder", "such as file:///shared"),
    ],
)
def test_one_sentence_at_the_start(address, sentence, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PRUNEVIZ_STORE", address)
    assert main(["--home", str(tmp_path), "--headless"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "hidden" not in said
    with pytest.raises(errors.PruneVizError, match=sentence):
        ArtifactStore(resolve_store() or "").probe()


@pytest.mark.parametrize(
    ("address", "library", "package"),
    [
        ("gs://bucket/pruneviz", "gcsfs", "'pruneviz[gcs]'"),
        ("s3://bucket/pruneviz", "s3fs", "'pruneviz[cluster]'"),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    address, library, package, tmp_path, capsys, monkeypatch
):
    known = pytest.importorskip("fsspec.registry", reason="needs the extra 'cluster'")
    monkeypatch.delitem(known._registry, address.partition(":")[0], raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setenv("PRUNEVIZ_STORE", "")
    assert main(["--home", str(tmp_path), "--headless", "--store", address]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    remedy = f"needs {library}, which is not installed; install it with: pip install {package}"
    assert told.rstrip().endswith(remedy)


@pytest.mark.sweep
def test_a_bucket_that_does_not_answer_or_is_not_there(new_bucket, monkeypatch):
    with pytest.raises(errors.StorageError, match="There is no store at s3://no-such-bucket"):
        ArtifactStore("s3://no-such-bucket/x").probe()
    ArtifactStore(new_bucket)._files.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(errors.StorageUnreachableError, match="cannot be reached"):
        ArtifactStore("s3://other/x").probe()


REFUSALS = {401: "Invalid Credentials", 403: "ann does not have storage.objects.create access"}


class _Refusing(BaseHTTPRequestHandler):
    """Answers as Google does to whom it does not know (401), or who may not (403)."""

    status = 401

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        error = {"code": self.status, "message": REFUSALS[self.status]}
        content = json.dumps({"error": error}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_) -> None:
        """Print nothing."""


@pytest.mark.slow
@pytest.mark.parametrize("status", list(REFUSALS))
def test_wrong_credentials_of_google_are_one_sentence(
    status, new_gs_bucket, tmp_path, capfd, monkeypatch
):
    import gcsfs

    key = {"type": "service_account", "client_email": "ann@example.org", "private_key": "hidden"}
    (tmp_path / "key.json").write_text(json.dumps(key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    # It tries six times, which takes half a minute.
    monkeypatch.setattr("gcsfs.retry.is_retriable", lambda _: False)
    monkeypatch.setattr(_Refusing, "status", status)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("PRUNEVIZ_STORE", "gs://bucket/pruneviz")
    gcsfs.GCSFileSystem.clear_instance_cache()
    capfd.readouterr()
    assert main(["--home", str(tmp_path / "home"), "--headless"]) == 2
    told = capfd.readouterr()
    assert told.err.count("\n") == 1, told.err
    assert "The store at gs://bucket/pruneviz refuses access" in told.err
    assert "hidden" not in told.out + told.err
    server.shutdown()
    gcsfs.GCSFileSystem.clear_instance_cache()


@pytest.mark.slow
def test_a_bucket_of_google_that_is_not_there_or_does_not_answer(new_gs_bucket, monkeypatch):
    with pytest.raises(errors.StorageError, match="There is no store at gs://no-such-bucket"):
        ArtifactStore("gs://no-such-bucket/x").probe()
    ArtifactStore(new_gs_bucket)._files.clear_instance_cache()
    monkeypatch.setattr("gcsfs.retry.is_retriable", lambda _: False)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(errors.StorageUnreachableError, match="cannot be reached"):
        ArtifactStore("gs://other/x").probe()
    ArtifactStore(new_gs_bucket)._files.clear_instance_cache()


@pytest.mark.sweep
def test_runs_of_the_local_pool_leave_their_files_in_the_store(tmp_path, address):
    with JobService(tmp_path / "home", artifacts=address, plugins=PLUGINS) as service:
        run_id = service.submit(RunSpec("writes", options={"sizes": [3, 5]}))
        run = service.wait(run_id, 120)
        assert run.status == "done", run.error
        folder = service.files(run_id)
        assert [os.path.getsize(folder / f"{n}.bin") for n in (0, 1)] == [3, 5]  # noqa: PTH202
        assert service.has_file(run_id, "1.bin")
        assert service.store.files.having("1.bin") == {run_id}
        assert service.store.files.size([run_id]) == 8
