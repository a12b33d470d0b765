"""Small kinds of runs for the tests; imported by the workers as a plugin."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruneviz.errors import DataError
from pruneviz.jobs import register
from pruneviz.jobs.context import JobContext
from pruneviz.jobs.driving import drive


@dataclass(frozen=True)
class Step:
    step: int
    steps: int
    accuracy: float
    units_left: int


@dataclass(frozen=True)
class Batch:
    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Epoch:
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    state: Any


def _options(context: JobContext, **defaults: Any) -> Any:
    return type("Options", (), {**defaults, **context.options})


@register("count", uses_torch=False)
def count(context: JobContext) -> None:
    """Yield `steps` events, `pause` seconds apart; leave a line in the file `log` at its start."""
    options = _options(context, steps=3, pause=0.0, log="")
    if options.log:
        with Path(options.log).open("a") as log:
            log.write(f"{context.run.name} {os.getpid()}\n")

    def events() -> Iterator[Step]:
        for step in range(1, options.steps + 1):
            time.sleep(options.pause)
            yield Step(step, options.steps, 0.5 + 0.1 * step, 100 - step)

    last = drive(context, events())
    context.keep("last", last)


@register("nothing", uses_torch=False)
def nothing(context: JobContext) -> None:
    """Do nothing: what is left is the cost of a run."""


@register("fails", uses_torch=False)
def fails(context: JobContext) -> None:
    if context.options.get("own"):
        raise DataError("The folder 'x' has no classes. Make one folder a class.")
    raise KeyError("boom")


@register("dies", uses_torch=False)
def dies(context: JobContext) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@register("train")
def train(context: JobContext) -> None:
    """Train a tiny network with momentum and dropout-like noise; resumable after each epoch.

    With `hold`, the first attempt waits after that epoch until somebody stops it, so that no
    test depends on being quicker than the run it stops.
    """
    import torch
    from torch import nn

    options = _options(context, epochs=4, steps=5, pause=0.0, hold=0)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    done = 0
    if context.resume is not None:
        done = context.resume["epoch"]
        model.load_state_dict(context.resume["model"])
        optimizer.load_state_dict(context.resume["optimizer"])
        generator.set_state(context.resume["random"])

    def events() -> Iterator[Batch | Epoch]:
        for epoch in range(done + 1, options.epochs + 1):
            total = 0.0
            while context.resume is None and options.hold and epoch > options.hold:
                time.sleep(0.02)
                yield Batch(epoch, 0, options.steps, 0.0)
            for step in range(1, options.steps + 1):
                x = torch.randn(16, 8, generator=generator)
                y = torch.randint(3, (16,), generator=generator)
                loss = nn.functional.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
                time.sleep(options.pause)
                yield Batch(epoch, step, options.steps, loss.item())
            yield Epoch(
                epoch,
                options.epochs,
                total / options.steps,
                0.5,
                {
                    "epoch": epoch,
                    "model": {k: v.clone() for k, v in model.state_dict().items()},
                    "optimizer": optimizer.state_dict(),
                    "random": generator.get_state(),
                },
            )

    context.report("Training")
    with context.watch(model):
        drive(context, events(), epochs=options.epochs)
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    context.keep("weights", weights)


@register("grows", uses_torch=False)
def grows(context: JobContext) -> None:
    """Find a bit more at each of three steps, quicker than a growing result is written.

    With `hold`, the first attempt stays after that step until somebody stops it.
    """
    options = _options(context, hold=0)
    done = 0 if context.resume is None else context.resume["step"]

    def events() -> Iterator[Any]:
        for step in range(done + 1, 4):
            yield type(
                "Found", (), {"step": step, "steps": 3, "epochs": 3, "state": {"step": step}}
            )()
            while context.resume is None and step == options.hold:
                time.sleep(0.02)
                yield Batch(step, 0, 3, 0.0)

    def grow(event: Any) -> None:
        if event.step < 3:  # what follows the search finds nothing more
            context.keep("found", list(range(event.step)), every=3600)

    drive(context, events(), each=grow)


@register("writes", uses_torch=False)
def writes(context: JobContext) -> None:
    """Write a file of each of the `sizes`."""
    for number, size in enumerate(context.options["sizes"]):
        context.write(f"{number}.bin", bytes(size))


PROBE = "probe"


@register(PROBE)
def probe(context: JobContext) -> None:
    import torch

    context.keep("seen", {"threads": torch.get_num_threads(), "nice": os.nice(0)})


@register("main", uses_torch=False)
def main_module(context: JobContext) -> None:
    import sys

    main = getattr(sys.modules["__main__"], "__file__", None)
    context.keep("seen", {"main": main, "torch": "torch" in sys.modules})


@register("deaf", uses_torch=False)
def deaf(context: JobContext) -> None:
    """Work for ever without looking at orders; its heartbeat goes on."""
    context.report("Deaf")
    while True:
        time.sleep(0.05)


@register("downloads", uses_torch=False)
def downloads(context: JobContext) -> None:
    """Wait for a server that never answers."""
    import socket

    from pruneviz.jobs.orders import interruptible

    with (
        interruptible(context.check),
        socket.create_connection(("127.0.0.1", context.options["port"])) as connection,
    ):
        connection.recv(1)
