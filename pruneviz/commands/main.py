"""The `pruneviz` command: start the studio, fetch the tour notebook, run strategies, races,
studies and claims.

Nothing heavy is imported until it is needed, so that `pruneviz --help` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from getpass import getpass
from importlib.metadata import version
from pathlib import Path

from pruneviz import bars
from pruneviz.commands import deployment
from pruneviz.commands.output import add_json, deliver, say, stop_writing
from pruneviz.errors import InvalidValueError, PruneVizError, StorageError

FIRST_PORT = 8501
JOBS = ("engineer", "teacher", "researcher")
ASKED = ""
"""`--password` without a value: it is typed where nobody sees it."""
_PACKAGE = Path(__file__).resolve().parents[1]


def app_path() -> Path:
    """Return the studio's script: the wheel's own copy, or the checkout's."""
    for candidate in (_PACKAGE / "_app" / "app.py", _PACKAGE.parent / "app.py"):
        if candidate.is_file():
            return candidate
    raise StorageError(
        f"The studio's app.py is missing beside {_PACKAGE}; install PruneViz again with pip."
    )


def port_is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen there; InvalidValueError if `host` is not this machine."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        addresses = []
    bound = 0
    for family, kind, proto, _, address in addresses:  # localhost may be 127.0.0.1 and ::1
        try:
            with socket.socket(family, kind, proto) as probe:
                if os.name == "posix":  # a port in TIME_WAIT can be listened on again
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                bound += 1
        except PermissionError:
            raise InvalidValueError(
                f"You are not allowed to listen on port {port}; choose one from 1024 to 65535."
            ) from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
    if not bound:
        raise InvalidValueError(
            f"The host must be a name or address of this machine, but got '{host}'; "
            "use 'localhost', or '0.0.0.0' to be reachable from others."
        )
    return True


def choose_port(host: str, wanted: int | None) -> int:
    """Return the port to listen on: the wanted one, or the first free one from 8501 on."""
    if wanted is not None:
        if not 1 <= wanted <= 65535:
            raise InvalidValueError(f"A port must be between 1 and 65535, but got {wanted}.")
        if not port_is_free(host, wanted):
            raise InvalidValueError(
                f"Port {wanted} on {host} is taken by another program; "
                "choose another with --port, or leave --port out to get a free one."
            )
        return wanted
    for port in range(FIRST_PORT, FIRST_PORT + 100):
        if port_is_free(host, port):
            return port
    raise InvalidValueError(
        f"All ports from {FIRST_PORT} to {FIRST_PORT + 99} on {host} are taken; choose another "
        "with --port."
    )


def start(args: argparse.Namespace) -> int:
    """Start the studio and serve it until interrupted."""
    from pruneviz.jobs.gate import Limits
    from pruneviz.jobs.home import resolve_home
    from pruneviz.ui.serving.sharing import sharing

    settings = sharing(
        args.host,
        names=tuple(args.allow_host),
        password=_password(args.password),
        data_root=args.data_root,
        limits=Limits(args.max_runs, args.quota),
    )
    home = resolve_home(args.home)
    os.environ["PRUNEVIZ_HOME"] = str(home)
    deployment.check(home)
    port = choose_port(settings.host, args.port)
    if args.port is None and port != FIRST_PORT:
        print(f"Port {FIRST_PORT} is taken; using {port}.", flush=True)

    from pruneviz.ui.serving.server import serve

    serve(app_path(), settings, port, headless=args.headless)
    return 0


def _password(given: str | None) -> str | None:
    """Return the password; one that was not written on the command line is asked for."""
    return getpass("Password for visitors: ") if given == ASKED else given


def count(text: str) -> int:
    """Read a number of at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, but got '{text}'")
    return int(text)


def size(text: str) -> int:
    """Read a number of bytes: `500M`, `2G`, `1.5GiB`."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if parts is None:
        raise argparse.ArgumentTypeError(f"must be a size such as 500M or 2G, but got '{text}'")
    return int(float(parts[1]) * 1024 ** " KMGT".index(parts[2].upper() or " "))


