"""Putting a claim to the test: from a request to a result."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from pruneviz import machine
from pruneviz.studies.papers.request import Request
from pruneviz.studies.papers.result import LabResult
from pruneviz.studies.papers.setting import DECIDES, Bench, Say, load_data
from pruneviz.training import chance


def perform(
    request: Request,
    *,
    keep: Path | None = None,
    say: Say = print,
    tick: Callable[[float], None] | None = None,
    asked: Request | None = None,
) -> LabResult:
    """Run the experiment and return its result.

    Args:
        request: What is put to the test.
        keep: A file for the parts that are done, so that a stopped experiment goes on there.
        say: Called with a sentence when a part is done.
        tick: Called often, with the fraction that is done (0..1); what it raises ends the
            experiment.
        asked: The request as it was made, where `request` names copies of its files: parts done on
            one worker are then those of another.
    """
    asked = asked or request
    data = load_data(
        request.data,
        trained=request.weights is None,
        root=request.root,
        size=request.size,
        limit=request.limit,
    )
    bench = Bench(
        request.network,
        data,
        request.scale,
        request.seeds,
        keep=keep,
        say=say,
        weights=request.weights,
        watch=tick,
        about={k: v for k, v in asked.to_dict().items() if k != "seeds"},
    )
    ran = bench.part("commit", lambda: machine.commit(*DECIDES))
    experiment = import_module(f"pruneviz.studies.papers.{request.about.module}")
    findings, readings, settings = experiment.run(bench)
    settings = {
        "form": request.about.form,
        "weights": asked.weights or asked.data,
        "train_images": len(data.train),
        "val_images": len(data.val),
        "test_images": len(data.split("test")),
        "chance": chance(data.split("test")),
        **settings,
    }
    return LabResult(
        claim=request.claim,
        network=asked.network,
        data=asked.called,
        scale=request.scale,
        seeds=request.seeds,
        findings=tuple(findings),
        readings=tuple(readings),
        settings=settings,
        command=asked.command(),
        commit=ran,
        machine=machine.described(),
        seconds=round(bench.seconds, 1),
    )
