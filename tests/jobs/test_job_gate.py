"""Who may do what with runs: one's own alone, so many, of so many bytes, none twice."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pruneviz.errors import NotAllowedError
from pruneviz.jobs import JobService, RunSpec
from pruneviz.jobs.gate import Gate, Limits, Visitor

UNLIMITED = Limits()


class Never(Executor):
    """Takes work and never begins it: runs stay in the queue."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


class Door:
    """One service, used by whoever is set."""

    def __init__(self, home: Path, limits: Limits = UNLIMITED, uploads: int = 0) -> None:
        self.who = Visitor("ann")
        gate = Gate(lambda: self.who, limits, lambda _: uploads)
        self.service = JobService(home, executor=Never(), gate=gate)

    def start(self, who: str, seed: int = 0, parent: str | None = None) -> str:
        self.who = Visitor(who, owns_studio=who == "boss")
        spec = RunSpec("fine_tune", options={"seed": seed}, parent=parent, name=f"{who} {seed}")
        return self.service.submit(spec)


@pytest.mark.parametrize("what", ["cancel", "resume", "rename", "delete"])
def test_a_visitor_changes_only_their_own_and_the_owner_all(tmp_path: Path, what: str) -> None:
    door = Door(tmp_path)
    run = door.start("ann")
    change = getattr(door.service, what)
    args = (run, "mine now") if what == "rename" else (run,)
    door.who = Visitor("bob")
    with pytest.raises(NotAllowedError, match=f"may {what} it, and 'ann 0' is another visitor's"):
        change(*args)
    kept = door.service.get(run)
    assert (kept.name, kept.status, kept.owner) == ("ann 0", "queued", "ann")
    assert [r.id for r in door.service.list()] == [run], "all are seen by all"
    door.who = Visitor("")  # no cookie, or no visitor at all
    with pytest.raises(NotAllowedError):
        change(*args)
    door.who = Visitor("zoe", owns_studio=True)
    change(*args)
    door.service.close()


def test_who_starts_a_run_cannot_pretend_to_be_another(tmp_path: Path) -> None:
    door = Door(tmp_path)
    spec = RunSpec("fine_tune", owner="bob")
    assert door.service.get(door.service.submit(spec)).owner == "ann"
    door.service.close()


def test_a_run_of_nobody_is_the_owners(tmp_path: Path) -> None:
    with JobService(tmp_path, executor=Never()) as plain:
        run = plain.submit(RunSpec("fine_tune"))
    door = Door(tmp_path)
    door.who = Visitor("")
    with pytest.raises(NotAllowedError):
        door.service.delete(run)
    door.service.close()


def test_25_clicks_make_one_run_whoever_clicks_at_once(tmp_path: Path) -> None:
    door = Door(tmp_path)
    made: list[str] = []
    refused: list[str] = []

    def click() -> None:
        try:
            made.append(door.service.submit(RunSpec("fine_tune", options={"seed": 1}, name="me")))
        except NotAllowedError as error:
            refused.append(str(error))

    clicks = [threading.Thread(target=click) for _ in range(25)]
    for one in clicks:
        one.start()
    for one in clicks:
        one.join()
    assert len(made) == 1
    assert len(door.service.list()) == 1
    assert set(refused) == {
        "The same run is already queued, as 'me'; the same settings and seed would give the same "
        "result. Change something, or wait for it."
    }
    door.start("bob", 1)  # another visitor's is another run
    door.who = Visitor("ann")
    door.service.cancel(made[0])
    door.start("ann", 1)  # and one that has ended can be started anew
    door.service.close()


def test_a_visitor_has_so_many_runs_and_a_study_counts_as_one(tmp_path: Path) -> None:
    door = Door(tmp_path, Limits(runs=2))
    first = door.start("ann", 0)
    door.start("ann", 1, parent="study")
    door.start("ann", 2, parent="study")
    with pytest.raises(NotAllowedError, match=r"may have 2 runs .* and you have 2"):
        door.start("ann", 3)
    door.start("bob", 3)
    for seed in range(5):
        door.start("boss", seed)  # the owner has no limit
    door.who = Visitor("ann")
    door.service.cancel(first)
    again = door.start("ann", 3)
    with pytest.raises(NotAllowedError, match="may have 2 runs"):
        door.service.resume(first)
    door.service.cancel(again)
    assert door.service.resume(first).status == "queued"
    door.service.close()


def test_a_visitor_has_so_much_of_the_disk(tmp_path: Path) -> None:
    door = Door(tmp_path, Limits(disk=3 * 2**20), uploads=2**20)
    run = door.start("ann", 0)
    files = door.service.files(run)
    files.mkdir(parents=True, exist_ok=True)
    (files / "weights").write_bytes(bytes(2**20))
    door.start("ann", 1)
    (files / "weights").write_bytes(bytes(2 * 2**20))
    with pytest.raises(NotAllowedError, match=r"take 3 MiB of the 3 MiB .* delete runs"):
        door.start("ann", 2)
    door.start("bob", 2)
    door.who = Visitor("ann")
    door.service.delete(run)
    door.start("ann", 2)
    door.service.close()


def kept_to(home: Path, disk: int | None, who: Visitor, uploads: int = 0) -> JobService:
    gate = Gate(lambda: who, Limits(disk=disk), lambda _: uploads)
    return JobService(
        home, executor=ThreadPoolExecutor(1), gate=gate, plugins=("tests.jobs.job_fakes",)
    )


def test_a_run_that_would_write_more_than_its_visitor_may_have_ends_with_a_sentence(
    tmp_path: Path,
) -> None:
    """It is refused while it writes, too: it goes on once there is room, from where it was."""
    spec = RunSpec("train", options={"epochs": 3}, name="mine")
    one = RunSpec("writes", options={"sizes": [2 * 2**20, 2 * 2**20]}, name="writer")
    ann = Visitor("ann")
    with kept_to(tmp_path, 5 * 2**20, ann, uploads=2**20) as service:
        first = service.submit(one)
        run = service.wait(first, 60)
        assert run.status == "failed"
        assert run.error == (
            "This run needs to write 2 MiB, and your runs and uploads take 3 MiB of the 5 MiB that "
            "a visitor may have here. Delete runs that you no longer need, then resume this one."
        )
        assert len(list(service.files(first).glob("*.bin"))) == 1, "what there was room for is kept"
    with kept_to(tmp_path, 3 * 2**20, ann, uploads=2**20) as service:
        service.delete(first)
        files = service.files(first)
        assert not files.exists()
        trained = service.submit(spec)
        assert service.wait(trained, 60).status == "done", "a small one has room"


@pytest.mark.parametrize("who", [Visitor("boss", owns_studio=True), Visitor("ann")])
def test_checkpoints_count_and_the_owner_of_the_studio_has_no_limit(
    tmp_path: Path, who: Visitor
) -> None:
    spec = RunSpec("train", options={"epochs": 3}, name="mine")
    with kept_to(tmp_path, 4000, who) as service:
        run = service.wait(service.submit(spec), 60)
        if who.owns_studio:
            assert run.status == "done"
            return
        assert run.status == "failed"
        assert "that a visitor may have here. Delete runs" in str(run.error)
    with kept_to(tmp_path, None, who) as service:  # the studio's owner gives more
        service.resume(run.id)
        assert service.wait(run.id, 60).status == "done"