def tour(args: argparse.Namespace) -> int:
    """Copy the tour notebook to where the user stands."""
    source = _PACKAGE / "tour.ipynb"
    if args.job is not None:
        source = _PACKAGE / "notebook" / "examples" / f"{args.job}.ipynb"
    target = Path(args.to)
    if target.is_dir():
        target = target / f"pruneviz-{source.stem}.ipynb"
    if target.exists() and not args.force:
        raise StorageError(f"{target} exists already; add --force to overwrite it.")
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise StorageError(
            f"The tour cannot be written to {target} ({error.strerror}); name a writable folder "
            "after `pruneviz tour`."
        ) from error
    print(f"Wrote {target}. Open it with: jupyter lab {target}")
    return 0


def show_version(args: argparse.Namespace) -> int:
    """Print the version."""
    say(args, f"pruneviz {version('pruneviz')}")
    deliver(args, {"pruneviz": version("pruneviz")})
    return 0


def run_strategy(args: argparse.Namespace) -> int:
    """Prune a network by a strategy, and tell how it goes."""
    from pruneviz.commands.run import obey

    return obey(args)


def race(args: argparse.Namespace) -> int:
    """Run several strategies on the same network, data and budget."""
    from pruneviz.commands.race import obey

    return obey(args)


def study(args: argparse.Namespace) -> int:
    """Compare pretrained networks with those trained from scratch."""
    from pruneviz.commands.study import obey

    return obey(args)


def lab(args: argparse.Namespace) -> int:
    """List the papers' claims, or put one to the test."""
    from pruneviz.commands.lab import obey

    return obey(args)


def studio(args: argparse.Namespace) -> int:
    """Open the studio on a network of one's own."""
    from pruneviz.commands.studio import obey

    return obey(args, start)


def trust(args: argparse.Namespace) -> int:
    """Compare predicted accuracies with those after fine-tuning."""
    from pruneviz.commands import trust as trust_cli

    return trust_cli.obey(args)


def export(args: argparse.Namespace) -> int:
    """Write a run's network as files that need no PruneViz."""
    from pruneviz.commands.export import obey

    return obey(args)


def store(args: argparse.Namespace) -> int:
    """Tidy up the store of artifacts."""
    from pruneviz.commands.store import obey

    return obey(args)


def apply(args: argparse.Namespace) -> int:
    """Do what a recipe says."""
    from pruneviz.commands.apply import obey

    return obey(args)


