"""What a run costs besides its work: `python -m tests.jobs.overhead [epochs] [rounds]`.

A run fine-tunes `resnet20` on digits; every event is timed from inside. What passes between the
generator's events (records, checkpoints, obedience), and what the heartbeat's thread computes, is
held against what passes in the generator itself, the bare loop. Medians over the rounds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import torch

from pruneviz.catalog import ModelSource
from pruneviz.catalog.digits import load_digits
from pruneviz.jobs import RunSpec, RunStore, register
from pruneviz.jobs.context import JobContext
from pruneviz.jobs.driving import drive
from pruneviz.jobs.heartbeat import Pulse
from pruneviz.jobs.worker import run_job
from pruneviz.training import fine_tune

MODEL = ModelSource("resnet20", "digits")
DATA = load_digits()
seconds = {"loop": 0.0, "between": 0.0, "pulse": 0.0}


def timed(events: Iterator[Any]) -> Iterator[Any]:
    """Pass events on, and count the seconds in the generator and between its events."""
    while True:
        begun = time.perf_counter()
        event = next(events, None)
        ended = time.perf_counter()
        seconds["loop"] += ended - begun
        if event is None:
            return
        yield event
        seconds["between"] += time.perf_counter() - ended


@register("overhead")
def overhead(context: JobContext) -> None:
    model, epochs = MODEL.load(), context.options["epochs"]
    with context.watch(model):
        events = fine_tune(model, DATA, epochs=epochs, batches=True)
        drive(context, timed(events), epochs=epochs)


class TimedPulse(Pulse):
    """A heartbeat that counts what its thread computes."""

    def run(self) -> None:
        super().run()
        seconds["pulse"] += time.thread_time()


def measure(epochs: int, rounds: int) -> float:
    """Return the share of a run's time that is not its loop's."""
    from pruneviz.jobs import worker

    worker.Pulse = TimedPulse  # type: ignore[misc]
    torch.set_num_threads(1)
    ratios = []
    for _ in range(rounds):
        seconds.update(dict.fromkeys(seconds, 0.0))
        with tempfile.TemporaryDirectory() as home:
            store = RunStore(home)
            run = store.create(RunSpec("overhead", options={"epochs": epochs}))
            assert run_job(home, run.id) == "done", store.get(run.id).trace
            store.close()
        ratios.append((seconds["between"] + seconds["pulse"]) / seconds["loop"])
        print({name: round(value, 4) for name, value in seconds.items()}, f"{ratios[-1]:.2%}")
    return statistics.median(ratios)


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    share = measure(*(numbers + [3, 3][len(numbers) :]))
    print(f"records, checkpoints and heartbeat cost {share:.2%} of the bare loop")
