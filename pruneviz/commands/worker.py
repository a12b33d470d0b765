"""`pruneviz worker`: a worker of a Dask scheduler that fits the studios of this version."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec

from pruneviz import logs
from pruneviz.commands import deployment
from pruneviz.errors import InvalidValueError, MissingExtraError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    parser.add_argument(
        "--offers",
        default="",
        metavar="NAME=NUMBER",
        help="other resources of this machine, such as GPU=1, for studios that need them (--needs)",
    )
    parser.add_argument(
        "--resources",
        action="store_true",
        help="only print the value for `dask worker --resources`, for Slurm or Kubernetes",
    )
    parser.add_argument(
        "--network",
        metavar="FILE.py:FACTORY",
        help="the studio's own network; it is code, so it is not sent to workers",
    )
    parser.add_argument("--home", default=argparse.SUPPRESS, help="folder for runs in progress")
    deployment.add_log_format(parser)
    deployment.add_deployment(parser)


def obey(args: argparse.Namespace) -> int:
    """Serve the scheduler until it, or somebody, ends this."""
    from pruneviz.jobs.artifacts import VARIABLE as STORE
    from pruneviz.jobs.dask_executor import resolve_scheduler
    from pruneviz.jobs.database import VARIABLE as DATABASE
    from pruneviz.jobs.elsewhere import resolve_needs, versions
    from pruneviz.jobs.executor import resolve_workers
    from pruneviz.jobs.home import resolve_home

    offers = {versions().resource: 1.0, **resolve_needs(args.offers)}
    resources = " ".join(f"{name}={number:g}" for name, number in offers.items())
    if args.resources:
        print(resources)
        return 0
    scheduler = resolve_scheduler()
    missing = [
        option
        for option, given in (
            ("--scheduler", scheduler),
            ("--database", os.environ.get(DATABASE)),
            ("--store", os.environ.get(STORE)),
        )
        if not given
    ]
    if missing or scheduler is None:
        raise InvalidValueError(
            f"A worker needs the addresses of scheduler, database and store; give "
            f"{', '.join(missing)}, or the variables of the environment."
        )
    if find_spec("distributed") is None:
        raise MissingExtraError("A worker", "distributed", "cluster")
    if args.network is not None:
        from pruneviz.catalog import own

        own.hand_over(own.from_code(args.network))
    home = resolve_home(args.home)
    os.environ["PRUNEVIZ_HOME"] = str(home)
    deployment.log_as_asked(args)
    deployment.check(home)
    logs.event("worker started", scheduler=scheduler, versions=str(versions()))
    command = [
        *(sys.executable, "-m", "pruneviz.jobs.dask_worker", scheduler),
        *("--nworkers", str(resolve_workers()), "--nthreads", "1", "--no-dashboard"),
        *("--resources", resources, "--local-directory", str(home / "dask")),
        *("--death-timeout", "60"),
    ]
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait(30)
        return 130
    finally:
        if process.poll() is None:
            process.terminate()