def add_serving(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of a studio."""
    parser.add_argument("--port", type=int, help="port to listen on (default: 8501 or next free)")
    parser.add_argument("--host", default="localhost", help="address to bind (default: localhost)")
    parser.add_argument(
        "--home",
        help="folder for records and results (default: $PRUNEVIZ_HOME or the user's data folder)",
    )
    parser.add_argument("--headless", action="store_true", help="do not open a browser")
    deployment.add_deployment(parser)
    sharing = parser.add_argument_group(
        "sharing",
        "With a --host other than localhost the studio asks visitors for a token, which is printed "
        "with its address; $PRUNEVIZ_TOKEN sets the owner's.",
    )
    sharing.add_argument(
        "--password",
        nargs="?",
        const=ASKED,
        metavar="SECRET",
        help=(
            "password that visitors type instead of a token (default: $PRUNEVIZ_PASSWORD; "
            "without a value it is asked for)"
        ),
    )
    sharing.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another host name to accept, such as your proxy's; may be repeated",
    )
    sharing.add_argument(
        "--data-root",
        metavar="FOLDER",
        help="folder of images on this machine that visitors may read (default: none)",
    )
    sharing.add_argument(
        "--max-runs",
        type=count,
        metavar="N",
        help="queued and running runs allowed per visitor (default: 4)",
    )
    sharing.add_argument(
        "--quota",
        type=size,
        metavar="SIZE",
        help=(
            "disk space for the runs and uploads of each visitor, such as 500M or 2G (default: 4G)"
        ),
    )


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from pruneviz.commands import apply as apply_cli
    from pruneviz.commands import export as export_cli
    from pruneviz.commands import lab as claims_cli
    from pruneviz.commands import race as race_cli
    from pruneviz.commands import run as run_cli
    from pruneviz.commands import store as store_cli
    from pruneviz.commands import studio as studio_cli
    from pruneviz.commands import study as study_cli
    from pruneviz.commands import trust as trust_cli

    parser = argparse.ArgumentParser(
        prog="pruneviz",
        allow_abbrev=False,  # --data of a command is not this one's --data-root or --database
        description=(
            "See a CNN's filters, decide which to prune, and watch what that costs and gains. "
            "Without a command, opens the studio in the browser."
        ),
    )
    add_serving(parser)
    parser.set_defaults(run=start)
    commands = parser.add_subparsers(title="commands", metavar="")

    def verb(
        name: str, says: str, example: str, run: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=says,
            description=f"{says[0].upper()}{says[1:]}.",
            epilog=f"example:\n  pruneviz {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        return made

    notebook = verb("tour", "copy the tour notebook here", "tour notebooks", tour)
    notebook.add_argument(
        "--job", choices=JOBS, help="a notebook for this job instead (default: the tour)"
    )
    notebook.add_argument("to", nargs="?", default=".", help="folder or file (default: here)")
    notebook.add_argument("--force", action="store_true", help="overwrite")
    run_cli.add_arguments(
        verb(
            "run",
            "prune a network with a strategy and watch it run",
            "run taylor --model resnet20 --data digits --target-macs 0.5 --epochs 3",
            run_strategy,
        )
    )
    race_cli.add_arguments(
        verb(
            "race",
            "compare strategies on the same budget and seeds",
            "race taylor uniform control --epochs 2 --seeds 0 1 --json > race.json",
            race,
        )
    )
    study_cli.add_arguments(
        verb(
            "study",
            "does pretraining help pruning? a queue of many runs",
            "study --model vgg16 mobilenet_v2 --data digits --seeds 0 1",
            study,
        )
    )
    claims_cli.add_arguments(
        verb("lab", "test the papers' claims", "lab run oracle --model vgg16", lab)
    )
    trust_cli.add_arguments(
        verb(
            "trust",
            "does the repaired accuracy predict the fine-tuned one?",
            "trust --model resnet20 --plans 24 --out trust.json",
            trust,
        )
    )
    export_cli.add_arguments(
        verb(
            "export",
            "export a run's network as files that run without PruneViz",
            "export 1a2b --out exported --formats onnx,python",
            export,
        )
    )
    apply_cli.add_arguments(
        verb(
            "apply",
            "repeat every step of a recipe",
            "apply recipe.json --out exported --report",
            apply,
        )
    )
    store_cli.add_arguments(
        verb(
            "store",
            "tidy up the store for the files of runs",
            "store gc --dry-run --store s3://bucket/pruneviz",
            store,
        )
    )
    own = verb(
        studio_cli.COMMAND,
        "open the studio on a network of your own (the verb may be left out)",
        "studio mymodule.py:make_model --data folder",
        studio,
    )
    studio_cli.add_arguments(own)
    add_serving(own)
    add_json(verb("version", "print the version", "version --json", show_version))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; a user's mistake is one sentence on stderr and exit code 2."""
    bars.silence()  # commands tell how it goes in lines of their own
    try:
        try:
            return _obey(argv)
        finally:
            sys.stdout.flush()  # here rather than at the exit, where nobody could catch it
    except BrokenPipeError:  # `pruneviz lab list | head`
        stop_writing()
        return 128 + 13


def _obey(argv: Sequence[str] | None) -> int:
    from pruneviz.commands.studio import with_verb

    args = build_parser().parse_args(with_verb(sys.argv[1:] if argv is None else argv))
    try:
        deployment.settle(args)
        code: int = args.run(args)
    except PruneVizError as error:
        print(f"pruneviz: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(
            f"pruneviz: The disk is full ({error.filename or args.home}); free some space or "
            "choose another folder with --home.",
            file=sys.stderr,
        )
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
