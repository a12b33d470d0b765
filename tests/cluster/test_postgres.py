"""Records in PostgreSQL: what differs from a file, and what people read when it does not answer."""

from __future__ import annotations

import logging
import threading
import time
import traceback

import pytest
from sqlalchemy import inspect

from pruneviz import errors
from pruneviz.commands.main import main
from pruneviz.jobs import JobService, RunSpec, RunStore
from pruneviz.jobs.database import parse_address, resolve_database
from pruneviz.jobs.leases import claim
from pruneviz.jobs.schema import Base
from tests.cluster.servers import PASSWORD, PostgresServer, free_port

PLUGINS = ("tests.jobs.job_fakes",)


@pytest.fixture
def store(tmp_path, new_database):
    made = RunStore(tmp_path, new_database)
    yield made
    made.close()


def test_the_tables_are_those_of_a_file(store, tmp_path):
    file = RunStore(tmp_path)
    for name, table in Base.metadata.tables.items():
        here, there = inspect(store.database.engine), inspect(file.database.engine)
        for made in (here, there):
            assert {c["name"] for c in made.get_columns(name)} == set(table.columns.keys())
            indexed = {tuple(i["column_names"]) for i in made.get_indexes(name)}
            assert indexed == {tuple(c.name for c in i.columns) for i in table.indexes}
            keys = made.get_pk_constraint(name)["constrained_columns"]
            assert keys == [column.name for column in table.primary_key]
        nullable = [{c["name"]: c["nullable"] for c in m.get_columns(name)} for m in (here, there)]
        assert nullable[0] == nullable[1]
    file.close()


def test_records_of_an_older_format_are_led_on(store, new_database):
    spec = RunSpec("strategy", model={"name": "vgg16"}, options={"strategy": "taylor"})
    run, undo = (
        store.create(spec),
        (
            "ALTER TABLE runs DROP COLUMN network, DROP COLUMN data, DROP COLUMN strategy",
            "ALTER TABLE runs DROP COLUMN tag",
            "DROP INDEX ix_runs_created, ix_runs_owner, ix_runs_name, ix_runs_kind, "
            "ix_runs_status, ix_runs_parent",
            "CREATE INDEX ix_runs_status ON runs (status)",
            "CREATE INDEX ix_runs_parent ON runs (parent)",
            "DROP TABLE artifacts, apps, steps, predictions, uploads, studies",
            "UPDATE pruneviz_records SET format = 3",
        ),
    )
    store.close()
    with store.database.writer.begin() as connection:
        for statement in undo:
            connection.exec_driver_sql(statement)
    led_on = RunStore(store.home, new_database)
    assert led_on.get(run.id) == run
    with led_on.database.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT network, data, strategy FROM runs").one()
    assert tuple(found) == ("vgg16", None, "taylor")
    led_on.close()
    test_the_tables_are_those_of_a_file(RunStore(store.home, new_database), store.home)


def test_what_libraries_say_is_kept_whatever_it_holds(store):
    mine = claim(store, store.create(RunSpec("count", name="nul \0 half \ud800")).id)
    assert mine is not None
    assert mine.run.name == "nul \ufffd half ?"
    row = {"level": "step", "time": 0.0, "macs": 15_500_000_000, "extra": {"said": "\0"}}
    assert mine.beat([row])[0]
    mine.keep("text", "a bare \0 text")
    assert store.metrics(mine.run.id)[0].macs == 15_500_000_000
    assert store.metrics(mine.run.id)[0].extra == {"said": "\0"}
    assert store.results(mine.run.id) == {"text": "a bare \0 text"}


def test_of_many_who_name_a_run_the_same_each_gets_a_number(store, new_database):
    start, names = threading.Barrier(6), []

    def make() -> None:
        own = RunStore(store.home, new_database)
        start.wait()
        names.extend(own.create(RunSpec("count", name="mine")).name for _ in range(3))
        own.close()

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == len(names) == 18


def test_a_cancel_is_never_lost_to_a_claim(store, new_database):
    other = RunStore(store.home, new_database)
    for _ in range(20):
        run = store.create(RunSpec("count"))
        taking = threading.Thread(target=claim, args=(other, run.id))
        taking.start()
        after = store.request_cancel(run.id)
        taking.join()
        assert store.get(run.id).status in ("cancelled", "cancelling"), after
    other.close()


