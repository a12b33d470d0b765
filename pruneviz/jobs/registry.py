"""The kinds of run there are: a name and a function that works with a `JobContext`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruneviz.errors import InvalidValueError, UnknownNameError

if TYPE_CHECKING:
    from pruneviz.jobs.context import JobContext

Work = Callable[["JobContext"], None]


@dataclass(frozen=True)
class Kind:
    """One kind of run; `uses_torch` has the worker limit torch's threads before it starts."""

    name: str
    work: Work
    uses_torch: bool = True


BUILT_IN = ("pruneviz.jobs.kinds", "pruneviz.studies.papers.kinds")
"""PruneViz's own; the lab is a layer above this one, so it is named here, not imported."""

_KINDS: dict[str, Kind] = {}


def register(name: str, *, uses_torch: bool = True) -> Callable[[Work], Work]:
    """Register a function as a kind of run; a decorator.

    A worker knows PruneViz's own kinds, and those of the modules named as `plugins` when it is
    started.
    """

    def add(work: Work) -> Work:
        _KINDS[name] = Kind(name, work, uses_torch)
        return work

    return add


def own_kinds() -> tuple[str, ...]:
    """Return the names of PruneViz's own kinds and of those registered in this process."""
    for module in BUILT_IN:
        importlib.import_module(module)
    return tuple(_KINDS)


def find_kind(name: str, plugins: Iterable[str] = ()) -> Kind:
    """Return a kind by name, after importing the modules in `plugins`.

    Raises:
        UnknownNameError: no kind has that name.
        InvalidValueError: a plugin that cannot be imported.
    """
    for module in (*BUILT_IN, *plugins):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise InvalidValueError(
                f"The module '{module}', which registers kinds of runs, must be importable; "
                f"{error}. Install it, or put it on PYTHONPATH."
            ) from error
    if name not in _KINDS:
        raise UnknownNameError("kind of run", name, _KINDS)
    return _KINDS[name]
