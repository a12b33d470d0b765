"""The studio on a network of one's own: `pruneviz FILE.py:FACTORY`, and `pv.studio` in Python."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pruneviz.commands import serve
from pruneviz.commands.watch import add_data, data_of
from pruneviz.errors import InvalidValueError

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.data import DataSet

COMMAND = "studio"
TARGET = re.compile(r".+\.py:[A-Za-z_]\w*")
"""What names a network of one's own on the command line."""
_READY = re.compile(r"PruneViz is at (http\S+)")


def with_verb(argv: Sequence[str]) -> list[str]:
    """Return the command line with the verb that `FILE.py:FACTORY` stands for.

    It comes first, so that options may stand on either side of the network.
    """
    for place, word in enumerate(argv):
        if word == COMMAND:
            return [COMMAND, *argv[:place], *argv[place + 1 :]]
        if TARGET.fullmatch(word):
            return [COMMAND, *argv]
        if word.isalpha() and not argv[place - 1].startswith("-"):
            break  # another verb
    return list(argv)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a parser the command's options."""
    parser.add_argument(
        "network",
        metavar="FILE.py:FACTORY",
        help="a function without arguments that returns the network, with its weights",
    )
    add_data(parser)
    parser.add_argument(
        "--size", type=int, metavar="PIXELS", help="side of the images, for a folder or zip"
    )
    serve.add_arguments(parser)


def obey(args: argparse.Namespace) -> int:
    """Open the studio on the network; its code runs because its owner said so here."""
    from pruneviz.catalog import load_model, own
    from pruneviz.session.decisions import Subject
    from pruneviz.session.opening import open_with

    if not TARGET.fullmatch(args.network):
        raise InvalidValueError(
            "Your own network is given as FILE.py:FACTORY, the file and the function in it that "
            f"returns the network, but got '{args.network}'."
        )
    network = own.from_code(args.network)
    own.hand_over(network)
    load_model(network.model, network.weights)  # what is wrong is said here, in one sentence
    name, options = data_of(args)
    given: dict[str, object] = dict(options)
    if "root" in given:
        given["root"] = str(Path(str(given["root"])).expanduser().absolute())
    if args.size is not None:
        given["size"] = args.size
    if args.data_root is None and "root" in given:
        args.data_root = _folder_of(Path(str(given["root"])))  # visitors see what it is opened on
    open_with(Subject(network.model, network.weights, None, name, tuple(sorted(given.items()))))
    return serve.obey(args)


def _folder_of(root: Path) -> str:
    return str(root if root.is_dir() else root.parent)


class Studio:
    """A studio that runs beside this Python; `url` is its address, `stop()` ends it."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.url = url
        self._process = process

    @property
    def running(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it; its runs can be resumed."""
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __repr__(self) -> str:
        return f"Studio({self.url!r}, {'running' if self.running else 'stopped'})"

    def _repr_html_(self) -> str:
        return f'<a href="{self.url}" target="_blank">{self.url}</a>'


def studio(
    model: nn.Module,
    data: DataSet,
    *,
    home: str | os.PathLike[str] | None = None,
    port: int | None = None,
) -> Studio:
    """Open the studio on a network and data of this Python session, print its address, and return.

    The studio is a separate process, and so are its runs: the network is pickled into its home,
    readable only by its owner, and data that did not come from `load_dataset` is written there,
    too. Only processes that this one starts load them. The studio ends with this Python or with
    `.stop()`; what is trained there does not change `model`.

    Args:
        model: The network, as it is now.
        data: What `load_dataset` gives, or a `DataSet` of your own.
        home: Folder for records and results; default as for the command.
        port: Where to listen; by default the first free one from 8501 on.

    Raises:
        InvalidValueError: the network cannot be pickled.
        StorageError: the home cannot be written.

    Example:
        >>> studio = pv.studio(model, data)  # doctest: +SKIP
        PruneViz is at http://localhost:8501
        >>> studio.stop()  # doctest: +SKIP
    """
    from pruneviz.arguments import network
    from pruneviz.data import check_data
    from pruneviz.jobs.home import resolve_home

    folder = resolve_home(home)
    environment = _environment(network(model), check_data(data), folder)
    command = [
        sys.executable,
        "-c",
        "import sys; from pruneviz.commands.main import main; sys.exit(main())",
        *("--headless", "--home", str(folder)),
        *(() if port is None else ("--port", str(port))),
    ]
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    opened = Studio(process, _address(process))
    threading.Thread(target=_drain, args=(process,), daemon=True).start()
    import atexit

    atexit.register(opened.stop)
    print(f"PruneViz is at {opened.url}")
    return opened


def _environment(model: nn.Module, data: DataSet, home: Path) -> dict[str, str]:
    """What the studio's process is told."""
    from pruneviz.catalog import own, own_data
    from pruneviz.catalog.datasets import CATALOGUE
    from pruneviz.session.decisions import Subject
    from pruneviz.session.opening import open_with

    environment = dict(os.environ)
    network = own.from_object(model, home / "own")
    own.hand_over(network, environment)
    options = dict(data.source.get("options", {}))
    name = str(data.source.get("name", ""))
    if name not in CATALOGUE:
        name, options = own_data.NAME, {"digest": data.digest}
        own_data.hand_over(own_data.keep(data, home / "own"), environment)
    subject = Subject(network.model, network.weights, None, name, tuple(sorted(options.items())))
    open_with(subject, environment)
    package = str(Path(__file__).resolve().parents[2])  # a checkout that is not installed
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (package, environment.get("PYTHONPATH")))
    )
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def _address(process: subprocess.Popen[str]) -> str:
    """Where the process says that it is; InvalidValueError with what it said where it ended."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        ready = _READY.match(line)
        if ready:
            return ready[1]
    raise InvalidValueError(f"The studio did not start: {''.join(said[-5:]).strip()}")


def _drain(process: subprocess.Popen[str]) -> None:
    """Read what the studio prints, so that it is never held up by a full pipe."""
    assert process.stdout is not None
    for _ in process.stdout:
        pass
