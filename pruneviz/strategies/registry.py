"""The strategies by name. To add one, add a file with a `STRATEGY` to this folder.

A strategy is imported when it is needed, so that names and stored results load without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pruneviz.arguments import one_of
from pruneviz.plugins import Registry, register
from pruneviz.strategies.base import Strategy

if TYPE_CHECKING:
    import pandas as pd

_REGISTRY = Registry[Strategy]("strategy", "pruneviz.strategies", "STRATEGY")
register.register(Strategy, _REGISTRY.add)


def names() -> tuple[str, ...]:
    """The strategies' names: PruneViz's own, which are their files' names, and users'."""
    return (*_REGISTRY.files, *_REGISTRY.added)


def find_strategy(name: str) -> Strategy:
    """The strategy of that name; `UnknownNameError` lists the choices."""
    added = _REGISTRY.added
    if one_of("strategy", name, names()) in added:
        return added[name]
    (strategy,) = _REGISTRY.own(name)
    return strategy


def title_of(name: str) -> str:
    """What people call a strategy; its name where it is not known here, such as another's own."""
    return find_strategy(name).title if name in names() else name


def strategies() -> pd.DataFrame:
    """The strategies, one per row.

    Columns: `name` (for `run_strategy`), `title`, `help` (one sentence), `paper`, `options` (their
    names, separated by commas) and `reaches_target` (whether it ends at the MACs target).
    """
    import pandas as pd

    every = [find_strategy(name) for name in names()]
    return pd.DataFrame(
        {
            "name": [s.name for s in every],
            "title": [s.title for s in every],
            "help": [s.help for s in every],
            "paper": [s.paper for s in every],
            "options": [", ".join(s.defaults) for s in every],
            "reaches_target": [s.reaches_target for s in every],
        }
    )
