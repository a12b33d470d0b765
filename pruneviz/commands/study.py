"""`pruneviz study`: pretrained networks against those from scratch, a queue of runs.

The same command again goes on where it was stopped, and with more seeds adds their runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneviz.arguments import check_seeds
from pruneviz.commands.output import add_out, deliver, say, write_result
from pruneviz.commands.queue import (
    add_max_parallel,
    max_parallel_of,
    service_for,
    status_of,
    work_through,
)
from pruneviz.commands.run import add_set, describe, values_of
from pruneviz.commands.watch import (
    STOPPED,
    add_service,
    threads_of,
)
from pruneviz.data_options import NAMES, check_data

if TYPE_CHECKING:
    from pruneviz.catalog import ModelSource
    from pruneviz.studies.pretraining import PretrainingStudy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    parser.add_argument(
        "--model",
        "--models",
        dest="models",
        nargs="+",
        default=["vgg16", "mobilenet_v2"],
        metavar="NAME",
        help="networks (default: vgg16 mobilenet_v2)",
    )
    parser.add_argument(
        "--weights", default="cifar10", help="the pretrained weights (default: cifar10)"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        default=["digits"],
        metavar="NAME",
        help="data sets of the catalogue, or folders or zips of images (default: digits)",
    )
    parser.add_argument("--size", type=int, help="side of the images in pixels")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="one run per seed (default: 0 1 2)"
    )
    add_set(parser)
    parser.add_argument("--options", action="store_true", help="list the study's options")
    add_out(parser, "study")
    add_max_parallel(parser)
    add_service(parser)


def obey(args: argparse.Namespace) -> int:
    """Queue the runs that are missing and tell how they go; returns the exit status."""
    from pruneviz.jobs.listing import Which
    from pruneviz.studies.pretraining_queue import PretrainingRequest, gather

    threads_of(args)
    max_parallel_of(args)
    check_seeds(args.seeds)
    for name in args.data:
        check_data(*data_named(name, args.size))
    from pruneviz.studies.pretraining_run import STUDY

    if args.options:
        describe(STUDY)
        return 0
    options = values_of(STUDY, args.set)
    STUDY.make_options(options)
    from pruneviz.catalog import ModelSource

    models = tuple(ModelSource(name, args.weights) for name in args.models)
    for model in models:
        model.load()  # what cannot be loaded is said once, before anything is queued
    study = PretrainingRequest(
        models=tuple(model.to_dict() for model in models),
        data=tuple(source_of(name, args.size, models) for name in args.data),
        seeds=tuple(args.seeds),
        options=options,
    )
    with service_for(args) as service:
        runs = work_through(args, service, study)
        if runs is None:
            return STOPPED
        study_result = gather(service, service.list(Which(parent=study.id)))
    say(args, table(study_result))
    deliver(args, json.loads(study_result.to_json()))
    write_result(args, study_result.to_json(), study_result.to_frame())
    return status_of(runs)


def source_of(name: str, size: int | None, models: Sequence[ModelSource]) -> dict[str, Any]:
    """The source of a data set of the catalogue, or of a folder or zip of images.

    A folder is prepared as the weights want it, where all of them want the same.
    """
    from pruneviz.catalog import load_dataset, options_for

    called, given = data_named(name, size)
    if called == "folder":
        first, *others = (options_for(model, "folder", given) for model in models)
        wanted = first if all(other == first for other in others) else given
        return dict(load_dataset("folder", **wanted).source)
    return dict(load_dataset(called, **given).source)


def data_named(name: str, size: int | None) -> tuple[str, dict[str, Any]]:
    """The name and options of a data set of the catalogue, or of a folder or zip of images."""
    given: dict[str, Any] = {} if size is None else {"size": size}
    if name not in NAMES and Path(name).exists():
        return "folder", {**given, "root": name}
    return name, given


def table(study: PretrainingStudy) -> str:
    """The largest reductions within 1 point, a line for each network, data set and start."""
    lines = [f"{'network, data':<32}{'start':<12}{'parameters removed within 1 point':>36}"]
    for row in study.reductions().to_dict("records"):
        spread = f" ± {row['std']:.1%}" if row["count"] > 1 else ""
        count = f"({row['count']} seed{'s' if row['count'] > 1 else ''})"
        removed = f"{row['mean']:.1%}{spread}"
        subject = f"{row['network']}, {row['data']}"
        lines.append(f"{subject:<32}{row['start']:<12}{f'{removed} {count}':>36}")
    return "\n".join(lines)