@pytest.mark.sweep
def test_runs_are_done_by_the_local_pool(tmp_path, new_database):
    with JobService(tmp_path, database=new_database, plugins=PLUGINS) as service:
        made = [service.submit(RunSpec("train", options={"epochs": 2})) for _ in range(2)]
        runs = [service.wait(run_id, 120) for run_id in made]
        assert [run.status for run in runs] == ["done", "done"], [run.error for run in runs]
        assert service.results(made[0])["weights"] == service.results(made[1])["weights"]
    assert not (tmp_path / "pruneviz.db").exists()


def test_a_newer_pruneviz_wrote_the_records(store, new_database):
    with store.database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE pruneviz_records SET format = 99")
    with pytest.raises(errors.StorageError, match=r"newer PruneViz \(format 99;.*--database"):
        RunStore(store.home, new_database)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda server: server.address(password="wr0ng%2Bone"), "did not accept the user 'pruner'"),
        (lambda server: server.address("nowhere"), "There is no database at 127.0.0.1"),
        (
            lambda _: f"postgresql://pruner:{PASSWORD}@127.0.0.1:{free_port()}/postgres",
            "cannot be reached",
        ),
        (
            lambda _: f"postgresql://pruner:{PASSWORD}@nowhere.invalid/postgres",
            "cannot be reached",
        ),
        (lambda _: f"mysql://pruner:{PASSWORD}@localhost/x", "got one of 'mysql'"),
        (lambda _: f"pruner:{PASSWORD}@localhost", "cannot be parsed"),
    ],
    ids=["password", "database", "port", "host", "other database", "no address"],
)
def test_one_sentence_at_the_start_and_no_password_anywhere(
    change, sentence, postgres, tmp_path, capsys, caplog, monkeypatch
):
    monkeypatch.setenv("PRUNEVIZ_DATABASE", change(postgres))
    caplog.set_level(logging.DEBUG)
    assert main(["--home", str(tmp_path), "--headless"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("pruneviz: ")
    assert said.err.count("\n") == 1
    assert sentence in said.err
    with pytest.raises(errors.PruneVizError) as caught:
        RunStore(tmp_path, resolve_database())
    told = "".join(traceback.format_exception(caught.value))
    for text in (said.out, said.err, caplog.text, told):
        assert PASSWORD not in text
        assert "wr0ng" not in text


def test_an_option_wins_over_the_variable(monkeypatch):
    monkeypatch.setenv("PRUNEVIZ_DATABASE", "postgresql://a@there/x")
    assert resolve_database("postgres://b@here/y") == "postgresql+psycopg://b@here/y"
    assert resolve_database() == "postgresql+psycopg://a@there/x"
    monkeypatch.delenv("PRUNEVIZ_DATABASE")
    assert resolve_database() is None
    assert "secret" not in f"{parse_address('postgresql://u:secret@h/d')!r}"


@pytest.mark.sweep
def test_while_the_server_is_gone_runs_wait_and_nothing_is_lost(postgres, tmp_path):
    server = PostgresServer(postgres.programs)  # its own: others' tests go on
    try:
        address = server.make("records")
        with JobService(tmp_path, database=address, plugins=PLUGINS, threads=1) as service:
            options = {"epochs": 40, "steps": 5, "pause": 0.02}
            run_id = service.submit(RunSpec("train", options=options))
            while service.get(run_id).progress < 0.2:
                time.sleep(0.05)
            server.stop()
            known = service.get(run_id)  # what was last known
            assert known.status == "running"
            said = ""
            for _ in range(60):
                said = service.trouble() or ""
                if said:
                    break
                time.sleep(0.2)
            assert "cannot be reached" in said
            assert PASSWORD not in said
            server.start()
            run = service.wait(run_id, 120)
            assert (run.status, run.attempts) == ("done", 1), run.error
            assert service.trouble() is None
            options = {**options, "pause": 0.0}
            calm = service.submit(RunSpec("train", options=options))
            assert service.wait(calm, 120).status == "done"
            assert service.results(calm)["weights"] == service.results(run_id)["weights"]
    finally:
        server.close()
