"""What the pages are made of is imported once, by one visitor's run; the others wait for it.

Each visitor's run is a thread. Where two threads import modules that need each other, Python does
not let them wait for ever: one goes on with half of a module. So some of the visitors who opened a
studio that had just started saw an `ImportError`, as did open pages when it was started again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pkgutil import iter_modules

import pruneviz

_ALONE = threading.RLock()
_IMPORTED = threading.Event()


def imported() -> bool:
    """Tell whether the pages are imported."""
    return _IMPORTED.is_set()


@contextmanager
def alone() -> Iterator[None]:
    """Until the pages are imported: one run at a time."""
    if imported():
        yield
        return
    with _ALONE:
        yield


def import_pages(names: Iterable[str]) -> None:
    """Import these pages, the frame around them, and the packages that they turn to later."""
    with alone():
        if imported():
            return
        for package in iter_modules(pruneviz.__path__, f"{pruneviz.__name__}."):
            if package.ispkg:
                with suppress(ImportError):  # an extra that is not installed
                    import_module(package.name)
        for module in (*(f"{name}.page" for name in names), "frame.plan_link", "lessons.panel"):
            import_module(f"pruneviz.ui.{module}")
        _IMPORTED.set()
