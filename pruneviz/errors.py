"""The errors that PruneViz raises, each with its remedy.

Every message states the rule, the value received and what to do instead. All of them derive from
`PruneVizError`, so one `except` suffices; each also derives from the built-in exception that a
Python user would expect (`ValueError`, `KeyError`, ...).
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LISTED = 60
"""How many choices a message names; the first ones are the likeliest."""


SHOWN = 120
"""How many characters of a value a message repeats; a value may be a whole file."""


LONGEST = 1_900
"""How many characters a message has; names of files and classes may fill any screen."""


def shown(value: object) -> str:
    """A value as messages show it: its `repr`, shortened if it is long."""
    try:
        text = repr(value if not isinstance(value, str | bytes) else value[: SHOWN + 1])
    except Exception:  # a user's own repr
        text = f"an object of type {type(value).__name__}"
    text = " ".join(text.split())  # a network's has many lines
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def readable(text: str) -> str:
    """Text that a screen can show: of limited length, with escapes for unprintable characters."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}…"
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


class PruneVizError(Exception):
    """Base of every error that PruneViz raises on purpose; its text is fit for a screen.

    All of them survive pickling, whatever their `__init__` takes: a worker's error that cannot be
    read in the app breaks the pool it came through.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(readable(str(message)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from the finished text, not from the arguments that made it."""
        return _rebuilt, (type(self), self.args), self.__dict__


def _rebuilt(kind: type[PruneVizError], args: tuple[Any, ...]) -> PruneVizError:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class UnknownNameError(PruneVizError, ValueError):
    """A name that is not among the choices; the message lists them."""

    def __init__(self, kind: str, name: object, choices: Iterable[str]) -> None:
        names = list(dict.fromkeys(choices))
        name = str(name)
        name = name if len(name) <= SHOWN else f"{name[:SHOWN]}…"
        close = get_close_matches(name, names, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
        super().__init__(f"Unknown {kind} '{name}'.{hint} Choose one of: {listed or 'none'}.")


class InvalidValueError(PruneVizError, ValueError):
    """A value outside its range or of the wrong kind."""


class TraceError(PruneVizError):
    """A model whose channels cannot be followed at all (no CNN, or it does not run)."""


class PlanError(PruneVizError, ValueError):
    """A plan that would break the network, or that belongs to another one."""


class WeightsError(PruneVizError, ValueError):
    """A weights file that is unreadable, unsafe, or does not fit the architecture."""


class DataError(PruneVizError, ValueError):
    """A data set that cannot be read or lacks what is needed."""


class TrainingError(PruneVizError, ArithmeticError):
    """Training that went wrong, such as a loss that became NaN."""


class ExportError(PruneVizError, RuntimeError):
    """A network that a format cannot hold, or a file that does not do what the network does."""


class RecipeError(PruneVizError, ValueError):
    """A recipe that cannot be followed: damaged, or made for other weights, images or networks."""


class MissingExtraError(PruneVizError, ImportError):
    """An optional library is not installed; the message names the pip command."""

    def __init__(self, part: str, library: str, extra: str | None) -> None:
        package = library if extra is None else f"'pruneviz[{extra}]'"
        super().__init__(
            f"{part} needs {library}, which is not installed; install it with: pip install "
            f"{package}"
        )


class OfflineError(PruneVizError, ConnectionError):
    """A download failed; the message says what works offline."""


class StorageError(PruneVizError, OSError):
    """The folder for records and results cannot be written."""


class StorageFullError(StorageError):
    """The disk is full; waiting work continues once there is space."""


class StorageBusyError(StorageError):
    """Another program has locked the records; waiting work continues afterwards."""


class StorageGoneError(StorageError):
    """The folder for records and results was deleted, or another one has taken its place."""


class StorageUnreachableError(StorageError):
    """The database of records does not answer; waiting work continues once it does."""


class WrongWorkerError(StorageError):
    """A worker that may not do a run: of other versions, or with another database."""


class NotAllowedError(PruneVizError, PermissionError):
    """Something that only another visitor may decide, or that exceeds what a visitor may use."""
