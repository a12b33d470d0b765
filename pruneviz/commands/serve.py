"""The studio served: where it listens, who may come in, and the options that say so."""

from __future__ import annotations

import argparse
import errno
import os
import re
import socket
from getpass import getpass
from pathlib import Path

from pruneviz import logs
from pruneviz.commands import deployment
from pruneviz.errors import InvalidValueError, StorageError

FIRST_PORT = 8501
ASKED = ""
"""`--password` without a value: it is typed where nobody sees it."""
_PACKAGE = Path(__file__).resolve().parents[1]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the options of a studio."""
    parser.add_argument("--port", type=int, help="port to listen on (default: 8501 or next free)")
    parser.add_argument("--host", default="localhost", help="address to bind (default: localhost)")
    parser.add_argument(
        "--home",
        help="folder for records and results (default: $PRUNEVIZ_HOME or the user's data folder)",
    )
    parser.add_argument("--headless", action="store_true", help="do not open a browser")
    deployment.add_log_format(parser)
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
            "password that visitors type instead of a token (default: $PRUNEVIZ_PASSWORD; without "
            "a value, PruneViz asks for it)"
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
                f"No permission to listen on port {port}; choose one from 1024 to 65535."
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


def obey(args: argparse.Namespace) -> int:
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
    deployment.log_as_asked(args)
    deployment.check(home)
    port = choose_port(settings.host, args.port)
    if args.port is None and port != FIRST_PORT and not logs.is_json():
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
