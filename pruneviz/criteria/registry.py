"""The criteria by name: how each is described, and how it scores units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pruneviz.arguments import several
from pruneviz.errors import InvalidValueError
from pruneviz.plugins import Registry, register

if TYPE_CHECKING:
    import pandas as pd

    from pruneviz.channels import ChannelGraph
    from pruneviz.criteria.evidence import Evidence

FloatArray = npt.NDArray[np.float64]


def _never(_graph: ChannelGraph) -> bool:
    return False


def _always(_evidence: Evidence) -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A way to score filters; higher = keep."""

    name: str
    title: str
    help: str
    """One sentence for somebody who has not read the paper."""
    score: Callable[[Evidence], FloatArray]
    """Evidence -> (num_units,) scores; those of units that cannot be pruned are ignored."""
    formula: str = ""
    paper: str = ""
    gathers: frozenset[str] = frozenset()
    """What the shared pass must gather for it (names of `Statistics` fields)."""
    needs_data: bool = False
    needs_gradient: bool = False
    own_pass: bool = False
    """Whether it runs the network by itself instead of reading the shared pass: slow."""
    takes_minutes: Callable[[ChannelGraph], bool] = _never
    """Whether it does so on a network, although it reads the shared pass: what it computes from
    that grows faster than the network."""
    applies: Callable[[Evidence], bool] = _always
    """Whether the network has what it looks at; if not, `score` raises an error."""
    same_unit: bool = False
    """Whether its scores are in one unit over all layers (a loss, or its square), so that they
    compare as they are. Measured against the oracle over all units, those do better raw than
    l2-normalised; Taylor, a mean over positions, needs the normalisation of its paper."""

    def __repr__(self) -> str:
        return f"Criterion({self.name!r})"


# One file a criterion or family of criteria; each lists its own in CRITERIA.
_REGISTRY = Registry[Criterion]("criterion", "pruneviz.criteria", "CRITERIA")
register.register(Criterion, _REGISTRY.add)


def registered() -> dict[str, Criterion]:
    """Every criterion by its name, those that are quick to compute first."""
    known = _REGISTRY.all()
    effort = {n: (c.own_pass, c.needs_data, c.needs_gradient, c.title) for n, c in known.items()}
    return {name: known[name] for name in sorted(known, key=effort.__getitem__)}


def find_criterion(name: str) -> Criterion:
    """The criterion of that name; `UnknownNameError` lists the choices."""
    return _REGISTRY.find(name)


def chosen(names: str | Iterable[str]) -> list[Criterion]:
    """The criteria of these names, each once; at least one."""
    wanted = [names] if isinstance(names, str) else several("criteria", names)
    if not wanted:
        raise InvalidValueError(
            "A ranking needs at least one criterion, but got none; name one, such as 'l1'."
        )
    selected = [find_criterion(name) for name in wanted]
    return list({criterion.name: criterion for criterion in selected}.values())


def criteria() -> pd.DataFrame:
    """One row a criterion: name, title, what it means, its formula, what it needs, its paper."""
    import pandas as pd

    rows = [
        (c.name, c.title, c.help, c.formula, c.needs_data, c.needs_gradient, c.own_pass, c.paper)
        for c in registered().values()
    ]
    names = "name title help formula needs_data needs_gradient own_pass paper"
    return pd.DataFrame(rows, columns=names.split())
