"""Criteria and strategies by name: PruneViz's own, found by their files, and those of its users.

A user's own come from a notebook (`pv.register(...)`), or from an installed package that names
them under the entry points "pruneviz.plugins". The studio and background runs are separate
processes: they know those of packages, and of the modules in the variable PRUNEVIZ_PLUGINS.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from functools import cache, cached_property, partial, singledispatch
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from typing import Any, Generic, Protocol, TypeVar

from pruneviz.arguments import one_of
from pruneviz.errors import InvalidValueError

ENTRY_POINTS = "pruneviz.plugins"
VARIABLE = "PRUNEVIZ_PLUGINS"
"""Names modules, separated by commas, whose import registers what they have."""


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


T = TypeVar("T", bound=Named)


@singledispatch
def register(plugin: Any) -> Any:
    """Add your own criterion or strategy, and return it.

    From then on `rank`, `run_strategy` and the studio know it by its name. It replaces any that you
    added before under the same name, so that a notebook cell can run again.

    Args:
        plugin: A `pruneviz.criteria.Criterion` or a `pruneviz.strategies.Strategy`.

    Raises:
        InvalidValueError: Something else, or a name that is PruneViz's own.

    Example:
        >>> import pruneviz as pv
        >>> from pruneviz.criteria import Criterion, by_filter
        >>> largest = by_filter(lambda rows: abs(rows).max(axis=1))  # rows: (filters, weights each)
        >>> pv.register(Criterion(name="peak", title="Peak", help="Largest weight.", score=largest))
        Criterion('peak')
    """
    raise InvalidValueError(
        f"Only a Criterion or a Strategy can be registered, but got {type(plugin).__name__}; "
        "see pruneviz.criteria.Criterion and pruneviz.strategies.Strategy."
    )


class Registry(Generic[T]):
    """Criteria or strategies by name: those of a package, and those that users add.

    Args:
        kind: What they are called, for errors.
        package: Whose modules have them.
        variable: The name in a module that holds its own: one of them, or a tuple. Modules are
            searched for it as text, since importing them takes seconds.
    """

    def __init__(self, kind: str, package: str, variable: str) -> None:
        self.kind = kind
        self._package, self._variable = package, variable
        self._added: dict[str, T] = {}

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The package's modules that have one, in alphabetical order."""
        mark = re.compile(rf"^{self._variable}\b", re.MULTILINE)
        sources = (f for f in files(self._package).iterdir() if f.name.endswith(".py"))
        return tuple(sorted(f.name[:-3] for f in sources if mark.search(f.read_text())))

    @property
    def added(self) -> dict[str, T]:
        """What users have added, by name."""
        load_plugins()
        return dict(self._added)

    def own(self, file: str) -> tuple[T, ...]:
        """What one of the package's files has."""
        value = getattr(import_module(f"{self._package}.{file}"), self._variable)
        return value if isinstance(value, tuple) else (value,)

    @cached_property
    def _own(self) -> dict[str, T]:
        return {item.name: item for file in self.files for item in self.own(file)}

    def all(self) -> dict[str, T]:
        """Everything by name, the package's own first."""
        return {**self._own, **self.added}

    def find(self, name: str) -> T:
        """The one of that name; `UnknownNameError` lists the choices."""
        known = self.all()
        return known[one_of(self.kind, name, known)]

    def add(self, plugin: T) -> T:
        """Add a user's own; one of the same name that was added before is replaced."""
        if not isinstance(plugin.name, str) or not plugin.name.isidentifier():
            raise InvalidValueError(
                f"The name of a {self.kind} has letters, digits and underscores only, but got "
                f"{plugin.name!r}."
            )
        if plugin.name in self._own:
            raise InvalidValueError(
                f"'{plugin.name}' is one of PruneViz's own {self.kind} names; choose another."
            )
        self._added[plugin.name] = plugin
        return plugin


@cache
def load_plugins() -> None:
    """Register what installed packages and PRUNEVIZ_PLUGINS name; once in a process."""
    for point in entry_points(group=ENTRY_POINTS):
        _load(f"plugin '{point.name}' ({point.value})", point.load)
    for module in filter(None, os.environ.get(VARIABLE, "").split(",")):
        _load(f"module '{module}' in {VARIABLE}", partial(import_module, module.strip()))


def _load(label: str, load: Callable[[], object]) -> None:
    """Load a plugin; if that fails, warn and go on without it."""
    try:
        loaded = load()
        plugins = loaded if isinstance(loaded, (tuple, list)) else (loaded,)
        for plugin in plugins:
            if hasattr(plugin, "name"):  # a module registers its own while it is imported
                register(plugin)
    except Exception as error:
        warnings.warn(f"The {label} was left out: {error}", RuntimeWarning, stacklevel=3)
