"""How long lists take with many runs on record: python -m tests.jobs.list_latency [RUNS] [ADDRESS].

Prints the median of 20 calls, in milliseconds, for what the pages ask the records.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sqlalchemy import insert

from pruneviz.jobs import RunSpec, RunStore, Which
from pruneviz.jobs.migrations import listed_by
from pruneviz.jobs.schema import Run

STATES = ("done",) * 17 + ("failed", "cancelled", "interrupted")
NETWORKS = ("resnet20", "vgg16", "mobilenet_v2")
ROWS = Which(other_kinds=("rank",), one_a_study=True)
STUDY = 40
"""Runs of a study; every third run belongs to one."""
ASKED: dict[str, Callable[[RunStore], object]] = {
    "first page": lambda store: store.list(ROWS, limit=20),
    "page 2,500": lambda store: store.list(ROWS, limit=20, offset=50_000),
    "filtered page": lambda store: store.list(
        replace(ROWS, network="vgg16", status="done", strategy="taylor"), limit=20
    ),
    "runs of a study": lambda store: store.list(Which(parent="study-100")),
    "count of a filter": lambda store: store.count(replace(ROWS, network="vgg16", status="done")),
    "count of all": lambda store: store.count(ROWS),
    "what is active": lambda store: store.list(Which(active=True)),
    "choices of the filter": lambda store: store.choices(),
    "one new run": lambda store: store.create(RunSpec("fine_tune", name=f"run {time.time()}")),
}


def fill(store: RunStore, count: int) -> None:
    """Record so many runs as a large study leaves them."""
    plan = '{"format": 1, "dropped": "' + "x" * 600 + '"}'
    for begin in range(0, count, 5_000):
        rows = []
        for number in range(begin, min(begin + 5_000, count)):
            spec = RunSpec(
                "strategy",
                model={"name": NETWORKS[number % 3], "weights": "digits"},
                data={"name": ("digits", "cifar10")[number // 3 % 2]},
                options={"strategy": ("taylor", "uniform")[number // 6 % 2], "seed": number},
                plan=plan,
            ).to_dict()
            rows.append(
                {
                    "id": f"{number:012x}", "name": f"study run {number}", "kind": "strategy",
                    "status": STATES[number % 20], "created": float(number), "message": "",
                    "parent": None if number % 3 else f"study-{number // (3 * STUDY)}",
                    "tag": None if number % 3 else f"study {number // (3 * STUDY)}",
                    "queued": float(number), "spec": spec, **listed_by(spec),
                    "progress": 1.0, "seconds": 60.0, "attempts": 1, "checkpoints": 3,
                }
            )  # fmt: skip
        with store.transaction() as session:
            session.execute(insert(Run), rows)


def measure(store: RunStore, repeats: int = 20) -> dict[str, float]:
    """Return the median milliseconds of each question."""
    found = {}
    for name, ask in ASKED.items():
        times = []
        for _ in range(repeats):
            begun = time.perf_counter()
            ask(store)
            times.append((time.perf_counter() - begun) * 1000)
        found[name] = statistics.median(times)
    return found


def main(count: int = 100_000, address: str | None = None) -> None:
    """Fill new records and print the figures."""
    with tempfile.TemporaryDirectory() as home:
        store = RunStore(Path(home), address)
        fill(store, count)
        print(f"{count:,} runs in {store.database.place if address else 'SQLite'}")
        for name, milliseconds in measure(store).items():
            print(f"{name:24} {milliseconds:8.1f} ms")
        store.close()


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]), *sys.argv[2:3])
